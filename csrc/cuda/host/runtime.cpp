/* runtime.cpp: the emulation's side of the host: devices, memory, streams, graphs, events.  Work that a stream is given
 * is done at once, by the thread that gives it. */
#include "block.h"

#include <stdio.h>
#include <stdlib.h>

#include <chrono>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#define ALIGNMENT 256
#define SHARED_BYTES (48 * 1024)
#define SHARED_OPTIN_BYTES (227 * 1024)
#define VERSION 13000
#define NAME "emulated on the host"

typedef std::function<void(fnn_emulated_stream *)> work;

struct fnn_emulated_graph {
    std::vector<work> all;
};
struct fnn_emulated_exec {
    std::vector<work> all;
};
struct fnn_emulated_event {
    bool is_recorded;
    std::chrono::steady_clock::time_point at;
};
struct fnn_emulated_stream {
    int device;
    std::mutex turn; /* its work, and what follows */
    uint64_t launches;
    cudaGraph_t captured; /* NULL: what it is given is done at once */
    bool is_invalid;      /* the capture */
    std::thread::id captor;
};

/* What lives.  Never destroyed: other threads may run until the process ends. */
struct all_that_lives {
    std::mutex lock;
    std::map<uintptr_t, size_t> blocks, pinned; /* address -> bytes */
    size_t used;
    std::set<cudaStream_t> streams;
    std::set<cudaGraph_t> graphs;
    std::set<cudaGraphExec_t> execs;
    std::set<cudaEvent_t> events;
    std::map<std::pair<int, const void *>, size_t> allowed; /* device and kernel -> shared memory */
    int recorded; /* what the graph that was instantiated last does */
    fnn_emulated_stream legacy;
    std::vector<work> late; /* of the legacy stream, not yet done */
};
static all_that_lives &lives(void) {
    static all_that_lives *const all = new all_that_lives();
    return *all;
}
typedef std::lock_guard<std::mutex> holding;

static thread_local int current_device;
static thread_local cudaError_t last_error;
static thread_local std::vector<cudaStream_t> capturing; /* of captures that this thread has begun */

extern "C" __attribute__((visibility("default"))) int fnn_emulated_live(void) {
    const holding held(lives().lock);
    return (int)(lives().blocks.size() + lives().pinned.size() + lives().streams.size() + lives().graphs.size() +
                 lives().execs.size() + lives().events.size());
}

extern "C" __attribute__((visibility("default"))) int fnn_emulated_recorded(void) {
    const holding held(lives().lock);
    return lives().recorded;
}

/* ---- errors ---- */

/* Each call returns by way of this. */
static cudaError_t report(cudaError_t error) {
    if (error != cudaSuccess) last_error = error;
    return error;
}

const char *cudaGetErrorName(cudaError_t error) {
    switch (error) {
#define FNN_EMULATED_ERROR(name, value, text)                                                                          \
    case name: return #name;
        FNN_EMULATED_ERRORS(FNN_EMULATED_ERROR)
#undef FNN_EMULATED_ERROR
    }
    return "unrecognized error code";
}

const char *cudaGetErrorString(cudaError_t error) {
    switch (error) {
#define FNN_EMULATED_ERROR(name, value, text)                                                                          \
    case name: return text;
        FNN_EMULATED_ERRORS(FNN_EMULATED_ERROR)
#undef FNN_EMULATED_ERROR
    }
    return "unrecognized error code";
}

cudaError_t cudaPeekAtLastError(void) { return last_error; }
cudaError_t cudaGetLastError(void) { return std::exchange(last_error, cudaSuccess); }

/* ---- devices ---- */

static int device_count(void) { return (int)fnn_emulated_setting("FASTNN_EMULATE_DEVICES", 1); }

static cudaError_t check_device(int device) {
    if (device_count() == 0) return cudaErrorNoDevice;
    return device < 0 || device >= device_count() ? cudaErrorInvalidDevice : cudaSuccess;
}

