/* gradients.c: gradients in a block of their own: where they go, and what becomes of those of shared and masked
 * weights. */
#include "update.h"

fnn_sink *fnn_own_sinks(const fnn_plan *plan, fnn_sink prototype, const uint8_t *trainable, const fnn_worker *me) {
    const int64_t n_variables = 2 * plan->net->n_layers;
    fnn_sink *sinks = plan->sinks + me->part.index * n_variables;
    for (int64_t i = 0; i < n_variables; i++) {
        const fnn_layer *layer = &plan->net->layers[i / 2];
        const int64_t w = prototype.update == FNN_STORE ? layer->g : layer->w;
        const int64_t at = i % 2 == 0 ? w : w + layer->b - layer->w;
        sinks[i] = prototype;
        sinks[i].w += at;
        if (sinks[i].v != NULL) sinks[i].v += at;
        if (sinks[i].s != NULL) sinks[i].s += at;
        if (trainable != NULL && !trainable[i]) sinks[i].update = FNN_FREEZE;
    }
    return sinks;
}

/* In ascending order of the layers. */
void fnn_sum_shared(float *gradients, batch *b, fnn_worker *me) {
    const fnn_net *net = b->plan->net;
    if (!fnn_shares(net)) return;
    for (int64_t l = 0; l < net->n_layers; l++) {
        const fnn_layer *layer = &net->layers[l];
        if (layer->same_as == 0) continue;
        float *sum = gradients + net->layers[layer->same_as - 1].g;
        const float *more = gradients + layer->g;
        const int64_t n = fnn_layer_floats(layer);
        const int64_t end = n * (me->part.index + 1) / me->part.count;
        for (int64_t i = n * me->part.index / me->part.count; i < end; i++) sum[i] += more[i];
        took(b, of_layer(l, BACKWARD_WEIGHT));
    }
    meet(b, me);
}

void fnn_mask_weights(batch *b, float *block, const uint8_t *trainable, fnn_worker *me) {
    const fnn_net *net = b->plan->net;
    int any = 0;
    for (int64_t l = 0; l < net->n_layers; l++) {
        const fnn_layer *layer = &net->layers[l];
        if (layer->mask == NULL || (trainable != NULL && !trainable[2 * l])) continue;
        b->plan->kernels->mask(block + layer->w, layer->mask, layer->b - layer->w, me->part);
        took(b, of_layer(l, BACKWARD_WEIGHT));
        any = 1;
    }
    if (any) meet(b, me);
}

typedef struct gradients_job {
    batch b;
    float *gradients;
    fnn_metrics *metrics;
} gradients_job;

static void gradients_body(void *job, fnn_worker *me) {
    const gradients_job *g = job;
    batch b = g->b;
    b.sinks = fnn_own_sinks(b.plan, (fnn_sink){.update = FNN_STORE, .w = g->gradients}, NULL, me);
    fnn_batch_forward(&b, me);
    fnn_batch_loss(&b, me);
    if (me->part.index == 0) *g->metrics = fnn_batch_metrics(&b);
    fnn_batch_backward(&b, me);
    fnn_sum_shared(g->gradients, &b, me);
    fnn_mask_weights(&b, g->gradients, NULL, me);
}

void fnn_gradients(fnn_plan *plan, const float *params, const fnn_data *data, fnn_loss loss, const fnn_share *share,
                   float *gradients, fnn_metrics *metrics) {
    const batch b = {.plan = plan,
                     .params = params,
                     .data = data,
                     .rows = share->order,
                     .first = share->first,
                     .n_rows = share->n_rows,
                     .before = share->before,
                     .of = share->of,
                     .dropout = share->dropout,
                     .seed = share->seed,
                     .step = share->step,
                     .loss = loss,
                     .is_backward = 1};
    gradients_job g = {.b = b, .gradients = gradients, .metrics = metrics};
    fnn_team_run(plan->n_threads, gradients_body, &g);
}
