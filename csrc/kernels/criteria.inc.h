/* criteria.inc.h: the losses of sixteen rows at a time, with their gradients.  A vector holds one unit of sixteen rows,
 * so that sums over units run in ascending order in every lane.  The CPU's kernels and the GPU's share it. */

/* Largest of n columns and where the first of them is */
FNN_INLINE v16 greatest(const float *columns, int64_t n, v16 *where) {
    v16 max = v16_load(columns);
    *where = v16_set1(0.0f);
    for (int64_t c = 1; c < n; c++) {
        const v16 each = v16_load(columns + c * FNN_LANES);
        const m16 is_greater = v16_lt(max, each);
        max = v16_select(is_greater, each, max);
        *where = v16_select(is_greater, v16_set1((float)c), *where);
    }
    return max;
}

/* columns[c] = exp(columns[c] - max); returns their sum, in ascending c */
FNN_INLINE v16 exponentials(float *columns, v16 max, int64_t n) {
    v16 sum = v16_set1(0.0f);
    for (int64_t c = 0; c < n; c++) {
        const v16 e = vexp(v16_sub(v16_load(columns + c * FNN_LANES), max));
        v16_store(columns + c * FNN_LANES, e);
        sum = v16_add(sum, e);
    }
    return sum;
}

/* The losses: z and t hold n columns of outputs and targets; z becomes the gradient of scale * loss. */

FNN_INLINE v16 softmax_cross_entropy(float *z, const float *t, int64_t n, v16 scale, v16 *hits) {
    v16 where, where_target;
    const v16 max = greatest(z, n, &where);
    greatest(t, n, &where_target);
    *hits = v16_select(v16_eq(where, where_target), v16_set1(1.0f), v16_set1(0.0f));

    /* loss = sum t (log(sum exp(z - max)) - (z - max)), taken as two sums because exp overwrites z */
    const v16 zero = v16_set1(0.0f);
    v16 weight = zero, inner = zero;
    for (int64_t c = 0; c < n; c++) {
        const v16 target = v16_load(t + c * FNN_LANES), shifted = v16_sub(v16_load(z + c * FNN_LANES), max);
        weight = v16_add(weight, target);
        inner = v16_select(v16_eq(target, zero), inner, v16_fma(target, shifted, inner));
    }
    const v16 sum = exponentials(z, max, n);
    for (int64_t c = 0; c < n; c++) {
        const v16 p = v16_div(v16_load(z + c * FNN_LANES), sum);
        const v16 d = v16_sub(v16_mul(p, weight), v16_load(t + c * FNN_LANES));
        v16_store(z + c * FNN_LANES, v16_mul(d, scale));
    }
    return v16_sub(v16_mul(weight, vlog(sum)), inner);
}

FNN_INLINE v16 sigmoid_cross_entropy(float *z, const float *t, int64_t n, v16 scale, v16 *hits) {
    const v16 zero = v16_set1(0.0f), one = v16_set1(1.0f);
    v16 loss = zero;
    *hits = zero;
    for (int64_t c = 0; c < n; c++) {
        const v16 logit = v16_load(z + c * FNN_LANES), target = v16_load(t + c * FNN_LANES);
        const v16 said = v16_select(v16_lt(zero, logit), one, zero);
        const v16 meant = v16_select(v16_lt(v16_set1(0.5f), target), one, zero);
        *hits = v16_add(*hits, v16_select(v16_eq(said, meant), one, zero));

        /* max(z, 0) - z t + log(1 + exp(-|z|)) */
        const v16 e = vexp(v16_mul(v16_set1(-1.0f), v16_abs(logit)));
        const v16 linear = v16_sub(vrelu(logit), v16_mul(logit, target));
        loss = v16_add(loss, v16_add(linear, vlog1p(e)));
        v16_store(z + c * FNN_LANES, v16_mul(v16_sub(vsigmoid(logit), target), scale));
    }
    return loss;
}

FNN_INLINE v16 squared_error(float *y, const float *t, int64_t n, v16 scale, v16 *hits) {
    v16 loss = v16_set1(0.0f);
    *hits = v16_set1(0.0f);
    for (int64_t c = 0; c < n; c++) {
        const v16 d = v16_sub(v16_load(y + c * FNN_LANES), v16_load(t + c * FNN_LANES));
        loss = v16_fma(v16_mul(v16_set1(0.5f), d), d, loss);
        v16_store(y + c * FNN_LANES, v16_mul(d, scale));
    }
    return loss;
}

FNN_INLINE v16 absolute_error(float *y, const float *t, int64_t n, v16 scale, v16 *hits) {
    const v16 zero = v16_set1(0.0f);
    v16 loss = zero;
    *hits = zero;
    for (int64_t c = 0; c < n; c++) {
        const v16 d = v16_sub(v16_load(y + c * FNN_LANES), v16_load(t + c * FNN_LANES));
        const v16 rising = v16_select(v16_lt(zero, d), v16_set1(1.0f), d); /* NaN passes */
        const v16 sign = v16_select(v16_lt(d, zero), v16_set1(-1.0f), rising);
        loss = v16_add(loss, v16_abs(d));
        v16_store(y + c * FNN_LANES, v16_mul(sign, scale));
    }
    return loss;
}

/* With m = d within [-delta, delta] it is m (d - m / 2). */
FNN_INLINE v16 huber(float *y, const float *t, int64_t n, float delta, v16 scale, v16 *hits) {
    v16 loss = v16_set1(0.0f);
    *hits = loss;
    for (int64_t c = 0; c < n; c++) {
        const v16 d = v16_sub(v16_load(y + c * FNN_LANES), v16_load(t + c * FNN_LANES));
        const v16 m = clamp(d, -delta, delta);
        loss = v16_fma(m, v16_fma(v16_set1(-0.5f), m, d), loss);
        v16_store(y + c * FNN_LANES, v16_mul(m, scale));
    }
    return loss;
}

FNN_INLINE v16 poisson(float *z, const float *t, int64_t n, v16 scale, v16 *hits) {
    v16 loss = v16_set1(0.0f);
    *hits = loss;
    for (int64_t c = 0; c < n; c++) {
        const v16 log_rate = v16_load(z + c * FNN_LANES), target = v16_load(t + c * FNN_LANES), rate = vexp(log_rate);
        loss = v16_add(loss, v16_fma(v16_mul(v16_set1(-1.0f), target), log_rate, rate));
        v16_store(z + c * FNN_LANES, v16_mul(v16_sub(rate, target), scale));
    }
    return loss;
}

FNN_INLINE v16 loss_of(float *z, const float *t, int64_t n, fnn_loss loss, v16 scale, v16 *hits) {
    switch (loss.kind) {
    case FNN_SOFTMAX_CROSS_ENTROPY: return softmax_cross_entropy(z, t, n, scale, hits);
    case FNN_SIGMOID_CROSS_ENTROPY: return sigmoid_cross_entropy(z, t, n, scale, hits);
    case FNN_ABSOLUTE_ERROR: return absolute_error(z, t, n, scale, hits);
    case FNN_HUBER: return huber(z, t, n, loss.delta, scale, hits);
    case FNN_POISSON: return poisson(z, t, n, scale, hits);
    default: return squared_error(z, t, n, scale, hits);
    }
}
