/* emulate.cpp: the emulation that cuda_runtime.h declares: fibers, memory, streams and graphs. */
#include "cuda_runtime.h"

#include <stdio.h>
#include <stdlib.h>
#include <ucontext.h>

#include <algorithm>
#include <map>
#include <mutex>
#include <vector>

#define STACK_BYTES (64 * 1024)
#define GUARD_BYTES 256
#define GUARD 0xa5
#define POISON 0xff
#define PROCESSORS 4 /* few, so that small products are cut as large ones are */

thread_local fnn_emulated_place fnn_emulated;

[[noreturn]] static void fail(const char *what) {
    fprintf(stderr, "emulated CUDA: %s (block %u, thread %u)\n", what, blockIdx.x, threadIdx.x);
    abort();
}

static long setting(const char *name, long otherwise) {
    const char *value = getenv(name);
    return value != nullptr && *value != 0 ? strtol(value, nullptr, 10) : otherwise;
}

/* ---- the threads of a block ---- */

struct copy {
    void *to;
    const void *from;
    size_t bytes;
};

struct fiber {
    ucontext_t context;
    std::vector<char> stack;
    std::vector<std::vector<copy>> groups; /* not yet waited for */
    std::vector<copy> open;                /* not yet committed */
    bool is_done;
};

struct emulated_block {
    ucontext_t scheduler;
    std::vector<fiber> fibers;
    std::vector<char> shared;
    size_t shared_bytes;
    fiber *running;
    const std::function<void()> *thread;
    uint64_t random;
};
static thread_local emulated_block own;

static uint64_t next_random(void) {
    own.random = own.random * 6364136223846793005u + 1442695040888963407u;
    return own.random >> 33;
}

static void shuffle(std::vector<unsigned> *order) {
    for (size_t i = order->size(); i > 1; i--) std::swap((*order)[i - 1], (*order)[next_random() % i]);
}

static std::vector<unsigned> count_to(unsigned n) {
    std::vector<unsigned> order(n);
    for (unsigned i = 0; i < n; i++) order[i] = i;
    return order;
}

void *fnn_emulated_shared(void) { return (void *)(((uintptr_t)own.shared.data() + 127) / 128 * 128); }

void fnn_emulated_copy(void *to, const void *from, size_t bytes) {
    if (bytes != 4 && bytes != 8 && bytes != 16) fail("an asynchronous copy of other than 4, 8 or 16 bytes");
    if ((uintptr_t)to % bytes != 0 || (uintptr_t)from % bytes != 0) fail("an asynchronous copy is not aligned");
    own.running->open.push_back({to, from, bytes});
}

void fnn_emulated_commit(void) {
    own.running->groups.push_back(own.running->open);
    own.running->open.clear();
}

void fnn_emulated_wait(size_t groups) {
    std::vector<std::vector<copy>> &all = own.running->groups;
    while (all.size() > groups) {
        for (const copy &each : all.front()) memcpy(each.to, each.from, each.bytes);
        all.erase(all.begin());
    }
}

void __syncthreads(void) { swapcontext(&own.running->context, &own.scheduler); }

static void run_fiber(void) {
    (*own.thread)();
    own.running->is_done = true;
    swapcontext(&own.running->context, &own.scheduler);
}

/* All threads from one barrier to the next. */
static size_t run_to_barrier(unsigned threads, std::vector<unsigned> *order) {
    size_t waiting = 0;
    shuffle(order);
    for (unsigned i : *order) {
        fiber *each = &own.fibers[i];
        if (each->is_done) continue;
        threadIdx = dim3(i);
        own.running = each;
        swapcontext(&own.scheduler, &each->context);
        waiting += !each->is_done;
    }
    size_t done = 0;
    for (unsigned i = 0; i < threads; i++) done += own.fibers[i].is_done;
    if (waiting > 0 && done > 0) fail("some threads wait at a barrier that others have left out");
    return waiting;
}

static void check_guard(void) {
    const unsigned char *end = (unsigned char *)fnn_emulated_shared() + own.shared_bytes;
    for (size_t i = 0; i < GUARD_BYTES; i++)
        if (end[i] != GUARD) fail("written beyond the shared memory");
}

static void run_block(unsigned block, unsigned threads) {
    blockIdx = dim3(block);
    memset(fnn_emulated_shared(), POISON, own.shared_bytes);
    memset((char *)fnn_emulated_shared() + own.shared_bytes, GUARD, GUARD_BYTES);
    for (unsigned i = 0; i < threads; i++) {
        fiber *each = &own.fibers[i];
        each->is_done = false;
        each->groups.clear();
        each->open.clear();
        each->stack.resize(STACK_BYTES);
        getcontext(&each->context);
        each->context.uc_stack.ss_sp = each->stack.data();
        each->context.uc_stack.ss_size = STACK_BYTES;
        each->context.uc_link = nullptr;
        makecontext(&each->context, run_fiber, 0);
    }
    std::vector<unsigned> order = count_to(threads);
    while (run_to_barrier(threads, &order) > 0) {}
    check_guard();
}

static void run_grid(const std::function<void()> &thread, unsigned grid, unsigned threads, size_t shared) {
    own.thread = &thread;
    own.random += (uint64_t)setting("FASTNN_EMULATE_SEED", 0);
    own.shared_bytes = shared;
    own.shared.resize(shared + GUARD_BYTES + 128);
    if (own.fibers.size() < threads) own.fibers.resize(threads);
    blockDim = dim3(threads);
    gridDim = dim3(grid);
    std::vector<unsigned> order = count_to(grid);
    shuffle(&order);
    for (unsigned block : order) run_block(block, threads);
}

