/* dense.inc.h: the matrix products.  A tile is up to FNN_MR rows by FNN_NR panels of accumulators in registers; each
 * accumulator takes its products in ascending order from start to end, so tiles and shares never change a bit. */

/* Panels and rows [row, row + rows) of one tile of a grid of n_panels by n_rows. */
typedef struct tile {
    int64_t panel, row;
    int panels, rows;
} tile;

FNN_INLINE int64_t tiles_of(int64_t n_panels, int64_t n_rows) {
    return ceil_div(n_panels, FNN_NR) * ceil_div(n_rows, FNN_MR);
}

/* Rows are spread evenly over the tiles of a panel: 100 rows are 17 tiles of 5 or 6, not 16 of 6 and one of 4. */
FNN_INLINE tile tile_at(int64_t item, int64_t n_panels, int64_t n_rows) {
    const int64_t per_panel = ceil_div(n_rows, FNN_MR), t = item % per_panel;
    const int64_t panel = item / per_panel * FNN_NR, row = n_rows * t / per_panel;
    return (tile){panel, row, (int)least(FNN_NR, n_panels - panel), (int)(n_rows * (t + 1) / per_panel - row)};
}

/* Calls body(..., rows, panels) with both as constants, so that its accumulators live in registers. */
#if FNN_NR == 1
#define FNN_TILE_CASE(rows) FNN_TILE_BODY(rows, 1)
#else
#define FNN_TILE_CASE(rows) FNN_TILE_BODY(rows, 1) FNN_TILE_BODY(rows, 2)
#endif
#define FNN_TILE_SWITCH(t)                                                                                             \
    switch ((t).rows * 4 + (t).panels) { FNN_EACH_MR(FNN_TILE_CASE) }

/* acc += x[rows][16 of k] * w[16 of k][panels] */
FNN_INLINE void multiply_panel(v16 acc[FNN_MR][FNN_NR], const float *x, const float *w, int64_t w_stride, int n_k,
                               const int rows, const int panels) {
    for (int k = 0; k < n_k; k++) {
        v16 b[FNN_NR];
        FNN_UNROLL
        for (int j = 0; j < panels; j++) b[j] = v16_load(w + j * w_stride + k * FNN_LANES);
        FNN_UNROLL
        for (int i = 0; i < rows; i++) {
            const v16 a = v16_set1(x[i * FNN_LANES + k]);
            FNN_UNROLL
            for (int j = 0; j < panels; j++) acc[i][j] = v16_fma(a, b[j], acc[i][j]);
        }
    }
}

/* acc += x W over all n_k, where x starts at the tile's rows and w at its panels */
FNN_INLINE void multiply(v16 acc[FNN_MR][FNN_NR], const float *x, const float *w, int64_t n_batch, int64_t n_k,
                         const int rows, const int panels) {
    const int64_t w_stride = n_k * FNN_LANES;
    for (int64_t k = n_k / FNN_LANES; k > 0; k--, x += n_batch * FNN_LANES, w += FNN_LANES * FNN_LANES)
        multiply_panel(acc, x, w, w_stride, FNN_LANES, rows, panels);
    if (n_k % FNN_LANES != 0) multiply_panel(acc, x, w, w_stride, (int)(n_k % FNN_LANES), rows, panels);
}

/* Tiles start from these rows of accumulators and leave them in memory, where the epilogues take them up: unrolled
 * here, an activation would be written out for each accumulator of each shape of tile. */
FNN_INLINE void product_tile(float *y, const float *x, const float *w, const float *b, int64_t n_batch, int64_t n_k,
                             const tile t, const int rows, const int panels) {
    v16 acc[FNN_MR][FNN_NR];
    FNN_UNROLL
    for (int j = 0; j < panels; j++) {
        const v16 start = b != NULL ? v16_load(b + (t.panel + j) * FNN_LANES) : v16_set1(0.0f);
        FNN_UNROLL
        for (int i = 0; i < rows; i++) acc[i][j] = start;
    }
    multiply(acc, x + t.row * FNN_LANES, w + t.panel * n_k * FNN_LANES, n_batch, n_k, rows, panels);
    FNN_UNROLL
    for (int i = 0; i < rows; i++) {
        FNN_UNROLL
        for (int j = 0; j < panels; j++)
            v16_store(y + ((t.panel + j) * n_batch + t.row + i) * FNN_LANES, v16_add(acc[i][j], v16_set1(0.0f)));
    }
}

