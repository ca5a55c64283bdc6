/* plan.cu: a plan's memory on the device, sized before anything runs and laid out in one block. */
#include "cursor.cuh"

#include <stdlib.h>

bool changes_output(const fnn_cuda_plan *plan, const fnn_dropout *dropout) {
    return dropout->predict_scale != 1.0f || (plan->training && dropout->threshold < 65536);
}

static void lay_out_layer(fnn_cuda_plan *plan, cursor *at, int64_t l) {
    const fnn_layer *layer = &plan->net->layers[l];
    layer_blocks *blocks = &plan->layers[(size_t)l];
    const bool keeps_slope = plan->training && fnn_keeps_slope(layer->activation);
    const bool is_apart = changes_output(plan, &layer->dropout) || keeps_slope;
    const bool is_plain = plan->training && stays_plain(plan, l);
    if (!is_plain || (!blocks->is_fused && layer->activation.function != FNN_LINEAR))
        blocks->y = at->panels(layer->n_out, plan->n_batch);
    if (!is_plain) blocks->out = is_apart ? at->panels(layer->n_out, plan->n_batch) : blocks->y;
    if (!plan->training) return;
    if (!is_plain) blocks->dy = at->panels(layer->n_out, plan->n_batch);
    for (int i = 0; i < 2 && layer->dropout.threshold < 65536; i++)
        blocks->keep[i] = at->take<uint16_t>(fnn_panels(layer->n_out) * plan->n_batch);
}

static void lay_out(fnn_cuda_plan *plan, cursor *at) {
    const fnn_net *net = plan->net;
    int64_t widest = 1;
    plan->x[0] = at->panels(net->input.n_in, plan->n_batch);
    if (plan->training) plan->x[1] = at->panels(net->input.n_in, plan->n_batch);
    for (int64_t l = 0; l < net->n_layers; l++) {
        lay_out_layer(plan, at, l);
        if (net->layers[l].n_out > widest) widest = net->layers[l].n_out;
    }
    if (plan->training) {
        plan->gradients = at->take<float>(net->n_gradients);
        plan->squares = at->take<double>(FNN_SLOTS(net));
    } else {
        plan->matrix = at->take<float>(plan->n_batch * widest);
    }
    plan->losses = at->take<float>(plan->n_batch);
    plan->hits = at->take<int32_t>(plan->n_batch);
    const int64_t columns = 3 * fnn_panels(widest) * FNN_LANES * FNN_LANES;
    if (columns * (int64_t)sizeof(float) > FNN_COLUMNS_SHARED)
        plan->work = at->take<float>((plan->n_batch + 15) / 16 * columns);
    lay_out_plain(plan, at);
}

static fnn_status copy_masks(fnn_cuda_plan *plan) {
    for (int64_t l = 0; l < plan->net->n_layers; l++) {
        const fnn_layer *layer = &plan->net->layers[l];
        if (layer->mask != nullptr)
            FNN_TRY(device_copy(&plan->layers[(size_t)l].mask, layer->mask, layer->b - layer->w));
    }
    return FNN_OK;
}

static fnn_status build(fnn_cuda_plan *plan) {
    FNN_CUDA(cudaSetDevice(plan->device));
    FNN_CUDA(cudaDeviceGetAttribute(&plan->n_processors, cudaDevAttrMultiProcessorCount, plan->device));
    FNN_CUDA(allow_shared_memory());
    FNN_CUDA(cudaStreamCreateWithFlags(&plan->stream, cudaStreamNonBlocking));
    FNN_TRY(device_new(&plan->at, 1));
    FNN_TRY(copy_masks(plan));
    for (int64_t l = 0; l < plan->net->n_layers && plan->library == nullptr; l++)
        if (uses_blas(plan, l)) FNN_TRY(blas_create(&plan->library, plan->precision));
    if (plan->library != nullptr) FNN_TRY(choose_epilogues(plan));
    cursor at = {nullptr, 0};
    lay_out(plan, &at);
    plan->arena_bytes = at.used;
    FNN_TRY(device_new(&plan->arena, (int64_t)at.used));
    at = cursor{plan->arena, 0};
    lay_out(plan, &at);
    return FNN_OK;
}

fnn_status fnn_cuda_plan_create(fnn_cuda_plan **out, int device, const fnn_net *net, int64_t n_batch, int training,
                                fnn_precision precision) {
    *out = nullptr;
    fnn_cuda_plan *plan = new fnn_cuda_plan();
    plan->device = device;
    plan->net = net;
    plan->n_batch = n_batch;
    plan->training = training;
    plan->precision = precision;
    plan->layers.resize((size_t)net->n_layers);
    const fnn_status status = build(plan);
    if (status == FNN_OK)
        *out = plan;
    else
        fnn_cuda_plan_destroy(plan);
    return status;
}

void fnn_cuda_plan_destroy(fnn_cuda_plan *plan) {
    if (plan == nullptr) return;
    cudaSetDevice(plan->device);
    if (plan->graph != nullptr) cudaGraphExecDestroy(plan->graph);
    blas_destroy(plan->library);
    for (const layer_blocks &blocks : plan->layers) device_free(blocks.mask);
    device_free(plan->arena);
    device_free(plan->at);
    device_free(plan->order.at);
    device_free(plan->constants.at);
    device_free(plan->step_losses.at);
    if (plan->stream != nullptr) cudaStreamDestroy(plan->stream);
    delete plan;
}

fnn_status fnn_cuda_plan_poison(fnn_cuda_plan *plan, int byte) {
    FNN_CUDA(cudaSetDevice(plan->device));
    FNN_CUDA(settled(cudaMemset(plan->arena, byte, plan->arena_bytes)));
    return FNN_OK;
}
