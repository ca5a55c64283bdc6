/* math.inc.h: exp, log and the activations from + - * / fma alone, so that every instruction set gives equal bits.
 *
 * The polynomials are minimax, by Remez' algorithm in 120 bits; their coefficients were rounded to floats, those of
 * expm1_reduced at once, the others one by one, the lowest first and the rest fitted again each time. How far one is
 * "off" says what it adds to the function's relative error. A function "errs by" its largest distance from the exact
 * value over every float where it curves, all roundings included, in units in the last place: tests/test_kernels.py. */

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

FNN_INLINE v16 below(v16 z, float limit, v16 a, v16 b) { return v16_select(v16_lt(z, v16_set1(limit)), a, b); }

/* exp(z) - 1 for z <= 0: 2^n q + (2^n - 1), the last exact as far as it matters. With a = 1 it errs by
 * at most 1. */
FNN_INLINE v16 velu(v16 z, float a) {
    v16 n;
    const v16 q = expm1_reduced(reduce_by_log2(clamp(z, -40.0f, 0.0f), &n)), power = v16_pow2(n);
    const v16 e = v16_fma(power, q, v16_sub(power, v16_set1(1.0f)));
    return below(z, 0.0f, v16_mul(v16_set1(a), e), z);
}

FNN_INLINE v16 vleaky_relu(v16 z, float a) { return below(z, 0.0f, v16_mul(v16_set1(a), z), z); }

FNN_INLINE v16 vthreshold(v16 z) {
    const v16 high = v16_select(v16_le(v16_set1(0.0f), z), v16_set1(1.0f), z); /* NaN passes */
    return below(z, 0.0f, v16_set1(-1.0f), high);
}

/* z sigmoid(z) = 2^-32 z / (2^-32 (1 + exp(-z))), the scale as in vsigmoid, and its slope s + z s (1 - s). From z = 100
 * on it is z, and up to -110 it is 0. Errs by less than 2. */
FNN_INLINE v16 vsilu(v16 z, v16 *slope) {
    const v16 unit = v16_set1(0x1p-32f), one = v16_set1(1.0f);
    const v16 near = clamp(z, -110.0f, 100.0f);
    v16 n;
    const v16 r = reduce_by_log2(clamp(v16_sub(v16_set1(0.0f), z), -40.0f, 110.0f), &n);
    const v16 power = v16_pow2(v16_sub(n, v16_set1(32.0f)));
    const v16 rest = v16_fma(power, expm1_reduced(r), power); /* 2^-32 exp(-z) */
    const v16 sum = v16_add(power, v16_fma(power, expm1_reduced(r), unit));
    *slope = v16_mul(v16_div(unit, sum), v16_fma(near, v16_div(rest, sum), one));
    const v16 y = v16_add(v16_mul(v16_div(near, sum), unit), v16_set1(0.0f)); /* no -0 */
    return v16_select(v16_lt(v16_set1(100.0f), z), z, y);
}

/* max(z, 0) + log(1 + exp(-|z|)). Errs by at most 2.87, half of it the
 * exponential's. */
FNN_INLINE v16 vsoftplus(v16 z, v16 *slope) {
    *slope = vsigmoid(z);
    return v16_add(vrelu(z), vlog1p(vexp(v16_mul(v16_set1(-1.0f), v16_abs(z)))));
}

/* z Phi(z) = max(z, 0) - |z| Q(|z|) with Q(t) = 1 - Phi(t) = exp(-t^2 / 2) R(t), and the slope Phi(z) + z Phi'(z).
 * R is (1 - u) P(u) with u = 1 - 2 / (1 + 0.3 t), fitted on [0, 16] for the relative error: off by 0.41 / 2^24. What
 * the roundings of 1 + 0.3 t, of the quotient and of t^2 lose is put back. Errs by at most 4.36. */
