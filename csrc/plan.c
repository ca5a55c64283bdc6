/* plan.c: the memory of a training or a prediction, sized before anything runs and laid out in one block. */
#include "plan.h"

#include "cursor.h"

#include <string.h>

static uint16_t *take_keep(cursor *at, const fnn_plan *plan, const fnn_dropout *dropout, int64_t n) {
    if (!plan->training || dropout->threshold >= 65536) return NULL;
    return take(at, fnn_panels(n) * plan->n_batch, sizeof(uint16_t));
}

static int changes_output(const fnn_plan *plan, const fnn_dropout *dropout) {
    return dropout->predict_scale != 1.0f || (plan->training && dropout->threshold < 65536);
}

static void lay_out_skip(fnn_skip *skip, cursor *at, fnn_type x_type, int64_t n_batch, int64_t n_in) {
    skip->x_type = x_type;
    skip->x = take(at, n_batch * n_in, x_type == FNN_UINT8 ? 1 : sizeof(float));
    skip->table = take(at, 256, sizeof(float));
    skip->bits = take(at, n_batch * fnn_words(n_in), sizeof(uint64_t));
    skip->columns = take(at, 64 * fnn_words(n_in) * fnn_words(n_batch), sizeof(uint64_t));
}

static void lay_out_lists(fnn_plan *plan, cursor *at, int64_t most_entries) {
    plan->cursors = take(at, plan->n_threads * plan->n_batch, sizeof(int64_t));
    if (!plan->training) return;
    plan->columns.ends = take(at, plan->net->input.n_in, sizeof(int32_t));
    plan->columns.rows = take(at, plan->n_batch * most_entries, sizeof(int32_t));
    plan->columns.values = take(at, plan->n_batch * most_entries, sizeof(float));
}

/* Lists know no dropout, and number the entries of a batch with 32 bits. */
static input_way way_of(const fnn_plan *plan, const fnn_data *like) {
    if (like->skips_zeros) return SKIPPING;
    if (like->sparse == NULL || changes_output(plan, &plan->net->input.dropout)) return DENSE;
    return like->sparse->most <= INT32_MAX / plan->n_batch ? LISTS : DENSE;
}

static int64_t larger(int64_t a, int64_t b) { return a > b ? a : b; }

/* What the kernels may ask for, a thread. */
static int64_t work_floats(const fnn_plan *plan) {
    const fnn_net *net = plan->net;
    int64_t most = FNN_LOSS_WORK(net->layers[net->n_layers - 1].n_out);
    for (int64_t l = 0; l < net->n_layers; l++) {
        const int64_t n_in = net->layers[l].n_in, n_out = net->layers[l].n_out;
        most = larger(most, fnn_product_work(plan->n_batch, n_in));
        if (plan->training && l > 0) most = larger(most, fnn_backward_work(plan->n_batch, n_out));
    }
    return most;
}

static void lay_out(fnn_plan *plan, cursor *at, const fnn_data *like) {
    const fnn_net *net = plan->net;
    const int64_t n_batch = plan->n_batch;
    const int64_t n_in = net->input.n_in;
    if (plan->way == DENSE) plan->x = take_panels(at, n_in, n_batch);
    if (plan->way == SKIPPING) lay_out_skip(&plan->skip, at, like->x_type, n_batch, n_in);
    if (plan->way == LISTS) lay_out_lists(plan, at, like->sparse->most);
    plan->keep_input = take_keep(at, plan, &net->input.dropout, net->input.n_in);
    for (int64_t l = 0; l < net->n_layers; l++) {
        const fnn_layer *layer = &net->layers[l];
        layer_memory *memory = &plan->layers[l];
        memory->y = take_panels(at, layer->n_out, n_batch);
        const int is_apart =
            changes_output(plan, &layer->dropout) || (plan->training && fnn_keeps_slope(layer->activation));
        memory->out = is_apart ? take_panels(at, layer->n_out, n_batch) : memory->y;
        memory->keep = take_keep(at, plan, &layer->dropout, layer->n_out);
        if (!plan->training) continue;
        memory->dy = take_panels(at, layer->n_out, n_batch);
    }
    if (plan->training) {
        plan->gradients = take(at, net->n_gradients, sizeof(float));
        plan->squares = take(at, FNN_SLOTS(net), sizeof(double));
        plan->sinks = take(at, plan->n_threads * 2 * net->n_layers, sizeof(fnn_sink));
        plan->perf = take(at, plan->n_threads * FNN_PERF(net->n_layers), sizeof(int64_t));
    }
    plan->losses = take(at, n_batch, sizeof(float));
    plan->hits = take(at, n_batch, sizeof(int32_t));
    plan->work_floats = work_floats(plan);
    plan->work = take(at, plan->n_threads * plan->work_floats, sizeof(float));
}

fnn_status fnn_plan_create(fnn_plan **out, const fnn_net *net, int64_t n_batch, int training, int n_threads,
                           const fnn_data *like) {
    *out = NULL;
    fnn_plan *plan = fnn_alloc(sizeof(fnn_plan) + (size_t)net->n_layers * sizeof(layer_memory));
    if (plan == NULL) return FNN_ERR_MEMORY;
    plan->net = net;
    plan->kernels = fnn_isa();
    plan->n_batch = n_batch;
    plan->training = training;
    plan->n_threads = n_threads < 1 ? 1 : n_threads > FNN_MAX_THREADS ? FNN_MAX_THREADS : n_threads;
    plan->way = way_of(plan, like);

    cursor at = {NULL, 0};
    lay_out(plan, &at, like);
    plan->arena_bytes = at.used;
    plan->arena = fnn_alloc(plan->arena_bytes);
    if (plan->arena == NULL) {
        fnn_free(plan);
        return FNN_ERR_MEMORY;
    }
    at = (cursor){plan->arena, 0};
    lay_out(plan, &at, like);
    *out = plan;
    return FNN_OK;
}

void fnn_plan_destroy(fnn_plan *plan) {
    if (plan == NULL) return;
    fnn_free(plan->arena);
    fnn_free(plan);
}

void fnn_plan_poison(fnn_plan *plan, int byte) { memset(plan->arena, byte, plan->arena_bytes); }

/* A step has about ten barriers of 0.1 to 0.3 us, more where cores are shared; a thread does a million multiply-adds in
 * 10 to 20 us. */
#define WORTH_A_THREAD 300000

int fnn_threads_worth(const fnn_net *net, int64_t n_batch, int n_threads) {
    int64_t work = 0;
    for (int64_t l = 0; l < net->n_layers; l++) work += net->layers[l].n_in * net->layers[l].n_out;
    const int64_t worth = work * n_batch / WORTH_A_THREAD;
    return worth < 1 ? 1 : worth < n_threads ? (int)worth : n_threads;
}