/* The tile of y = x W + b, or of x W where b is NULL. */
static void product(float *y, const float *x, const float *w, const float *b, int64_t n_batch, int64_t n_k,
                    const tile t) {
#define FNN_TILE_BODY(rows, panels)                                                                                    \
    case (rows)*4 + (panels): product_tile(y, x, w, b, n_batch, n_k, t, rows, panels); break;
    FNN_TILE_SWITCH(t)
#undef FNN_TILE_BODY
}

/* ---- forward ---- */

static void forward_epilogue(float *out, float *y, const uint16_t *keep, float scale, fnn_activation activation,
                             int64_t n_batch, const tile t) {
    for (int64_t panel = t.panel; panel < t.panel + t.panels; panel++)
        for (int64_t at = panel * n_batch + t.row; at < panel * n_batch + t.row + t.rows; at++) {
            const v16 activity = activate(v16_load(y + at * FNN_LANES), activation);
            v16_store(y + at * FNN_LANES, activity);
            if (out == y && scale == 1.0f) continue;
            const m16 kept = m16_from_bits(keep != NULL ? keep[at] : 0xffff);
            v16_store(out + at * FNN_LANES, v16_select(kept, v16_mul(activity, v16_set1(scale)), v16_set1(0.0f)));
        }
}

static void dense_forward(float *out, float *y, const float *x, const float *w, const float *b, const uint16_t *keep,
                          float scale, fnn_activation activation, int64_t n_batch, int64_t n_in, int64_t n_out,
                          fnn_part part) {
    int64_t begin, end;
    share(&begin, &end, tiles_of(fnn_panels(n_out), n_batch), part);
    for (int64_t item = begin; item < end; item++) {
        const tile t = tile_at(item, fnn_panels(n_out), n_batch);
        product(y, x, w, b, n_batch, n_in, t);
        if (activation != FNN_LINEAR || out != y || scale != 1.0f)
            forward_epilogue(out, y, keep, scale, activation, n_batch, t);
    }
}

/* ---- backward: the input's gradient ---- */

static void backward_input_epilogue(float *dx, const float *x, const uint16_t *keep, float scale,
                                    fnn_activation activation, int64_t n_batch, const tile t) {
    for (int64_t panel = t.panel; panel < t.panel + t.panels; panel++)
        for (int64_t at = panel * n_batch + t.row; at < panel * n_batch + t.row + t.rows; at++) {
            const v16 scaled = v16_mul(v16_load(dx + at * FNN_LANES), v16_set1(scale));
            const m16 kept = m16_from_bits(keep != NULL ? keep[at] : 0xffff);
            const v16 gradient = v16_select(kept, scaled, v16_set1(0.0f));
            v16_store(dx + at * FNN_LANES, through_activation(gradient, v16_load(x + at * FNN_LANES), activation));
        }
}

static void dense_backward_input(float *dx, const float *dy, const float *wt, const float *x, const uint16_t *keep,
                                 float scale, fnn_activation activation, int64_t n_batch, int64_t n_in, int64_t n_out,
                                 fnn_part part) {
    int64_t begin, end;
    share(&begin, &end, tiles_of(fnn_panels(n_in), n_batch), part);
    for (int64_t item = begin; item < end; item++) {
        const tile t = tile_at(item, fnn_panels(n_in), n_batch);
        product(dx, dy, wt, NULL, n_batch, n_out, t);
        backward_input_epilogue(dx, x, keep, scale, activation, n_batch, t);
    }
}

static void transpose(float *wt, const float *w, int64_t n_in, int64_t n_out, fnn_part part) {
    int64_t begin, end;
    const int64_t blocks = fnn_panels(n_in);
    share(&begin, &end, fnn_panels(n_out) * blocks, part);
    for (int64_t item = begin; item < end; item++) {
        const int64_t out = item / blocks * FNN_LANES, in = item % blocks * FNN_LANES;
        const float *from = w + (out * n_in + in * FNN_LANES);
        float *to = wt + (in * n_out + out * FNN_LANES);
        const int64_t n_from = least(FNN_LANES, n_in - in), n_to = least(FNN_LANES, n_out - out);
        if (n_from == FNN_LANES && n_to == FNN_LANES) {
            v16_transpose(to, from);
            continue;
        }
        float block[FNN_LANES * FNN_LANES] = {0}, turned[FNN_LANES * FNN_LANES];
        for (int64_t i = 0; i < n_from * FNN_LANES; i++) block[i] = from[i];
        v16_transpose(turned, block);
        for (int64_t i = 0; i < n_to * FNN_LANES; i++) to[i] = turned[i];
    }
}

