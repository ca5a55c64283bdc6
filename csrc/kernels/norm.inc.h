/* norm.inc.h: the projection of units' weights onto a ball.  A lane is a unit, so sixteen are done at a time. */

/* Panels whose sums go side by side: each waits for itself, one fused multiply-add after the other. */
#define FNN_NORM_PANELS 4

/* norm[panels]: the norms of each unit's n_in weights, squares summed in ascending order of inputs. */
FNN_INLINE void norms(v16 *norm, const float *w, int64_t n_in, const int panels) {
    FNN_UNROLL
    for (int j = 0; j < panels; j++) norm[j] = v16_set1(0.0f);
    for (int64_t k = 0; k < n_in; k++) {
        FNN_UNROLL
        for (int j = 0; j < panels; j++) {
            const v16 each = v16_load(w + (j * n_in + k) * FNN_LANES);
            norm[j] = v16_fma(each, each, norm[j]);
        }
    }
    FNN_UNROLL
    for (int j = 0; j < panels; j++) norm[j] = v16_sqrt(norm[j]);
}

FNN_INLINE int any_above(v16 a, float limit) {
    float lanes[FNN_LANES];
    int any = 0;
    v16_store(lanes, a);
    for (int i = 0; i < FNN_LANES; i++) any |= lanes[i] > limit;
    return any;
}

static void scale_panel(float *w, v16 factor, int64_t n_in) {
    for (int64_t k = 0; k < n_in; k++) v16_store(w + k * FNN_LANES, v16_mul(factor, v16_load(w + k * FNN_LANES)));
}

/* Sixteen units of these norms. */
static void project(float *w, v16 norm, float radius, int64_t n_in) {
    if (!any_above(norm, radius)) return;
    const v16 one = v16_set1(1.0f), most = v16_set1(FLT_MAX), limit = v16_set1(radius);
    v16 factor = v16_select(v16_lt(limit, norm), v16_div(limit, norm), one);
    if (any_above(norm, FLT_MAX)) {
        /* Squares overflowed.  Of weights 2^80 times smaller they do not, and only their direction counts. */
        v16 small_norm;
        scale_panel(w, v16_select(v16_lt(most, norm), v16_set1(0x1p-80f), one), n_in);
        norms(&small_norm, w, n_in, 1);
        factor = v16_select(v16_lt(most, norm), v16_div(limit, small_norm), factor);
    }
    scale_panel(w, factor, n_in);
}

static void max_norm(float *w, float radius, int64_t n_in, int64_t n_out, fnn_part part) {
    int64_t begin, end;
    share(&begin, &end, fnn_panels(n_out), part);
    while (begin < end) {
        v16 norm[FNN_NORM_PANELS];
        float *at = w + begin * n_in * FNN_LANES;
        const int panels = end - begin < FNN_NORM_PANELS ? 1 : FNN_NORM_PANELS;
        if (panels == 1)
            norms(norm, at, n_in, 1);
        else
            norms(norm, at, n_in, FNN_NORM_PANELS);
        for (int j = 0; j < panels; j++) project(at + j * n_in * FNN_LANES, norm[j], radius, n_in);
        begin += panels;
    }
}

#undef FNN_NORM_PANELS
