/* dense.inc.h: a dense layer, forward and backward. */

/* A table may name another, of kernels with vectors half as long, for layers that leave the other half of a panel empty. */
#ifdef FNN_NARROW
extern const fnn_kernels FNN_NARROW;
#define FNN_IS_NARROW(n) ((n) <= FNN_LANES / 2)
#else
extern const fnn_kernels FNN_TABLE;
#define FNN_NARROW FNN_TABLE
#define FNN_IS_NARROW(n) 0
#endif

/* ---- forward ---- */

FNN_INLINE void forward_tile(float *out, float *y, const uint16_t *keep, float scale, const fnn_activation activation,
                             int64_t n_batch, const tile t, const int with_slope) {
    for (int64_t panel = t.panel; panel < t.panel + t.panels; panel++)
        for (int64_t at = panel * n_batch + t.row; at < panel * n_batch + t.row + t.rows; at++) {
            v16 slope;
            const v16 activity = activate(v16_load(y + at * FNN_LANES), activation, &slope);
            v16_store(y + at * FNN_LANES, with_slope ? slope : activity);
            if (out == y && scale == 1.0f) continue;
            const m16 kept = m16_from_bits(keep != NULL ? keep[at] : 0xffff);
            v16_store(out + at * FNN_LANES, v16_select(kept, v16_mul(activity, v16_set1(scale)), v16_set1(0.0f)));
        }
}

/* A loop for each function, so that none pays for the others. */
static void forward_epilogue(float *out, float *y, const uint16_t *keep, float scale, fnn_activation activation,
                             int64_t n_batch, const tile *t) {
    const float a = activation.a, b = activation.b;
#define FNN_FORWARD(f, with_slope) forward_tile(out, y, keep, scale, (fnn_activation){f, a, b, 0}, n_batch, *t, with_slope)
#define FNN_FORWARD_CASE(f)                                                                                            \
    case f:                                                                                                            \
        FNN_FORWARD(f, 0);                                                                                             \
        break;
#define FNN_FORWARD_SLOPE_CASE(f)                                                                                      \
    case f:                                                                                                            \
        if (out != y && activation.with_slope)                                                                         \
            FNN_FORWARD(f, 1);                                                                                         \
        else                                                                                                           \
            FNN_FORWARD(f, 0);                                                                                         \
        break;
    switch (activation.function) {
        FNN_EACH_PLAIN(FNN_FORWARD_CASE)
        FNN_EACH_KEEPING_SLOPE(FNN_FORWARD_SLOPE_CASE)
    default: break; /* no activation */
    }
#undef FNN_FORWARD
#undef FNN_FORWARD_CASE
#undef FNN_FORWARD_SLOPE_CASE
}

static void finish_forward(const epilogue *e, int64_t n_batch, const tile *t) {
    forward_epilogue(e->out, e->y, e->keep, e->scale, e->activation, n_batch, t);
}

static void forward_share(float *out, float *y, const fnn_view x, const float *w, const float *b, const uint16_t *keep,
                          float scale, fnn_activation activation, float *near, int64_t n_batch, int64_t n_in,
                          int64_t n_out, fnn_part part) {
    const int is_plain = activation.function == FNN_LINEAR && out == y && scale == 1.0f;
    const epilogue last = {is_plain ? NULL : finish_forward, out, y, NULL, keep, scale, activation};
    product_share((layer_product){.y = y,
                                  .x = x,
                                  .m = {w, n_in, n_out, 0},
                                  .b = b,
                                  .last = &last,
                                  .n_batch = n_batch,
                                  .n_k = n_in,
                                  .n_panels = fnn_panels(n_out),
                                  .near = near},
                  part);
}

static void dense_forward(float *out, float *y, const float *x, const float *w, const float *b, const uint16_t *keep,
                          float scale, fnn_activation activation, float *work, int64_t n_batch, int64_t n_in,
                          int64_t n_out, fnn_part part) {
    if (FNN_IS_NARROW(n_out)) {
        FNN_NARROW.dense_forward(out, y, x, w, b, keep, scale, activation, work, n_batch, n_in, n_out, part);
        return;
    }
    float *near = fnn_product_work(n_batch, n_in) > 0 ? work : NULL;
    forward_share(out, y, fnn_view_panels(x, n_batch), w, b, keep, scale, activation, near, n_batch, n_in, n_out, part);
}

