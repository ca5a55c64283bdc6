/* math.inc.h: exp, log and the activations from + - * / fma alone, so that every instruction set gives equal bits.
 * The series are Taylor's: with the arguments reduced this far they end below half a unit in the last place. */

/* exp(r) - 1 for |r| <= log(2) / 2 */
FNN_INLINE v16 expm1_reduced(v16 r) {
    v16 p = v16_set1(1.0f / 5040.0f);
    p = v16_fma(p, r, v16_set1(1.0f / 720.0f));
    p = v16_fma(p, r, v16_set1(1.0f / 120.0f));
    p = v16_fma(p, r, v16_set1(1.0f / 24.0f));
    p = v16_fma(p, r, v16_set1(1.0f / 6.0f));
    p = v16_fma(p, r, v16_set1(1.0f / 2.0f));
    return v16_fma(v16_mul(r, r), p, r);
}

/* |a| < 2^22, ties to even */
FNN_INLINE v16 round_whole(v16 a) {
    const v16 magic = v16_set1(0x1.8p23f);
    return v16_sub(v16_add(a, magic), magic);
}

/* a = n log(2) + r (Cody and Waite: log(2) in two parts, the first of few bits): returns r */
FNN_INLINE v16 reduce_by_log2(v16 a, v16 *n) {
    *n = round_whole(v16_mul(a, v16_set1(1.44269504f)));
    const v16 r = v16_fma(*n, v16_set1(-0.693359375f), a);
    return v16_fma(*n, v16_set1(2.12194440e-4f), r);
}

FNN_INLINE v16 vexp(v16 a) {
    a = v16_select(v16_lt(a, v16_set1(-104.0f)), v16_set1(-104.0f), a);
    a = v16_select(v16_lt(v16_set1(89.0f), a), v16_set1(89.0f), a);
    v16 n;
    const v16 r = reduce_by_log2(a, &n);
    const v16 p = v16_add(v16_set1(1.0f), expm1_reduced(r));
    /* two factors: n may lie outside a float's exponents */
    const v16 half = round_whole(v16_mul(n, v16_set1(0.5f)));
    return v16_mul(v16_mul(p, v16_pow2(half)), v16_pow2(v16_sub(n, half)));
}

/* normal positive a; NaN and infinity pass */
FNN_INLINE v16 vlog(v16 a) {
    v16 e;
    const v16 m = v16_split(a, &e);
    const v16 one = v16_set1(1.0f);
    const v16 s = v16_div(v16_sub(m, one), v16_add(m, one)); /* log m = 2 atanh(s), |s| < 0.172 */
    const v16 z = v16_mul(s, s);
    v16 p = v16_set1(1.0f / 9.0f);
    p = v16_fma(p, z, v16_set1(1.0f / 7.0f));
    p = v16_fma(p, z, v16_set1(1.0f / 5.0f));
    p = v16_fma(p, z, v16_set1(1.0f / 3.0f));
    const v16 twice = v16_add(s, s);
    const v16 log_m = v16_fma(v16_mul(twice, z), p, twice);
    const v16 low = v16_fma(e, v16_set1(-2.12194440e-4f), log_m);
    const v16 result = v16_fma(e, v16_set1(0.693359375f), low);
    return v16_select(v16_lt(a, v16_set1(__builtin_inff())), result, a);
}

/* log(1 + a) for 0 <= a <= 1, to full relative precision; NaN passes */
FNN_INLINE v16 vlog1p(v16 a) {
    const v16 s = v16_div(a, v16_add(v16_set1(2.0f), a)); /* log(1 + a) = 2 atanh(s), s <= 1/3 */
    const v16 z = v16_mul(s, s);
    v16 p = v16_set1(1.0f / 15.0f);
    p = v16_fma(p, z, v16_set1(1.0f / 13.0f));
    p = v16_fma(p, z, v16_set1(1.0f / 11.0f));
    p = v16_fma(p, z, v16_set1(1.0f / 9.0f));
    p = v16_fma(p, z, v16_set1(1.0f / 7.0f));
    p = v16_fma(p, z, v16_set1(1.0f / 5.0f));
    p = v16_fma(p, z, v16_set1(1.0f / 3.0f));
    const v16 twice = v16_add(s, s);
    return v16_fma(v16_mul(twice, z), p, twice);
}

/* From exp(-|z|) <= 1, so that neither side overflows or cancels. */
FNN_INLINE v16 vsigmoid(v16 z) {
    const v16 one = v16_set1(1.0f), e = vexp(v16_mul(v16_set1(-1.0f), v16_abs(z)));
    return v16_div(v16_select(v16_lt(z, v16_set1(0.0f)), e, one), v16_add(one, e));
}

/* With t = exp(-2|z|) - 1: tanh |z| = -t / (2 + t), which keeps its relative precision down to zero. */
FNN_INLINE v16 vtanh(v16 z) {
    const v16 one = v16_set1(1.0f), limit = v16_set1(-20.0f);
    v16 a = v16_mul(v16_set1(-2.0f), v16_abs(z));
    a = v16_select(v16_lt(a, limit), limit, a);
    v16 n;
    const v16 q = expm1_reduced(reduce_by_log2(a, &n)), power = v16_pow2(n);
    const v16 t = v16_fma(power, q, v16_sub(power, one));
    const v16 magnitude = v16_div(v16_sub(v16_set1(0.0f), t), v16_add(v16_set1(2.0f), t)); /* +0 at zero */
    return v16_select(v16_lt(z, v16_set1(0.0f)), v16_mul(v16_set1(-1.0f), magnitude), magnitude);
}

/* NaN passes, so that divergence is seen. */
FNN_INLINE v16 vrelu(v16 z) {
    const v16 zero = v16_set1(0.0f);
    return v16_select(v16_le(z, zero), zero, z);
}

FNN_INLINE v16 activate(v16 z, fnn_activation activation) {
    switch (activation) {
    case FNN_SIGMOID: return vsigmoid(z);
    case FNN_TANH: return vtanh(z);
    case FNN_RELU: return vrelu(z);
    default: return z;
    }
}

/* dy times the activation's derivative, which y = activation(z) gives without z */
FNN_INLINE v16 through_activation(v16 dy, v16 y, fnn_activation activation) {
    const v16 one = v16_set1(1.0f), zero = v16_set1(0.0f);
    switch (activation) {
    case FNN_SIGMOID: return v16_mul(dy, v16_mul(y, v16_sub(one, y)));
    case FNN_TANH: return v16_mul(dy, v16_fma(v16_mul(v16_set1(-1.0f), y), y, one));
    case FNN_RELU: return v16_select(v16_le(y, zero), zero, dy);
    default: return dy;
    }
}

FNN_INLINE v16 apply_one(v16 x, fnn_function function) {
    switch (function) {
    case FNN_EXP: return vexp(x);
    case FNN_LOG: return vlog(x);
    case FNN_LOG1P: return vlog1p(x);
    case FNN_FN_SIGMOID: return vsigmoid(x);
    case FNN_FN_TANH: return vtanh(x);
    default: return vrelu(x);
    }
}

static void apply(float *y, const float *x, int64_t n, fnn_function function) {
    int64_t i = 0;
    for (; i + FNN_LANES <= n; i += FNN_LANES) v16_store(y + i, apply_one(v16_load(x + i), function));
    float rest[FNN_LANES] = {0};
    for (int64_t j = i; j < n; j++) rest[j - i] = x[j];
    v16_store(rest, apply_one(v16_load(rest), function));
    for (int64_t j = i; j < n; j++) y[j] = rest[j - i];
}
