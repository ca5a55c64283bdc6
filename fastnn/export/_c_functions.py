"""The formulas of csrc/kernels in scalar C99, operation for operation: tests hold their bits equal."""

from __future__ import annotations

from collections.abc import Sequence

_NEEDS = {
    "exp": ["reduced_exp"],
    "sigmoid": ["reduced_exp"],
    "tanh": ["polynomial"],
    "reduced_exp": ["polynomial"],
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
    "reduced_exp": """\
/* a clamped to [low, high] is n log(2) + r: returns exp(r) - 1 */
static float reduced_exp(float a, float low, float high, float *n) {
    static const float c[] = {0.00138145988f, 0.00836871658f, 0.041668389f, 0.166665211f, 0.49999994f};
    a = a < low ? low : a;
    a = high < a ? high : a;
    *n = fmaf(a, 1.44269504f, 0x1.8p23f) - 0x1.8p23f;
    const float r = fmaf(*n, 2.12194440e-4f, fmaf(*n, -0.693359375f, a));
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
    const float p = 1.0f + reduced_exp(a, -104.0f, 89.0f, &n);
    const float half = fmaf(n, 0.5f, 0x1.8p23f) - 0x1.8p23f;
    return p * power_of_two(half) * power_of_two(n - half);
}
""",
    "sigmoid": """\
static float sigmoid_of(float z) {
    float n;
    const float q = reduced_exp(0.0f - z, -40.0f, 104.0f, &n);
    const float power = power_of_two(n - 64.0f);
    return 0x1p-64f / (power + fmaf(power, q, 0x1p-64f));
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
    "softmax": """\
static void softmax_of(float *y, int n) {
    float max = y[0], sum = 0.0f;
    for (int i = 1; i < n; i++) max = max < y[i] ? y[i] : max;
    for (int i = 0; i < n; i++) sum += y[i] = exp_of(y[i] - max);
    for (int i = 0; i < n; i++) y[i] /= sum;
}
""",
}