static void view_forward(float *y, fnn_view x, const float *w, const float *b, float scale, fnn_activation activation,
                         int64_t n_batch, int64_t n_in, int64_t n_out) {
    if (FNN_IS_NARROW(n_out)) {
        FNN_NARROW.view_forward(y, x, w, b, scale, activation, n_batch, n_in, n_out);
        return;
    }
    forward_share(y, y, x, w, b, NULL, scale, activation, NULL, n_batch, n_in, n_out, (fnn_part){.count = 1});
}

/* ---- backward: the input's gradient ---- */

FNN_INLINE void backward_tile(const epilogue *e, const fnn_activation activation, int64_t n_batch, const tile t) {
    float *dx = e->out;
    for (int64_t panel = t.panel; panel < t.panel + t.panels; panel++)
        for (int64_t at = panel * n_batch + t.row; at < panel * n_batch + t.row + t.rows; at++) {
            const v16 scaled = v16_mul(v16_load(dx + at * FNN_LANES), v16_set1(e->scale));
            const m16 kept = m16_from_bits(e->keep != NULL ? e->keep[at] : 0xffff);
            const v16 gradient = v16_select(kept, scaled, v16_set1(0.0f));
            v16_store(dx + at * FNN_LANES, through_activation(gradient, v16_load(e->x + at * FNN_LANES), activation));
        }
}

static void finish_backward_input(const epilogue *e, int64_t n_batch, const tile *t) {
    const float a = e->activation.a, b = e->activation.b;
#define FNN_BACKWARD_CASE(f)                                                                                           \
    case f: backward_tile(e, (fnn_activation){f, a, b, 0}, n_batch, *t); break;
    switch (e->activation.function) {
        FNN_EACH_PLAIN(FNN_BACKWARD_CASE)
        FNN_EACH_KEEPING_SLOPE(FNN_BACKWARD_CASE)
    default: break;
    }
#undef FNN_BACKWARD_CASE
}

static void dense_backward_input(float *dx, const float *dy, const float *w, const float *x, const uint16_t *keep,
                                 float scale, fnn_activation activation, float *work, int64_t n_batch, int64_t n_in,
                                 int64_t n_out, fnn_part part) {
    if (FNN_IS_NARROW(n_in)) {
        FNN_NARROW.dense_backward_input(dx, dy, w, x, keep, scale, activation, work, n_batch, n_in, n_out, part);
        return;
    }
    const epilogue last = {finish_backward_input, dx, NULL, x, keep, scale, activation};
    const int64_t near_floats = fnn_product_work(n_batch, n_out);
    product_share((layer_product){.y = dx,
                                  .x = fnn_view_panels(dy, n_batch),
                                  .m = {w, n_in, n_out, 1},
                                  .last = &last,
                                  .n_batch = n_batch,
                                  .n_k = n_out,
                                  .n_panels = fnn_panels(n_in),
                                  .near = near_floats > 0 ? work : NULL,
                                  .turned = work + near_floats},
                  part);
}

/* ---- backward: the parameters' gradients ---- */

/* A share of the weights' gradients: products over the samples, in which a tile's rows are inputs. */
typedef struct weight_product {
    const fnn_sink *dw;
    const float *x, *dy;
    int64_t n_batch, n_in, n_panels;
} weight_product;

/* Samples [begin, end) of all. */
typedef struct samples {
    int64_t begin, end;
} samples;

/* The sums of a tile so far, between its ranges of samples: panel by panel. */
typedef v16 partial_sums[FNN_ACCUMULATORS];

/* How many samples before its turn a line of x is asked for. */
#define FNN_SAMPLES_AHEAD 12

