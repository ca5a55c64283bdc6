/* update.h: what happens between the gradients of a batch and the parameters; private to the files named here and to
 * train.c. */
#ifndef FNN_UPDATE_H
#define FNN_UPDATE_H

#include "batch.h"
#include "optimizer.h"

/* What a training step changes, and by which rule. */
typedef struct descent {
    fnn_plan *plan;
    float *params, *state;
    fnn_epoch *epoch;
} descent;

/* Where a variable lies in a parameter block. */
typedef struct range {
    int64_t begin, end;
} range;

static inline range variable_at(const fnn_net *net, int64_t i) {
    const fnn_layer *layer = &net->layers[i / 2];
    if (i % 2 == 0) return (range){layer->w, layer->b};
    return (range){layer->b, layer->b + fnn_panels(layer->n_out) * FNN_LANES};
}

/* Whether it is not that of an earlier layer. */
static inline int has_own(const fnn_net *net, int64_t i) { return net->layers[i / 2].same_as == 0; }

/* ---- gradients.c ---- */

/* This member's sinks, of the variables of a block; trainable: a flag each, or NULL for all. */
fnn_sink *fnn_own_sinks(const fnn_plan *plan, fnn_sink prototype, const uint8_t *trainable, const fnn_worker *me);
/* What layers that use the same parameters have stored apart is summed where the first has stored its own. */
void fnn_sum_shared(float *gradients, batch *b, fnn_worker *me);
/* Weights of a parameter block, or their gradients, that a mask takes out become +0; all members have written theirs.
 */
void fnn_mask_weights(batch *b, float *block, const uint8_t *trainable, fnn_worker *me);

/* ---- clip.c ---- */

/* Bounds stored gradients one by one; returns what is left to multiply them by. */
float fnn_clip_gradients(const descent *d, batch *b, fnn_worker *me);

/* ---- update.c ---- */

/* The backward pass of step `step` of the epoch, and all that it changes. */
void fnn_descend(const descent *d, batch *b, int64_t step, fnn_worker *me);
/* What a step changes once its gradients, with masks applied and those of shared layers summed, are the plan's. */
void fnn_descend_by_stored(const descent *d, batch *b, int64_t step, fnn_worker *me);

#endif
