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

/* acc += x W over n_k places, where x starts at the tile's rows and w at its panels */
FNN_INLINE void multiply(v16 acc[FNN_MR][FNN_NR], const float *x, int64_t x_stride, const float *w, int64_t w_stride,
                         int64_t n_k, const int rows, const int panels) {
    for (int64_t k = n_k / FNN_LANES; k > 0; k--, x += x_stride, w += FNN_LANES * FNN_LANES)
        multiply_panel(acc, x, w, w_stride, FNN_LANES, rows, panels);
    if (n_k % FNN_LANES != 0) multiply_panel(acc, x, w, w_stride, (int)(n_k % FNN_LANES), rows, panels);
}

/* What accumulators start from: a value for each row and panel, panel strides and row strides apart. */
typedef struct origin {
    const float *at;
    int64_t panel_stride, row_stride;
} origin;

static const float zeros[FNN_LANES];

/* Rows of [n_k / 16][rows][16], panels x_stride floats apart. */
typedef struct block {
    const float *x;
    int64_t x_stride, k, n_k; /* the places [k, k + n_k) of all that a product runs over */
} block;

/* Tiles leave their accumulators in memory, where the epilogues take them up: unrolled here, an activation would be
 * written out for each accumulator of each shape of tile.  x: the tile's rows, w: all of the n_all places. */
FNN_INLINE void product_tile(float *y, const origin from, const block x, const float *w, int64_t n_batch,
                             int64_t n_all, const tile t, const int rows, const int panels) {
    v16 acc[FNN_MR][FNN_NR];
    FNN_UNROLL
    for (int i = 0; i < rows; i++) {
        FNN_UNROLL
        for (int j = 0; j < panels; j++)
            acc[i][j] = v16_load(from.at + (t.panel + j) * from.panel_stride + (t.row + i) * from.row_stride);
    }
    multiply(acc, x.x, x.x_stride, w + (t.panel * n_all + x.k) * FNN_LANES, n_all * FNN_LANES, x.n_k, rows, panels);
    FNN_UNROLL
    for (int i = 0; i < rows; i++) {
        FNN_UNROLL
        for (int j = 0; j < panels; j++)
            v16_store(y + ((t.panel + j) * n_batch + t.row + i) * FNN_LANES, v16_add(acc[i][j], v16_set1(0.0f)));
    }
}

static void product(float *y, const origin from, const block x, const float *w, int64_t n_batch, int64_t n_all,
                    const tile t) {
#define FNN_TILE_BODY(rows, panels)                                                                                    \
    case (rows)*4 + (panels): product_tile(y, from, x, w, n_batch, n_all, t, rows, panels); break;
    FNN_TILE_SWITCH(t)
#undef FNN_TILE_BODY
}

/* A rectangle of a grid of groups of panels and tiles of rows. */
typedef struct rectangle {
    int64_t group, groups, tile, tiles;
} rectangle;

/* The next rectangle of items [*begin, end) of a grid that is numbered group by group. */
FNN_INLINE rectangle next_rectangle(int64_t *begin, int64_t end, int64_t per_group) {
    const int64_t group = *begin / per_group, tile = *begin % per_group, left = end - *begin;
    const int is_whole = tile == 0 && left >= per_group;
    const rectangle r = {group, is_whole ? left / per_group : 1, tile, is_whole ? per_group : least(left, per_group - tile)};
    *begin += r.groups * r.tiles;
    return r;
}

/* What happens to a tile of the finished product. */
typedef struct epilogue {
    void (*run)(const struct epilogue *, int64_t n_batch, const tile t);
    float *out, *y;
    const float *x;
    const uint16_t *keep;
    float scale;
    fnn_activation activation;
} epilogue;

/* Places that a product goes through at a time: their weights for one tile stay in the second-level cache too. */
#define FNN_NEAR_PLACES 1024

/* to = places [k, k + n_k) of rows [row, row + rows), one after the other: rows of a large input are a power of two apart
 * more often than not, and would share a few sets of the caches. */