/* Gradients of a tile whose first input is at x and whose first panel is at dy, of the first sample.  They go to `at`
 * of the variable and on: by the commonest update straight from the registers.  is_first: no tile before has read these
 * lines of x; up to sixteen loads from one that is not there yet would all be tried again. */
FNN_INLINE void weight_tile(const weight_product *p, partial_sums sums, int64_t at, const float *x, const float *dy,
                            const samples s, const int is_first, const int rows, const int panels) {
    const int64_t stride = p->n_in * FNN_LANES, dy_stride = p->n_batch * FNN_LANES;
    v16 acc[FNN_MR][FNN_NR];
    FNN_UNROLL
    for (int i = 0; i < rows; i++) {
        FNN_UNROLL
        for (int j = 0; j < panels; j++) acc[i][j] = v16_set1(0.0f);
    }
    if (s.begin > 0) {
        FNN_UNROLL
        for (int i = 0; i < rows; i++) {
            FNN_UNROLL
            for (int j = 0; j < panels; j++) acc[i][j] = sums[j * rows + i];
        }
    }
    x += s.begin * FNN_LANES, dy += s.begin * FNN_LANES;
    for (int64_t n = s.end - s.begin; n > 0; n--, x += FNN_LANES, dy += FNN_LANES) {
        v16 b[FNN_NR];
        if (is_first) __builtin_prefetch(x + FNN_SAMPLES_AHEAD * FNN_LANES);
        FNN_UNROLL
        for (int j = 0; j < panels; j++) b[j] = v16_load(dy + j * dy_stride);
        FNN_UNROLL
        for (int i = 0; i < rows; i++) {
            const v16 each = v16_set1(x[i]);
            FNN_UNROLL
            for (int j = 0; j < panels; j++) acc[i][j] = v16_fma(each, b[j], acc[i][j]);
        }
    }
    if (s.end == p->n_batch) {
        FNN_UNROLL
        for (int i = 0; i < rows; i++) {
            FNN_UNROLL
            for (int j = 0; j < panels; j++) acc[i][j] = v16_add(acc[i][j], v16_set1(0.0f));
        }
        if (is_still(p->dw)) {
            FNN_UNROLL
            for (int j = 0; j < panels; j++) {
                FNN_UNROLL
                for (int i = 0; i < rows; i++) descend(p->dw, at + j * stride + i * FNN_LANES, acc[i][j], FNN_SGD, 0);
            }
            return;
        }
    }
    FNN_UNROLL
    for (int i = 0; i < rows; i++) {
        FNN_UNROLL
        for (int j = 0; j < panels; j++) sums[j * rows + i] = acc[i][j];
    }
    if (s.end < p->n_batch) return;
    for (int j = 0; j < panels; j++) deliver(p->dw, at + j * stride, FNN_LANES, sums + j * rows, rows);
}

/* Tiles of one block of sixteen inputs, as even as can be. */
#define FNN_BLOCK_TILES(panels) ((FNN_LANES * (panels) + FNN_ACCUMULATORS - 1) / FNN_ACCUMULATORS)
#define FNN_MOST_BLOCK_TILES FNN_BLOCK_TILES(FNN_NR)

/* A whole block of inputs from `first` on, and one group of panels: its tiles are constants, for a tile is too short to
 * find out about it again and again. */
FNN_INLINE void whole_block(const weight_product *p, partial_sums *sums, int64_t first, int64_t panel,
                            const samples s, const int panels) {
    const int64_t at = (panel * p->n_in + first) * FNN_LANES;
    const float *x = p->x + first * p->n_batch, *dy = p->dy + panel * p->n_batch * FNN_LANES;
    const int n = FNN_BLOCK_TILES(panels), rows = FNN_LANES / n, larger = FNN_LANES % n;
#define FNN_START_OF(i) ((i)*rows + ((i) < larger ? (i) : larger))
#define FNN_TILE_OF_BLOCK(i)                                                                                           \
    if (i < n)                                                                                                         \
    weight_tile(p, sums[i], at + FNN_START_OF(i) * FNN_LANES, x + FNN_START_OF(i), dy, s, i == 0,                     \
                FNN_START_OF(i + 1) - FNN_START_OF(i), panels)
    FNN_TILE_OF_BLOCK(0);
    FNN_TILE_OF_BLOCK(1);
    FNN_TILE_OF_BLOCK(2);
#undef FNN_TILE_OF_BLOCK
#undef FNN_START_OF
}