/* ---- streams and graphs ---- */

struct fnn_emulated_graph {
    std::vector<std::function<void()>> work;
};
struct fnn_emulated_stream {
    cudaGraph_t captured; /* NULL: what is launched runs at once */
};

static std::mutex lock;
static std::map<const void *, size_t> allowed; /* shared memory of kernels */

cudaError_t fnn_emulated_allow(const void *kernel, int bytes) {
    const std::lock_guard<std::mutex> guard(lock);
    if (bytes < 0 || bytes > 227 * 1024) return cudaErrorInvalidValue;
    allowed[kernel] = (size_t)bytes;
    return cudaSuccess;
}

cudaError_t fnn_emulated_launch(const void *kernel, std::function<void()> thread, dim3 grid, dim3 block, size_t shared,
                                cudaStream_t stream) {
    {
        const std::lock_guard<std::mutex> guard(lock);
        const size_t most = allowed.count(kernel) != 0 ? std::max(allowed[kernel], (size_t)48 * 1024) : 48 * 1024;
        if (shared > most || grid.x == 0 || block.x == 0 || block.x > 1024) return cudaErrorInvalidValue;
    }
    const std::function<void()> work = [=] { run_grid(thread, grid.x, block.x, shared); };
    if (stream != nullptr && stream->captured != nullptr)
        stream->captured->work.push_back(work);
    else
        work();
    return cudaSuccess;
}

cudaError_t cudaStreamCreateWithFlags(cudaStream_t *stream, unsigned) {
    *stream = new fnn_emulated_stream();
    return cudaSuccess;
}
cudaError_t cudaStreamDestroy(cudaStream_t stream) {
    delete stream;
    return cudaSuccess;
}
cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
    return stream->captured != nullptr ? cudaErrorStreamCaptureUnsupported : cudaSuccess;
}
cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode) {
    stream->captured = new fnn_emulated_graph();
    return cudaSuccess;
}
cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t *graph) {
    *graph = stream->captured;
    stream->captured = nullptr;
    return cudaSuccess;
}
cudaError_t cudaGraphInstantiate(cudaGraphExec_t *exec, cudaGraph_t graph, unsigned long long) {
    *exec = new fnn_emulated_graph(*graph);
    return cudaSuccess;
}
cudaError_t cudaGraphLaunch(cudaGraphExec_t exec, cudaStream_t) {
    for (const std::function<void()> &work : exec->work) work();
    return cudaSuccess;
}
cudaError_t cudaGraphExecDestroy(cudaGraphExec_t exec) {
    delete exec;
    return cudaSuccess;
}
cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
    delete graph;
    return cudaSuccess;
}

/* ---- devices and memory ---- */

const char *cudaGetErrorName(cudaError_t error) {
    switch (error) {
    case cudaSuccess: return "cudaSuccess";
    case cudaErrorInvalidValue: return "cudaErrorInvalidValue";
    case cudaErrorMemoryAllocation: return "cudaErrorMemoryAllocation";
    case cudaErrorNoDevice: return "cudaErrorNoDevice";
    case cudaErrorInvalidDevice: return "cudaErrorInvalidDevice";
    default: return "cudaErrorStreamCaptureUnsupported";
    }
}

const char *cudaGetErrorString(cudaError_t error) {
    switch (error) {
    case cudaSuccess: return "no error";
    case cudaErrorInvalidValue: return "invalid argument";
    case cudaErrorMemoryAllocation: return "out of memory";
    case cudaErrorNoDevice: return "no CUDA-capable device is detected";
    case cudaErrorInvalidDevice: return "invalid device ordinal";
    default: return "operation not permitted when stream is capturing";
    }
}

cudaError_t cudaGetLastError(void) { return cudaSuccess; }

cudaError_t cudaGetDeviceCount(int *count) {
    *count = (int)setting("FASTNN_EMULATE_DEVICES", 1);
    return *count > 0 ? cudaSuccess : cudaErrorNoDevice;
}

cudaError_t cudaSetDevice(int device) {
    return device >= 0 && device < setting("FASTNN_EMULATE_DEVICES", 1) ? cudaSuccess : cudaErrorInvalidDevice;
}

cudaError_t cudaGetDeviceProperties(cudaDeviceProp *properties, int device) {
    snprintf(properties->name, sizeof properties->name, "emulated on the host");
    return cudaSetDevice(device);
}

cudaError_t cudaDeviceGetAttribute(int *value, cudaDeviceAttr, int device) {
    *value = PROCESSORS;
    return cudaSetDevice(device);
}

cudaError_t cudaMalloc(void **block, size_t bytes) {
    *block = aligned_alloc(256, (bytes + 255) / 256 * 256);
    if (*block == nullptr) return cudaErrorMemoryAllocation;
    memset(*block, POISON, bytes);
    return cudaSuccess;
}

cudaError_t cudaFree(void *block) {
    free(block);
    return cudaSuccess;
}

cudaError_t cudaMemset(void *to, int byte, size_t bytes) {
    memset(to, byte, bytes);
    return cudaSuccess;
}

cudaError_t cudaMemcpy(void *to, const void *from, size_t bytes, cudaMemcpyKind) {
    if (bytes > 0) memcpy(to, from, bytes);
    return cudaSuccess;
}

cudaError_t cudaMemcpyAsync(void *to, const void *from, size_t bytes, cudaMemcpyKind kind, cudaStream_t stream) {
    if (stream->captured != nullptr) return cudaErrorStreamCaptureUnsupported;
    return cudaMemcpy(to, from, bytes, kind);
}
