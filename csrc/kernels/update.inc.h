/* update.inc.h: what becomes of gradients. */

/* Sixteen parameters at `at` of the variable take a step down their gradient. */
FNN_INLINE void descend(const fnn_sink *sink, int64_t at, v16 g, const fnn_update update) {
    const v16 momentum = v16_set1(sink->momentum);
    v16 step = g;
    if (update != FNN_SGD) {
        step = v16_fma(momentum, v16_load(sink->v + at), g);
        v16_store(sink->v + at, step);
        if (update == FNN_NESTEROV) step = v16_fma(momentum, step, g);
    }
    v16_store(sink->w + at, v16_fma(v16_set1(-sink->rate), step, v16_load(sink->w + at)));
}

/* Asks for what n gradients from `at` on will change, while they are being computed. */
FNN_INLINE void prefetch_sink(const fnn_sink *sink, int64_t at, int n) {
    for (int i = 0; i < n; i++) __builtin_prefetch(sink->w + at + i * FNN_LANES, 1);
    if (sink->update == FNN_MOMENTUM || sink->update == FNN_NESTEROV)
        for (int i = 0; i < n; i++) __builtin_prefetch(sink->v + at + i * FNN_LANES, 1);
}

/* Gradients g[n], each of sixteen parameters: the first at `at` of the variable, the others `stride` apart. */
FNN_INLINE void deliver(const fnn_sink *sink, int64_t at, int64_t stride, const v16 *g, const int n) {
    switch (sink->update) {
    case FNN_FREEZE: return;
    case FNN_STORE:
        FNN_UNROLL
        for (int j = 0; j < n; j++) v16_store(sink->w + at + j * stride, g[j]);
        return;
#define FNN_DESCEND(update)                                                                                            \
    case update:                                                                                                       \
        FNN_UNROLL                                                                                                     \
        for (int j = 0; j < n; j++) descend(sink, at + j * stride, g[j], update);                                      \
        return;
        FNN_DESCEND(FNN_SGD)
        FNN_DESCEND(FNN_MOMENTUM)
        FNN_DESCEND(FNN_NESTEROV)
#undef FNN_DESCEND
    }
}

static void update(const fnn_sink *sink, const float *g, int64_t n, fnn_part part) {
    int64_t begin, end;
    share(&begin, &end, n / FNN_LANES, part);
    for (int64_t i = begin * FNN_LANES; i < end * FNN_LANES; i += FNN_LANES) {
        const v16 each = v16_load(g + i);
        deliver(sink, i, FNN_LANES, &each, 1);
    }
}