static block copy_block(float *to, const float *x, int64_t n_batch, int64_t row, int64_t rows, int64_t k, int64_t n_k) {
    const int64_t stride = rows * FNN_LANES;
    for (int64_t panel = 0; panel < fnn_panels(n_k); panel++)
        memcpy(to + panel * stride, x + ((k / FNN_LANES + panel) * n_batch + row) * FNN_LANES,
               (size_t)stride * sizeof(float));
    return (block){to, stride, k, n_k};
}

/* y = b + x W of a rectangle and the epilogue of each tile.  A large x is taken in blocks of FNN_NEAR floats, past which
 * all its weights stream; a block takes the accumulators up where the one before left them in y. */
static void product_rectangle(float *y, const float *x, const float *w, const float *b, float *work, int64_t n_batch,
                              int64_t n_k, int64_t n_panels, const rectangle r, const epilogue *last) {
    const int64_t per_group = ceil_div(n_batch, FNN_MR);
    const int is_near = fnn_product_work(n_batch, n_k) == 0;
    const int64_t k_step = is_near ? n_k : FNN_LANES * ceil_div(n_k, FNN_LANES * ceil_div(n_k, FNN_NEAR_PLACES));
    const int64_t tiles = is_near ? r.tiles : FNN_NEAR / (FNN_MR * FNN_NEAR_PLACES);
    for (int64_t first = r.tile; first < r.tile + r.tiles; first += tiles) {
        const int64_t end = least(first + tiles, r.tile + r.tiles);
        const int64_t row = tile_at(first, n_panels, n_batch).row;
        const tile final = tile_at(end - 1, n_panels, n_batch);
        for (int64_t k = 0; k < n_k; k += k_step) {
            const int64_t n_block = least(k_step, n_k - k);
            const block all = is_near ? (block){x + row * FNN_LANES, n_batch * FNN_LANES, 0, n_k}
                                      : copy_block(work, x, n_batch, row, final.row + final.rows - row, k, n_block);
            const origin from = k > 0         ? (origin){y, n_batch * FNN_LANES, FNN_LANES}
                                : b != NULL ? (origin){b, FNN_LANES, 0}
                                            : (origin){zeros, 0, 0};
            for (int64_t group = r.group; group < r.group + r.groups; group++)
                for (int64_t i = first; i < end; i++) {
                    const tile t = tile_at(group * per_group + i, n_panels, n_batch);
                    const block own = {all.x + (t.row - row) * FNN_LANES, all.x_stride, all.k, all.n_k};
                    product(y, from, own, w, n_batch, n_k, t);
                    if (k + k_step >= n_k && last->run != NULL) last->run(last, n_batch, t);
                }
        }
    }
}

