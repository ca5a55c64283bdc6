/* descend.inc.h: what a gradient does to its parameter (fnn.h: fnn_update), sixteen at a time.  The CPU's kernels and
 * the GPU's share it. */

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