/* For calls that may wait for the whole device: a thread that captures must not make them. */
static cudaError_t check_no_capture(void) {
    for (cudaStream_t stream : capturing) {
        const holding held(stream->turn);
        stream->is_invalid = true;
    }
    return capturing.empty() ? check_device(current_device) : cudaErrorStreamCaptureUnsupported;
}

static cudaError_t give_version(int *version) {
    *version = VERSION;
    return cudaSuccess;
}
cudaError_t cudaDriverGetVersion(int *version) { return give_version(version); }
cudaError_t cudaRuntimeGetVersion(int *version) { return give_version(version); }

cudaError_t cudaGetDeviceCount(int *count) {
    *count = device_count();
    return report(*count > 0 ? cudaSuccess : cudaErrorNoDevice);
}

cudaError_t cudaSetDevice(int device) {
    const cudaError_t error = check_device(device);
    if (error == cudaSuccess) current_device = device;
    return report(error);
}

cudaError_t cudaGetDevice(int *device) {
    *device = current_device;
    return report(check_device(current_device));
}

cudaError_t cudaGetDeviceProperties(cudaDeviceProp *properties, int device) {
    const cudaError_t error = check_device(device);
    if (error != cudaSuccess) return report(error);
    *properties = {};
    snprintf(properties->name, sizeof properties->name, "%s", NAME);
    properties->totalGlobalMem = (size_t)fnn_emulated_setting("FASTNN_EMULATE_MEMORY", (uint64_t)4 << 30);
    properties->sharedMemPerBlock = SHARED_BYTES;
    properties->sharedMemPerBlockOptin = SHARED_OPTIN_BYTES;
    properties->warpSize = 32;
    properties->maxThreadsPerBlock = 1024;
    properties->major = 9;
    properties->multiProcessorCount = (int)fnn_emulated_setting("FASTNN_EMULATE_PROCESSORS", 4);
    return cudaSuccess;
}

cudaError_t cudaDeviceGetAttribute(int *value, cudaDeviceAttr attribute, int device) {
    cudaDeviceProp properties;
    const cudaError_t error = cudaGetDeviceProperties(&properties, device);
    if (error != cudaSuccess) return error;
    switch (attribute) {
    case cudaDevAttrMaxThreadsPerBlock: *value = properties.maxThreadsPerBlock; return cudaSuccess;
    case cudaDevAttrMaxSharedMemoryPerBlock: *value = (int)properties.sharedMemPerBlock; return cudaSuccess;
    case cudaDevAttrWarpSize: *value = properties.warpSize; return cudaSuccess;
    case cudaDevAttrMultiProcessorCount: *value = properties.multiProcessorCount; return cudaSuccess;
    case cudaDevAttrComputeCapabilityMajor: *value = properties.major; return cudaSuccess;
    case cudaDevAttrComputeCapabilityMinor: *value = properties.minor; return cudaSuccess;
    case cudaDevAttrMaxSharedMemoryPerBlockOptin: *value = (int)properties.sharedMemPerBlockOptin; return cudaSuccess;
    }
    return report(cudaErrorInvalidValue);
}

/* A cudaMemset returns before the device has done it, and so may a cudaMemcpy of the host's memory, which only has been
 * read by then; streams that do not block do not wait for them.  Here they are as late as they can be. */
static void settle() {
    std::vector<work> late;
    {
        const holding held(lives().lock);
        late.swap(lives().late);
    }
    const holding held(lives().legacy.turn);
    for (const work &each : late) each(&lives().legacy);
}

cudaError_t cudaDeviceSynchronize(void) {
    const cudaError_t error = check_no_capture();
    if (error == cudaSuccess) settle();
    return report(error);
}

/* ---- memory ---- */

