"""The formulas of csrc/kernels in scalar C99, operation for operation: tests hold their bits equal."""

from __future__ import annotations

from collections.abc import Sequence

_NEEDS = {
    "reduction": ["polynomial"],
    "log1p": ["polynomial"],
    "exp": ["reduction"],
    "sigmoid": ["reduction"],
    "tanh": ["polynomial"],
    "elu": ["reduction"],
    "silu": ["reduction"],
    "gelu": ["reduction", "relu"],
    "softplus": ["exp", "log1p", "relu"],
    "softmax": ["exp"],
}


def with_their_needs(functions: Sequence[str]) -> list[str]:
    """These functions and what they call, each once, callees first; "linear" needs none."""
    ordered: dict[str, None] = {}
    for function in functions:
        if function in ordered or function == "linear":
            continue
        ordered |= dict.fromkeys(with_their_needs(_NEEDS.get(function, [])))
        ordered[function] = None
    return list(ordered)


FUNCTIONS = {
    "dense": """\
/* y = x W + b, products added in ascending order of k to the bias; those with a zero change nothing */
static void dense(float *y, const float *x, const float *w, const float *b, int n_in, int n_out) {
    memcpy(y, b, (size_t)n_out * sizeof *y);
    for (int k = 0; k < n_in; k++, w += n_out) {
        if (x[k] == 0.0f) continue;
        for (int j = 0; j < n_out; j++) y[j] = fmaf(x[k], w[j], y[j]);
    }
    for (int j = 0; j < n_out; j++) y[j] += 0.0f; /* no -0 */
}
""",
    "polynomial": """\
/* c[0] x^(n - 1) + ... + c[n - 1] */
static float polynomial(float x, const float *c, int n) {
    float p = c[0];
    for (int i = 1; i < n; i++) p = fmaf(p, x, c[i]);
    return p;
}
""",
    "reduction": """\
static float clamp(float a, float low, float high) {
    a = a < low ? low : a;
    return high < a ? high : a;
}

/* a b to the nearest whole number */
static float round_product(float a, float b) { return fmaf(a, b, 0x1.8p23f) - 0x1.8p23f; }

/* a = n log(2) + r: returns r */
static float reduce_by_log2(float a, float *n) {
    *n = round_product(a, 1.44269504f);
    return fmaf(*n, 2.12194440e-4f, fmaf(*n, -0.693359375f, a));
}

/* exp(r) - 1 for |r| <= log(2) / 2 */
static float expm1_reduced(float r) {
    static const float c[] = {0.00138145988f, 0.00836871658f, 0.041668389f, 0.166665211f, 0.49999994f};
    return fmaf(r * r, polynomial(r, c, 5), r);
}

/* 2^n for whole n in [-126, 127] */
static float power_of_two(float n) {
    if (!(n >= -126.0f && n <= 127.0f)) return 0.0f;
    const int32_t bits = ((int32_t)n + 127) * (1 << 23);
    float power;
    memcpy(&power, &bits, sizeof power);
    return power;
}
""",
    "exp": """\
static float exp_of(float a) {
    float n;
    const float r = reduce_by_log2(clamp(a, -104.0f, 89.0f), &n);
    const float p = 1.0f + expm1_reduced(r), half = round_product(n, 0.5f);
    return p * power_of_two(half) * power_of_two(n - half);
}
""",
    "log1p": """\
/* for 0 <= a <= 1 */
static float log1p_of(float a) {
    static const float c[] = {0.140033901f, 0.140015125f, 0.200107187f, 0.333332092f};
    const float s = a / (2.0f + a), square = s * s, twice = s + s;
    return fmaf(twice * square, polynomial(square, c, 4), twice);
}
""",
    "sigmoid": """\
static float sigmoid_of(float z) {
    float n;
    const float r = reduce_by_log2(clamp(0.0f - z, -40.0f, 104.0f), &n);
    const float power = power_of_two(n - 64.0f);
    return 0x1p-64f / (power + fmaf(power, expm1_reduced(r), 0x1p-64f));
}
""",
    "tanh": """\
static float tanh_of(float z) {
    static const float near[] = {0.0164378788f, -0.0526720099f, 0.133207291f, -0.333329469f};
    static const float far[] = {3.65032565e-06f, -5.10462487e-05f, 0.000432478293f, -0.0016185384f,
                                0.00655292673f,  -0.00134677428f,  0.0537207909f,   0.156847998f,
                                0.505001664f,    0.998560786f,     1.00017786f};
    const float size = fabsf(z), square = z * z;
    if (size < 0.55f) return fmaf(square * polynomial(square, near, 4), z, z);
    const float e = polynomial(size, far, 11), sign = z < 0.0f ? -1.0f : 1.0f;
    return fmaf(-2.0f / fmaf(e, e, 1.0f), sign, sign);
}
""",
    "relu": """\
static float relu_of(float z) { return z <= 0.0f ? 0.0f : z; }
""",
    "affine": """\
static float affine_of(float z, float a, float b) { return fmaf(z, a, b); }
""",
    "leaky_relu": """\
static float leaky_relu_of(float z, float a) { return z < 0.0f ? a * z : z; }
""",
    "elu": """\
static float elu_of(float z, float a) {
    float n;
    const float q = expm1_reduced(reduce_by_log2(clamp(z, -40.0f, 0.0f), &n)), power = power_of_two(n);
    const float e = fmaf(power, q, power - 1.0f);
    return z < 0.0f ? a * e : z;
}
""",
    "threshold": """\
static float threshold_of(float z) { return z < 0.0f ? -1.0f : 0.0f <= z ? 1.0f : z; }
""",
    "silu": """\
static float silu_of(float z) {
    float n;
    const float r = reduce_by_log2(clamp(0.0f - z, -40.0f, 110.0f), &n);
    const float power = power_of_two(n - 32.0f);
    const float sum = power + fmaf(power, expm1_reduced(r), 0x1p-32f);
    return 100.0f < z ? z : clamp(z, -110.0f, 100.0f) / sum * 0x1p-32f + 0.0f;
}
""",
    "softplus": """\
static float softplus_of(float z) { return relu_of(z) + log1p_of(exp_of(-1.0f * fabsf(z))); }
""",
    "gelu": """\
/* max(z, 0) - |z| Q(|z|), Q(t) = exp(-t^2 / 2) R(t) the normal distribution's upper tail */
static float gelu_of(float z) {
    static const float c[] = {2.01530202e-05f, 3.83615734e-05f, -0.000140302596f, -0.000284858164f, 0.00121174415f,
                              0.0009080171f,   -0.0138801653f,  0.0432748534f,    -0.0822897404f,   0.110985309f};
    const float t = clamp(fabsf(z), 0.0f, 16.0f), square = t * t, low = fmaf(t, t, -1.0f * square);
    float n;
    const float r = fmaf(-0.5f, low, reduce_by_log2(-0.5f * square, &n)), half = round_product(n, 0.5f);
    const float e = (1.0f + expm1_reduced(r)) * power_of_two(half) * power_of_two(n - half);
    const float d = fmaf(0.3f, t, 1.0f), w = -2.0f / d, lost = fmaf(0.3f, t, 1.0f - d);
    const float off = fmaf(lost, w, fmaf(d, w, 2.0f)), more = -0.5f * w * off, rest = more - w;
    const float u = 1.0f + w - more;
    return fmaf(-1.0f * e, t * rest * polynomial(u, c, 10), relu_of(z));
}
""",
    "softmax": """\
static void softmax_of(float *y, int n) {
    float max = y[0], sum = 0.0f;
    for (int i = 1; i < n; i++) max = max < y[i] ? y[i] : max;
    for (int i = 0; i < n; i++) sum += y[i] = exp_of(y[i] - max);
    for (int i = 0; i < n; i++) y[i] /= sum;
}
""",
}
