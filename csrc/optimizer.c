/* optimizer.c: constants of Adam and RMSProp, which change from step to step. */
#include "optimizer.h"

#include <math.h>

/* x^n by products alone: the same bits everywhere, which libm's pow does not promise. */
static double power(double x, int64_t n) {
    double result = 1;
    for (; n > 0; n /= 2, x *= x)
        if (n % 2 != 0) result *= x;
    return result;
}

void fnn_correct_bias(fnn_sink *sink, const fnn_epoch *epoch, int64_t step) {
    const int64_t t = (int64_t)epoch->first_step + step + 1;
    sink->rate = (float)(sink->rate / (1 - power(epoch->beta1, t)));
    sink->adam = (fnn_adam){.beta1 = (float)epoch->beta1,
                            .rest1 = (float)(1 - epoch->beta1),
                            .beta2 = (float)epoch->beta2,
                            .rest2 = (float)(1 - epoch->beta2),
                            .root_scale = (float)(1 / sqrt(1 - power(epoch->beta2, t))),
                            .epsilon = epoch->epsilon};
}
