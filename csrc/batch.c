/* batch.c: one batch through all layers and back. */
#include "batch.h"

#include <string.h>

static int64_t *own_cursors(const fnn_plan *plan, const fnn_worker *me) {
    return plan->cursors + me->part.index * plan->n_batch;
}

static int draws(const batch *b, const fnn_dropout *dropout) { return b->dropout && dropout->threshold < 65536; }

static float scale_of(const batch *b, const fnn_dropout *dropout) {
    return b->dropout ? dropout->train_scale : dropout->predict_scale;
}

/* Multiply-adds of a member that take it 5 us or longer, as long as many looks at what the others have left.  Tests set
 * it to 0. */
#ifndef FNN_WORTH_HELP
#define FNN_WORTH_HELP 500000
#endif

/* The member's part of a product of layer l. */
static fnn_part part_of(const batch *b, int64_t l, fnn_worker *me) {
    const fnn_layer *layer = &b->plan->net->layers[l];
    const int64_t work = b->n_rows * layer->n_in * layer->n_out;
    return work / me->part.count < FNN_WORTH_HELP ? me->part : fnn_team_help(me);
}

/* ---- forward ---- */

static void draw_masks(batch *b, fnn_worker *me) {
    const fnn_plan *plan = b->plan;
    const fnn_net *net = plan->net;
    if (draws(b, &net->input.dropout))
        plan->kernels->dropout_keep(plan->keep_input, net->input.dropout.threshold, b->seed, b->step, 0, b->before,
                                    b->n_rows, net->input.n_in, me->part);
    for (int64_t l = 0; l < net->n_layers; l++)
        if (draws(b, &net->layers[l].dropout))
            plan->kernels->dropout_keep(plan->layers[l].keep, net->layers[l].dropout.threshold, b->seed, b->step,
                                        (int)l + 1, b->before, b->n_rows, net->layers[l].n_out, me->part);
    took(b, FNN_PERF_INPUT);
    if (draws(b, &net->input.dropout)) meet(b, me); /* the input reads its masks at once */
}

static void read_input(batch *b, fnn_worker *me) {
    const fnn_plan *plan = b->plan;
    const fnn_input *input = &plan->net->input;
    const uint16_t *keep = draws(b, &input->dropout) ? plan->keep_input : NULL;
    const float scale = scale_of(b, &input->dropout);
    if (plan->way == SKIPPING)
        plan->kernels->skip_gather(&plan->skip, b->data, b->rows, b->first, input, keep, scale, b->n_rows, me->part);
    else if (plan->way == DENSE)
        plan->kernels->gather(plan->x, b->data, b->rows, b->first, input, keep, scale, b->n_rows, me->part);
    else if (b->is_backward)
        plan->kernels->sparse_columns(&plan->columns, b->data, b->rows, b->first, own_cursors(plan, me), b->n_rows,
                                      input->n_in, me->part);
    took(b, FNN_PERF_INPUT);
}

/* x: what the layer reads, unless it is the first and reads bits or lists. */
static void forward_layer(const batch *b, int64_t l, const float *x, fnn_worker *me) {
    const fnn_plan *plan = b->plan;
    const fnn_kernels *kernels = plan->kernels;
    const fnn_layer *layer = &plan->net->layers[l];
    const layer_memory *memory = &plan->layers[l];
    const float *w = b->params + layer->w, *bias = b->params + layer->b;
    const uint16_t *keep = draws(b, &layer->dropout) ? memory->keep : NULL;
    const float scale = scale_of(b, &layer->dropout);
    fnn_activation activation = layer->activation;
    activation.with_slope = b->is_backward && fnn_keeps_slope(activation);
    if (l > 0 || plan->way == DENSE)
        kernels->dense_forward(memory->out, memory->y, x, w, bias, keep, scale, activation, own_work(plan, me),
                               b->n_rows, layer->n_in, layer->n_out, part_of(b, l, me));
    else if (plan->way == SKIPPING)
        kernels->skip_forward(memory->out, memory->y, &plan->skip, w, bias, keep, scale, activation, b->n_rows,
                              layer->n_in, layer->n_out, me->part);
    else
        kernels->sparse_forward(memory->out, memory->y, b->data, b->rows, b->first, w, bias, keep, scale,
                                activation, own_cursors(plan, me), b->n_rows, layer->n_in, layer->n_out,
                                me->part);
}

void fnn_batch_forward(batch *b, fnn_worker *me) {
    const fnn_plan *plan = b->plan;
    draw_masks(b, me);
    read_input(b, me);
    meet(b, me);
    if (b->is_backward && plan->way == SKIPPING) {
        plan->kernels->skip_transpose(&plan->skip, b->n_rows, plan->net->input.n_in, me->part);
        took(b, FNN_PERF_INPUT);
    }
    for (int64_t l = 0; l < plan->net->n_layers; l++) {
        forward_layer(b, l, l > 0 ? plan->layers[l - 1].out : plan->x, me);
        took(b, of_layer(l, FORWARD));
        meet(b, me);
    }
}

