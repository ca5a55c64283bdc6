/* input.inc.h: rows of a data set into panels, rescaled, with the input's dropout. */

/* Up to sixteen values of the data from place `at` on, rescaled; zero beyond count.  is_same: floats that rescaling
 * would leave as they are, but for the sign of a zero. */
FNN_INLINE v16 rescaled(const fnn_data *data, int64_t at, int64_t count, const fnn_input *input, const int is_same) {
    if (is_same || data->x_type == FNN_FLOAT32) {
        const float *from = (const float *)data->x + at;
        const v16 value = count >= FNN_LANES ? v16_load(from) : v16_load_part(from, (int)count);
        return is_same ? v16_add(value, v16_set1(0.0f)) : v16_rescale(value, input->scale, input->offset);
    }
    const uint8_t *from = (const uint8_t *)data->x + at;
    if (count >= FNN_LANES) return v16_rescale_bytes(from, input->scale, input->offset);
    uint8_t bytes[FNN_LANES] = {0};
    for (int64_t i = 0; i < count; i++) bytes[i] = from[i];
    return v16_rescale_bytes(bytes, input->scale, input->offset);
}

/* A row that is a list of entries. */
static void gather_entries(float *x, const fnn_sparse *sparse, int64_t row, int64_t n_in, const uint16_t *keep,
                           float scale, int64_t n_batch) {
    for (int64_t panel = 0; panel < fnn_panels(n_in); panel++)
        v16_store(x + panel * n_batch * FNN_LANES, v16_set1(0.0f));
    for (int64_t entry = sparse->starts[row]; entry < sparse->starts[row + 1]; entry++) {
        const int64_t column = sparse->columns[entry], at = column / FNN_LANES * n_batch, lane = column % FNN_LANES;
        if (keep == NULL || (keep[at] >> lane & 1)) x[at * FNN_LANES + lane] = sparse->values[entry] * scale;
    }
}

/* x: the row's place in the first panel; keep: its bits there; ahead: a row needed soon, of values of so many bytes */
FNN_INLINE void gather_row(float *x, const fnn_data *data, int64_t row, const fnn_input *input, const uint16_t *keep,
                           float scale, int64_t n_batch, const char *ahead, int64_t bytes, const int is_same) {
    for (int64_t k = 0; k < input->n_in; k += FNN_LANES) {
        __builtin_prefetch(ahead + k * bytes);
        const int64_t at = k / FNN_LANES * n_batch;
        const m16 kept = m16_from_bits(keep != NULL ? keep[at] : 0xffff);
        const v16 value = rescaled(data, row * input->n_in + k, input->n_in - k, input, is_same);
        v16_store(x + at * FNN_LANES, v16_select(kept, v16_mul(value, v16_set1(scale)), v16_set1(0.0f)));
    }
    __builtin_prefetch(ahead + input->n_in * bytes - 1); /* rows do not begin where lines do */
}

static void gather(float *x, const fnn_data *data, const uint32_t *rows, int64_t first, const fnn_input *input,
                   const uint16_t *keep, float scale, int64_t n_batch, fnn_part part) {
    int64_t begin, end;
    share(&begin, &end, n_batch, part);
    if (data->sparse != NULL) {
        for (int64_t i = begin; i < end; i++)
            gather_entries(x + i * FNN_LANES, data->sparse, row_at(rows, first, i), input->n_in,
                           keep != NULL ? keep + i : NULL, scale, n_batch);
        return;
    }
    const int64_t bytes = data->x_type == FNN_UINT8 ? 1 : (int64_t)sizeof(float), row_bytes = input->n_in * bytes;
    const int is_same = data->x_type == FNN_FLOAT32 && input->scale == 1.0 && input->offset == 0.0;
    for (int64_t i = begin; i < end; i++) {
        const int64_t row = row_at(rows, first, i), next = row_at(rows, first, least(i + rows_ahead(row_bytes), end - 1));
        const char *ahead = (const char *)data->x + next * row_bytes;
        const uint16_t *kept = keep != NULL ? keep + i : NULL;
        if (is_same)
            gather_row(x + i * FNN_LANES, data, row, input, kept, scale, n_batch, ahead, bytes, 1);
        else
            gather_row(x + i * FNN_LANES, data, row, input, kept, scale, n_batch, ahead, bytes, 0);
    }
}