/* ---- backward: the parameters' gradients ---- */

/* Here a tile's rows are inputs, and the products run over the samples.  g[rows][panels] */
FNN_INLINE void weight_product_tile(float *g, const float *x, const float *dy, int64_t n_batch, int64_t first_input,
                                    const tile t, const int rows, const int panels) {
    v16 acc[FNN_MR][FNN_NR];
    FNN_UNROLL
    for (int i = 0; i < rows; i++) {
        FNN_UNROLL
        for (int j = 0; j < panels; j++) acc[i][j] = v16_set1(0.0f);
    }
    const float *a = x + first_input * n_batch + t.row, *d = dy + t.panel * n_batch * FNN_LANES;
    for (int64_t s = 0; s < n_batch; s++, a += FNN_LANES, d += FNN_LANES) {
        v16 b[FNN_NR];
        FNN_UNROLL
        for (int j = 0; j < panels; j++) b[j] = v16_load(d + j * n_batch * FNN_LANES);
        FNN_UNROLL
        for (int i = 0; i < rows; i++) {
            const v16 each = v16_set1(a[i]);
            FNN_UNROLL
            for (int j = 0; j < panels; j++) acc[i][j] = v16_fma(each, b[j], acc[i][j]);
        }
    }
    FNN_UNROLL
    for (int i = 0; i < rows; i++) {
        FNN_UNROLL
        for (int j = 0; j < panels; j++)
            v16_store(g + (i * FNN_NR + j) * FNN_LANES, v16_add(acc[i][j], v16_set1(0.0f)));
    }
}

static void weight_product(float *g, const float *x, const float *dy, int64_t n_batch, int64_t first_input,
                           const tile t) {
#define FNN_TILE_BODY(rows, panels)                                                                                    \
    case (rows)*4 + (panels): weight_product_tile(g, x, dy, n_batch, first_input, t, rows, panels); break;
    FNN_TILE_SWITCH(t)
#undef FNN_TILE_BODY
}

/* The bias's gradient of panels [first, end). */
static void backward_bias(const fnn_sink *db, const float *dy, int64_t n_batch, int64_t first, int64_t end) {
    for (int64_t panel = first; panel < end; panel++) {
        v16 sum = v16_set1(0.0f);
        for (int64_t s = 0; s < n_batch; s++) sum = v16_add(sum, v16_load(dy + (panel * n_batch + s) * FNN_LANES));
        deliver(db, panel * FNN_LANES, v16_add(sum, v16_set1(0.0f)));
    }
}

static void dense_backward_weight(const fnn_sink *dw, const fnn_sink *db, const float *x, const float *dy,
                                  int64_t n_batch, int64_t n_in, int64_t n_out, fnn_part part) {
    const int64_t n_panels = fnn_panels(n_out), groups = ceil_div(n_panels, FNN_NR), blocks = fnn_panels(n_in);
    float g[FNN_MR * FNN_NR * FNN_LANES];
    int64_t begin, end;
    share(&begin, &end, groups * blocks, part);
    for (int64_t item = begin; item < end; item++) {
        const int64_t group = item / blocks, first_input = item % blocks * FNN_LANES;
        const int64_t inputs = least(FNN_LANES, n_in - first_input), per_group = ceil_div(inputs, FNN_MR);
        for (int64_t tile_of_block = 0; tile_of_block < per_group; tile_of_block++) {
            const tile t = tile_at(group * per_group + tile_of_block, n_panels, inputs);
            weight_product(g, x, dy, n_batch, first_input, t);
            for (int j = 0; j < t.panels; j++)
                for (int i = 0; i < t.rows; i++)
                    deliver(dw, ((t.panel + j) * n_in + first_input + t.row + i) * FNN_LANES,
                            v16_load(g + (i * FNN_NR + j) * FNN_LANES));
        }
        if (first_input == 0) backward_bias(db, dy, n_batch, group * FNN_NR, least(n_panels, (group + 1) * FNN_NR));
    }
}

#undef FNN_TILE_CASE
#undef FNN_TILE_SWITCH
