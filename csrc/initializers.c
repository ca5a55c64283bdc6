/* initializers.c: random numbers for fresh parameters, from Philox through arithmetic of our own, so that a seed gives
 * the same bits on every machine.  Normal values are the inverse of the distribution function at a uniform draw: one
 * draw a value, and truncation is a narrower range of the draw.  Source of the approximation: Wichura, "Algorithm
 * AS 241: the percentage points of the normal distribution", Applied Statistics 37 (1988), the variant PPND16, whose
 * relative error is about 1e-16. */
#include "fnn.h"
#include "rng.h"

#include <string.h>

/* Probability of a standard normal value below -2. */
#define TAIL_BEYOND_TWO 0.022750131948179207

static double polynomial(const double *coefficients, int n, double x) {
    double sum = coefficients[n - 1];
    for (int i = n - 2; i >= 0; i--) sum = sum * x + coefficients[i];
    return sum;
}

/* Natural logarithm of a normal positive number: x = m * 2^e with m in [sqrt(1/2), sqrt(2)), log m = 2 atanh(s). */
static double natural_log(double x) {
    static const double atanh_series[] = {1.0,        1.0 / 3.0,  1.0 / 5.0,  1.0 / 7.0,  1.0 / 9.0, 1.0 / 11.0,
                                          1.0 / 13.0, 1.0 / 15.0, 1.0 / 17.0, 1.0 / 19.0, 1.0 / 21.0};
    const uint64_t bits_of_sqrt_half = 0x3fe6a09e667f3bcdu;
    uint64_t bits;
    memcpy(&bits, &x, sizeof bits);
    const int64_t exponent = (int64_t)(bits - bits_of_sqrt_half) >> 52;
    bits -= (uint64_t)exponent << 52;
    double m;
    memcpy(&m, &bits, sizeof m);
    const double s = (m - 1.0) / (m + 1.0);
    return (double)exponent * 0.69314718055994530942 + 2.0 * s * polynomial(atanh_series, 11, s * s);
}

/* Inverse of the standard normal distribution function, 0 < p < 1. */
static double normal_quantile(double p) {
    static const double central_top[] = {3.3871328727963666080e0, 1.3314166789178437745e2, 1.9715909503065514427e3,
                                         1.3731693765509461125e4, 4.5921953931549871457e4, 6.7265770927008700853e4,
                                         3.3430575583588128105e4, 2.5090809287301226727e3};
    static const double central_bottom[] = {1.0,
                                            4.2313330701600911252e1,
                                            6.8718700749205790830e2,
                                            5.3941960214247511077e3,
                                            2.1213794301586595867e4,
                                            3.9307895800092710610e4,
                                            2.8729085735721942674e4,
                                            5.2264952788528545610e3};
    static const double middle_top[] = {1.42343711074968357734e0,  4.63033784615654529590e0, 5.76949722146069140550e0,
                                        3.64784832476320460504e0,  1.27045825245236838258e0, 2.41780725177450611770e-1,
                                        2.27238449892691845833e-2, 7.74545014278341407640e-4};
    static const double middle_bottom[] = {1.0,
                                           2.05319162663775882187e0,
                                           1.67638483018380384940e0,
                                           6.89767334985100004550e-1,
                                           1.48103976427480074590e-1,
                                           1.51986665636164571966e-2,
                                           5.47593808499534494600e-4,
                                           1.05075007164441684324e-9};
    static const double far_top[] = {6.65790464350110377720e0,  5.46378491116411436990e0,  1.78482653991729133580e0,
                                     2.96560571828504891230e-1, 2.65321895265761230930e-2, 1.24266094738807843860e-3,
                                     2.71155556874348757815e-5, 2.01033439929228813265e-7};
    static const double far_bottom[] = {1.0,
                                        5.99832206555887937690e-1,
                                        1.36929880922735805310e-1,
                                        1.48753612908506148525e-2,
                                        7.86869131145613259100e-4,
                                        1.84631831751005468180e-5,
                                        1.42151175831644588870e-7,
                                        2.04426310338993978564e-15};
    const double q = p - 0.5;
    if (q > -0.425 && q < 0.425) {
        const double r = 0.180625 - q * q;
        return q * polynomial(central_top, 8, r) / polynomial(central_bottom, 8, r);
    }
    double r = __builtin_sqrt(-natural_log(q < 0 ? p : 1.0 - p));
    double x;
    if (r <= 5.0) {
        r -= 1.6;
        x = polynomial(middle_top, 8, r) / polynomial(middle_bottom, 8, r);
    } else {
        r -= 5.0;
        x = polynomial(far_top, 8, r) / polynomial(far_bottom, 8, r);
    }
    return q < 0 ? -x : x;
}

/* (0, 1): the midpoints of 2^52 equal cells, so that neither end is met. */
static double open_uniform(const uint32_t words[4]) {
    const uint64_t cell = ((uint64_t)words[0] << 32 | words[1]) >> 12;
    return ((double)cell + 0.5) * 0x1p-52;
}

typedef struct drawing {
    float *out;
    int64_t n;
    fnn_distribution distribution;
    double a, b;
    uint64_t seed;
    int variable;
} drawing;

static float draw(const drawing *d, const uint32_t words[4]) {
    if (d->distribution == FNN_UNIFORM) {
        const float value = (float)(d->a + (d->b - d->a) * fnn_uniform(words[0], words[1]));
        return value < (float)d->b ? value : (float)d->a; /* rounding to float may reach b */
    }
    double p = open_uniform(words);
    if (d->distribution == FNN_TRUNCATED_NORMAL) p = TAIL_BEYOND_TWO + (1.0 - 2.0 * TAIL_BEYOND_TWO) * p;
    return (float)(d->a + d->b * normal_quantile(p));
}

static void draw_all(void *job, fnn_worker *me) {
    const drawing *d = job;
    (void)me;
    for (int64_t i = 0; i < d->n; i++) {
        const uint32_t counter[4] = {(uint32_t)i, (uint32_t)((uint64_t)i >> 32), 0,
                                     (uint32_t)FNN_STREAM_INITIALIZER << 16 | (uint32_t)d->variable};
        uint32_t words[4];
        fnn_philox_block(words, counter, d->seed);
        d->out[i] = draw(d, words);
    }
}

/* A team of one, because a team's members keep subnormals whatever the process does. */
void fnn_draw(float *out, int64_t n, fnn_distribution distribution, double a, double b, uint64_t seed, int variable) {
    drawing d = {out, n, distribution, a, b, seed, variable};
    fnn_team_run(1, draw_all, &d);
}
