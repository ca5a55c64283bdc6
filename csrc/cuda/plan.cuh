/* plan.cuh: a plan's memory, and the phases of what it does. */
#ifndef FNN_CUDA_PLAN_CUH
#define FNN_CUDA_PLAN_CUH

#include "../plan.h"
#include "blas.cuh"
#include "launch.cuh"
#include "memory.cuh"

#include <vector>

/* Row by row, in the numbers of the plan's precision; rest: for 3xtf32, what `at` leaves. */
struct plain_matrix {
    float *at, *rest;
};

/* Of one layer, as layer_memory of csrc/plan.h; masks twice, as those of a step are drawn during the one before.  In
 * training a layer that stays_plain has y alone, and that only if an own kernel asks for it on the way back. */
struct layer_blocks {
    float *y, *out, *dy;
    uint16_t *keep[2];
    const float *mask; /* of the weights; NULL: all are free */
    plain_matrix plain_x, plain_w, plain_dy; /* factors, where uses_blas; without training layers share them */
    bool is_fused;                           /* see choose_epilogues */
    bool sums_bias;                          /* the product that leaves dy leaves the biases' gradients too */
    plain_matrix plain_b, bias_gradient;     /* rows, where is_fused asks for them */
    void *positive;                          /* the library's mask of outputs */
};

/* Phases in order, and how each is launched; or, where product.a is there, that product. */
struct launchable {
    phase p;
    blas_product product;
    tile_size tile;
    size_t shared;
};
typedef std::vector<launchable> program;

struct fnn_cuda_plan {
    int device, n_processors;
    const fnn_net *net;
    int64_t n_batch;
    int training;
    fnn_precision precision;
    blas *library; /* NULL: no layer uses it */
    cudaStream_t stream;
    progress *at;
    float *x[2]; /* the second: of the next step, in training */
    std::vector<layer_blocks> layers;
    float *gradients;
    float *losses;
    int32_t *hits;
    double *squares;
    float *work;   /* columns for losses and outputs that shared memory is too small for; NULL: for none */
    float *sums;   /* of a product of the library's */
    float *matrix; /* outputs (n_batch, widest layer) */
    char *arena;
    size_t arena_bytes;
    device_array<uint32_t> order;
    device_array<step_constants> constants;
    device_array<double> step_losses;
    cudaGraphExec_t graph; /* of the phases in recorded */
    std::vector<char> recorded;
};

/* What a training changes, and by which rule. */
struct descent_on_device {
    float *params, *state;
    const fnn_epoch *epoch;
};

/* How outputs are judged; is_training: a loss that is not finite ends the training, and add_plain_weights came
 * before. */
struct judgement {
    fnn_loss loss;
    bool is_backward, is_training;
};

/* ---- plan_blas.cu ---- */

/* Whether the products of layer l are the library's: in precisions other than fp32, where it is wide enough
 * (FNN_BLAS_WIDTH, FNN_BLAS_INPUTS). */
bool uses_blas(const fnn_cuda_plan *plan, int64_t l);
/* Whether what layer l puts out, and the gradient at its logits, go to and come from the library alone, so that neither
 * need be in panels. */
bool stays_plain(const fnn_cuda_plan *plan, int64_t l);
/* Before memory is laid out: a layer that stays_plain is_fused if the library can do all else that the layer does to
 * sums: it has the epilogues for a linear layer or one of ReLUs without dropout, and factors that it stores itself are
 * as the next product reads them: floats or bfloat16, but not TF32, to which it does not round. */
fnn_status choose_epilogues(fnn_cuda_plan *plan);
/* Of layer l: y, or the next one's x; dx, or the gradient at the logits below.  A product that stores sums has no c. */
blas_product forward_product(const fnn_cuda_plan *plan, int64_t l, bool is_fused, const float *bias);
blas_product input_product(const fnn_cuda_plan *plan, int64_t l);
/* Rounded up to whole panels. */
static inline int64_t whole(int64_t n) { return fnn_panels(n) * FNN_LANES; }

/* ---- program*.cu: buffer 0 or 1 has the batch's input and masks ---- */

/* The input and the masks of the step that is `steps` away go to that buffer. is_drawn: with dropout. */
void add_prepare(program *to, const fnn_cuda_plan *plan, int buffer, int steps, bool is_drawn);
/* All layers, in prediction mode.  keeps_all: each one's y in panels, not the last one's alone. */
void add_forward(program *to, const fnn_cuda_plan *plan, const float *params, int buffer, bool keeps_all);
/* All layers and each row's loss; with a backward pass the gradient at the logits too and, where the last layer is
 * narrow, that at the logits of the one below. */
void add_judged(program *to, const fnn_cuda_plan *plan, const float *params, int buffer, bool is_drawn,
                const judgement &j);
void add_tally(program *to, const fnn_cuda_plan *plan, int64_t group);
/* A matrix of what a layer puts out. */
void add_output(program *to, const fnn_cuda_plan *plan, const float *y, int64_t n_out, fnn_link link);
/* Weights as factors of the library's products, for steps of training: these round those that they change. */
void add_plain_weights(program *to, const fnn_cuda_plan *plan, const descent_on_device &d);
/* Gradients of all variables go to plan->gradients, those of shared ones as sums, of masked ones as zeros. */
void add_gradients(program *to, const fnn_cuda_plan *plan, const float *params, int buffer, bool is_drawn);
/* A step of training whose input is in that buffer already; it prepares the next one's. */
program training_step(const fnn_cuda_plan *plan, const descent_on_device &d, int buffer);
/* What is left of a step whose gradients are there, those of each share in turn; of the first becomes the sum. */
program descent(const fnn_cuda_plan *plan, const descent_on_device &d, float *gradients, int64_t n_shares);

#endif
