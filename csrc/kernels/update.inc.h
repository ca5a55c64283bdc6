/* update.inc.h: what becomes of gradients. */

/* Gradients g of the sixteen parameters that start at `at` of the variable. */
FNN_INLINE void deliver(const fnn_sink *sink, int64_t at, v16 g) {
    const v16 mu = v16_set1(sink->momentum);
    float *w = sink->w + at;
    v16 step = g;
    switch (sink->update) {
    case FNN_FREEZE: return;
    case FNN_STORE: v16_store(w, g); return;
    case FNN_SGD: break;
    default:
        step = v16_fma(mu, v16_load(sink->v + at), g);
        v16_store(sink->v + at, step);
        if (sink->update == FNN_NESTEROV) step = v16_fma(mu, step, g);
    }
    v16_store(w, v16_fma(v16_set1(-sink->rate), step, v16_load(w)));
}

static void update(const fnn_sink *sink, const float *g, int64_t n, fnn_part part) {
    int64_t begin, end;
    share(&begin, &end, n / FNN_LANES, part);
    for (int64_t i = begin * FNN_LANES; i < end * FNN_LANES; i += FNN_LANES) deliver(sink, i, v16_load(g + i));
}
