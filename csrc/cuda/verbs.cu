/* verbs.cu: predictions, losses, gradients and training, as phases on the plan's stream. */
#include "verbs.cuh"

#include "../optimizer.h"

#include <string.h>
#include <time.h>

/* Steps of a graph; even, as a step's input alternates between two buffers.  Emulated, a step that is not wanted costs
 * as much as any. */
#ifdef FNN_EMULATE
#define GRAPH_STEPS 2
#else
#define GRAPH_STEPS 32
#endif
/* Of one with products of the vendor's library, which are computed whether the step is wanted or not. */
#define BLAS_GRAPH_STEPS 2
/* Steps whose constants are computed and copied at once. */
#define CONSTANTS_AHEAD 16384
/* Rows of a partial sum of losses in a pass: a batch of the CPU's. */
#define PASS_ROWS 256

static int64_t now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }

fnn_status upload(const fnn_cuda_plan *plan, const progress *at) {
    FNN_CUDA(cudaMemcpyAsync(plan->at, at, sizeof *at, cudaMemcpyHostToDevice, plan->stream));
    return FNN_OK;
}

static fnn_status upload(const fnn_cuda_plan *plan, progress *at, const fnn_cuda_data *data) {
    at->data = data->host;
    at->sparse = data->sparse;
    return upload(plan, at);
}

fnn_status download(const fnn_cuda_plan *plan, progress *at) {
    FNN_CUDA(cudaMemcpyAsync(at, plan->at, sizeof *at, cudaMemcpyDeviceToHost, plan->stream));
    FNN_CUDA(cudaStreamSynchronize(plan->stream));
    return FNN_OK;
}

fnn_status launch_all(const fnn_cuda_plan *plan, const program &phases, int slot) {
    for (const launchable &each : phases) {
        if (each.product.a != nullptr) {
            FNN_TRY(blas_multiply(plan->library, each.product, plan->stream));
            continue;
        }
        launchable now = each;
        now.p.slot = slot;
        FNN_CUDA(launch(now.p, now.tile, now.shared, plan->stream));
    }
    return FNN_OK;
}

/* ---- a pass over data, in prediction mode ---- */

static progress pass_from(int64_t row, int64_t batch_size) {
    progress at = {};
    at.first_row = row;
    at.batch_size = batch_size;
    at.n_steps = INT64_MAX;
    at.factor = 1.0f;
    return at;
}

/* Batch after batch, until data or budget are used up; after(row, n_rows) fetches what a batch has left. */
template <class F>
static fnn_status pass(const fnn_cuda_plan *plan, const fnn_cuda_data *data, const program &phases, progress *at,
                       int64_t budget_ns, int64_t *row, F after) {
    const int64_t deadline = now_ns() + budget_ns;
    FNN_CUDA(cudaSetDevice(plan->device));
    FNN_TRY(upload(plan, at, data));
    for (int slot = 0; *row < data->host.n_rows; slot++) {
        const int64_t n_rows = smaller(plan->n_batch, data->host.n_rows - *row);
        FNN_TRY(launch_all(plan, phases, slot));
        FNN_TRY(after(*row, n_rows));
        *row += n_rows;
        if (now_ns() >= deadline) break;
    }
    return download(plan, at);
}

static fnn_status fetch_matrix(const fnn_cuda_plan *plan, float *out, int64_t n_out, int64_t row, int64_t n_rows) {
    const size_t bytes = (size_t)(n_rows * n_out) * sizeof(float);
    FNN_CUDA(cudaMemcpyAsync(out + row * n_out, plan->matrix, bytes, cudaMemcpyDeviceToHost, plan->stream));
    FNN_CUDA(cudaStreamSynchronize(plan->stream));
    return FNN_OK;
}