/* Any block: the last one may have fewer inputs. */
static void any_block(const weight_product *p, partial_sums *sums, int64_t first, int64_t panel, int panels,
                          const samples s) {
    const cut tiles = cut_evenly(least(FNN_LANES, p->n_in - first), FNN_WIDE_ROWS);
    const float *x = p->x + first * p->n_batch, *dy = p->dy + panel * p->n_batch * FNN_LANES;
    tile t = {.panel = panel, .panels = panels};
    for (int64_t i = 0; i < tiles.pieces; i++, t.row += t.rows) {
        t.rows = (int)(start_of(&tiles, i + 1) - t.row);
        const int64_t at = (panel * p->n_in + first + t.row) * FNN_LANES;
#define FNN_TILE_BODY(rows, panels) weight_tile(p, sums[i], at, x + t.row, dy, s, 0, rows, panels)
        FNN_TILE_SWITCH(t)
#undef FNN_TILE_BODY
    }
}

static void weight_block(const weight_product *p, partial_sums *sums, int64_t block, int64_t panel, int panels,
                         const samples s) {
    const int64_t first = block * FNN_LANES;
    if (p->n_in - first < FNN_LANES || FNN_MOST_BLOCK_TILES > 3) { /* plain C has sixteen tiles a block */
        any_block(p, sums, first, panel, panels, s);
        return;
    }
    switch (panels) {
#define FNN_BLOCK_CASE(panels)                                                                                         \
    case panels: whole_block(p, sums, first, panel, s, panels); break;
        FNN_EACH_WIDTH(FNN_BLOCK_CASE)
#undef FNN_BLOCK_CASE
    }
}

/* Samples whose gradients of a tile's panels stay in the first-level cache while blocks of inputs pass; blocks of
 * inputs that stay in the second-level cache while the other panels pass. */
#define FNN_NEAR_SAMPLES 160
#define FNN_NEAR_BLOCKS 8

