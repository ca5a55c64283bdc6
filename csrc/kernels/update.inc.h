/* update.inc.h: what an optimiser does to a parameter, given its gradient. */

static void update(float *w, float *v, const float *g, fnn_update update, float rate, float momentum, int64_t n,
                   fnn_part part) {
    const v16 down = v16_set1(-rate), mu = v16_set1(momentum);
    int64_t begin, end;
    share(&begin, &end, n / FNN_LANES, part);
    for (int64_t i = begin * FNN_LANES; i < end * FNN_LANES; i += FNN_LANES) {
        v16 step = v16_load(g + i);
        if (update != FNN_SGD) {
            const v16 velocity = v16_fma(mu, v16_load(v + i), step);
            v16_store(v + i, velocity);
            step = update == FNN_NESTEROV ? v16_fma(mu, velocity, step) : velocity;
        }
        v16_store(w + i, v16_fma(down, step, v16_load(w + i)));
    }
}
