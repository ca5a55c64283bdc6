/* deliver.inc.h: gradients go where a sink says: into memory, or at once into a step of the parameters. */

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
