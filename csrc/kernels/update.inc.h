/* update.inc.h: parameters take a step by stored gradients; masks of parameters, limits of gradients. */

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
