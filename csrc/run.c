/* run.c: the verbs of a plan.  Every member of the team runs the same code and works on its part of each kernel; where
 * one kernel reads what another member wrote, they meet at a barrier. */
#define _POSIX_C_SOURCE 200809L
#include "plan.h"

#include <math.h>
#include <string.h>
#include <time.h>

/* One batch of one verb. */
typedef struct batch {
    const fnn_plan *plan;
    const float *params;
    const fnn_data *data;
    const uint32_t *rows; /* order of the data's rows; NULL: as they are */
    int64_t first, n_rows;
    int dropout; /* draw masks, for this seed and step */
    uint64_t seed;
    uint32_t step;
    fnn_loss loss;
    int is_backward;       /* a backward pass follows */
    const fnn_sink *sinks; /* where its gradients go: W and b of each layer in turn */
    int64_t *perf;         /* this member's, while it measures; else NULL */
    int64_t mark;          /* when what it measures now began */
} batch;

static int64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* ---- time ---- */

static void start_clock(batch *b, int64_t *perf) {
    b->perf = perf;
    if (perf != NULL) b->mark = now_ns();
}

/* What was done since the last call took the time of this place. */
static void took(batch *b, int place) {
    if (b->perf == NULL) return;
    const int64_t now = now_ns();
    b->perf[place] += now - b->mark;
    b->mark = now;
}

enum { FORWARD, BACKWARD_INPUT, BACKWARD_WEIGHT };

static int of_layer(int64_t l, int what) { return FNN_PERF_LAYERS + 3 * (int)l + what; }

static void meet(batch *b, fnn_worker *me) {
    fnn_team_barrier(me);
    took(b, FNN_PERF_WAIT);
}

/* ---- parts of the above ---- */

static float *own_work(const fnn_plan *plan, const fnn_worker *me) {
    return plan->work + me->part.index * plan->work_floats;
}

static int64_t *own_cursors(const fnn_plan *plan, const fnn_worker *me) {
    return plan->cursors + me->part.index * plan->n_batch;
}

static int draws(const batch *b, const fnn_dropout *dropout) { return b->dropout && dropout->threshold < 65536; }

static float scale_of(const batch *b, const fnn_dropout *dropout) {
    return b->dropout ? dropout->train_scale : dropout->predict_scale;
}

/* ---- forward ---- */

