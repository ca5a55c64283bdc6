/* input.inc.h: rows of the data set into panels, rescaled, with the input's dropout. */

FNN_INLINE float rescaled(double x, const fnn_input *input) { return (float)(x * input->scale + input->offset); }

FNN_INLINE void gather_row(float *x, const fnn_data *data, int64_t row, const fnn_input *input, const float *table,
                           const uint16_t *keep, float scale, int64_t n_batch) {
    const int64_t n_in = input->n_in;
    const uint8_t *bytes = (const uint8_t *)data->x + row * n_in;
    const float *floats = (const float *)data->x + row * n_in;
    const int is_plain = input->scale == 1.0 && input->offset == 0.0;
    for (int64_t panel = 0; panel < fnn_panels(n_in); panel++) {
        float *to = x + panel * n_batch * FNN_LANES;
        const int64_t first = panel * FNN_LANES, lanes = least(FNN_LANES, n_in - first);
        if (data->x_type == FNN_UINT8)
            for (int64_t i = 0; i < lanes; i++) to[i] = table[bytes[first + i]];
        else if (is_plain)
            for (int64_t i = 0; i < lanes; i++) to[i] = floats[first + i];
        else
            for (int64_t i = 0; i < lanes; i++) to[i] = rescaled(floats[first + i], input);
        for (int64_t i = lanes; i < FNN_LANES; i++) to[i] = 0.0f;

        const v16 scaled = v16_mul(v16_load(to), v16_set1(scale));
        const m16 kept = m16_from_bits(keep != NULL ? keep[panel * n_batch] : 0xffff);
        v16_store(to, v16_select(kept, scaled, v16_set1(0.0f)));
    }
}

static void gather(float *x, const fnn_data *data, const uint32_t *rows, int64_t first, const fnn_input *input,
                   const float *table, const uint16_t *keep, float scale, int64_t n_batch, fnn_part part) {
    int64_t begin, end;
    share(&begin, &end, n_batch, part);
    for (int64_t i = begin; i < end; i++) {
        const int64_t row = rows != NULL ? (int64_t)rows[first + i] : first + i;
        gather_row(x + i * FNN_LANES, data, row, input, table, keep != NULL ? keep + i : NULL, scale, n_batch);
    }
}