fnn_status fnn_cuda_predict(fnn_cuda_plan *plan, const fnn_cuda_floats *params, const fnn_cuda_data *data,
                            fnn_link link, int64_t budget_ns, int64_t *row, float *out) {
    const int64_t n_out = plan->net->layers[plan->net->n_layers - 1].n_out;
    program phases;
    add_prepare(&phases, plan, 0, 0, false);
    add_forward(&phases, plan, params->at, 0, false);
    add_output(&phases, plan, plan->layers.back().out, n_out, link);
    progress at = pass_from(*row, plan->n_batch);
    return pass(plan, data, phases, &at, budget_ns, row, [&](int64_t first, int64_t n_rows) {
        return fetch_matrix(plan, out, n_out, first, n_rows);
    });
}

fnn_status fnn_cuda_activities(fnn_cuda_plan *plan, const fnn_cuda_floats *params, const fnn_cuda_data *data,
                               int64_t budget_ns, int64_t *row, float *const *outs) {
    program phases;
    add_prepare(&phases, plan, 0, 0, false);
    add_forward(&phases, plan, params->at, 0, true);
    progress at = pass_from(*row, plan->n_batch);
    int slot = 0;
    return pass(plan, data, phases, &at, budget_ns, row, [&](int64_t first, int64_t n_rows) {
        for (int64_t l = 0; l < plan->net->n_layers; l++) {
            if (outs[l] == nullptr) continue;
            const int64_t n_out = plan->net->layers[l].n_out;
            program one;
            add_output(&one, plan, plan->layers[(size_t)l].y, n_out, FNN_IDENTITY);
            FNN_TRY(launch_all(plan, one, slot));
            FNN_TRY(fetch_matrix(plan, outs[l], n_out, first, n_rows));
        }
        slot++;
        return FNN_OK;
    });
}

fnn_status fnn_cuda_evaluate(fnn_cuda_plan *plan, const fnn_cuda_floats *params, const fnn_cuda_data *data,
                             fnn_loss loss, int64_t budget_ns, int64_t *row, fnn_metrics *metrics) {
    program phases;
    add_prepare(&phases, plan, 0, 0, false);
    add_judged(&phases, plan, params->at, 0, false, {loss, false, false});
    add_tally(&phases, plan, PASS_ROWS);
    progress at = pass_from(*row, plan->n_batch);
    at.metrics = *metrics;
    FNN_TRY(pass(plan, data, phases, &at, budget_ns, row, [](int64_t, int64_t) { return FNN_OK; }));
    *metrics = at.metrics;
    return FNN_OK;
}

/* ---- gradients ---- */

/* Of these rows alone, so that they start at row 0 of it. */
static fnn_status copy_order(fnn_cuda_plan *plan, const fnn_share *share, progress *at) {
    const size_t bytes = (size_t)share->n_rows * sizeof(uint32_t);
    FNN_TRY(plan->order.reserve(share->n_rows));
    FNN_CUDA(cudaMemcpyAsync(plan->order.at, share->order + share->first, bytes, cudaMemcpyHostToDevice, plan->stream));
    at->order = plan->order.at;
    at->first_row = 0;
    return FNN_OK;
}

fnn_status fnn_cuda_gradients(fnn_cuda_plan *plan, const fnn_cuda_floats *params, const fnn_cuda_data *data,
                              fnn_loss loss, const fnn_share *share, float *gradients, fnn_metrics *metrics) {
    const bool is_drawn = share->dropout != 0;
    program phases;
    add_prepare(&phases, plan, 0, 0, is_drawn);
    add_judged(&phases, plan, params->at, 0, is_drawn, {loss, true, false});
    add_gradients(&phases, plan, params->at, 0, is_drawn);
    progress at = pass_from(share->first, share->n_rows);
    at.before = share->before;
    at.of = share->of;
    at.seed = share->seed;
    at.first_step = share->step;
    at.is_drawn = is_drawn;
    FNN_CUDA(cudaSetDevice(plan->device));
    if (share->order != nullptr) FNN_TRY(copy_order(plan, share, &at));
    FNN_TRY(upload(plan, &at, data));
    FNN_TRY(launch_all(plan, phases, 0));
    const size_t bytes = (size_t)plan->net->n_floats * sizeof(float);
    if (gradients != nullptr)
        FNN_CUDA(cudaMemcpyAsync(gradients, plan->gradients, bytes, cudaMemcpyDeviceToHost, plan->stream));
    FNN_TRY(download(plan, &at));
    *metrics = at.metrics;
    return FNN_OK;
}

