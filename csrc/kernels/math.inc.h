/* math.inc.h: exp, log and the activations from + - * / fma alone, so that every instruction set gives equal bits.
 *
 * The polynomials are minimax, by Remez' algorithm in 120 bits; their coefficients were rounded to floats, those of
 * expm1_reduced at once, the others one by one, the lowest first and the rest fitted again each time. How far one is
 * "off" says what it adds to the function's relative error. A function "errs by" its largest distance from the exact
 * value over every float of its range, all roundings included, in units in the last place: tests/test_kernels.py. */

/* c[0] x^(n - 1) + ... + c[n - 1] */
FNN_INLINE v16 polynomial(v16 x, const float *c, int n) {
    v16 p = v16_set1(c[0]);
    for (int i = 1; i < n; i++) p = v16_fma(p, x, v16_set1(c[i]));
    return p;
}

/* exp(r) - 1 for |r| <= log(2) / 2: off by 0.07 / 2^24 of exp(r) */
FNN_INLINE v16 expm1_reduced(v16 r) {
    static const float c[] = {0.00138145988f, 0.00836871658f, 0.041668389f, 0.166665211f, 0.49999994f};
    return v16_fma(v16_mul(r, r), polynomial(r, c, 5), r);
}

/* a b to the nearest whole number, |a b| < 2^22 */
FNN_INLINE v16 round_product(v16 a, float b) {
    const v16 magic = v16_set1(0x1.8p23f);
    return v16_sub(v16_fma(a, v16_set1(b), magic), magic);
}

/* a = n log(2) + r (Cody and Waite: log(2) in two parts, the first of few bits): returns r */
FNN_INLINE v16 reduce_by_log2(v16 a, v16 *n) {
    *n = round_product(a, 1.44269504f);
    const v16 r = v16_fma(*n, v16_set1(-0.693359375f), a);
    return v16_fma(*n, v16_set1(2.12194440e-4f), r);
}

/* NaN passes */
FNN_INLINE v16 clamp(v16 a, float low, float high) {
    a = v16_select(v16_lt(a, v16_set1(low)), v16_set1(low), a);
    return v16_select(v16_lt(v16_set1(high), a), v16_set1(high), a);
}

/* Errs by 1.010. */
FNN_INLINE v16 vexp(v16 a) {
    v16 n;
    const v16 r = reduce_by_log2(clamp(a, -104.0f, 89.0f), &n);
    const v16 p = v16_add(v16_set1(1.0f), expm1_reduced(r));
    /* two factors: n may lie outside a float's exponents */
    const v16 half = round_product(n, 0.5f);
    return v16_mul(v16_mul(p, v16_pow2(half)), v16_pow2(v16_sub(n, half)));
}

/* normal positive a; NaN and infinity pass. Errs by 1.969, the polynomial off by 0.02 / 2^24. */
FNN_INLINE v16 vlog(v16 a) {
    static const float c[] = {0.149353474f, 0.199887931f, 0.33333388f};
    v16 e;
    const v16 m = v16_split(a, &e);
    const v16 one = v16_set1(1.0f);
    const v16 s = v16_div(v16_sub(m, one), v16_add(m, one)); /* log m = 2 atanh(s), |s| < 0.172 */
    const v16 z = v16_mul(s, s), twice = v16_add(s, s);
    const v16 log_m = v16_fma(v16_mul(twice, z), polynomial(z, c, 3), twice);
    const v16 low = v16_fma(e, v16_set1(-2.12194440e-4f), log_m);
    const v16 result = v16_fma(e, v16_set1(0.693359375f), low);
    return v16_select(v16_lt(a, v16_set1(__builtin_inff())), result, a);
}

/* log(1 + a) for 0 <= a <= 1; NaN passes. Errs by 1.975, the polynomial off by 0.08 / 2^24. */
FNN_INLINE v16 vlog1p(v16 a) {
    static const float c[] = {0.140033901f, 0.140015125f, 0.200107187f, 0.333332092f};
    const v16 s = v16_div(a, v16_add(v16_set1(2.0f), a)); /* log(1 + a) = 2 atanh(s), s <= 1/3 */
    const v16 z = v16_mul(s, s), twice = v16_add(s, s);
    return v16_fma(v16_mul(twice, z), polynomial(z, c, 4), twice);
}

/* 1 / (1 + exp(-z)), both sides of the division scaled: exp(104) is no float, but its reciprocal is one.
 * The sum is 2^n + (2^n q + 1) with exp(-z) = 2^n (1 + q), so that exp(-z) is not rounded by itself. Errs by 1.9991. */
FNN_INLINE v16 vsigmoid(v16 z) {
    const v16 unit = v16_set1(0x1p-64f);
    v16 n;
    const v16 r = reduce_by_log2(clamp(v16_sub(v16_set1(0.0f), z), -40.0f, 104.0f), &n);
    const v16 power = v16_pow2(v16_sub(n, v16_set1(64.0f)));
    return v16_div(unit, v16_add(power, v16_fma(power, expm1_reduced(r), unit)));
}

/* Where |tanh z| < 1/2: z + z^3 P(z^2), off by 0.62 / 2^24; it makes +0 of -0. Further out: 1 - 2 / (exp(2|z|) + 1),
 * which halves the relative error of the fraction, and more as it shrinks. So a polynomial serves for exp(|z|), fitted
 * on [0.55, 9.01] for the error of tanh: off by 0.16 / 2^24. From there on tanh rounds to 1, and the polynomial grows
 * to infinity. Errs by 1.994. */
FNN_INLINE v16 vtanh(v16 z) {
    static const float near[] = {0.0164378788f, -0.0526720099f, 0.133207291f, -0.333329469f};
    static const float far[] = {3.65032565e-06f, -5.10462487e-05f, 0.000432478293f, -0.0016185384f,
                                0.00655292673f,  -0.00134677428f,  0.0537207909f,   0.156847998f,
                                0.505001664f,    0.998560786f,     1.00017786f};
    const v16 one = v16_set1(1.0f), size = v16_abs(z), square = v16_mul(z, z);
    const v16 small = v16_fma(v16_mul(square, polynomial(square, near, 4)), z, z);
    const v16 e = polynomial(size, far, 11);
    const v16 sign = v16_select(v16_lt(z, v16_set1(0.0f)), v16_set1(-1.0f), one);
    const v16 large = v16_fma(v16_div(v16_set1(-2.0f), v16_fma(e, e, one)), sign, sign);
    return v16_select(v16_lt(size, v16_set1(0.55f)), small, large);
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
