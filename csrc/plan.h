/* plan.h: what plan.c lays out and run.c works with; private to these two. */
#ifndef FNN_PLAN_H
#define FNN_PLAN_H

#include "fnn.h"

/* Of one layer, for a batch of n_batch rows. */
typedef struct layer_memory {
    float *y;       /* activations */
    float *out;     /* the same after dropout; y itself where there is none */
    uint16_t *keep; /* bits of the dropout, NULL where there is none or not training */
    float *dy;      /* gradient at the logits; training only */
    float *wt;      /* transposed weights; training only, not of the first layer */
} layer_memory;

struct fnn_plan {
    const fnn_net *net;
    const fnn_kernels *kernels;
    int64_t n_batch;
    int training, n_threads;
    float *x;             /* the batch's input */
    uint16_t *keep_input; /* bits of the input's dropout, NULL where there is none or not training */
    float *gradients;     /* a parameter block; training only */
    float *losses;        /* a slot a row */
    int32_t *hits;
    float *work; /* FNN_LOSS_WORK floats a thread */
    void *arena;
    size_t arena_bytes;
    layer_memory layers[];
};

#endif
