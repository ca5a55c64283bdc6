/* sparse.inc.h: the first layer on data that is mostly zeros.  An accumulator takes the products that are not zero, in
 * the same order as the dense kernels take all of them: skipped products would have added zero, so the bits are equal
 * (for finite weights).  A group of up to FNN_SPARSE_PANELS panels of outputs is held in registers for one row, or one
 * column, at a time. */

/* All rows of a share pass a block of inputs before the next one, so that the block's weights stay near.  Measured on
 * Zen 3 at 784-256: smaller blocks lose more by going to each row more often than they gain in the first-level cache.
 */
#define FNN_SPARSE_BLOCK 192

/* Calls body(..., panels) with the number of panels as a constant. */
#define FNN_GROUP_SWITCH(panels)                                                                                       \
    switch (panels) { FNN_EACH_SPARSE(FNN_GROUP_BODY) }

/* y = x W + b of rows [begin, end) of the batch and of panels from `panel` on */
FNN_INLINE void sparse_product(float *y, const fnn_data *data, const uint32_t *rows, int64_t first, const float *w,
                               const float *b, int64_t *cursors, int64_t n_batch, int64_t n_in, int64_t panel,
                               int64_t begin, int64_t end, const int panels) {
    const fnn_sparse *x = data->sparse;
    const int64_t w_stride = n_in * FNN_LANES, y_stride = n_batch * FNN_LANES;
    w += panel * w_stride, b += panel * FNN_LANES, y += panel * y_stride;
    for (int64_t i = begin; i < end; i++) cursors[i] = x->starts[row_at(rows, first, i)];
    for (int64_t block_end = FNN_SPARSE_BLOCK;; block_end += FNN_SPARSE_BLOCK) {
        for (int64_t i = begin; i < end; i++) {
            float *at = y + i * FNN_LANES;
            const float *start = block_end == FNN_SPARSE_BLOCK ? b : at;
            const int64_t stride = block_end == FNN_SPARSE_BLOCK ? FNN_LANES : y_stride;
            const int64_t row_end = x->starts[row_at(rows, first, i) + 1];
            int64_t entry = cursors[i];
            v16 acc[FNN_SPARSE_PANELS];
            FNN_UNROLL
            for (int j = 0; j < panels; j++) acc[j] = v16_load(start + j * stride);
            for (; entry < row_end && x->columns[entry] < block_end; entry++) {
                const float *from = w + (int64_t)x->columns[entry] * FNN_LANES;
                const v16 value = v16_set1(x->values[entry]);
                FNN_UNROLL
                for (int j = 0; j < panels; j++) acc[j] = v16_fma(value, v16_load(from + j * w_stride), acc[j]);
            }
            cursors[i] = entry;
            FNN_UNROLL
            for (int j = 0; j < panels; j++) v16_store(at + j * y_stride, v16_add(acc[j], v16_set1(0.0f)));
        }
        if (block_end >= n_in) break;
    }
}

static void sparse_forward(float *out, float *y, const fnn_data *data, const uint32_t *rows, int64_t first,
                           const float *w, const float *b, const uint16_t *keep, float scale, fnn_activation activation,
                           int64_t *cursors, int64_t n_batch, int64_t n_in, int64_t n_out, fnn_part part) {
    const int64_t n_panels = fnn_panels(n_out);
    int64_t begin, end;
    share(&begin, &end, ceil_div(n_panels, FNN_SPARSE_PANELS) * n_batch, part); /* groups times rows */
    while (begin < end) {
        const int64_t panel = begin / n_batch * FNN_SPARSE_PANELS, row = begin % n_batch;
        const int64_t row_end = least(n_batch, row + end - begin), panels = least(FNN_SPARSE_PANELS, n_panels - panel);
#define FNN_GROUP_BODY(panels)                                                                                         \
    case panels: sparse_product(y, data, rows, first, w, b, cursors, n_batch, n_in, panel, row, row_end, panels); break;
        FNN_GROUP_SWITCH(panels)
#undef FNN_GROUP_BODY
        const tile t = {panel, row, (int)panels, (int)(row_end - row)};
        if (activation.function != FNN_LINEAR || out != y || scale != 1.0f)
            forward_epilogue(out, y, keep, scale, activation, n_batch, &t);
        begin += row_end - row;
    }
}

/* First entry of [begin, end) whose column is at least `column`. */
FNN_INLINE int64_t lower_bound(const int32_t *columns, int64_t begin, int64_t end, int64_t column) {
    while (begin < end) {
        const int64_t middle = begin + (end - begin) / 2;
        if (columns[middle] < column)
            begin = middle + 1;
        else
            end = middle;
    }
    return begin;
}

