/* streams.cpp: the emulation's streams, what is launched on them, and events. */
#include "runtime.h"

/* ---- streams ---- */

cudaStream_t emulated::find_stream(cudaStream_t stream) {
    const holding held(lives().lock);
    if (stream == nullptr) return &lives().legacy;
    return lives().streams.count(stream) != 0 ? stream : nullptr;
}

void emulated::settle(void) {
    std::vector<work> late;
    {
        const holding held(lives().lock);
        late.swap(lives().late);
    }
    const holding held(lives().legacy.turn);
    for (const work &each : late) each(&lives().legacy);
}

cudaError_t emulated::give(cudaStream_t stream, const work &each) {
    if (stream == nullptr) settle();
    stream = find_stream(stream);
    if (stream == nullptr) return cudaErrorInvalidResourceHandle;
    const holding held(stream->turn);
    if (stream->is_invalid) return cudaErrorStreamCaptureInvalidated;
    if (stream->captured != nullptr)
        stream->captured->all.push_back(each);
    else
        each(stream);
    return cudaSuccess;
}

cudaError_t emulated::check_not_captured(cudaStream_t stream) {
    stream = find_stream(stream);
    if (stream == nullptr) return cudaErrorInvalidResourceHandle;
    const holding held(stream->turn);
    if (stream->captured == nullptr) return check_device(current_device);
    stream->is_invalid = true;
    return cudaErrorStreamCaptureUnsupported;
}

cudaError_t cudaStreamCreateWithFlags(cudaStream_t *stream, unsigned flags) {
    const cudaError_t error = check_device(current_device);
    if (error != cudaSuccess) return report(error);
    if (flags > cudaStreamNonBlocking) return report(cudaErrorInvalidValue);
    *stream = new fnn_emulated_stream();
    (*stream)->device = current_device;
    const holding held(lives().lock);
    lives().streams.insert(*stream);
    return cudaSuccess;
}

cudaError_t cudaStreamDestroy(cudaStream_t stream) {
    const cudaError_t error = stream == nullptr ? cudaErrorInvalidResourceHandle : check_not_captured(stream);
    if (error != cudaSuccess) return report(error);
    const holding held(lives().lock);
    lives().streams.erase(stream);
    delete stream;
    return cudaSuccess;
}

cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
    const cudaError_t error = check_not_captured(stream);
    if (error == cudaSuccess && stream == nullptr) settle();
    return report(error);
}

/* ---- launches ---- */

cudaError_t fnn_emulated_allow(const void *kernel, cudaFuncAttribute attribute, int value) {
    const cudaError_t error = check_device(current_device);
    if (error != cudaSuccess) return report(error);
    if (attribute != cudaFuncAttributeMaxDynamicSharedMemorySize || value < 0 || value > SHARED_OPTIN_BYTES)
        return report(cudaErrorInvalidValue);
    const holding held(lives().lock);
    lives().allowed[{current_device, kernel}] = (size_t)value;
    return cudaSuccess;
}

static bool is_within_limits(const void *kernel, dim3 grid, dim3 block, size_t shared) {
    if (grid.x == 0 || grid.y == 0 || grid.z == 0 || block.x == 0 || block.y == 0 || block.z == 0) return false;
    if (block.x > 1024 || block.y > 1024 || block.z > 64 || (uint64_t)block.x * block.y * block.z > 1024) return false;
    if (grid.x > 0x7fffffff || grid.y > 65535 || grid.z > 65535) return false;
    if (shared <= SHARED_BYTES) return true;
    const holding held(lives().lock);
    const auto found = lives().allowed.find({current_device, kernel});
    return found != lives().allowed.end() && shared <= found->second;
}

cudaError_t fnn_emulated_launch(const void *kernel, const std::function<void()> &thread, dim3 grid, dim3 block,
                                size_t shared, cudaStream_t stream) {
    const cudaError_t error = check_device(current_device);
    if (error != cudaSuccess) return report(error);
    if (!is_within_limits(kernel, grid, block, shared)) return report(cudaErrorInvalidValue);
    const cudaStream_t found = find_stream(stream);
    if (found == nullptr || (stream != nullptr && found->device != current_device))
        return report(cudaErrorInvalidResourceHandle);
    return report(give(stream, [=](cudaStream_t on) {
        const uint64_t seed = fnn_emulated_setting("FASTNN_EMULATE_SEED", 0);
        fnn_emulated_run(thread, grid, block, shared, seed << 32 ^ on->launches++);
    }));
}

extern "C" __attribute__((visibility("default"))) cudaError_t cudaLaunchHostFunc(cudaStream_t stream,
                                                                                cudaHostFn_t function, void *data) {
    const cudaError_t error = check_device(current_device);
    return report(error != cudaSuccess ? error : give(stream, [=](cudaStream_t) { function(data); }));
}

/* ---- events ---- */

cudaError_t cudaEventCreate(cudaEvent_t *event) {
    const cudaError_t error = check_device(current_device);
    if (error != cudaSuccess) return report(error);
    *event = new fnn_emulated_event();
    const holding held(lives().lock);
    lives().events.insert(*event);
    return cudaSuccess;
}

static bool is_event(cudaEvent_t event) {
    const holding held(lives().lock);
    return lives().events.count(event) != 0;
}

cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream) {
    if (!is_event(event)) return report(cudaErrorInvalidResourceHandle);
    const cudaError_t error = check_not_captured(stream);
    if (error != cudaSuccess) return report(error);
    return report(give(stream, [=](cudaStream_t) {
        event->at = std::chrono::steady_clock::now();
        event->is_recorded = true;
    }));
}

cudaError_t cudaEventSynchronize(cudaEvent_t event) {
    return report(is_event(event) ? cudaSuccess : cudaErrorInvalidResourceHandle);
}

cudaError_t cudaEventElapsedTime(float *milliseconds, cudaEvent_t start, cudaEvent_t end) {
    if (!is_event(start) || !is_event(end) || !start->is_recorded || !end->is_recorded)
        return report(cudaErrorInvalidResourceHandle);
    *milliseconds = std::chrono::duration<float, std::milli>(end->at - start->at).count();
    return cudaSuccess;
}

cudaError_t cudaEventDestroy(cudaEvent_t event) {
    const holding held(lives().lock);
    if (lives().events.erase(event) == 0) return report(cudaErrorInvalidResourceHandle);
    delete event;
    return cudaSuccess;
}