static void *new_block(size_t bytes) {
    const size_t room = bytes + 2 * FNN_EMULATED_GUARD_BYTES;
    char *base = (char *)aligned_alloc(ALIGNMENT, (room + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT);
    if (base == nullptr) return nullptr;
    char *block = base + FNN_EMULATED_GUARD_BYTES;
    fnn_emulated_set_guard(base);
    memset(block, FNN_EMULATED_POISON, bytes);
    fnn_emulated_set_guard(block + bytes);
    return block;
}

static void free_block(char *block, size_t bytes) {
    char *base = block - FNN_EMULATED_GUARD_BYTES;
    if (!fnn_emulated_guard_holds(base)) fnn_emulated_fail("written before a block of %zu bytes", bytes);
    if (!fnn_emulated_guard_holds(block + bytes)) fnn_emulated_fail("written beyond a block of %zu bytes", bytes);
    free(base);
}

cudaError_t cudaMalloc(void **block, size_t bytes) {
    const cudaError_t error = check_no_capture();
    *block = nullptr;
    if (error != cudaSuccess || bytes == 0) return report(error);
    const size_t most = (size_t)fnn_emulated_setting("FASTNN_EMULATE_MEMORY", (uint64_t)4 << 30);
    const holding held(lives().lock);
    if (bytes > most || lives().used > most - bytes) return report(cudaErrorMemoryAllocation);
    *block = new_block(bytes);
    if (*block == nullptr) return report(cudaErrorMemoryAllocation);
    lives().blocks[(uintptr_t)*block] = bytes;
    lives().used += bytes;
    return cudaSuccess;
}

/* Waits for all that the device has to do. */
cudaError_t cudaFree(void *block) {
    const cudaError_t error = check_no_capture();
    if (error != cudaSuccess || block == nullptr) return report(error);
    settle();
    const holding held(lives().lock);
    const auto found = lives().blocks.find((uintptr_t)block);
    if (found == lives().blocks.end()) return report(cudaErrorInvalidValue);
    free_block((char *)block, found->second);
    lives().used -= found->second;
    lives().blocks.erase(found);
    return cudaSuccess;
}

cudaError_t cudaMallocHost(void **block, size_t bytes) {
    const cudaError_t error = check_no_capture();
    *block = nullptr;
    if (error != cudaSuccess || bytes == 0) return report(error);
    *block = new_block(bytes);
    if (*block == nullptr) return report(cudaErrorMemoryAllocation);
    const holding held(lives().lock);
    lives().pinned[(uintptr_t)*block] = bytes;
    return cudaSuccess;
}

cudaError_t cudaFreeHost(void *block) {
    const cudaError_t error = check_no_capture();
    if (error != cudaSuccess || block == nullptr) return report(error);
    const holding held(lives().lock);
    const auto found = lives().pinned.find((uintptr_t)block);
    if (found == lives().pinned.end()) return report(cudaErrorInvalidValue);
    free_block((char *)block, found->second);
    lives().pinned.erase(found);
    return cudaSuccess;
}

/* Whether so many bytes lie within one block of device memory, or, for the host's, outside all. */
static bool lies(const void *at, size_t bytes, bool on_device) {
    const uintptr_t first = (uintptr_t)at;
    const holding held(lives().lock);
    auto after = lives().blocks.upper_bound(first);
    const bool reaches_next = after != lives().blocks.end() && after->first < first + bytes;
    if (after == lives().blocks.begin()) return !on_device && !reaches_next;
    const auto block = std::prev(after);
    const uintptr_t end = block->first + block->second;
    return on_device ? first + bytes <= end : first >= end && !reaches_next;
}

static cudaError_t check_copy(const void *to, size_t to_bytes, const void *from, size_t from_bytes,
                              cudaMemcpyKind kind) {
    const cudaError_t error = check_device(current_device);
    if (error != cudaSuccess || to_bytes == 0) return error;
    if (kind == cudaMemcpyDefault) {
        const bool to_fits = lies(to, to_bytes, true) || lies(to, to_bytes, false);
        return to_fits && (lies(from, from_bytes, true) || lies(from, from_bytes, false)) ? cudaSuccess
                                                                                          : cudaErrorInvalidValue;
    }
    const bool to_device = kind == cudaMemcpyHostToDevice || kind == cudaMemcpyDeviceToDevice;
    const bool from_device = kind == cudaMemcpyDeviceToHost || kind == cudaMemcpyDeviceToDevice;
    return lies(to, to_bytes, to_device) && lies(from, from_bytes, from_device) ? cudaSuccess : cudaErrorInvalidValue;
}

/* ---- streams ---- */

static cudaStream_t find_stream(cudaStream_t stream) {
    const holding held(lives().lock);
    if (stream == nullptr) return &lives().legacy;
    return lives().streams.count(stream) != 0 ? stream : nullptr;
}

/* Does it, or records it. */
static cudaError_t give(cudaStream_t stream, const work &each) {
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

/* For what cannot be captured. */
static cudaError_t check_not_captured(cudaStream_t stream) {
    stream = find_stream(stream);
    if (stream == nullptr) return cudaErrorInvalidResourceHandle;
    const holding held(stream->turn);
    if (stream->captured == nullptr) return check_device(current_device);
    stream->is_invalid = true;
    return cudaErrorStreamCaptureUnsupported;
}

cudaError_t cudaMemsetAsync(void *to, int byte, size_t bytes, cudaStream_t stream) {
    const cudaError_t error = check_device(current_device);
    if (error != cudaSuccess) return report(error);
    if (bytes != 0 && !lies(to, bytes, true)) return report(cudaErrorInvalidValue);
    return report(give(stream, [=](cudaStream_t) {
        if (bytes != 0) memset(to, byte, bytes);
    }));
}

cudaError_t cudaMemcpy2DAsync(void *to, size_t to_pitch, const void *from, size_t from_pitch, size_t width,
                              size_t height, cudaMemcpyKind kind, cudaStream_t stream) {
    if (width > to_pitch || width > from_pitch) return report(cudaErrorInvalidPitchValue);
    const bool is_empty = width == 0 || height == 0;
    const size_t to_bytes = is_empty ? 0 : (height - 1) * to_pitch + width;
    const size_t from_bytes = is_empty ? 0 : (height - 1) * from_pitch + width;
    const cudaError_t error = check_copy(to, to_bytes, from, from_bytes, kind);
    if (error != cudaSuccess) return report(error);
    return report(give(stream, [=](cudaStream_t) {
        for (size_t i = 0; i < height && !is_empty; i++)
            memmove((char *)to + i * to_pitch, (const char *)from + i * from_pitch, width);
    }));
}

cudaError_t cudaMemcpyAsync(void *to, const void *from, size_t bytes, cudaMemcpyKind kind, cudaStream_t stream) {
    return cudaMemcpy2DAsync(to, bytes, from, bytes, bytes, 1, kind, stream);
}

static void do_late(const work &each) {
    const holding held(lives().lock);
    lives().late.push_back(each);
}

cudaError_t cudaMemset(void *to, int byte, size_t bytes) {
    cudaError_t error = check_no_capture();
    if (error == cudaSuccess && bytes != 0 && !lies(to, bytes, true)) error = cudaErrorInvalidValue;
    if (error != cudaSuccess || bytes == 0) return report(error);
    do_late([=](cudaStream_t) { memset(to, byte, bytes); });
    return cudaSuccess;
}

cudaError_t cudaMemcpy(void *to, const void *from, size_t bytes, cudaMemcpyKind kind) {
    cudaError_t error = check_no_capture();
    if (error != cudaSuccess) return report(error);
    if (kind != cudaMemcpyHostToDevice || bytes == 0) return cudaMemcpyAsync(to, from, bytes, kind, nullptr);
    error = check_copy(to, bytes, from, bytes, kind);
    if (error != cudaSuccess) return report(error);
    const std::string read((const char *)from, bytes);
    do_late([=](cudaStream_t) { memcpy(to, read.data(), bytes); });
    return cudaSuccess;
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

/* ---- graphs ---- */

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
