/* product.inc.h: the matrix product of a share of rows and panels.  A tile is a few rows by a few panels of
 * accumulators in registers; each accumulator takes its products in ascending order from start to end, so tiles, blocks
 * and shares never change a bit. */

/* ---- tiles ---- */

/* How many rows and panels a tile has at most.  Wide ones load least for what they compute; tall ones load fewer of
 * the weights, where those come from the second-level cache; slim ones are for layers of one or two panels. */
typedef struct tile_shape {
    int rows, panels;
} tile_shape;

static const tile_shape wide_tile = {FNN_WIDE_ROWS, FNN_NR}, tall_tile = FNN_TALL_TILE, slim_tile = FNN_SLIM_TILE;

/* Panels and rows [row, row + rows) of one tile of a grid of n_panels by n_rows. */
typedef struct tile {
    int64_t panel, row;
    int panels, rows;
} tile;

/* n things in so many pieces, as even as can be: of `size`, the first `larger` ones of one more. */
typedef struct cut {
    int64_t pieces, size, larger;
} cut;

FNN_INLINE cut cut_evenly(int64_t n, int64_t most) {
    if (n <= most) return (cut){1, n, 0};
    const int64_t pieces = ceil_div(n, most);
    return (cut){pieces, n / pieces, n % pieces};
}

FNN_INLINE int64_t start_of(const cut *c, int64_t piece) { return piece * c->size + least(piece, c->larger); }

/* Where a group of panels begins, of the groups that tiles have side by side: each half of the groups of 16 panels,
 * which is a thread's share, has 8 of them. */
FNN_INLINE int64_t first_panel(tile_shape most, int64_t group, int64_t n_panels) {
    if (n_panels <= most.panels) return group > 0 ? n_panels : 0;
    return n_panels * group / ceil_div(n_panels, most.panels);
}

/* Calls body(..., rows, panels) with both as constants, so that its accumulators live in registers. */
#define FNN_TILE_KEY(rows, panels) ((rows)*8 + (panels))
#define FNN_TILE_CASE(rows, panels)                                                                                    \
    case FNN_TILE_KEY(rows, panels): FNN_TILE_BODY(rows, panels); break;
#define FNN_TILE_SWITCH(t)                                                                                             \
    switch (FNN_TILE_KEY((t).rows, (t).panels)) { FNN_EACH_TILE(FNN_TILE_CASE) }

/* acc += x[rows][16 of k] * w[16 of k][panels] */
FNN_INLINE void multiply_panel(v16 acc[FNN_MR][FNN_NR], const fnn_view x, const float *w, int64_t w_stride, int n_k,
                               const int rows, const int panels) {
    for (int k = 0; k < n_k; k++) {
        v16 b[FNN_NR];
        FNN_UNROLL
        for (int j = 0; j < panels; j++) b[j] = v16_load(w + j * w_stride + k * FNN_LANES);
        FNN_UNROLL
        for (int i = 0; i < rows; i++) {
            const v16 a = v16_set1(x.at[i * x.row + k]);
            FNN_UNROLL
            for (int j = 0; j < panels; j++) acc[i][j] = v16_fma(a, b[j], acc[i][j]);
        }
    }
}

/* Far from the processor and needed soon: the next tile's sums in y, and n places of the next weights; or, where y is
 * NULL, the next tile's rows of x, which another thread may have written.  A burst of prefetches would hold up the loads
 * behind it, so they go out a few at a time. */
typedef struct ahead {
    const float *y, *w;
    int64_t y_stride, w_stride, n;
} ahead;

/* The share of step 0, 1, ...: the rows below those of the panel at x; or a row of y, then a place of w. */
FNN_INLINE void look_ahead(const ahead *next, const float *x, int64_t step, const int rows, const int panels) {
    const int64_t i = step / 2;
    if (next->y == NULL) {
        FNN_UNROLL
        for (int row = rows; row < 2 * rows; row++) __builtin_prefetch(x + row * FNN_LANES, 0, 2);
        return;
    }
    if (step % 2 == 0 && i < rows)
        for (int j = 0; j < panels; j++) __builtin_prefetch(next->y + j * next->y_stride + i * FNN_LANES, 1);
    if (step % 2 == 1 && i < next->n)
        for (int j = 0; j < panels; j++) __builtin_prefetch(next->w + j * next->w_stride + i * FNN_LANES, 0, 2);
}

