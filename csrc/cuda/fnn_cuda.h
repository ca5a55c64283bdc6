/* fnn_cuda.h: the C API of the CUDA module: the verbs of fnn.h on a device.  No Python, no CUDA header: the border in
 * fastnn/_cuda.pyx and tests include it as C.
 *
 * Bits: every result equals that of fnn.h's verb of the same name, for the device computes each value by the same
 * operations in the same order; both share their formulas (kernels/math, descend, criteria).  In precisions other than
 * FNN_FP32 they do not.
 *
 * A call returns when its work is done.  Calls on one plan take turns: its owner sees to that. */
#ifndef FNN_CUDA_H
#define FNN_CUDA_H

#include "../fnn.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- devices ---------------------------------------------------------------------------------------------------- */

/* How many there are; asking is safe without a driver. */
int fnn_cuda_device_count(void);
/* Why there are none, in one sentence without a full stop; "" if there are. */
const char *fnn_cuda_why_unavailable(void);
/* Its product name, in this thread's buffer. */
const char *fnn_cuda_device_name(int device);
/* What this thread's last FNN_ERR_DEVICE or FNN_ERR_MEMORY was about: the call and the driver's words. */
const char *fnn_cuda_error(void);

/* ---- precisions --------------------------------------------------------------------------------------------------- */

/* Who computes the matrix products of wide layers, and in which numbers: this library, to the bits of the CPU; or
 * NVIDIA's cuBLASLt, in float, in TF32, in three products of TF32 that make up for nearly all of a float, or in
 * bfloat16.  Sums are float.  Of a layer whose sums NVIDIA's turns into the next factor itself, biases and their
 * gradients are in bfloat16 where that is. */
typedef enum fnn_precision { FNN_FP32, FNN_FP32_BLAS, FNN_TF32, FNN_3XTF32, FNN_BF16 } fnn_precision;

/* Inputs and outputs that a layer has at least, if its products are not this library's. */
#define FNN_BLAS_WIDTH 64
/* Or inputs, if they are outputs of such a layer, and it has fewer outputs of its own: to hand so many over from the
 * one's kernels to the other's would cost more than the products (an estimate: it was not measured). */
#define FNN_BLAS_INPUTS 1024

/* Loads cuBLASLt, once: the first of these files or names that is loaded already or else can be loaded.  "" or why it
 * cannot be, in this thread's buffer.  Must have been done before a plan asks for its precisions. */
const char *fnn_cuda_load_blas(const char *const *names, int n_names);

/* ---- what lives on a device --------------------------------------------------------------------------------------- */

/* n floats, zeros at first: a parameter block, or blocks of an optimiser's state. */
typedef struct fnn_cuda_floats fnn_cuda_floats;
fnn_status fnn_cuda_floats_create(fnn_cuda_floats **floats, int device, int64_t n);
void fnn_cuda_floats_destroy(fnn_cuda_floats *floats);
/* All n of them. */
fnn_status fnn_cuda_floats_upload(fnn_cuda_floats *floats, const float *from);
fnn_status fnn_cuda_floats_download(const fnn_cuda_floats *floats, float *to);

/* A copy of a data set: bytes stay bytes, lists stay lists; bits are not needed. */
typedef struct fnn_cuda_data fnn_cuda_data;
fnn_status fnn_cuda_data_create(fnn_cuda_data **out, int device, const fnn_net *net, const fnn_data *data);
void fnn_cuda_data_destroy(fnn_cuda_data *data);

/* Memory for batches of up to n_batch rows of one network, for training or prediction, and copies of its masks.  The
 * network must outlive the plan. */
typedef struct fnn_cuda_plan fnn_cuda_plan;
fnn_status fnn_cuda_plan_create(fnn_cuda_plan **plan, int device, const fnn_net *net, int64_t n_batch, int training,
                                fnn_precision precision);
void fnn_cuda_plan_destroy(fnn_cuda_plan *plan);
/* For tests, as fnn_plan_poison. */
fnn_status fnn_cuda_plan_poison(fnn_cuda_plan *plan, int byte);

/* ---- verbs: as in fnn.h; out, outs, gradients, metrics are the host's ----------------------------------------------- */

fnn_status fnn_cuda_predict(fnn_cuda_plan *plan, const fnn_cuda_floats *params, const fnn_cuda_data *data, fnn_link link,
                            int64_t budget_ns, int64_t *row, float *out);
fnn_status fnn_cuda_activities(fnn_cuda_plan *plan, const fnn_cuda_floats *params, const fnn_cuda_data *data,
                               int64_t budget_ns, int64_t *row, float *const *outs);
/* FNN_CUSTOM is not for a device: the border refuses it, here and below.  gradients: NULL leaves them in the plan. */
fnn_status fnn_cuda_evaluate(fnn_cuda_plan *plan, const fnn_cuda_floats *params, const fnn_cuda_data *data,
                             fnn_loss loss, int64_t budget_ns, int64_t *row, fnn_metrics *metrics);
fnn_status fnn_cuda_gradients(fnn_cuda_plan *plan, const fnn_cuda_floats *params, const fnn_cuda_data *data,
                              fnn_loss loss, const fnn_share *share, float *gradients, fnn_metrics *metrics);
/* epoch->data is not read; epoch->perf gets nothing.  state: NULL where fnn_state_blocks is 0. */
fnn_status fnn_cuda_train(fnn_cuda_plan *plan, fnn_cuda_floats *params, fnn_cuda_floats *state,
                          const fnn_cuda_data *data, fnn_epoch *epoch, int64_t budget_ns);

/* ---- towers on different devices, which exchange gradients by NVIDIA's NCCL -------------------------------------- */

/* As fnn_cuda_load_blas; must have been done before what follows. */
const char *fnn_cuda_load_nccl(const char *const *names, int n_names);

/* NCCL's communicators, and on each device memory for all towers' gradients of one network. */
typedef struct fnn_cuda_exchange fnn_cuda_exchange;
fnn_status fnn_cuda_exchange_create(fnn_cuda_exchange **exchange, const int *devices, int n_devices,
                                    const fnn_net *net);
void fnn_cuda_exchange_destroy(fnn_cuda_exchange *exchange);

/* What a device has of a training. */
typedef struct fnn_cuda_tower {
    fnn_cuda_plan *plan;
    fnn_cuda_floats *params, *state;
} fnn_cuda_tower;

/* What fnn_train_by does to parameters and states, to those of each tower, by the gradients that the first n_shares of
 * them have in their plans.  Of the epoch it changes the norms.  If it fails, parameters and states may be anything. */
fnn_status fnn_cuda_descend(fnn_cuda_exchange *exchange, const fnn_cuda_tower *towers, fnn_epoch *epoch,
                            int64_t n_shares);

#ifdef __cplusplus
}
#endif
#endif
