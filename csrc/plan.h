/* plan.h: what plan.c lays out and the verbs of a plan work with; private to these. */
#ifndef FNN_PLAN_H
#define FNN_PLAN_H

#include "kernels.h"

/* Of one layer, for a batch of n_batch rows. */
typedef struct layer_memory {
    float *y;       /* what the slope of the activation is a function of: the activity, or the slope itself */
    float *out;     /* activities after dropout; y itself where they are the same */
    uint16_t *keep; /* bits of the dropout, NULL where there is none or not training */
    float *dy;      /* gradient at the logits; training only */
} layer_memory;

/* How the first layer reads its input: all of it, or what the bits or the lists of the data name. */
typedef enum input_way { DENSE, SKIPPING, LISTS } input_way;

/* Of all variables together. */
#define FNN_SLOTS(net) ((net)->n_floats / FNN_SLOT + 2 * (net)->n_layers)

struct fnn_plan {
    const fnn_net *net;
    const fnn_kernels *kernels;
    int64_t n_batch;
    int training, n_threads;
    input_way way;        /* of these, those that it needs: */
    float *x;             /* the batch's input, dense */
    fnn_skip skip;        /* the same with bits */
    fnn_columns columns;  /* the same as lists; training only */
    int64_t *cursors;     /* n_batch a thread, for lists */
    uint16_t *keep_input; /* bits of the input's dropout, NULL where there is none or not training */
    float *gradients;     /* a block of gradients; training only */
    fnn_sink *sinks;      /* where gradients go: 2 * n_layers a thread; training only */
    float *losses;        /* a slot a row */
    int32_t *hits;
    double *squares; /* FNN_SLOTS sums of squares of gradients; training only */
    int64_t *perf;   /* FNN_PERF places a thread; training only */
    float *work;     /* work_floats a thread */
    int64_t work_floats;
    void *arena;
    size_t arena_bytes;
    layer_memory layers[];
};

#endif