/* acc += x W over n_k places, where x starts at the tile's rows and w at its panels; next: NULL where all is near */
FNN_INLINE void multiply(v16 acc[FNN_MR][FNN_NR], fnn_view x, const float *w, int64_t w_stride, int64_t n_k,
                         const ahead *next, const int rows, const int panels) {
    for (int64_t k = 0; k < n_k / FNN_LANES; k++, x.at += x.panel, w += FNN_LANES * FNN_LANES) {
        if (next != NULL) look_ahead(next, x.at, k, rows, panels);
        multiply_panel(acc, x, w, w_stride, FNN_LANES, rows, panels);
    }
    if (n_k % FNN_LANES != 0) multiply_panel(acc, x, w, w_stride, (int)(n_k % FNN_LANES), rows, panels);
}

/* What accumulators start from: a value for each row and panel, panel strides and row strides apart. */
typedef struct origin {
    const float *at;
    int64_t panel_stride, row_stride;
} origin;

/* Where weights are, panels `stride` apart. */
typedef struct view {
    const float *at;
    int64_t stride;
} view;

static const float zeros[FNN_LANES];

/* Tiles leave their accumulators in memory, where the epilogues take them up: unrolled here, an activation would be
 * written out for each accumulator of each shape of tile.  x: the tile's rows; w: its panels. */
FNN_INLINE void product_tile(float *y, const origin from, const fnn_view x, const view w, int64_t n_k, int64_t n_batch,
                             const tile t, const ahead *next, const int rows, const int panels) {
    v16 acc[FNN_MR][FNN_NR];
    FNN_UNROLL
    for (int i = 0; i < rows; i++) {
        FNN_UNROLL
        for (int j = 0; j < panels; j++)
            acc[i][j] = v16_load(from.at + (t.panel + j) * from.panel_stride + (t.row + i) * from.row_stride);
    }
    multiply(acc, x, w.at, w.stride, n_k, next, rows, panels);
    FNN_UNROLL
    for (int i = 0; i < rows; i++) {
        FNN_UNROLL
        for (int j = 0; j < panels; j++)
            v16_store(y + ((t.panel + j) * n_batch + t.row + i) * FNN_LANES, v16_add(acc[i][j], v16_set1(0.0f)));
    }
}

/* Structs go to functions that are not inlined as pointers: to copy what was just written, in larger pieces than it was
 * written in, takes longer than a row of a tiny net. */
static void product(float *y, const origin *from, const fnn_view *x, const view w, int64_t n_k, int64_t n_batch,
                    const tile *t, const ahead *next) {
#define FNN_TILE_BODY(rows, panels) product_tile(y, *from, in, w, n_k, n_batch, *t, next, rows, panels)
    if (x->row == FNN_LANES) {
        const fnn_view in = {x->at, FNN_LANES, x->panel}; /* a stride that the compiler knows is faster */
        FNN_TILE_SWITCH(*t)
    } else {
        const fnn_view in = *x;
        FNN_TILE_SWITCH(*t)
    }
#undef FNN_TILE_BODY
}

/* What happens to a tile of the finished product. */
typedef struct epilogue {
    void (*run)(const struct epilogue *, int64_t n_batch, const tile *t);
    float *out, *y;
    const float *x;
    const uint16_t *keep;
    float scale;
    fnn_activation activation;
} epilogue;

/* ---- weights, as they lie or turned ---- */

/* A packed matrix (n_in, n_out); turned: the product is with its transpose. */
typedef struct weights {
    const float *w;
    int64_t n_in, n_out;
    int is_turned;
} weights;

/* to = the block of sixteen rows from `in` on and sixteen columns from `out` on, transposed; only rows of `to` that are
 * columns of the matrix are written. */
