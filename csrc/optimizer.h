/* optimizer.h: constants of Adam and RMSProp; private to what updates parameters, on a CPU or a GPU. */
#ifndef FNN_OPTIMIZER_H
#define FNN_OPTIMIZER_H

#include "kernels.h"

#ifdef __cplusplus
extern "C" {
#endif

/* At step `step` of the epoch: the rate over the bias correction, and the rest of sink->adam.  Computed in double, and
 * rounded once a step. */
void fnn_correct_bias(fnn_sink *sink, const fnn_epoch *epoch, int64_t step);

#ifdef __cplusplus
}
#endif
#endif