FNN_INLINE v16 vgelu(v16 z, v16 *slope) {
    static const float c[] = {2.01530202e-05f, 3.83615734e-05f, -0.000140302596f, -0.000284858164f, 0.00121174415f,
                              0.0009080171f,   -0.0138801653f,  0.0432748534f,    -0.0822897404f,   0.110985309f};
    const v16 zero = v16_set1(0.0f), one = v16_set1(1.0f), minus = v16_set1(-1.0f), half = v16_set1(-0.5f);
    const v16 t = clamp(v16_abs(z), 0.0f, 16.0f), square = v16_mul(t, t);
    const v16 low = v16_fma(t, t, v16_mul(minus, square));
    v16 n;
    const v16 r = v16_fma(half, low, reduce_by_log2(v16_mul(half, square), &n));
    const v16 first = v16_pow2(round_product(n, 0.5f)), second = v16_pow2(v16_sub(n, round_product(n, 0.5f)));
    const v16 e = v16_mul(v16_mul(v16_add(one, expm1_reduced(r)), first), second);
    const v16 d = v16_fma(v16_set1(0.3f), t, one), w = v16_div(v16_set1(-2.0f), d);
    const v16 lost = v16_fma(v16_set1(0.3f), t, v16_sub(one, d)); /* 1 + 0.3 t - d */
    const v16 off = v16_fma(lost, w, v16_fma(d, w, v16_set1(2.0f)));
    const v16 more = v16_mul(v16_mul(half, w), off), rest = v16_sub(more, w); /* 2 / (1 + 0.3 t) */
    const v16 u = v16_sub(v16_add(one, w), more);
    const v16 p = polynomial(u, c, sizeof c / sizeof *c);
    const v16 tail = v16_mul(e, v16_fma(rest, p, v16_mul(v16_set1(-0.398942280f), t)));
    *slope = v16_select(v16_lt(z, zero), tail, v16_sub(one, tail));
    return v16_fma(v16_mul(minus, e), v16_mul(v16_mul(t, rest), p), vrelu(z));
}

#define FNN_EACH_PLAIN(M)                                                                                              \
    M(FNN_LINEAR) M(FNN_SIGMOID) M(FNN_TANH) M(FNN_RELU) M(FNN_AFFINE) M(FNN_LEAKY_RELU) M(FNN_ELU) M(FNN_THRESHOLD)
#define FNN_EACH_KEEPING_SLOPE(M) M(FNN_GELU) M(FNN_SILU) M(FNN_SOFTPLUS)

/* slope: of the functions that keep it */
FNN_INLINE v16 activate(v16 z, const fnn_activation activation, v16 *slope) {
    *slope = v16_set1(0.0f);
    switch (activation.function) {
    case FNN_SIGMOID: return vsigmoid(z);
    case FNN_TANH: return vtanh(z);
    case FNN_RELU: return vrelu(z);
    case FNN_AFFINE: return v16_fma(z, v16_set1(activation.a), v16_set1(activation.b));
    case FNN_LEAKY_RELU: return vleaky_relu(z, activation.a);
    case FNN_ELU: return velu(z, activation.a);
    case FNN_THRESHOLD: return vthreshold(z);
    case FNN_GELU: return vgelu(z, slope);
    case FNN_SILU: return vsilu(z, slope);
    case FNN_SOFTPLUS: return vsoftplus(z, slope);
    default: return z;
    }
}

/* dy times the activation's slope, which y tells: it is activation(z), or of those that keep it the slope itself. A
 * threshold passes nothing. */
FNN_INLINE v16 through_activation(v16 dy, v16 y, const fnn_activation activation) {
    const v16 one = v16_set1(1.0f), zero = v16_set1(0.0f), a = v16_set1(activation.a);
    switch (activation.function) {
    case FNN_SIGMOID: return v16_mul(dy, v16_mul(y, v16_sub(one, y)));
    case FNN_TANH: return v16_mul(dy, v16_fma(v16_mul(v16_set1(-1.0f), y), y, one));
    case FNN_RELU: return v16_select(v16_le(y, zero), zero, dy);
    case FNN_AFFINE: return v16_mul(dy, a);
    case FNN_LEAKY_RELU: return v16_select(v16_le(y, zero), v16_mul(dy, a), dy);
    case FNN_ELU: return v16_select(v16_le(y, zero), v16_mul(dy, v16_add(y, a)), dy);
    case FNN_THRESHOLD: return zero;
    case FNN_GELU:
    case FNN_SILU:
    case FNN_SOFTPLUS: return v16_mul(dy, y);
    default: return dy;
    }
}
