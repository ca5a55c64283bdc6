/* update.c: one step of descent: updates with or after the backward pass, and constraints. */
#include "update.h"

/* ---- where gradients go ---- */

/* The weights of a layer shrink, its biases do not.  Products with the rate are rounded here, once a step. */
static void shrink(fnn_sink *weights, const fnn_epoch *epoch, int64_t l, float rate) {
    if (weights->update == FNN_FREEZE) return;
    weights->l2 = epoch->restraints[l].l2;
    weights->decay = rate * epoch->decay;
    weights->l1 = rate * epoch->restraints[l].l1;
    weights->shrinks = weights->l2 != 0 || weights->decay != 0 || weights->l1 != 0;
}

/* This member's sinks that move the parameters by one step. */
static const fnn_sink *own_updates(const descent *d, int64_t step, const fnn_worker *me) {
    const fnn_epoch *epoch = d->epoch;
    const float rate = epoch->rates[step];
    fnn_sink move = {.update = epoch->update, .rate = rate, .momentum = epoch->momentum, .w = d->params, .v = d->state};
    if (epoch->update == FNN_ADAM || epoch->update == FNN_RMSPROP) {
        const int blocks = fnn_state_blocks(epoch->update, epoch->momentum);
        if (blocks == 1) move.v = NULL;
        move.s = d->state + (blocks - 1) * d->plan->net->n_floats;
        fnn_correct_bias(&move, epoch, step);
    }
    fnn_sink *sinks = fnn_own_sinks(d->plan, move, epoch->trainable, me);
    for (int64_t l = 0; l < d->plan->net->n_layers; l++) shrink(&sinks[2 * l], epoch, l, rate);
    return sinks;
}

/* ---- one step ---- */

/* Gradients that were stored go where a fused backward pass would have taken them. */
static void update_parameters(batch *b, const fnn_sink *sinks, float factor, const fnn_worker *me) {
    const fnn_plan *plan = b->plan;
    for (int64_t i = 0; i < 2 * plan->net->n_layers; i++) {
        if (!has_own(plan->net, i)) continue;
        const range at = variable_at(plan->net, i);
        plan->kernels->update(&sinks[i], plan->gradients + at.begin, factor, at.end - at.begin, me->part);
        took(b, of_layer(i / 2, BACKWARD_WEIGHT));
    }
}

/* All weights have been updated.  A unit is always done by one member. */
static void constrain(const descent *d, batch *b, fnn_worker *me) {
    for (int64_t l = 0; l < d->plan->net->n_layers; l++) {
        const fnn_layer *layer = &d->plan->net->layers[l];
        const float radius = d->epoch->restraints[l].max_norm;
        if (radius == 0 || layer->same_as != 0 || !d->epoch->trainable[2 * l]) continue;
        d->plan->kernels->max_norm(d->params + layer->w, radius, layer->n_in, layer->n_out, me->part);
        took(b, of_layer(l, BACKWARD_WEIGHT));
    }
}

void fnn_descend_by_stored(const descent *d, batch *b, int64_t step, fnn_worker *me) {
    const float factor = fnn_clip_gradients(d, b, me);
    update_parameters(b, own_updates(d, step, me), factor, me);
    meet(b, me);
    fnn_mask_weights(b, d->params, d->epoch->trainable, me);
    constrain(d, b, me);
}

static void descend_fused(const descent *d, batch *b, int64_t step, fnn_worker *me) {
    b->sinks = own_updates(d, step, me);
    fnn_batch_backward(b, me);
    fnn_mask_weights(b, d->params, d->epoch->trainable, me);
    constrain(d, b, me);
}

void fnn_descend(const descent *d, batch *b, int64_t step, fnn_worker *me) {
    const fnn_epoch *epoch = d->epoch;
    const fnn_sink store = {.update = FNN_STORE, .w = d->plan->gradients};
    if (!epoch->unfused && epoch->clip_value == 0 && epoch->clip_norm == 0 && !fnn_shares(d->plan->net)) {
        descend_fused(d, b, step, me);
        return;
    }
    b->sinks = fnn_own_sinks(d->plan, store, epoch->trainable, me);
    fnn_batch_backward(b, me);
    fnn_sum_shared(d->plan->gradients, b, me);
    fnn_mask_weights(b, d->plan->gradients, epoch->trainable, me);
    fnn_descend_by_stored(d, b, step, me);
}
