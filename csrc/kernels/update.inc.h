/* update.inc.h: what becomes of gradients. */

/* What has decayed below the normal numbers would stay there, where processors are slow: it ends at zero. */
FNN_INLINE v16 end_decay(v16 state) {
    return v16_select(v16_lt(v16_abs(state), v16_set1(FLT_MIN)), v16_set1(0.0f), state);
}

FNN_INLINE v16 adam_step(const fnn_sink *sink, int64_t at, v16 g) {
    const fnn_adam *adam = &sink->adam;
    const v16 part = v16_mul(v16_set1(adam->rest1), g);
    const v16 v = end_decay(v16_fma(v16_set1(adam->beta1), v16_load(sink->v + at), part));
    const v16 square = v16_mul(v16_mul(v16_set1(adam->rest2), g), g);
    const v16 s = end_decay(v16_fma(v16_set1(adam->beta2), v16_load(sink->s + at), square));
    v16_store(sink->v + at, v);
    v16_store(sink->s + at, s);
    return v16_div(v, v16_fma(v16_set1(adam->root_scale), v16_sqrt(s), v16_set1(adam->epsilon)));
}

FNN_INLINE v16 rmsprop_step(const fnn_sink *sink, int64_t at, v16 g) {
    const fnn_adam *constants = &sink->adam;
    const v16 square = v16_mul(v16_mul(v16_set1(constants->rest2), g), g);
    const v16 s = end_decay(v16_fma(v16_set1(constants->beta2), v16_load(sink->s + at), square));
    v16_store(sink->s + at, s);
    const v16 step = v16_div(g, v16_add(v16_sqrt(s), v16_set1(constants->epsilon)));
    if (sink->v == NULL) return step;
    const v16 v = end_decay(v16_fma(v16_set1(sink->momentum), v16_load(sink->v + at), step));
    v16_store(sink->v + at, v);
    return v;
}

/* What parameters move along, given their gradient, after updating what is kept of earlier ones. */
FNN_INLINE v16 step_along(const fnn_sink *sink, int64_t at, v16 g, const fnn_update update) {
    if (update == FNN_SGD) return g;
    if (update == FNN_ADAM) return adam_step(sink, at, g);
    if (update == FNN_RMSPROP) return rmsprop_step(sink, at, g);
    const v16 momentum = v16_set1(sink->momentum), velocity = end_decay(v16_fma(momentum, v16_load(sink->v + at), g));
    v16_store(sink->v + at, velocity);
    return update == FNN_NESTEROV ? v16_fma(momentum, velocity, g) : velocity;
}

/* Moves by threshold towards zero, at most to zero; NaN passes. */
FNN_INLINE v16 soften(v16 w, v16 threshold) {
    const v16 zero = v16_set1(0.0f);
    const v16 nearer = v16_select(v16_lt(w, zero), v16_add(w, threshold), v16_sub(w, threshold));
    return v16_select(v16_le(v16_abs(w), threshold), zero, nearer);
}

/* Sixteen parameters at `at` of the variable take a step down their gradient. */
FNN_INLINE void descend(const fnn_sink *sink, int64_t at, v16 g, const fnn_update update, const int shrinks) {
    v16 w = v16_load(sink->w + at);
    if (shrinks) {
        g = v16_fma(v16_set1(sink->l2), w, g);
        w = v16_fma(v16_set1(-sink->decay), w, w);
    }
    w = v16_fma(v16_set1(-sink->rate), step_along(sink, at, g, update), w);
    v16_store(sink->w + at, shrinks ? soften(w, v16_set1(sink->l1)) : w);
}

/* Whether a gradient of zero changes nothing, so that it need not be delivered. */
FNN_INLINE int is_still(const fnn_sink *sink) { return sink->update == FNN_SGD && !sink->shrinks; }

