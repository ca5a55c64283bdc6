/* histogram.c: how a variable's values are distributed, counted where they lie. */
#include "fnn.h"

#include <float.h>
#include <math.h>

/* Which of the bins that edges separate holds each lane: the last edge <= the value, by bisection, all lanes in
 * lockstep, so that their chains of compares overlap.  Below the first edge and for NaN it is 0. */
static void find_bins(int64_t at[FNN_LANES], const double value[FNN_LANES], const double *edges, int64_t n_bins) {
    for (int i = 0; i < FNN_LANES; i++) at[i] = 0;
    for (int64_t rest = n_bins; rest > 1;) {
        const int64_t half = rest / 2;
        for (int i = 0; i < FNN_LANES; i++) at[i] += -(int64_t)(edges[at[i] + half] <= value[i]) & half;
        rest -= half;
    }
}

static int is_finite(double value) { return value - value == 0; }

static void add_moments(fnn_moments *moments, double value) {
    moments->finite++;
    moments->sum += value;
    moments->squares += value * value;
    if (value < moments->min) moments->min = value;
    if (value > moments->max) moments->max = value;
}

fnn_moments fnn_histogram(int64_t *counts, const float *packed, int64_t n_in, int64_t n_out, const double *edges,
                          int64_t n_bins) {
    fnn_moments moments = {.min = DBL_MAX, .max = -DBL_MAX};
    for (int64_t bin = 0; bin < n_bins; bin++) counts[bin] = 0;
    for (int64_t row = 0; row < fnn_panels(n_out) * n_in; row++, packed += FNN_LANES) {
        const int64_t left = n_out - row / n_in * FNN_LANES;
        const int lanes = left < FNN_LANES ? (int)left : FNN_LANES;
        double value[FNN_LANES];
        int64_t at[FNN_LANES];
        for (int i = 0; i < FNN_LANES; i++) value[i] = packed[i];
        find_bins(at, value, edges, n_bins);
        for (int i = 0; i < lanes; i++) {
            if (is_finite(value[i])) add_moments(&moments, value[i]);
            if (value[i] >= edges[0] && value[i] <= edges[n_bins]) counts[at[i]]++;
        }
    }
    if (moments.finite == 0) moments.min = moments.max = NAN;
    return moments;
}
