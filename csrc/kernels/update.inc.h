/* update.inc.h: where gradients are delivered to, and what else changes parameters. */

/* Whether a gradient of zero changes nothing, so that it need not be delivered. */
FNN_INLINE int is_still(const fnn_sink *sink) { return sink->update == FNN_SGD && !sink->shrinks; }

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
