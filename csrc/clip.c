/* clip.c: bounds of gradients, and of the norm of all of them. */
#include "update.h"

#include <math.h>

/* Lane by lane, for to wait for one sum would take four times as long; a square of floats is exact in double. */
static double sum_squares(const float *g, int64_t n) {
    double lanes[FNN_LANES] = {0}, sum = 0;
    for (int64_t i = 0; i < n; i += FNN_LANES)
        for (int lane = 0; lane < FNN_LANES; lane++) lanes[lane] += (double)g[i + lane] * g[i + lane];
    for (int lane = 0; lane < FNN_LANES; lane++) sum += lanes[lane];
    return sum;
}

/* The norm of the stored gradients of all trainable variables; members take slots in turn, and add them up in order. */
static double gradient_norm(const descent *d, batch *b, fnn_worker *me) {
    const fnn_plan *plan = d->plan;
    int64_t slots = 0;
    for (int64_t i = 0; i < 2 * plan->net->n_layers; i++) {
        if (!has_own(plan->net, i) || !d->epoch->trainable[i]) continue;
        const range at = variable_at(plan->net, i);
        for (int64_t g = at.begin; g < at.end; g += FNN_SLOT, slots++)
            if (slots % me->part.count == me->part.index)
                plan->squares[slots] = sum_squares(plan->gradients + g, at.end - g < FNN_SLOT ? at.end - g : FNN_SLOT);
        took(b, of_layer(i / 2, BACKWARD_WEIGHT));
    }
    meet(b, me);
    double sum = 0;
    for (int64_t slot = 0; slot < slots; slot++) sum += plan->squares[slot];
    return sqrt(sum);
}

float fnn_clip_gradients(const descent *d, batch *b, fnn_worker *me) {
    const fnn_plan *plan = d->plan;
    fnn_epoch *epoch = d->epoch;
    for (int64_t i = 0; epoch->clip_value > 0 && i < 2 * plan->net->n_layers; i++) {
        const range at = variable_at(plan->net, i);
        if (has_own(plan->net, i) && epoch->trainable[i])
            plan->kernels->clip(plan->gradients + at.begin, epoch->clip_value, at.end - at.begin, me->part);
        took(b, of_layer(i / 2, BACKWARD_WEIGHT));
    }
    if (epoch->clip_norm == 0) return 1.0f;
    if (epoch->clip_value > 0) meet(b, me);
    const double norm = gradient_norm(d, b, me);
    if (me->part.index == 0) epoch->norms += norm;
    return norm > epoch->clip_norm ? (float)(epoch->clip_norm / norm) : 1.0f;
}