/* ---- loss ---- */

/* One member calls the function, all do the rest. */
static void custom_loss(batch *b, fnn_worker *me) {
    const fnn_plan *plan = b->plan;
    const fnn_custom *custom = b->loss.custom;
    const fnn_layer *last = &plan->net->layers[plan->net->n_layers - 1];
    const layer_memory *memory = &plan->layers[plan->net->n_layers - 1];
    plan->kernels->output(custom->outputs, memory->out, FNN_IDENTITY, own_work(plan, me), b->n_rows, last->n_out,
                          me->part);
    meet(b, me);
    if (me->part.index == 0) {
        memset(plan->hits, 0, (size_t)b->n_rows * sizeof *plan->hits);
        custom->run(custom->context, plan->losses, b->first, b->n_rows);
    }
    meet(b, me);
    if (b->is_backward)
        plan->kernels->output_gradient(memory->dy, custom->gradients, memory->y, last->activation, own_work(plan, me),
                                       b->n_rows, last->n_out, me->part);
}

void fnn_batch_loss(batch *b, fnn_worker *me) {
    const fnn_plan *plan = b->plan;
    const fnn_layer *last = &plan->net->layers[plan->net->n_layers - 1];
    const layer_memory *memory = &plan->layers[plan->net->n_layers - 1];
    const float scale = b->loss.is_sum ? 1.0f : 1.0f / (float)b->of;
    if (b->loss.kind == FNN_CUSTOM)
        custom_loss(b, me);
    else
        plan->kernels->loss(plan->losses, plan->hits, b->is_backward ? memory->dy : NULL, memory->out, memory->y,
                            b->data, b->rows, b->first, b->loss, last->activation, scale, own_work(plan, me), b->n_rows,
                            last->n_out, me->part);
    took(b, FNN_PERF_LOSS);
    meet(b, me);
}

fnn_metrics fnn_batch_metrics(const batch *b) {
    fnn_metrics sum = {0.0, 0, b->n_rows};
    for (int64_t i = 0; i < b->n_rows; i++) {
        sum.loss += (double)b->plan->losses[i];
        sum.hits += b->plan->hits[i];
    }
    return sum;
}

/* ---- backward ---- */

static void backward_weight(const batch *b, int64_t l, fnn_worker *me) {
    const fnn_plan *plan = b->plan;
    const fnn_kernels *kernels = plan->kernels;
    const fnn_layer *layer = &plan->net->layers[l];
    const fnn_sink *dw = &b->sinks[2 * l], *db = dw + 1;
    const float *dy = plan->layers[l].dy;
    const fnn_part part = part_of(b, l, me);
    if (l > 0 || plan->way == DENSE)
        kernels->dense_backward_weight(dw, db, l > 0 ? plan->layers[l - 1].out : plan->x, dy, b->n_rows, layer->n_in,
                                       layer->n_out, part);
    else if (plan->way == SKIPPING)
        kernels->skip_backward_weight(dw, db, &plan->skip, dy, b->n_rows, layer->n_in, layer->n_out, part);
    else
        kernels->sparse_backward_weight(dw, db, &plan->columns, dy, b->n_rows, layer->n_in, layer->n_out, part);
}

/* The gradient at the logits of layer l - 1. */
static void backward_input(const batch *b, int64_t l, fnn_worker *me) {
    const fnn_plan *plan = b->plan;
    const fnn_layer *layer = &plan->net->layers[l], *under = layer - 1;
    const layer_memory *memory = &plan->layers[l], *below = memory - 1;
    plan->kernels->dense_backward_input(below->dy, memory->dy, b->params + layer->w, below->y,
                                        draws(b, &under->dropout) ? below->keep : NULL, scale_of(b, &under->dropout),
                                        under->activation, own_work(plan, me), b->n_rows, layer->n_in, layer->n_out,
                                        part_of(b, l, me));
}

/* A layer's weights change only after all members have read them for the gradient of its input: while the weights of
 * layer l change, that of layer l - 1 is computed. */
void fnn_batch_backward(batch *b, fnn_worker *me) {
    const int64_t last = b->plan->net->n_layers - 1;
    for (int64_t l = last; l > 0; l--) {
        backward_input(b, l, me);
        took(b, of_layer(l, BACKWARD_INPUT));
        meet(b, me);
        backward_weight(b, l, me);
        took(b, of_layer(l, BACKWARD_WEIGHT));
    }
    backward_weight(b, 0, me);
    took(b, of_layer(0, BACKWARD_WEIGHT));
    meet(b, me);
}