/* A counting sort; a part does a range of columns, and finds from the rows where that range starts. */
static void sparse_columns(const fnn_columns *columns, const fnn_data *data, const uint32_t *rows, int64_t first,
                           int64_t *cursors, int64_t n_batch, int64_t n_in, fnn_part part) {
    const fnn_sparse *x = data->sparse;
    int32_t *ends = columns->ends, place = 0;
    int64_t begin, end;
    share(&begin, &end, n_in, part);
    for (int64_t c = begin; c < end; c++) ends[c] = 0;
    for (int64_t i = 0; i < n_batch; i++) {
        if (i + FNN_ROWS_AHEAD < n_batch) {
            const int64_t ahead = row_at(rows, first, i + FNN_ROWS_AHEAD);
            prefetch(x->columns + x->starts[ahead], x->columns + x->starts[ahead + 1]);
            prefetch(x->values + x->starts[ahead], x->values + x->starts[ahead + 1]);
        }
        const int64_t row = row_at(rows, first, i), row_start = x->starts[row], row_end = x->starts[row + 1];
        cursors[i] = begin == 0 ? row_start : lower_bound(x->columns, row_start, row_end, begin);
        place += (int32_t)(cursors[i] - row_start);
        for (int64_t entry = cursors[i]; entry < row_end && x->columns[entry] < end; entry++) ends[x->columns[entry]]++;
    }
    for (int64_t c = begin; c < end; c++) {
        const int32_t count = ends[c];
        ends[c] = place;
        place += count;
    }
    for (int64_t i = 0; i < n_batch; i++) {
        const int64_t row_end = x->starts[row_at(rows, first, i) + 1];
        for (int64_t entry = cursors[i]; entry < row_end && x->columns[entry] < end; entry++) {
            const int32_t at = ends[x->columns[entry]]++;
            columns->rows[at] = (int32_t)i;
            columns->values[at] = x->values[entry];
        }
    }
}

/* Gradients of the weights of inputs [begin, end) and of panels from `panel` on */
FNN_INLINE void sparse_weight_product(const fnn_sink *dw, const fnn_columns *columns, const float *dy, int64_t n_batch,
                                      int64_t n_in, int64_t panel, int64_t begin, int64_t end, const int panels) {
    const int64_t dy_stride = n_batch * FNN_LANES;
    dy += panel * dy_stride;
    int32_t entry = begin > 0 ? columns->ends[begin - 1] : 0;
    for (int64_t c = begin; c < end; c++) {
        const int32_t column_end = columns->ends[c];
        if (entry == column_end && is_still(dw)) continue; /* w -= rate * 0 */
        v16 acc[FNN_SPARSE_PANELS];
        FNN_UNROLL
        for (int j = 0; j < panels; j++) acc[j] = v16_set1(0.0f);
        for (; entry < column_end; entry++) {
            const float *from = dy + (int64_t)columns->rows[entry] * FNN_LANES;
            const v16 value = v16_set1(columns->values[entry]);
            FNN_UNROLL
            for (int j = 0; j < panels; j++) acc[j] = v16_fma(value, v16_load(from + j * dy_stride), acc[j]);
        }
        FNN_UNROLL
        for (int j = 0; j < panels; j++) acc[j] = v16_add(acc[j], v16_set1(0.0f));
        deliver(dw, (panel * n_in + c) * FNN_LANES, n_in * FNN_LANES, acc, panels);
    }
}

static void sparse_backward_weight(const fnn_sink *dw, const fnn_sink *db, const fnn_columns *columns, const float *dy,
                                   int64_t n_batch, int64_t n_in, int64_t n_out, fnn_part part) {
    const int64_t n_panels = fnn_panels(n_out);
    const int64_t n_items = ceil_div(n_panels, FNN_SPARSE_PANELS) * n_in; /* groups times inputs */
    for (turn t = {0}; next_turn(&t, n_items, &part);)
        while (t.begin < t.end) {
            const int64_t panel = t.begin / n_in * FNN_SPARSE_PANELS, c = t.begin % n_in;
            const int64_t c_end = least(n_in, c + t.end - t.begin), panels = least(FNN_SPARSE_PANELS, n_panels - panel);
#define FNN_GROUP_BODY(panels)                                                                                         \
        case panels: sparse_weight_product(dw, columns, dy, n_batch, n_in, panel, c, c_end, panels); break;
            FNN_GROUP_SWITCH(panels)
#undef FNN_GROUP_BODY
            if (c == 0) backward_bias(db, dy, n_batch, panel, panel + panels);
            t.begin += c_end - c;
        }
}

#undef FNN_SPARSE_BLOCK
#undef FNN_GROUP_SWITCH