static void turn_block(float *to, const weights m, int64_t in, int64_t out) {
    const float *from = m.w + (out * m.n_in + in * FNN_LANES);
    const int64_t n_from = least(FNN_LANES, m.n_in - in), n_to = least(FNN_LANES, m.n_out - out);
    if (n_from == FNN_LANES && n_to == FNN_LANES) {
        v16_transpose(to, from);
        return;
    }
    float whole[FNN_LANES * FNN_LANES] = {0}, turned[FNN_LANES * FNN_LANES];
    for (int64_t i = 0; i < n_from * FNN_LANES; i++) whole[i] = from[i];
    v16_transpose(turned, whole);
    for (int64_t i = 0; i < n_to * FNN_LANES; i++) to[i] = turned[i];
}

/* Places [k, k + n_k) of panels [panel, panel + panels), turned into `to` where that is needed. */
static view view_of(float *to, const weights m, int64_t panel, int64_t panels, int64_t k, int64_t n_k) {
    if (!m.is_turned) return (view){m.w + (panel * m.n_in + k) * FNN_LANES, m.n_in * FNN_LANES};
    for (int64_t p = 0; p < panels; p++)
        for (int64_t place = 0; place < n_k; place += FNN_LANES)
            turn_block(to + (p * n_k + place) * FNN_LANES, m, (panel + p) * FNN_LANES, k + place);
    return (view){to, n_k * FNN_LANES};
}

/* ---- rectangles of tiles ---- */

/* A rectangle of a grid of groups of panels and tiles of rows. */
typedef struct rectangle {
    int64_t group, groups, tile, tiles;
} rectangle;

/* The next rectangle of items [*begin, end) of a grid that is numbered group by group, of at most `most` groups. */
FNN_INLINE rectangle next_rectangle(int64_t *begin, int64_t end, int64_t per_group, int64_t most) {
    const int is_one = end <= per_group;
    const int64_t group = is_one ? 0 : *begin / per_group, tile = *begin - group * per_group, left = end - *begin;
    const int is_whole = tile == 0 && left >= per_group;
    const int64_t groups = is_whole && !is_one ? least(left / per_group, most) : 1;
    const rectangle r = {group, groups, tile, is_whole ? per_group : least(left, per_group - tile)};
    *begin += r.groups * r.tiles;
    return r;
}

/* to = places [k, k + n_k) of rows [row, row + rows), one after the other: rows of a large input are a power of two
 * apart more often than not, and would share a few sets of the caches. */
static fnn_view copy_block(float *to, const fnn_view x, int64_t row, int64_t rows, int64_t k, int64_t n_k) {
    for (int64_t panel = 0; panel < fnn_panels(n_k); panel++)
        memcpy(to + panel * rows * FNN_LANES, x.at + (k / FNN_LANES + panel) * x.panel + row * FNN_LANES,
               (size_t)(rows * FNN_LANES) * sizeof(float));
    return fnn_view_panels(to, rows);
}

/* y = x W + b, or x W where b is NULL */
typedef struct layer_product {
    tile_shape shape; /* product_share chooses it */
    cut tiles;        /* of rows, for that shape */
    float *y;
    fnn_view x;
    weights m;
    const float *b;
    const epilogue *last;
    int64_t n_batch, n_k, n_panels;
    float *near;   /* FNN_BLOCK floats, if x is in panels and larger than FNN_NEAR; else NULL */
    float *turned; /* for the weights of a rectangle, */
    int64_t turned_panel; /* which begin with this panel; -1: none yet */
} layer_product;

/* What is needed after tile t: the sums of the one below it, and the share of part `index` of `count` of the weights
 * that follow those of its group. */
static ahead after(const layer_product *p, const tile t, const view w, int64_t n_k, int64_t index, int64_t count) {
    const int64_t begin = n_k * index / count, end = n_k * (index + 1) / count;
    return (ahead){p->y + (t.panel * p->n_batch + t.row + t.rows) * FNN_LANES,
                   w.at + t.panels * w.stride + begin * FNN_LANES, p->n_batch * FNN_LANES, w.stride, end - begin};
}

