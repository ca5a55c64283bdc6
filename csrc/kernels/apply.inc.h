/* apply.inc.h: element-wise functions over arrays, and their slopes: for tests. */

FNN_INLINE v16 apply_one(v16 x, fnn_activation function) {
    v16 slope;
    switch (function.function) {
    case FNN_EXP: return vexp(x);
    case FNN_LOG: return vlog(x);
    case FNN_LOG1P: return vlog1p(x);
    default: return activate(x, function, &slope);
    }
}

FNN_INLINE v16 slope_one(v16 x, fnn_activation activation) {
    v16 slope;
    const v16 y = activate(x, activation, &slope);
    return through_activation(v16_set1(1.0f), fnn_keeps_slope(activation) ? slope : y, activation);
}

FNN_INLINE void each(float *y, const float *x, int64_t n, fnn_activation function, const int is_slope) {
    for (int64_t i = 0; i < n; i += FNN_LANES) {
        const size_t bytes = (size_t)least(FNN_LANES, n - i) * sizeof(float);
        float lanes[FNN_LANES] = {0};
        memcpy(lanes, x + i, bytes);
        v16_store(lanes, is_slope ? slope_one(v16_load(lanes), function) : apply_one(v16_load(lanes), function));
        memcpy(y + i, lanes, bytes);
    }
}

static void apply(float *y, const float *x, int64_t n, fnn_activation function) { each(y, x, n, function, 0); }
static void slope(float *y, const float *x, int64_t n, fnn_activation activation) { each(y, x, n, activation, 1); }