static void draw_masks(batch *b, fnn_worker *me) {
    const fnn_plan *plan = b->plan;
    const fnn_net *net = plan->net;
    if (draws(b, &net->input.dropout))
        plan->kernels->dropout_keep(plan->keep_input, net->input.dropout.threshold, b->seed, b->step, 0, b->n_rows,
                                    net->input.n_in, me->part);
    for (int64_t l = 0; l < net->n_layers; l++)
        if (draws(b, &net->layers[l].dropout))
            plan->kernels->dropout_keep(plan->layers[l].keep, net->layers[l].dropout.threshold, b->seed, b->step,
                                        (int)l + 1, b->n_rows, net->layers[l].n_out, me->part);
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
static void forward_layer(const batch *b, int64_t l, const float *x, const fnn_worker *me) {
    const fnn_plan *plan = b->plan;
    const fnn_kernels *kernels = plan->kernels;
    const fnn_layer *layer = &plan->net->layers[l];
    const layer_memory *memory = &plan->layers[l];
    const float *w = b->params + layer->w, *bias = b->params + layer->b;
    const uint16_t *keep = draws(b, &layer->dropout) ? memory->keep : NULL;
    const float scale = scale_of(b, &layer->dropout);
    if (l > 0 || plan->way == DENSE)
        kernels->dense_forward(memory->out, memory->y, x, w, bias, keep, scale, layer->activation, own_work(plan, me),
                               b->n_rows, layer->n_in, layer->n_out, me->part);
    else if (plan->way == SKIPPING)
        kernels->skip_forward(memory->out, memory->y, &plan->skip, w, bias, keep, scale, layer->activation, b->n_rows,
                              layer->n_in, layer->n_out, me->part);
    else
        kernels->sparse_forward(memory->out, memory->y, b->data, b->rows, b->first, w, bias, keep, scale,
                                layer->activation, own_cursors(plan, me), b->n_rows, layer->n_in, layer->n_out,
                                me->part);
}

static void forward(batch *b, fnn_worker *me) {
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

/* ---- loss and backward ---- */

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

static void loss(batch *b, fnn_worker *me) {
    const fnn_plan *plan = b->plan;
    const fnn_layer *last = &plan->net->layers[plan->net->n_layers - 1];
    const layer_memory *memory = &plan->layers[plan->net->n_layers - 1];
    const float scale = b->loss.is_sum ? 1.0f : 1.0f / (float)b->n_rows;
    if (b->loss.kind == FNN_CUSTOM)
        custom_loss(b, me);
    else
        plan->kernels->loss(plan->losses, plan->hits, b->is_backward ? memory->dy : NULL, memory->out, memory->y,
                            b->data, b->rows, b->first, b->loss, last->activation, scale, own_work(plan, me), b->n_rows,
                            last->n_out, me->part);
    took(b, FNN_PERF_LOSS);
    meet(b, me);
}

/* In row order and in double; each member that needs the sum takes it for itself. */
static fnn_metrics sum_slots(const batch *b) {
    fnn_metrics sum = {0.0, 0, b->n_rows};
    for (int64_t i = 0; i < b->n_rows; i++) {
        sum.loss += (double)b->plan->losses[i];
        sum.hits += b->plan->hits[i];
    }
    return sum;
}

static void backward_weight(const batch *b, int64_t l, const fnn_worker *me) {
    const fnn_plan *plan = b->plan;
    const fnn_kernels *kernels = plan->kernels;
    const fnn_layer *layer = &plan->net->layers[l];
    const fnn_sink *dw = &b->sinks[2 * l], *db = dw + 1;
    const float *dy = plan->layers[l].dy;
    if (l > 0 || plan->way == DENSE)
        kernels->dense_backward_weight(dw, db, l > 0 ? plan->layers[l - 1].out : plan->x, dy, b->n_rows, layer->n_in,
                                       layer->n_out, me->part);
    else if (plan->way == SKIPPING)
        kernels->skip_backward_weight(dw, db, &plan->skip, dy, b->n_rows, layer->n_in, layer->n_out, me->part);
    else
        kernels->sparse_backward_weight(dw, db, &plan->columns, dy, b->n_rows, layer->n_in, layer->n_out, me->part);
}

/* The gradient at the logits of layer l - 1. */
static void backward_input(const batch *b, int64_t l, const fnn_worker *me) {
    const fnn_plan *plan = b->plan;
    const fnn_layer *layer = &plan->net->layers[l], *under = layer - 1;
    const layer_memory *memory = &plan->layers[l], *below = memory - 1;
    plan->kernels->dense_backward_input(below->dy, memory->dy, b->params + layer->w, below->y,
                                        draws(b, &under->dropout) ? below->keep : NULL, scale_of(b, &under->dropout),
                                        under->activation, own_work(plan, me), b->n_rows, layer->n_in, layer->n_out,
                                        me->part);
}

/* A layer's weights change only after all members have read them for the gradient of its input: while the weights of
 * layer l change, that of layer l - 1 is computed. */
static void backward(batch *b, fnn_worker *me) {
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

static void add_metrics(fnn_metrics *total, fnn_metrics more) {
    total->loss += more.loss;
    total->hits += more.hits;
    total->rows += more.rows;
}

/* ---- prediction and evaluation ---- */

typedef struct pass {
    const fnn_plan *plan;
    const float *params;
    const fnn_data *data;
    int64_t deadline, row;
    int stop;
    fnn_link link;
    float *out;         /* predictions, */
    float *const *outs; /* or activities of each layer, */
    fnn_loss loss;
    fnn_metrics *metrics; /* or losses and hits; the others are NULL */
} pass;

/* One batch's activities of layer l, from panels to rows. */
static void copy_activities(float *out, const batch *b, int64_t l, const fnn_worker *me) {
    const int64_t n_out = b->plan->net->layers[l].n_out;
    const float *y = b->plan->layers[l].y;
    for (int64_t panel = me->part.index; panel < fnn_panels(n_out); panel += me->part.count) {
        const int64_t first = panel * FNN_LANES, lanes = n_out - first < FNN_LANES ? n_out - first : FNN_LANES;
        for (int64_t i = 0; i < b->n_rows; i++)
            memcpy(out + (b->first + i) * n_out + first, y + (panel * b->n_rows + i) * FNN_LANES,
                   (size_t)lanes * sizeof(float));
    }
}

static void pass_body(void *job, fnn_worker *me) {
    pass *p = job;
    const fnn_plan *plan = p->plan;
    const int64_t n_out = plan->net->layers[plan->net->n_layers - 1].n_out;
    batch b = {.plan = plan, .params = p->params, .data = p->data, .loss = p->loss};
    for (b.first = p->row; b.first < p->data->n_rows; b.first += b.n_rows) {
        b.n_rows = p->data->n_rows - b.first < plan->n_batch ? p->data->n_rows - b.first : plan->n_batch;
        forward(&b, me);
        if (p->metrics != NULL) loss(&b, me);
        for (int64_t l = 0; p->outs != NULL && l < plan->net->n_layers; l++)
            if (p->outs[l] != NULL) copy_activities(p->outs[l], &b, l, me);
        if (p->out != NULL)
            plan->kernels->output(p->out + b.first * n_out, plan->layers[plan->net->n_layers - 1].out, p->link,
                                  own_work(plan, me), b.n_rows, n_out, me->part);
        if (me->part.index == 0) {
            if (p->metrics != NULL) add_metrics(p->metrics, sum_slots(&b));
            p->row = b.first + b.n_rows;
            p->stop = now_ns() >= p->deadline;
        }
        fnn_team_barrier(me);
        if (p->stop) break;
    }
}

void fnn_predict(fnn_plan *plan, const float *params, const fnn_data *data, fnn_link link, int64_t budget_ns,
                 int64_t *row, float *out) {
    pass p = {.plan = plan, .params = params, .data = data, .link = link, .out = out, .row = *row};
    p.deadline = now_ns() + budget_ns;
    fnn_team_run(plan->n_threads, pass_body, &p);
    *row = p.row;
}

void fnn_activities(fnn_plan *plan, const float *params, const fnn_data *data, int64_t budget_ns, int64_t *row,
                    float *const *outs) {
    pass p = {.plan = plan, .params = params, .data = data, .outs = outs, .row = *row};
    p.deadline = now_ns() + budget_ns;
    fnn_team_run(plan->n_threads, pass_body, &p);
    *row = p.row;
}

void fnn_evaluate(fnn_plan *plan, const float *params, const fnn_data *data, fnn_loss loss, int64_t budget_ns,
                  int64_t *row, fnn_metrics *metrics) {
    pass p = {.plan = plan, .params = params, .data = data, .loss = loss, .metrics = metrics, .row = *row};
    p.deadline = now_ns() + budget_ns;
    fnn_team_run(plan->n_threads, pass_body, &p);
    *row = p.row;
}

/* ---- gradients ---- */

/* This member's sinks, of the variables of a block; trainable: a flag each, or NULL for all. */
static fnn_sink *own_sinks(const fnn_plan *plan, fnn_sink prototype, const uint8_t *trainable, const fnn_worker *me) {
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

/* Weights of a parameter block, or their gradients, that a mask takes out become +0; all members have written theirs.
 */
static void mask_weights(batch *b, float *block, const uint8_t *trainable, fnn_worker *me) {
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

/* What layers that use the same parameters have stored apart is summed where the first has stored its own, in ascending
 * order of the layers. */
static void sum_shared(float *gradients, batch *b, fnn_worker *me) {
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

typedef struct gradients_job {
    batch b;
    float *gradients;
    fnn_metrics *metrics;
} gradients_job;

static void gradients_body(void *job, fnn_worker *me) {
    const gradients_job *g = job;
    batch b = g->b;
    b.sinks = own_sinks(b.plan, (fnn_sink){.update = FNN_STORE, .w = g->gradients}, NULL, me);
    forward(&b, me);
    loss(&b, me);
    if (me->part.index == 0) *g->metrics = sum_slots(&b);
    backward(&b, me);
    sum_shared(g->gradients, &b, me);
    mask_weights(&b, g->gradients, NULL, me);
}

void fnn_gradients(fnn_plan *plan, const float *params, const fnn_data *data, fnn_loss loss, int dropout, uint64_t seed,
                   uint32_t step, float *gradients, fnn_metrics *metrics) {
    const batch b = {.plan = plan,
                     .params = params,
                     .data = data,
                     .n_rows = data->n_rows,
                     .dropout = dropout,
                     .seed = seed,
                     .step = step,
                     .loss = loss,
                     .is_backward = 1};
    gradients_job g = {.b = b, .gradients = gradients, .metrics = metrics};
    fnn_team_run(plan->n_threads, gradients_body, &g);
}

/* ---- training ---- */

typedef struct training {
    fnn_plan *plan;
    float *params, *state;
    fnn_epoch *epoch;
    int64_t deadline;
    int stop, members;
    fnn_status status;
} training;

/* Where a variable lies in a parameter block. */
typedef struct range {
    int64_t begin, end;
} range;

static range variable_at(const fnn_net *net, int64_t i) {
    const fnn_layer *layer = &net->layers[i / 2];
    if (i % 2 == 0) return (range){layer->w, layer->b};
    return (range){layer->b, layer->b + fnn_panels(layer->n_out) * FNN_LANES};
}

/* Whether it is not that of an earlier layer. */
static int has_own(const fnn_net *net, int64_t i) { return net->layers[i / 2].same_as == 0; }

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

/* The weights of a layer shrink, its biases do not.  Products with the rate are rounded here, once a step. */
static void shrink(fnn_sink *weights, const fnn_epoch *epoch, int64_t l, float rate) {
    if (weights->update == FNN_FREEZE) return;
    weights->l2 = epoch->restraints[l].l2;
    weights->decay = rate * epoch->decay;
    weights->l1 = rate * epoch->restraints[l].l1;
    weights->shrinks = weights->l2 != 0 || weights->decay != 0 || weights->l1 != 0;
}

/* x^n by products alone: the same bits everywhere, which libm's pow does not promise. */
static double power(double x, int64_t n) {
    double result = 1;
    for (; n > 0; n /= 2, x *= x)
        if (n % 2 != 0) result *= x;
    return result;
}

/* Adam at step t = 1, 2, ...: bias corrections are computed in double and rounded here, once a step. */
static void correct_bias(fnn_sink *sink, const fnn_epoch *epoch, int64_t t) {
    sink->rate = (float)(sink->rate / (1 - power(epoch->beta1, t)));
    sink->adam = (fnn_adam){.beta1 = (float)epoch->beta1,
                            .rest1 = (float)(1 - epoch->beta1),
                            .beta2 = (float)epoch->beta2,
                            .rest2 = (float)(1 - epoch->beta2),
                            .root_scale = (float)(1 / sqrt(1 - power(epoch->beta2, t))),
                            .epsilon = epoch->epsilon};
}

/* This member's sinks that move the parameters by one step. */
static const fnn_sink *own_updates(const training *t, int64_t step, const fnn_worker *me) {
    const fnn_epoch *epoch = t->epoch;
    const float rate = epoch->rates[step];
    fnn_sink move = {.update = epoch->update, .rate = rate, .momentum = epoch->momentum, .w = t->params, .v = t->state};
    if (epoch->update == FNN_ADAM || epoch->update == FNN_RMSPROP) {
        const int blocks = fnn_state_blocks(epoch->update, epoch->momentum);
        if (blocks == 1) move.v = NULL;
        move.s = t->state + (blocks - 1) * t->plan->net->n_floats;
        correct_bias(&move, epoch, (int64_t)epoch->first_step + step + 1);
    }
    fnn_sink *sinks = own_sinks(t->plan, move, epoch->trainable, me);
    for (int64_t l = 0; l < t->plan->net->n_layers; l++) shrink(&sinks[2 * l], epoch, l, rate);
    return sinks;
}

/* All weights have been updated.  A unit is always done by one member. */
static void constrain(const training *t, batch *b, fnn_worker *me) {
    for (int64_t l = 0; l < t->plan->net->n_layers; l++) {
        const fnn_layer *layer = &t->plan->net->layers[l];
        const float radius = t->epoch->restraints[l].max_norm;
        if (radius == 0 || layer->same_as != 0 || !t->epoch->trainable[2 * l]) continue;
        t->plan->kernels->max_norm(t->params + layer->w, radius, layer->n_in, layer->n_out, me->part);
        took(b, of_layer(l, BACKWARD_WEIGHT));
    }
}

/* ---- clipping ---- */

/* Lane by lane, for to wait for one sum would take four times as long; a square of floats is exact in double. */
static double sum_squares(const float *g, int64_t n) {
    double lanes[FNN_LANES] = {0}, sum = 0;
    for (int64_t i = 0; i < n; i += FNN_LANES)
        for (int lane = 0; lane < FNN_LANES; lane++) lanes[lane] += (double)g[i + lane] * g[i + lane];
    for (int lane = 0; lane < FNN_LANES; lane++) sum += lanes[lane];
    return sum;
}

/* The norm of the stored gradients of all trainable variables; members take slots in turn, and add them up in order. */
static double gradient_norm(const training *t, batch *b, fnn_worker *me) {
    const fnn_plan *plan = t->plan;
    int64_t slots = 0;
    for (int64_t i = 0; i < 2 * plan->net->n_layers; i++) {
        if (!has_own(plan->net, i) || !t->epoch->trainable[i]) continue;
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

/* Bounds stored gradients one by one; returns what is left to multiply them by. */
static float clip_gradients(const training *t, batch *b, fnn_worker *me) {
    const fnn_plan *plan = t->plan;
    fnn_epoch *epoch = t->epoch;
    for (int64_t i = 0; epoch->clip_value > 0 && i < 2 * plan->net->n_layers; i++) {
        const range at = variable_at(plan->net, i);
        if (has_own(plan->net, i) && epoch->trainable[i])
            plan->kernels->clip(plan->gradients + at.begin, epoch->clip_value, at.end - at.begin, me->part);
        took(b, of_layer(i / 2, BACKWARD_WEIGHT));
    }
    if (epoch->clip_norm == 0) return 1.0f;
    if (epoch->clip_value > 0) meet(b, me);
    const double norm = gradient_norm(t, b, me);
    if (me->part.index == 0) epoch->norms += norm;
    return norm > epoch->clip_norm ? (float)(epoch->clip_norm / norm) : 1.0f;
}

static void descend(const training *t, batch *b, int64_t step, fnn_worker *me) {
    const fnn_sink store = {.update = FNN_STORE, .w = t->plan->gradients};
    const int unfused =
        t->epoch->unfused || t->epoch->clip_value > 0 || t->epoch->clip_norm > 0 || fnn_shares(t->plan->net);
    b->sinks = unfused ? own_sinks(t->plan, store, t->epoch->trainable, me) : own_updates(t, step, me);
    backward(b, me);
    if (unfused) {
        sum_shared(t->plan->gradients, b, me);
        mask_weights(b, t->plan->gradients, t->epoch->trainable, me);
        const float factor = clip_gradients(t, b, me);
        update_parameters(b, own_updates(t, step, me), factor, me);
        meet(b, me);
    }
    mask_weights(b, t->params, t->epoch->trainable, me);
    constrain(t, b, me);
}

static int64_t *own_perf(const fnn_plan *plan, const fnn_worker *me) {
    return plan->perf + me->part.index * FNN_PERF(plan->net->n_layers);
}

static void add_perf(const fnn_plan *plan, fnn_epoch *epoch, int members) {
    const int64_t places = FNN_PERF(plan->net->n_layers);
    for (int64_t place = 0; place < places; place++) {
        int64_t sum = 0;
        for (int i = 0; i < members; i++) sum += plan->perf[i * places + place];
        epoch->perf[place] += sum / members;
    }
}

static void training_body(void *job, fnn_worker *me) {
    training *t = job;
    fnn_epoch *epoch = t->epoch;
    const int64_t n_rows = epoch->data->n_rows;
    if (me->part.index == 0) t->members = me->part.count;
    batch b = {.plan = t->plan,
               .params = t->params,
               .data = epoch->data,
               .rows = epoch->order,
               .dropout = 1,
               .seed = epoch->seed,
               .loss = epoch->loss,
               .is_backward = 1};
    for (int64_t step = epoch->step; step < epoch->n_steps; step++) {
        b.first = step * epoch->batch_size;
        b.n_rows = n_rows - b.first < epoch->batch_size ? n_rows - b.first : epoch->batch_size;
        b.step = epoch->first_step + (uint32_t)step;
        start_clock(&b, epoch->perf_every > 0 && step % epoch->perf_every == 0 ? own_perf(t->plan, me) : NULL);
        forward(&b, me);
        loss(&b, me);
        const fnn_metrics metrics = sum_slots(&b);
        took(&b, FNN_PERF_LOSS);
        if (metrics.loss - metrics.loss != 0.0) { /* infinite or NaN: every member sees the same and leaves */
            if (me->part.index == 0) t->status = FNN_ERR_DIVERGED;
            break;
        }
        descend(t, &b, step, me);
        if (me->part.index == 0) {
            add_metrics(&epoch->metrics, metrics);
            if (epoch->losses != NULL) epoch->losses[step] = metrics.loss / (double)metrics.rows;
            epoch->step = step + 1;
            t->stop = now_ns() >= t->deadline;
        }
        meet(&b, me);
        if (t->stop) break;
    }
}

fnn_status fnn_train(fnn_plan *plan, float *params, float *state, fnn_epoch *epoch, int n_threads, int64_t budget_ns) {
    training t = {.plan = plan, .params = params, .state = state, .epoch = epoch, .status = FNN_OK};
    t.deadline = now_ns() + budget_ns;
    if (epoch->step == 0 && epoch->order != NULL)
        fnn_shuffle(epoch->order, epoch->data->n_rows, epoch->seed, FNN_STREAM_SHUFFLE, epoch->epoch);
    memset(plan->perf, 0, (size_t)(plan->n_threads * FNN_PERF(plan->net->n_layers)) * sizeof(int64_t));
    fnn_team_run(n_threads < plan->n_threads ? n_threads : plan->n_threads, training_body, &t);
    if (epoch->perf_every > 0) add_perf(plan, epoch, t.members);
    return t.status;
}