/* ---- training ---- */

static void append(std::vector<char> *bytes, const program &phases) {
    const char *first = (const char *)phases.data();
    bytes->insert(bytes->end(), first, first + phases.size() * sizeof(launchable));
}

static int64_t graph_steps(const fnn_cuda_plan *plan) {
    return plan->library != nullptr ? BLAS_GRAPH_STEPS : GRAPH_STEPS;
}

static fnn_status capture(const fnn_cuda_plan *plan, const program steps[2]) {
    launchable advance;
    memset(&advance, 0, sizeof advance);
    advance.p.at = plan->at;
    advance.p.n_ops = 1;
    advance.p.ops[0].kind = OP_ADVANCE;
    advance.p.ops[0].blocks = 1;
    advance.p.ops[0].steps = (int)graph_steps(plan);
    for (int slot = 0; slot < graph_steps(plan); slot++) FNN_TRY(launch_all(plan, steps[slot % 2], slot));
    return launch_all(plan, program(1, advance), 0);
}

/* Each product once, before it is captured; there is nothing yet in the matrices that it reads and writes. */
static fnn_status prepare_products(const fnn_cuda_plan *plan, const program &phases) {
    for (const launchable &each : phases)
        if (each.product.a != nullptr) FNN_TRY(blas_multiply(plan->library, each.product, plan->stream));
    return FNN_OK;
}

/* The graph of so many steps; one that was recorded before serves again as long as nothing in it has changed. */
static fnn_status record(fnn_cuda_plan *plan, const program steps[2]) {
    std::vector<char> bytes;
    append(&bytes, steps[0]);
    append(&bytes, steps[1]);
    if (plan->graph != nullptr && bytes == plan->recorded) return FNN_OK;
    if (plan->graph != nullptr) FNN_CUDA(cudaGraphExecDestroy(plan->graph));
    plan->graph = nullptr;
    for (int i = 0; i < 2; i++) FNN_TRY(prepare_products(plan, steps[i]));
    FNN_CUDA(cudaStreamBeginCapture(plan->stream, cudaStreamCaptureModeThreadLocal));
    const fnn_status status = capture(plan, steps);
    cudaGraph_t graph = nullptr;
    const cudaError_t error = cudaStreamEndCapture(plan->stream, &graph);
    FNN_TRY(status);
    FNN_CUDA(error);
    const cudaError_t failed = cudaGraphInstantiate(&plan->graph, graph, 0);
    cudaGraphDestroy(graph);
    FNN_CUDA(failed);
    plan->recorded = bytes;
    return FNN_OK;
}

std::vector<step_constants> constants_of(const fnn_epoch *epoch, int64_t since, int64_t end) {
    std::vector<step_constants> constants((size_t)(end - since));
    for (int64_t step = since; step < end; step++) {
        fnn_sink sink = {};
        sink.rate = epoch->rates[step];
        if (epoch->update == FNN_ADAM || epoch->update == FNN_RMSPROP) fnn_correct_bias(&sink, epoch, step);
        constants[(size_t)(step - since)] = {epoch->rates[step], sink.rate, sink.adam.root_scale};
    }
    return constants;
}

