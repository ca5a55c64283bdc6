/* phase.cuh: what the host tells the device to do.  A step is a row of phases, each one launch; a phase is a few
 * operations on different memory that its blocks share out. */
#ifndef FNN_CUDA_PHASE_CUH
#define FNN_CUDA_PHASE_CUH

#include "../kernels.h"
#include "fnn_cuda.h"

/* What is copied to the device before steps run: the data, and constants of each step. */
typedef struct step_constants {
    float rate;                   /* of the schedule */
    float step_rate, root_scale;  /* what Adam makes of it */
} step_constants;

/* Where training, or a pass over data, has come to.  Device memory: written by the host between launches, and by the
 * operations ADVANCE, LOSS, TALLY and NORM. */
typedef struct progress {
    fnn_data data; /* its pointers are the device's; no bits */
    fnn_sparse sparse;
    const uint32_t *order;
    const step_constants *constants;
    double *losses;            /* a place a step; NULL: not wanted */
    int64_t since;             /* the step of their first place */
    int64_t first_row;         /* of step 0 */
    int64_t before, of;        /* of a share of a batch: the batch's rows before it, and in all; of = 0: no share */
    int64_t batch_size, n_steps;
    int64_t step;              /* of the launch's slot 0 */
    uint64_t seed;
    uint32_t first_step;       /* numbers the dropout masks */
    int is_drawn;              /* whether there are masks */
    int diverged;
    float factor;              /* what clipping leaves of gradients */
    int64_t done;              /* steps */
    fnn_metrics metrics;
    double norms;
} progress;

typedef enum op_kind {
    OP_PREPARE,         /* input and masks of a step to come */
    OP_FORWARD,         /* y and out of a layer */
    OP_HEAD,            /* OP_FORWARD of the last layer, OP_LOSS and OP_BACKWARD_INPUT, its parts, by rows */
    OP_LOSS,            /* losses, hits and, if dy is there, the gradient at the last logits */
    OP_TALLY,           /* sums of them */
    OP_BACKWARD_INPUT,  /* dx of a layer: the gradient at the logits of the one below */
    OP_BACKWARD_WEIGHT, /* its weights' gradients */
    OP_BACKWARD_BIAS,
    OP_OUTPUT,          /* link(y) as a matrix */
    OP_SUM,             /* w += g, of shared layers */
    OP_MASK,            /* w = 0 where the mask is */
    OP_CLIP,            /* of g, by value */
    OP_SQUARES,         /* of g, in slots */
    OP_NORM,            /* of all */
    OP_UPDATE,          /* parameters by stored gradients */
    OP_MAX_NORM,
    OP_PLAIN,           /* panels as a plain matrix */
    OP_FORWARD_SUMS,    /* OP_FORWARD and so on, from the sums of a product that is done */
    OP_INPUT_SUMS,
    OP_WEIGHT_SUMS,
    OP_BIAS_SUMS,       /* OP_BACKWARD_BIAS, in another order */
    OP_ADVANCE,         /* the next launch's slot 0 */
} op_kind;

/* One operation; each kind reads what it needs. */
typedef struct op {
    op_kind kind;
    int blocks;
    int parts;      /* OP_HEAD: how many operations that follow are its parts, and have no blocks of their own */
    int steps;      /* OP_PREPARE: how far ahead of this slot; OP_ADVANCE: how many */
    int group;      /* OP_TALLY: rows of a partial sum */
    int can_diverge; /* OP_LOSS: one that is not finite ends the training */
    int n_in, n_out;
    const float *x, *w, *b;
    float *y, *out;
    uint16_t *keep;
    float scale;
    uint32_t threshold;
    int layer; /* numbers the dropout's stream */
    fnn_activation activation;
    fnn_link link;
    fnn_loss loss;
    double input_scale, input_offset;
    fnn_sink sink;
    float decay, l1; /* before the rate multiplies them */
    float *g;
    float limit;
    int64_t n; /* floats */
    double *squares;
    int slots;
    float *losses;
    int32_t *hits;
    float *plain, *plain_rest; /* a plain_matrix, of so many rows, in that precision */
    int plain_rows;
    fnn_precision precision;
    float *work; /* OP_LOSS and OP_OUTPUT, for each block, where shared memory is too small */
} op;

/* Columns of outputs that are judged lie in shared memory, up to so many bytes a block. */
#define FNN_COLUMNS_SHARED (40 * 1024)

/* OP_HEAD: rows of a block; floats from the weights of an input to the next one's; and the bytes of shared memory that
 * a block has at most: GPUs since sm_80 allow 99 KiB. */
#define FNN_HEAD_ROWS 4
#define FNN_HEAD_STRIDE 20
#define FNN_HEAD_SHARED (96 * 1024)

/* Kernels' arguments may hold 4 KiB. */
#define FNN_PHASE_OPS 8

typedef struct phase {
    progress *at;
    int slot;     /* which step after at->step */
    int capacity; /* rows that activations have room for */
    int n_ops;
    op ops[FNN_PHASE_OPS];
} phase;

#endif
