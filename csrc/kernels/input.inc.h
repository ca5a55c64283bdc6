/* input.inc.h: rows of the data set into panels, rescaled, with the input's dropout. */

#define CHUNK (16 * FNN_LANES)

/* count values from place at on, rescaled: a plain loop of unknown length, which compilers vectorise */
static void rescale(float *to, const fnn_data *data, int64_t at, int64_t count, double scale, double offset) {
    if (data->x_type == FNN_UINT8) {
        const uint8_t *from = (const uint8_t *)data->x + at;
        for (int64_t i = 0; i < count; i++) to[i] = (float)(from[i] * scale + offset);
    } else {
        const float *from = (const float *)data->x + at;
        for (int64_t i = 0; i < count; i++) to[i] = (float)((double)from[i] * scale + offset);
    }
}

/* x: the row's place in the first panel; keep: its bits there */
static void gather_row(float *x, const fnn_data *data, int64_t row, const fnn_input *input, const uint16_t *keep,
                       float scale, int64_t n_batch) {
    float values[CHUNK];
    for (int64_t first = 0; first < input->n_in; first += CHUNK) {
        const int64_t count = least(CHUNK, input->n_in - first);
        rescale(values, data, row * input->n_in + first, count, input->scale, input->offset);
        for (int64_t i = count; i < fnn_panels(count) * FNN_LANES; i++) values[i] = 0.0f;
        for (int64_t i = 0; i < count; i += FNN_LANES) {
            const int64_t at = (first + i) / FNN_LANES * n_batch;
            const m16 kept = m16_from_bits(keep != NULL ? keep[at] : 0xffff);
            const v16 scaled = v16_mul(v16_load(values + i), v16_set1(scale));
            v16_store(x + at * FNN_LANES, v16_select(kept, scaled, v16_set1(0.0f)));
        }
    }
}

#undef CHUNK

static void gather(float *x, const fnn_data *data, const uint32_t *rows, int64_t first, const fnn_input *input,
                   const uint16_t *keep, float scale, int64_t n_batch, fnn_part part) {
    int64_t begin, end;
    share(&begin, &end, n_batch, part);
    const int64_t row_bytes = input->n_in * (data->x_type == FNN_UINT8 ? 1 : (int64_t)sizeof(float));
    for (int64_t i = begin; i < end; i++) {
        if (i + FNN_ROWS_AHEAD < end) {
            const char *ahead = (const char *)data->x + row_at(rows, first, i + FNN_ROWS_AHEAD) * row_bytes;
            prefetch(ahead, ahead + row_bytes);
        }
        const int64_t row = row_at(rows, first, i);
        gather_row(x + i * FNN_LANES, data, row, input, keep != NULL ? keep + i : NULL, scale, n_batch);
    }
}