static void weight_rectangle(const weight_product *p, const rectangle r) {
    const int64_t ranges = ceil_div(p->n_batch, FNN_NEAR_SAMPLES);
    partial_sums sums[FNN_NEAR_BLOCKS][FNN_MOST_BLOCK_TILES];
    for (int64_t first = r.tile; first < r.tile + r.tiles; first += FNN_NEAR_BLOCKS)
        for (int64_t group = r.group; group < r.group + r.groups; group++) {
            const int64_t panel = first_panel(wide_tile, group, p->n_panels);
            const int panels = (int)(first_panel(wide_tile, group + 1, p->n_panels) - panel);
            for (int64_t range = 0; range < ranges; range++) {
                const samples s = {p->n_batch * range / ranges, p->n_batch * (range + 1) / ranges};
                for (int64_t block = first; block < least(first + FNN_NEAR_BLOCKS, r.tile + r.tiles); block++)
                    weight_block(p, sums[block - first], block, panel, panels, s);
            }
        }
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

/* A batch of few rows: their gradients stay in registers while the inputs of blocks [begin, end) go by. */
FNN_INLINE void few_rows_product(const fnn_sink dw, const float *x, const float *dy, int64_t n_in, int64_t panel,
                                 int64_t begin, int64_t end, const int rows, const int panels) {
    v16 d[FNN_FEW_PANELS][FNN_FEW];
    FNN_UNROLL
    for (int j = 0; j < panels; j++) {
        FNN_UNROLL
        for (int s = 0; s < rows; s++) d[j][s] = v16_load(dy + ((panel + j) * rows + s) * FNN_LANES);
    }
    for (int64_t first = begin * FNN_LANES; first < least(end * FNN_LANES, n_in); first += FNN_LANES)
        for (int64_t k = 0; k < least(FNN_LANES, n_in - first); k++) {
            v16 g[FNN_FEW_PANELS];
            FNN_UNROLL
            for (int j = 0; j < panels; j++) g[j] = v16_set1(0.0f);
            FNN_UNROLL
            for (int s = 0; s < rows; s++) {
                const v16 each = v16_set1(x[first * rows + s * FNN_LANES + k]);
                FNN_UNROLL
                for (int j = 0; j < panels; j++) g[j] = v16_fma(each, d[j][s], g[j]);
            }
            FNN_UNROLL
            for (int j = 0; j < panels; j++) g[j] = v16_add(g[j], v16_set1(0.0f));
            deliver(&dw, (panel * n_in + first + k) * FNN_LANES, n_in * FNN_LANES, g, panels);
        }
}

/* Of one panel, or of FNN_FEW_PANELS. */
static void few_rows_backward(const fnn_sink *dw, const float *x, const float *dy, int64_t n_batch, int64_t n_in,
                              int64_t panel, int64_t begin, int64_t end, int is_one) {
    fnn_sink plain = *dw;
    plain.update = FNN_SGD, plain.shrinks = 0; /* as constants: the commonest update costs no choice a vector */
    switch (n_batch) {
#define FNN_FEW_CASE(rows)                                                                                             \
    case rows:                                                                                                         \
        if (is_one && is_still(dw))                                                                                    \
            few_rows_product(plain, x, dy, n_in, panel, begin, end, rows, 1);                                          \
        else if (is_one)                                                                                               \
            few_rows_product(*dw, x, dy, n_in, panel, begin, end, rows, 1);                                            \
        else if (is_still(dw))                                                                                         \
            few_rows_product(plain, x, dy, n_in, panel, begin, end, rows, FNN_FEW_PANELS);                             \
        else                                                                                                           \
            few_rows_product(*dw, x, dy, n_in, panel, begin, end, rows, FNN_FEW_PANELS);                               \
        break;
        FNN_EACH_FEW(FNN_FEW_CASE)
#undef FNN_FEW_CASE
    }
}

static void few_rows_rectangle(const weight_product *p, const rectangle r, int64_t panel, int64_t panels_end) {
    while (panel < panels_end) {
        const int is_one = p->n_batch < 3 || panel + FNN_FEW_PANELS > panels_end; /* few rows gain nothing by more */
        few_rows_backward(p->dw, p->x, p->dy, p->n_batch, p->n_in, panel, r.tile, r.tile + r.tiles, is_one);
        panel += is_one ? 1 : FNN_FEW_PANELS;
    }
}

static void dense_backward_weight(const fnn_sink *dw, const fnn_sink *db, const float *x, const float *dy,
                                  int64_t n_batch, int64_t n_in, int64_t n_out, fnn_part part) {
    if (FNN_IS_NARROW(n_out)) {
        FNN_NARROW.dense_backward_weight(dw, db, x, dy, n_batch, n_in, n_out, part);
        return;
    }
    const weight_product p = {dw, x, dy, n_batch, n_in, fnn_panels(n_out)};
    const int64_t blocks = fnn_panels(n_in);
    for (turn t = {0}; next_turn(&t, ceil_div(p.n_panels, FNN_NR) * blocks, &part);)
        while (t.begin < t.end) {
            const rectangle r = next_rectangle(&t.begin, t.end, blocks, INT64_MAX);
            const int64_t first = first_panel(wide_tile, r.group, p.n_panels);
            const int64_t panels_end = first_panel(wide_tile, r.group + r.groups, p.n_panels);
            if (n_batch <= FNN_FEW)
                few_rows_rectangle(&p, r, first, panels_end);
            else
                weight_rectangle(&p, r);
            if (r.tile == 0) backward_bias(db, dy, n_batch, first, panels_end);
        }
}

#undef FNN_SAMPLES_AHEAD
#undef FNN_BLOCK_TILES
#undef FNN_MOST_BLOCK_TILES
#undef FNN_TILE_KEY
#undef FNN_TILE_CASE
#undef FNN_TILE_SWITCH
#undef FNN_IS_NARROW