static void product_share(float *y, const float *x, const float *w, const float *b, float *work, int64_t n_batch,
                          int64_t n_k, int64_t n_panels, const epilogue *last, fnn_part part) {
    int64_t begin, end;
    share(&begin, &end, tiles_of(n_panels, n_batch), part);
    while (begin < end) {
        const rectangle r = next_rectangle(&begin, end, ceil_div(n_batch, FNN_MR));
        product_rectangle(y, x, w, b, work, n_batch, n_k, n_panels, r, last);
    }
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

static void finish_forward(const epilogue *e, int64_t n_batch, const tile t) {
    forward_epilogue(e->out, e->y, e->keep, e->scale, e->activation, n_batch, t);
}

static void dense_forward(float *out, float *y, const float *x, const float *w, const float *b, const uint16_t *keep,
                          float scale, fnn_activation activation, float *work, int64_t n_batch, int64_t n_in,
                          int64_t n_out, fnn_part part) {
    const int is_plain = activation == FNN_LINEAR && out == y && scale == 1.0f;
    const epilogue last = {is_plain ? NULL : finish_forward, out, y, NULL, keep, scale, activation};
    product_share(y, x, w, b, work, n_batch, n_in, fnn_panels(n_out), &last, part);
}

/* ---- backward: the input's gradient ---- */

static void finish_backward_input(const epilogue *e, int64_t n_batch, const tile t) {
    float *dx = e->out;
    for (int64_t panel = t.panel; panel < t.panel + t.panels; panel++)
        for (int64_t at = panel * n_batch + t.row; at < panel * n_batch + t.row + t.rows; at++) {
            const v16 scaled = v16_mul(v16_load(dx + at * FNN_LANES), v16_set1(e->scale));
            const m16 kept = m16_from_bits(e->keep != NULL ? e->keep[at] : 0xffff);
            const v16 gradient = v16_select(kept, scaled, v16_set1(0.0f));
            v16_store(dx + at * FNN_LANES, through_activation(gradient, v16_load(e->x + at * FNN_LANES), e->activation));
        }
}

static void dense_backward_input(float *dx, const float *dy, const float *wt, const float *x, const uint16_t *keep,
                                 float scale, fnn_activation activation, float *work, int64_t n_batch, int64_t n_in,
                                 int64_t n_out, fnn_part part) {
    const epilogue last = {finish_backward_input, dx, NULL, x, keep, scale, activation};
    product_share(dx, dy, wt, NULL, work, n_batch, n_out, fnn_panels(n_in), &last, part);
}

static void transpose(float *wt, const float *w, int64_t n_in, int64_t n_out, fnn_part part) {
    int64_t begin, end;
    const int64_t blocks = fnn_panels(n_out);
    share(&begin, &end, fnn_panels(n_in) * blocks, part);
    for (int64_t item = begin; item < end; item++) {
        const int64_t in = item / blocks * FNN_LANES, out = item % blocks * FNN_LANES;
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

/* Here a tile's rows are inputs, and the products run over the samples.  g[panels][rows] */
FNN_INLINE void weight_product_tile(v16 g[FNN_NR][FNN_MR], const float *x, const float *dy, int64_t n_batch, int64_t first_input,
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
        for (int j = 0; j < panels; j++) g[j][i] = v16_add(acc[i][j], v16_set1(0.0f));
    }
}

static void weight_product(v16 g[FNN_NR][FNN_MR], const float *x, const float *dy, int64_t n_batch, int64_t first_input,
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
        sum = v16_add(sum, v16_set1(0.0f));
        deliver(db, panel * FNN_LANES, FNN_LANES, &sum, 1);
    }
}

/* One block of up to sixteen inputs and one group of panels. */
static void weight_product_block(const fnn_sink *dw, const float *x, const float *dy, int64_t n_batch, int64_t n_in,
                                 int64_t n_panels, int64_t group, int64_t first_input) {
    v16 g[FNN_NR][FNN_MR];
    const int64_t inputs = least(FNN_LANES, n_in - first_input), per_group = ceil_div(inputs, FNN_MR);
    for (int64_t i = 0; i < per_group; i++) {
        const tile t = tile_at(group * per_group + i, n_panels, inputs);
        const int64_t at = (t.panel * n_in + first_input + t.row) * FNN_LANES;
        for (int j = 0; j < t.panels; j++) prefetch_sink(dw, at + j * n_in * FNN_LANES, t.rows);
        weight_product(g, x, dy, n_batch, first_input, t);
        for (int j = 0; j < t.panels; j++) deliver(dw, at + j * n_in * FNN_LANES, FNN_LANES, g[j], t.rows);
    }
}

static void dense_backward_weight(const fnn_sink *dw, const fnn_sink *db, const float *x, const float *dy,
                                  int64_t n_batch, int64_t n_in, int64_t n_out, fnn_part part) {
    const int64_t n_panels = fnn_panels(n_out), blocks = fnn_panels(n_in);
    const int64_t near_groups = FNN_NEAR / 2 / (n_batch * FNN_NR * FNN_LANES) + 1;
    int64_t begin, end;
    share(&begin, &end, ceil_div(n_panels, FNN_NR) * blocks, part);
    while (begin < end) {
        const rectangle r = next_rectangle(&begin, end, blocks);
        for (int64_t first = r.group; first < r.group + r.groups; first += near_groups) {
            const int64_t groups_end = least(first + near_groups, r.group + r.groups);
            for (int64_t block = r.tile; block < r.tile + r.tiles; block++)
                for (int64_t group = first; group < groups_end; group++)
                    weight_product_block(dw, x, dy, n_batch, n_in, n_panels, group, block * FNN_LANES);
        }
        if (r.tile == 0)
            backward_bias(db, dy, n_batch, r.group * FNN_NR, least(n_panels, (r.group + r.groups) * FNN_NR));
    }
}

#undef FNN_TILE_CASE
#undef FNN_TILE_SWITCH
