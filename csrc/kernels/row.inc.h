/* row.inc.h: few rows.  A weight is then used once or a few times, so what counts is how fast weights come from the
 * cache: those that meet a zero of the row are left out.  Accumulators take the other products in the same order as the
 * dense kernels, so the bits are equal. */

#ifdef FNN_HAS_PACK
FNN_INLINE int64_t pack_nonzero(float *values, int32_t *places, const float *x, int32_t first) {
    return v16_pack_nonzero(values, places, v16_load(x), first);
}
#else
/* Writes each value and keeps it if it is not zero: no branch to mispredict but the one that passes a background. */
FNN_INLINE int64_t pack_nonzero(float *values, int32_t *places, const float *x, int32_t first) {
    uint32_t bits[FNN_LANES], any = 0;
    memcpy(bits, x, sizeof bits);
    for (int i = 0; i < FNN_LANES; i++) any |= bits[i];
    if (any << 1 == 0) return 0;
    int64_t n = 0;
    for (int i = 0; i < FNN_LANES; i++) {
        values[n] = x[i];
        places[n] = first + i;
        n += bits[i] << 1 != 0; /* but for the sign */
    }
    return n;
}
#endif

static int64_t row_entries(int32_t *places, float *values, fnn_view x, int64_t n) {
    int64_t count = 0, k = 0;
    for (; k + FNN_LANES <= n; k += FNN_LANES, x.at += x.panel)
        count += pack_nonzero(values + count, places + count, x.at, (int32_t)k);
    if (k == n) return count;
    float last[FNN_LANES] = {0};
    memcpy(last, x.at, (size_t)(n - k) * sizeof(float));
    return count + pack_nonzero(values + count, places + count, last, (int32_t)k);
}

/* Several rows pass a block of inputs before the next one, so that its weights stay in the first or second cache. */
#define FNN_ROW_BLOCK 128

/* y = x W + b of inputs below `end`, of as many panels as registers hold, from the row's cursor on */
FNN_INLINE void row_product(float *y, const fnn_entries *x, int64_t row, int64_t end, const float *w, int64_t w_stride,
                            const float *start, int64_t start_stride, int64_t y_stride, const int panels) {
    int64_t entry = x->cursors[row];
    v16 acc[FNN_SPARSE_PANELS];
    FNN_UNROLL
    for (int j = 0; j < panels; j++) acc[j] = v16_load(start + j * start_stride);
    for (; entry < x->ends[row] && x->places[entry] < end; entry++) {
        const group from = group_at(w + (int64_t)x->places[entry] * FNN_LANES, w_stride);
        const v16 value = v16_set1(x->values[entry]);
        FNN_UNROLL
        for (int j = 0; j < panels; j++) acc[j] = v16_fma(value, group_load(&from, j), acc[j]);
    }
    x->cursors[row] = entry;
    FNN_UNROLL
    for (int j = 0; j < panels; j++) v16_store(y + j * y_stride, v16_add(acc[j], v16_set1(0.0f)));
}

static void row_forward(float *y, const fnn_entries *entries, const float *w, const float *b, float scale,
                        fnn_activation activation, int64_t n_batch, int64_t n_in, int64_t n_out) {
    const int64_t n_panels = fnn_panels(n_out), w_stride = n_in * FNN_LANES, y_stride = n_batch * FNN_LANES;
    const int64_t block = n_batch > 1 ? FNN_ROW_BLOCK : n_in;
    for (int64_t panel = 0; panel < n_panels; panel += FNN_SPARSE_PANELS, w += FNN_SPARSE_PANELS * w_stride) {
        const int panels = (int)least(FNN_SPARSE_PANELS, n_panels - panel);
        for (int64_t row = 0; row < n_batch; row++) entries->cursors[row] = row > 0 ? entries->ends[row - 1] : 0;
        for (int64_t k = 0; k < n_in; k += block)
            for (int64_t row = 0; row < n_batch; row++) {
                float *at = y + panel * y_stride + row * FNN_LANES;
                const float *start = k == 0 ? b + panel * FNN_LANES : at;
                const int64_t start_stride = k == 0 ? FNN_LANES : y_stride;
#define FNN_GROUP_BODY(panels)                                                                                         \
    case panels: row_product(at, entries, row, k + block, w, w_stride, start, start_stride, y_stride, panels); break;
                switch (panels) { FNN_EACH_SPARSE(FNN_GROUP_BODY) }
#undef FNN_GROUP_BODY
            }
        if (activation.function != FNN_LINEAR || scale != 1.0f)
            forward_epilogue(y, y, NULL, scale, activation, n_batch, &(tile){panel, 0, panels, (int)n_batch});
    }
}

#undef FNN_ROW_BLOCK

/* ---- output ---- */

/* z = exp(z - max) / sum: the steps of `output`, with a row's units in the lanes instead of its rows */
FNN_INLINE void row_softmax(float *z, int64_t n) {
    float max = z[0], sum = 0.0f;
    for (int64_t c = 1; c < n; c++) max = max < z[c] ? z[c] : max;
    for (int64_t c = 0; c < n; c += FNN_LANES) v16_store(z + c, vexp(v16_sub(v16_load(z + c), v16_set1(max))));
    for (int64_t c = 0; c < n; c++) sum += z[c];
    for (int64_t c = 0; c < n; c += FNN_LANES) v16_store(z + c, v16_div(v16_load(z + c), v16_set1(sum)));
}

static void row_output(float *matrix, const float *y, fnn_link link, float *work, int64_t n_batch, int64_t n_out) {
    for (int64_t row = 0; row < n_batch; row++, matrix += n_out) {
        for (int64_t c = 0; c < n_out; c += FNN_LANES) {
            const v16 z = v16_load(y + c * n_batch + row * FNN_LANES);
            v16_store(work + c, link == FNN_LOGISTIC ? vsigmoid(z) : link == FNN_EXPONENTIAL ? vexp(z) : z);
        }
        if (link == FNN_SOFTMAX) row_softmax(work, n_out);
        memcpy(matrix, work, (size_t)n_out * sizeof(float));
    }
}