/* Copies what the steps from epoch->step on need; end: how far they can go. */
static fnn_status begin(fnn_cuda_plan *plan, const fnn_cuda_data *data, fnn_epoch *epoch, int64_t end) {
    const int64_t since = epoch->step, n_rows = data->host.n_rows;
    const std::vector<step_constants> constants = constants_of(epoch, since, end);
    FNN_TRY(plan->constants.reserve(end - since));
    FNN_TRY(plan->step_losses.reserve(end - since));
    const size_t bytes = constants.size() * sizeof(step_constants);
    FNN_CUDA(cudaMemcpyAsync(plan->constants.at, constants.data(), bytes, cudaMemcpyHostToDevice, plan->stream));
    if (epoch->order != nullptr) {
        FNN_TRY(plan->order.reserve(n_rows));
        FNN_CUDA(cudaMemcpyAsync(plan->order.at, epoch->order, (size_t)n_rows * sizeof(uint32_t),
                                 cudaMemcpyHostToDevice, plan->stream));
    }
    progress at = {};
    at.order = epoch->order != nullptr ? plan->order.at : nullptr;
    at.constants = plan->constants.at;
    at.losses = plan->step_losses.at;
    at.since = at.step = at.done = since;
    at.batch_size = epoch->batch_size;
    at.n_steps = end;
    at.seed = epoch->seed;
    at.first_step = epoch->first_step;
    at.is_drawn = 1;
    at.factor = 1.0f;
    at.metrics = epoch->metrics;
    at.norms = epoch->norms;
    FNN_TRY(upload(plan, &at, data));
    FNN_CUDA(cudaStreamSynchronize(plan->stream)); /* what it copied from may go */
    return FNN_OK;
}

/* left: steps to do.  A graph of two for the last one would do twice its products. */
static fnn_status run_graph(const fnn_cuda_plan *plan, const program steps[2], int64_t left) {
    if (plan->library != nullptr && left == 1) return launch_all(plan, steps[0], 0);
    FNN_CUDA(cudaGraphLaunch(plan->graph, plan->stream));
    return FNN_OK;
}

/* Graph after graph, looking at the clock every few milliseconds. */
static fnn_status run_steps(const fnn_cuda_plan *plan, const program steps[2], progress *at, int64_t first, int64_t end,
                            int64_t budget_ns) {
    const int64_t began = now_ns(), n = graph_steps(plan);
    int64_t graphs = 1;
    do {
        const int64_t before = now_ns(), left = (end - first + n - 1) / n;
        graphs = smaller(graphs, left);
        for (int64_t i = 0; i < graphs; i++) FNN_TRY(run_graph(plan, steps, end - first - i * n));
        FNN_TRY(download(plan, at));
        first += graphs * n;
        if (now_ns() - before < budget_ns / 10) graphs *= 2;
    } while (first < end && !at->diverged && now_ns() - began < budget_ns);
    return FNN_OK;
}

/* What the steps have left. */
static fnn_status finish(const fnn_cuda_plan *plan, fnn_epoch *epoch, const progress &at) {
    const int64_t since = epoch->step, done = at.done - since;
    if (epoch->losses != nullptr && done > 0) {
        const size_t bytes = (size_t)done * sizeof(double);
        FNN_CUDA(cudaMemcpy(epoch->losses + since, plan->step_losses.at, bytes, cudaMemcpyDeviceToHost));
    }
    epoch->step = at.done;
    epoch->metrics = at.metrics;
    epoch->norms = at.norms;
    return at.diverged ? FNN_ERR_DIVERGED : FNN_OK;
}

fnn_status fnn_cuda_train(fnn_cuda_plan *plan, fnn_cuda_floats *params, fnn_cuda_floats *state,
                          const fnn_cuda_data *data, fnn_epoch *epoch, int64_t budget_ns) {
    if (epoch->step >= epoch->n_steps) return FNN_OK;
    const int64_t end = smaller(epoch->n_steps, epoch->step + CONSTANTS_AHEAD);
    const descent_on_device d = {params->at, state != nullptr ? state->at : nullptr, epoch};
    const program steps[2] = {training_step(plan, d, 0), training_step(plan, d, 1)};
    program first;
    add_prepare(&first, plan, 0, 0, true);
    if (plan->library != nullptr) add_plain_weights(&first, plan, d);
    progress at;
    FNN_CUDA(cudaSetDevice(plan->device));
    FNN_TRY(record(plan, steps));
    FNN_TRY(begin(plan, data, epoch, end));
    FNN_TRY(launch_all(plan, first, 0));
    FNN_TRY(run_steps(plan, steps, &at, epoch->step, end, budget_ns));
    return finish(plan, epoch, at);
}