/* Asks for what n gradients from `at` on will change, while they are being computed. */
FNN_INLINE void prefetch_sink(const fnn_sink *sink, int64_t at, int n) {
    for (int i = 0; i < n; i++) __builtin_prefetch(sink->w + at + i * FNN_LANES, 1);
    if (sink->v != NULL)
        for (int i = 0; i < n; i++) __builtin_prefetch(sink->v + at + i * FNN_LANES, 1);
    if (sink->s != NULL)
        for (int i = 0; i < n; i++) __builtin_prefetch(sink->s + at + i * FNN_LANES, 1);
}

#define FNN_DESCEND(update, shrinks)                                                                                   \
    case update:                                                                                                       \
        FNN_UNROLL                                                                                                     \
        for (int j = 0; j < n; j++) descend(sink, at + j * stride, g[j], update, shrinks);                             \
        return;

/* The same as deliver, for what is seldom asked for: once in the code, not in every kernel. */
static __attribute__((noinline)) void deliver_seldom(const fnn_sink *sink, int64_t at, int64_t stride, const v16 *g,
                                                     int n) {
    switch (sink->update) {
        FNN_DESCEND(FNN_SGD, 1)
        FNN_DESCEND(FNN_MOMENTUM, 1)
        FNN_DESCEND(FNN_NESTEROV, 1)
        FNN_DESCEND(FNN_ADAM, sink->shrinks)
        FNN_DESCEND(FNN_RMSPROP, sink->shrinks)
    case FNN_STORE:
    case FNN_FREEZE: return;
    }
}

/* Most gradients that are delivered at once. */
#define FNN_DELIVERED (FNN_MR > FNN_SPARSE_PANELS ? FNN_MR : FNN_SPARSE_PANELS)

/* Gradients g[n], each of sixteen parameters: the first at `at` of the variable, the others `stride` apart. */
FNN_INLINE void deliver(const fnn_sink *sink, int64_t at, int64_t stride, const v16 *g, const int n) {
    if (sink->shrinks || sink->update == FNN_ADAM || sink->update == FNN_RMSPROP) {
        v16 copy[FNN_DELIVERED]; /* g itself stays in registers: nobody else sees its address */
        FNN_UNROLL
        for (int j = 0; j < n; j++) copy[j] = g[j];
        deliver_seldom(sink, at, stride, copy, n);
        return;
    }
    switch (sink->update) {
    case FNN_ADAM:
    case FNN_RMSPROP: /* above */
    case FNN_FREEZE: return;
    case FNN_STORE:
        FNN_UNROLL
        for (int j = 0; j < n; j++) v16_store(sink->w + at + j * stride, g[j]);
        return;
        FNN_DESCEND(FNN_SGD, 0)
        FNN_DESCEND(FNN_MOMENTUM, 0)
        FNN_DESCEND(FNN_NESTEROV, 0)
    }
}

#undef FNN_DESCEND
#undef FNN_DELIVERED

static void update(const fnn_sink *sink, const float *g, float factor, int64_t n, fnn_part part) {
    int64_t begin, end;
    share(&begin, &end, n / FNN_LANES, part);
    for (int64_t i = begin * FNN_LANES; i < end * FNN_LANES; i += FNN_LANES) {
        const v16 each = v16_mul(v16_set1(factor), v16_load(g + i));
        deliver(sink, i, FNN_LANES, &each, 1);
    }
}

static void mask(float *w, const float *mask, int64_t n, fnn_part part) {
    const v16 zero = v16_set1(0.0f);
    int64_t begin, end;
    share(&begin, &end, n / FNN_LANES, part);
    for (int64_t i = begin * FNN_LANES; i < end * FNN_LANES; i += FNN_LANES)
        v16_store(w + i, v16_select(v16_lt(zero, v16_load(mask + i)), v16_load(w + i), zero));
}

static void clip(float *g, float limit, int64_t n, fnn_part part) {
    const v16 high = v16_set1(limit), low = v16_set1(-limit);
    int64_t begin, end;
    share(&begin, &end, n / FNN_LANES, part);
    for (int64_t i = begin * FNN_LANES; i < end * FNN_LANES; i += FNN_LANES) {
        const v16 each = v16_load(g + i), below = v16_select(v16_lt(high, each), high, each);
        v16_store(g + i, v16_select(v16_lt(below, low), low, below));
    }
}
