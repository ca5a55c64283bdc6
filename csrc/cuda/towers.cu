/* towers.cu: the part of a step that follows the gradients, on several devices, each with all parameters. */
#include "nccl.cuh"
#include "verbs.cuh"

static fnn_status begin(fnn_cuda_plan *plan, const fnn_epoch *epoch, const step_constants *constants) {
    progress at = {};
    FNN_CUDA(cudaSetDevice(plan->device));
    FNN_TRY(plan->constants.reserve(1));
    FNN_CUDA(cudaMemcpyAsync(plan->constants.at, constants, sizeof *constants, cudaMemcpyHostToDevice, plan->stream));
    at.constants = plan->constants.at;
    at.since = at.step = epoch->step;
    at.n_steps = epoch->step + 1;
    at.factor = 1.0f;
    at.norms = epoch->norms;
    FNN_TRY(upload(plan, &at));
    FNN_CUDA(cudaStreamSynchronize(plan->stream)); /* what it copied from may go */
    return FNN_OK;
}

static fnn_status descend(const fnn_cuda_exchange *exchange, const fnn_cuda_tower *towers, fnn_epoch *epoch,
                          int64_t n_shares) {
    const size_t n = exchange->devices.size();
    const std::vector<step_constants> constants = constants_of(epoch, epoch->step, epoch->step + 1);
    for (size_t i = 0; i < n; i++) FNN_TRY(begin(towers[i].plan, epoch, constants.data()));
    FNN_TRY(gather(exchange, towers)); /* towers without a share send what is there: it is not added */
    for (size_t i = 0; i < n; i++) {
        const fnn_cuda_plan *plan = towers[i].plan;
        float *state = towers[i].state != nullptr ? towers[i].state->at : nullptr;
        FNN_CUDA(cudaSetDevice(plan->device));
        const descent_on_device d = {towers[i].params->at, state, epoch};
        FNN_TRY(launch_all(plan, descent(plan, d, exchange->gathered[i], n_shares), 0));
    }
    for (size_t i = 0; i < n; i++) {
        progress at;
        FNN_CUDA(cudaSetDevice(towers[i].plan->device));
        FNN_TRY(download(towers[i].plan, &at));
        epoch->norms = at.norms; /* all have the same */
    }
    return FNN_OK;
}

fnn_status fnn_cuda_descend(fnn_cuda_exchange *exchange, const fnn_cuda_tower *towers, fnn_epoch *epoch,
                            int64_t n_shares) {
    const std::lock_guard<std::mutex> held(nccl_turn);
    const fnn_status status = descend(exchange, towers, epoch, n_shares);
    exchange->has_failed |= status != FNN_OK;
    return status;
}
