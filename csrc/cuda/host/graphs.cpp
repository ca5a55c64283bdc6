/* graphs.cpp: the emulation's captures of streams, and graphs. */
#include "runtime.h"

cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode) {
    const cudaError_t error = check_not_captured(stream);
    if (error != cudaSuccess) return report(error);
    if (stream == nullptr) return report(cudaErrorStreamCaptureUnsupported);
    const holding held(stream->turn);
    stream->captured = new fnn_emulated_graph();
    stream->captor = std::this_thread::get_id();
    capturing.push_back(stream);
    return cudaSuccess;
}

cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t *graph) {
    *graph = nullptr;
    if (stream == nullptr || find_stream(stream) == nullptr) return report(cudaErrorInvalidResourceHandle);
    const holding turn(stream->turn);
    if (stream->captured == nullptr) return report(cudaErrorIllegalState);
    if (stream->captor != std::this_thread::get_id()) return report(cudaErrorStreamCaptureWrongThread);
    for (size_t i = 0; i < capturing.size(); i++)
        if (capturing[i] == stream) capturing.erase(capturing.begin() + (ptrdiff_t)i--);
    const cudaGraph_t captured = std::exchange(stream->captured, nullptr);
    if (std::exchange(stream->is_invalid, false)) {
        delete captured;
        return report(cudaErrorStreamCaptureInvalidated);
    }
    *graph = captured;
    const holding held(lives().lock);
    lives().graphs.insert(captured);
    return cudaSuccess;
}

cudaError_t cudaGraphInstantiate(cudaGraphExec_t *exec, cudaGraph_t graph, unsigned long long) {
    *exec = nullptr;
    const holding held(lives().lock);
    if (lives().graphs.count(graph) == 0) return report(cudaErrorInvalidValue);
    *exec = new fnn_emulated_exec{graph->all};
    lives().execs.insert(*exec);
    lives().recorded = (int)graph->all.size();
    return cudaSuccess;
}

cudaError_t cudaGraphLaunch(cudaGraphExec_t exec, cudaStream_t stream) {
    {
        const holding held(lives().lock);
        if (lives().execs.count(exec) == 0) return report(cudaErrorInvalidValue);
    }
    const cudaError_t error = check_not_captured(stream);
    if (error != cudaSuccess) return report(error);
    const bool fails = fnn_emulated_setting("FASTNN_EMULATE_FAILURE", 0) != 0;
    const size_t n = exec->all.size() / (fails ? 2 : 1);
    const cudaError_t given = give(stream, [=](cudaStream_t on) {
        for (size_t i = 0; i < n; i++) exec->all[i](on);
    });
    return report(given == cudaSuccess && fails ? cudaErrorLaunchFailure : given);
}

cudaError_t cudaGraphExecDestroy(cudaGraphExec_t exec) {
    const holding held(lives().lock);
    if (lives().execs.erase(exec) == 0) return report(cudaErrorInvalidValue);
    delete exec;
    return cudaSuccess;
}

cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
    const holding held(lives().lock);
    if (lives().graphs.erase(graph) == 0) return report(cudaErrorInvalidValue);
    delete graph;
    return cudaSuccess;
}