/* Tiles [first, end) of the rectangle's groups, places [k, k + n_k) of all. */
static void product_block(const layer_product *p, const rectangle r, int64_t first, int64_t end, int64_t k, int64_t n_k,
                          const view w) {
    const int64_t n_batch = p->n_batch, top = start_of(&p->tiles, first), bottom = start_of(&p->tiles, end);
    const int is_near = p->near == NULL;
    const fnn_view x = is_near ? (fnn_view){p->x.at + top * p->x.row, p->x.row, p->x.panel}
                               : copy_block(p->near, p->x, top, bottom - top, k, n_k);
    const origin from = k > 0          ? (origin){p->y, n_batch * FNN_LANES, FNN_LANES}
                        : p->b != NULL ? (origin){p->b, FNN_LANES, 0}
                                       : (origin){zeros, 0, 0};
    const int64_t w_panel = first_panel(p->shape, r.group, p->n_panels);
    const int is_last = k + n_k == p->n_k && p->last->run != NULL, is_slim = p->n_panels <= slim_tile.panels;
    for (int64_t group = r.group; group < r.group + r.groups; group++) {
        tile t = {.panel = first_panel(p->shape, group, p->n_panels), .row = top};
        t.panels = (int)(first_panel(p->shape, group + 1, p->n_panels) - t.panel);
        const view own_w = {w.at + (t.panel - w_panel) * w.stride, w.stride};
        const int is_first = group == r.group && x.row == FNN_LANES; /* the other groups find x near */
        for (int64_t i = first; i < end; i++, t.row += t.rows) {
            t.rows = (int)(start_of(&p->tiles, i + 1) - t.row);
            const fnn_view own_x = {x.at + (t.row - top) * x.row, x.row, x.panel};
            const ahead next = is_near ? (ahead){0} : after(p, t, own_w, n_k, i - first, end - first);
            product(p->y, &from, &own_x, own_w, n_k, n_batch, &t, is_near && !is_first ? NULL : &next);
            if (is_last && !is_slim) p->last->run(p->last, n_batch, &t);
        }
        if (is_last && is_slim) { /* short tiles, and all of them near: at once is faster */
            t.row = top, t.rows = (int)(bottom - top);
            p->last->run(p->last, n_batch, &t);
        }
    }
}

/* A large x is taken in blocks of FNN_BLOCK floats, past which all weights of the rectangle stream; a block takes the
 * accumulators up where the one before left them in y. */
static void product_rectangle(layer_product *p, const rectangle r) {
    const int is_near = p->near == NULL;
    const int64_t k_step =
        is_near ? p->n_k : FNN_LANES * ceil_div(p->n_k, FNN_LANES * ceil_div(p->n_k, FNN_BLOCK_PLACES));
    const int64_t tiles = is_near ? r.tiles : FNN_BLOCK / (p->shape.rows * FNN_BLOCK_PLACES);
    const int64_t panel = first_panel(p->shape, r.group, p->n_panels);
    const int64_t panels = first_panel(p->shape, r.group + r.groups, p->n_panels) - panel;
    for (int64_t k = 0; k < p->n_k; k += k_step) {
        const int64_t n_k = least(k_step, p->n_k - k);
        const int is_there = is_near && panel == p->turned_panel; /* the last rectangle was of the same group */
        const view w =
            is_there ? (view){p->turned, n_k * FNN_LANES} : view_of(p->turned, p->m, panel, panels, k, n_k);
        for (int64_t first = r.tile; first < r.tile + r.tiles; first += tiles)
            product_block(p, r, first, least(first + tiles, r.tile + r.tiles), k, n_k, w);
    }
    if (p->m.is_turned) p->turned_panel = panel;
}

static void product_share(layer_product p, fnn_part part) {
    p.shape = p.n_panels <= slim_tile.panels ? slim_tile : p.near != NULL ? tall_tile : wide_tile;
    p.tiles = cut_evenly(p.n_batch, p.shape.rows);
    const int64_t most = p.m.is_turned ? fnn_turned_panels(p.n_batch, p.n_k) / p.shape.panels : INT64_MAX;
    p.turned_panel = -1;
    if (p.near != NULL) part.team = NULL; /* every piece would copy x */
    const int64_t n_items = ceil_div(p.n_panels, p.shape.panels) * p.tiles.pieces;
    for (turn t = {0}; next_turn(&t, n_items, &part);)
        while (t.begin < t.end) product_rectangle(&p, next_rectangle(&t.begin, t.end, p.tiles.pieces, most));
}
