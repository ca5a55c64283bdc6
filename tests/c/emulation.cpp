/* emulation.cpp: what the emulation of CUDA promises (csrc/cuda/host/cuda_runtime.h), one case a run: the name of the
 * case is the argument.  A case that must end the process with a message has its rule broken by a kernel. */
#include <cuda_pipeline.h>
#include <cuda_runtime.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include <set>
#include <thread>
#include <vector>

#define EXPECT(condition)                                                                                              \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            printf("line %d: not so: %s\n", __LINE__, #condition);                                                     \
            exit(1);                                                                                                   \
        }                                                                                                              \
    } while (0)
#define OK(call) EXPECT((call) == cudaSuccess)

template <class T> static T *device_new(size_t n) {
    void *block;
    OK(cudaMalloc(&block, n * sizeof(T)));
    return (T *)block;
}

template <class T> static std::vector<T> fetch(const T *from, size_t n) {
    std::vector<T> to(n);
    OK(cudaMemcpy(to.data(), from, n * sizeof(T), cudaMemcpyDeviceToHost));
    return to;
}

template <class A>
static cudaError_t launch(void (*kernel)(A), dim3 grid, dim3 block, A a, size_t shared = 0, cudaStream_t stream = 0) {
    void *args[] = {&a};
    return cudaLaunchKernel(kernel, grid, block, args, shared, stream);
}

static cudaStream_t new_stream(void) {
    cudaStream_t stream;
    OK(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking));
    return stream;
}

__device__ static float *shared_floats(void) { return (float *)fnn_emulated_shared(); }

struct ints {
    int *at;
};
struct floats {
    float *at;
    const float *from;
};

/* ---- places and orders ---- */

static __global__ void __launch_bounds__(24) count_places(const __grid_constant__ ints a) {
    const unsigned block = (blockIdx.z * gridDim.y + blockIdx.y) * gridDim.x + blockIdx.x;
    const unsigned thread = (threadIdx.z * blockDim.y + threadIdx.y) * blockDim.x + threadIdx.x;
    a.at[block * 24 + thread]++;
    if (threadIdx.x >= 2 || threadIdx.y >= 3 || threadIdx.z >= 4) a.at[0] = 100;
    if (blockIdx.x >= 5 || blockIdx.y >= 3 || blockIdx.z >= 2) a.at[0] = 100;
}

static void indices(void) {
    int *counts = device_new<int>(30 * 24);
    OK(cudaMemset(counts, 0, 30 * 24 * sizeof(int)));
    OK(launch(count_places, dim3(5, 3, 2), dim3(2, 3, 4), ints{counts}));
    for (int count : fetch(counts, 30 * 24)) EXPECT(count == 1);
}

static __global__ void note_order(ints a) {
    for (int phase = 0; phase < 2; phase++) {
        const int now = atomicAdd(a.at, 1);
        a.at[1 + now] = (int)(blockIdx.x * 1000 + threadIdx.x);
        __syncthreads();
    }
}

static std::vector<int> order_on(cudaStream_t stream) {
    int *at = device_new<int>(1 + 4 * 2 * 32);
    OK(cudaMemset(at, 0, sizeof(int)));
    OK(cudaStreamSynchronize(0));
    OK(launch(note_order, 4, 32, ints{at}, 0, stream));
    std::vector<int> order = fetch(at, 1 + 4 * 2 * 32);
    order.erase(order.begin());
    return order;
}

/* Block after block, phase after phase; prints the order, which the seed decides. */
static void orders(void) {
    const cudaStream_t stream = new_stream();
    const std::vector<int> order = order_on(stream);
    std::set<std::vector<int>> phases;
    std::set<int> blocks;
    for (size_t i = 0; i < order.size(); i += 32) {
        std::vector<int> phase(order.begin() + (long)i, order.begin() + (long)i + 32);
        for (int &each : phase) {
            EXPECT(each / 1000 == order[i / 64 * 64] / 1000);
            each %= 1000;
        }
        EXPECT(std::set<int>(phase.begin(), phase.end()).size() == 32);
        phases.insert(phase);
        blocks.insert(order[i] / 1000);
    }
    EXPECT(phases.size() == 8);
    EXPECT(blocks.size() == 4);
    EXPECT(order_on(stream) != order);
    EXPECT(order_on(new_stream()) == order);
    for (int each : order) printf("%d ", each);
}

/* ---- barriers ---- */

static __global__ void add_up(floats a) {
    float *sums = shared_floats();
    const unsigned i = threadIdx.x, at = blockIdx.x * blockDim.x + i;
    sums[i] = a.from[at];
    for (unsigned half = blockDim.x / 2; half > 0; half /= 2) {
        __syncthreads();
        if (i < half) sums[i] += sums[i + half];
    }
    __syncthreads();
    a.at[at] = sums[0];
}

static floats new_floats(size_t n) {
    std::vector<float> values(n);
    for (size_t i = 0; i < n; i++) values[i] = (float)i;
    float *from = device_new<float>(n);
    OK(cudaMemcpy(from, values.data(), n * sizeof(float), cudaMemcpyHostToDevice));
    return {device_new<float>(n), from};
}

static void barriers(void) {
    const floats a = new_floats(3 * 256);
    OK(launch(add_up, 3, 256, a, 256 * sizeof(float)));
    const std::vector<float> sums = fetch(a.at, 3 * 256);
    for (size_t i = 0; i < 3 * 256; i++) EXPECT(sums[i] == 255.0f * 128 + (float)(i / 256) * 256 * 256);
}

static __global__ void reverse_without_barrier(floats a) {
    shared_floats()[threadIdx.x] = a.from[threadIdx.x];
    a.at[threadIdx.x] = shared_floats()[blockDim.x - 1 - threadIdx.x];
}

static void missing_barrier(void) {
    const floats a = new_floats(64);
    OK(launch(reverse_without_barrier, 1, 64, a, 64 * sizeof(float)));
    int wrong = 0;
    for (float each : fetch(a.at, 64)) wrong += isnan(each);
    EXPECT(wrong == 32); /* of each pair, the one that came first */
}

static __global__ void ask_any(ints a) {
    const int none = __syncthreads_or(0), one = __syncthreads_or(threadIdx.x == 13 ? 4 : 0);
    __syncthreads();
    a.at[threadIdx.x] = (none != 0) * 4 + (one != 0) * 2 + (__syncthreads_or(0) != 0);
}

static void any_of_a_block(void) {
    int *at = device_new<int>(40);
    OK(launch(ask_any, 1, 40, ints{at}));
    for (int each : fetch(at, 40)) EXPECT(each == 2);
}

static __global__ void leave_early(ints) {
    if (threadIdx.x == 5) return;
    __syncthreads();
}
static void returned_threads(void) { launch(leave_early, 2, 32, ints{}); }

static __global__ void part(ints) {
    if (threadIdx.x < 16)
        __syncthreads();
    else
        __syncthreads();
}
static void two_barriers(void) { launch(part, 2, 32, ints{}); }

/* ---- shared memory ---- */

static __global__ void look_at_shared(ints a) {
    const unsigned char *bytes = (const unsigned char *)fnn_emulated_shared();
    int bad = (uintptr_t)bytes % 128 != 0;
    for (int i = 0; i < 1000; i++) bad += bytes[i] != 0xff;
    bad += !isnan(((const float *)bytes)[-1]) + !isnan(((const float *)bytes)[250]);
    __syncthreads();
    atomicAdd(a.at, bad);
    memset(fnn_emulated_shared(), 0, 1000);
}

static void shared_poison(void) {
    int *bad = device_new<int>(1);
    OK(cudaMemset(bad, 0, sizeof(int)));
    OK(launch(look_at_shared, 3, 4, ints{bad}, 1000));
    EXPECT(fetch(bad, 1)[0] == 0);
}

static __global__ void write_byte(ints a) { ((char *)fnn_emulated_shared())[(intptr_t)a.at] = 1; }
static void last_of_shared(void) { OK(launch(write_byte, 1, 1, ints{(int *)99}, 100)); }
static void beyond_shared(void) { launch(write_byte, 1, 1, ints{(int *)100}, 100); }
static void before_shared(void) { launch(write_byte, 1, 1, ints{(int *)-1}, 100); }

/* ---- asynchronous copies ---- */

/* Two groups: at[i] is 1 where a place has its value after so many waits. */
static __global__ void copy_ahead(floats a) {
    float *to = shared_floats();
    const unsigned i = threadIdx.x;
    for (int place = 0; place < 3; place++) to[place * 32 + i] = -1.0f;
    __pipeline_memcpy_async(to + i, a.from + i, 4);
    __pipeline_commit();
    __pipeline_memcpy_async(to + 32 + i, a.from + 32 + i, 4);
    __pipeline_commit();
    __pipeline_memcpy_async(to + 64 + i, a.from + 64 + i, 4);
    int ok = isnan(to[i]) && isnan(to[32 + i]);
    __pipeline_wait_prior(2);
    ok &= isnan(to[i]);
    __pipeline_wait_prior(1);
    ok &= to[i] == (float)i && isnan(to[32 + i]);
    __pipeline_wait_prior(0);
    ok &= to[32 + i] == (float)(32 + i) && isnan(to[64 + i]); /* which nobody has committed */
    __syncthreads();
    ok &= to[31 - i] == (float)(31 - i);
    __pipeline_commit();
    __pipeline_wait_prior(0);
    a.at[i] = (float)(ok && to[64 + i] == (float)(64 + i));
}

/* at[i] = the sum of from[32 chunk + i] over eight chunks, three of which are on their way at a time. */
static __global__ void add_chunks(floats a) {
    float *to = shared_floats(), sum = 0.0f;
    const unsigned i = threadIdx.x;
    for (unsigned chunk = 0; chunk < 8 + 2; chunk++) {
        if (chunk < 8) __pipeline_memcpy_async(to + chunk % 3 * 32 + i, a.from + chunk * 32 + i, 4);
        __pipeline_commit();
        if (chunk < 2) continue;
        __pipeline_wait_prior(2);
        __syncthreads();
        sum += to[(chunk - 2) % 3 * 32 + (i + 1) % 32];
        __syncthreads();
    }
    a.at[(i + 1) % 32] = sum;
}

static __global__ void copy_with_zeros(floats a) {
    float *to = shared_floats();
    __pipeline_memcpy_async(to, a.from + 4, 16, 8);
    __pipeline_memcpy_async(to + 4, a.from + 4, 8);
    __pipeline_commit();
    __pipeline_wait_prior(0);
    for (int i = 0; i < 7; i++) a.at[i] = to[i];
}

/* The copies that the first block leaves unfinished must not happen in the second. */
static __global__ void copy_and_leave(floats a) {
    float *to = shared_floats();
    const float before = to[threadIdx.x];
    __pipeline_wait_prior(0);
    a.at[blockIdx.x * 32 + threadIdx.x] = (float)(isnan(before) && isnan(to[threadIdx.x]));
    __pipeline_memcpy_async(to + threadIdx.x, a.from, 4);
    __pipeline_commit();
    __pipeline_memcpy_async(to + threadIdx.x, a.from, 4);
}

static void copies(void) {
    const floats a = new_floats(256);
    OK(launch(copy_ahead, 1, 32, a, 96 * sizeof(float)));
    for (float ok : fetch(a.at, 32)) EXPECT(ok == 1.0f);
    OK(launch(add_chunks, 1, 32, a, 96 * sizeof(float)));
    const std::vector<float> sums = fetch(a.at, 32);
    for (int i = 0; i < 32; i++) EXPECT(sums[(size_t)i] == (float)(32 * 28 + 8 * i));
    OK(launch(copy_with_zeros, 1, 1, a, 8 * sizeof(float)));
    const std::vector<float> values = fetch(a.at, 7);
    EXPECT(values[0] == 4 && values[1] == 5 && values[2] == 0 && values[3] == 0);
    EXPECT(values[4] == 4 && values[5] == 5 && isnan(values[6]));
    OK(launch(copy_and_leave, 2, 32, a, 32 * sizeof(float)));
    for (float ok : fetch(a.at, 64)) EXPECT(ok == 1.0f);
}

struct one_copy {
    size_t to, bytes;
    const float *from;
};
static __global__ void copy_once(one_copy a) {
    __pipeline_memcpy_async((char *)fnn_emulated_shared() + a.to, a.from, a.bytes);
}
static void copy_of_12_bytes(void) { launch(copy_once, 1, 1, one_copy{0, 12, device_new<float>(8)}, 64); }
static void copy_to_unaligned(void) { launch(copy_once, 1, 1, one_copy{8, 16, device_new<float>(8)}, 64); }
static void copy_from_unaligned(void) { launch(copy_once, 1, 1, one_copy{0, 8, device_new<float>(8) + 1}, 64); }
static void copy_to_elsewhere(void) { launch(copy_once, 1, 1, one_copy{64, 4, device_new<float>(8)}, 64); }

/* ---- arithmetic ---- */

static void arithmetic(void) {
    const volatile float e = 1.0f + 0x1p-12f, third = 1.0f / 3.0f;
    EXPECT(__fmaf_rn(e, e, -1.0f - 0x1p-11f) == 0x1p-24f); /* rounded once */
    EXPECT(__fsub_rn(__fmul_rn(e, e), 1.0f + 0x1p-11f) == 0.0f);
    EXPECT(__fadd_rn(1.0f, 0x1p-24f) == 1.0f && __fdiv_rn(1.0f, 3.0f) == third && __fsqrt_rn(2.0f) == sqrtf(2.0f));
    const volatile double d = 1.0 + 0x1p-27;
    EXPECT(__fma_rn(d, d, -1.0 - 0x1p-26) == 0x1p-54 && __dsub_rn(__dmul_rn(d, d), 1.0 + 0x1p-26) == 0.0);
    EXPECT(__dadd_rn(1.0, 2.0) == 3.0 && __ddiv_rn(1.0, 4.0) == 0.25 && __dsqrt_rn(2.0) == sqrt(2.0));
    EXPECT(__double2float_rn(1.0 + 0x1p-24 + 0x1p-50) == 1.0f + 0x1p-23f && __double2float_rn(1.0 + 0x1p-24) == 1.0f);
    EXPECT(__float_as_int(-1.0f) == -0x40800000 && __float_as_uint(1.0f) == 0x3f800000u);
    EXPECT(__int_as_float(0x40000000) == 2.0f && __uint_as_float(0x3f000000u) == 0.5f);
    EXPECT(__umulhi(0xffffffffu, 0xfffffffeu) == 0xfffffffdu && __popc(0xf00f0001u) == 9);
    EXPECT(min(-1, 2) == -1 && max(-1, 2) == 2 && min(1u, 0xffffffffu) == 1u && max(1ll, 1ll << 40) == 1ll << 40);
    const float4 four = make_float4(1, 2, 3, 4);
    EXPECT(four.x == 1 && four.y == 2 && four.z == 3 && four.w == 4 && alignof(float4) == 16);
    int i = 5;
    unsigned u = 5;
    unsigned long long wide = 1ull << 40;
    EXPECT(atomicAdd(&i, -7) == 5 && i == -2 && atomicExch(&i, 9) == -2 && atomicOr(&i, 6) == 9 && i == 15);
    EXPECT(atomicAdd(&u, 2u) == 5 && atomicOr(&u, 8u) == 7 && atomicExch(&u, 1u) == 15 && u == 1);
    EXPECT(atomicAdd(&wide, 1ull) == 1ull << 40 && wide == (1ull << 40) + 1);
    __threadfence();
}

/* ---- devices, memory, errors ---- */

static void devices(void) { /* FASTNN_EMULATE_DEVICES=3, FASTNN_EMULATE_PROCESSORS=7 */
    int count = 0, device = -1, value = 0;
    OK(cudaGetDeviceCount(&count));
    EXPECT(count == 3);
    OK(cudaSetDevice(2));
    std::thread([] {
        int device = -1;
        OK(cudaGetDevice(&device));
        EXPECT(device == 0);
    }).join();
    EXPECT(cudaSetDevice(3) == cudaErrorInvalidDevice && cudaSetDevice(-1) == cudaErrorInvalidDevice);
    OK(cudaGetDevice(&device));
    EXPECT(device == 2);
    cudaDeviceProp properties;
    OK(cudaGetDeviceProperties(&properties, 2));
    EXPECT(properties.multiProcessorCount == 7 && properties.sharedMemPerBlockOptin == 227 * 1024);
    EXPECT(properties.major == 9 && properties.minor == 0);
    OK(cudaDeviceGetAttribute(&value, cudaDevAttrMultiProcessorCount, 0));
    EXPECT(value == 7);
    OK(cudaDeviceGetAttribute(&value, cudaDevAttrMaxSharedMemoryPerBlockOptin, 0));
    EXPECT(value == 227 * 1024);
    OK(cudaDriverGetVersion(&value));
    OK(cudaRuntimeGetVersion(&value));
    const cudaStream_t stream = new_stream();
    OK(launch(write_byte, 1, 1, ints{}, 1, stream));
    OK(cudaSetDevice(0));
    EXPECT(launch(write_byte, 1, 1, ints{}, 1, stream) == cudaErrorInvalidResourceHandle);
}

static void no_devices(void) { /* FASTNN_EMULATE_DEVICES=0 */
    int count = -1;
    void *block;
    EXPECT(cudaGetDeviceCount(&count) == cudaErrorNoDevice && count == 0);
    EXPECT(cudaSetDevice(0) == cudaErrorNoDevice && cudaMalloc(&block, 1) == cudaErrorNoDevice);
}

static void memory(void) { /* FASTNN_EMULATE_MEMORY=10000 */
    char *block = device_new<char>(6001), out[6001] = {};
    EXPECT((uintptr_t)block % 256 == 0);
    for (char each : fetch(block, 6001)) EXPECT((unsigned char)each == 0xff);
    void *more;
    EXPECT(cudaMalloc(&more, 4000) == cudaErrorMemoryAllocation && more == NULL);
    EXPECT(cudaMemcpy(out, block, 6002, cudaMemcpyDeviceToHost) == cudaErrorInvalidValue);
    EXPECT(cudaMemcpy(out, block + 1, 6001, cudaMemcpyDeviceToHost) == cudaErrorInvalidValue);
    EXPECT(cudaMemcpy(block - 1, out, 1, cudaMemcpyHostToDevice) == cudaErrorInvalidValue);
    EXPECT(cudaMemcpy(out, block, 1, cudaMemcpyHostToDevice) == cudaErrorInvalidValue);
    EXPECT(cudaMemset(block + 1, 0, 6001) == cudaErrorInvalidValue);
    OK(cudaMemset(block + 1, 7, 6000));
    OK(cudaMemcpy(out, block, 6001, cudaMemcpyDeviceToHost));
    EXPECT(out[0] == -1 && out[1] == 7 && out[6000] == 7);
    OK(cudaMemcpy2DAsync(block, 100, "abcdef", 3, 2, 2, cudaMemcpyHostToDevice));
    OK(cudaMemcpyAsync(out, block, 102, cudaMemcpyDeviceToHost));
    EXPECT(out[0] == 'a' && out[1] == 'b' && out[2] == 7 && out[100] == 'd' && out[101] == 'e');
    EXPECT(cudaFree(block + 256) == cudaErrorInvalidValue && fnn_emulated_live() == 1);
    OK(cudaFree(block));
    EXPECT(cudaFree(block) == cudaErrorInvalidValue && fnn_emulated_live() == 0);
    OK(cudaFree(NULL));
    OK(cudaMalloc(&more, 10000));
    OK(cudaFree(more));
    OK(cudaMallocHost(&more, 10));
    OK(cudaMemcpy(more, out, 10, cudaMemcpyHostToHost));
    EXPECT(fnn_emulated_live() == 1);
    OK(cudaFreeHost(more));
}

static void beyond_a_block(void) {
    char *block = device_new<char>(100);
    block[100] = 1;
    cudaFree(block);
}

static void errors(void) {
    EXPECT(cudaSetDevice(1) == cudaErrorInvalidDevice);
    OK(cudaSetDevice(0));
    EXPECT(cudaPeekAtLastError() == cudaErrorInvalidDevice && cudaGetLastError() == cudaErrorInvalidDevice);
    OK(cudaGetLastError());
    EXPECT(cudaErrorMemoryAllocation == 2 && cudaErrorNoDevice == 100);
    EXPECT(strcmp(cudaGetErrorName(cudaErrorNoDevice), "cudaErrorNoDevice") == 0);
    EXPECT(strcmp(cudaGetErrorString(cudaErrorMemoryAllocation), "out of memory") == 0);
}

static void events(void) {
    cudaEvent_t start, end;
    float took = -1;
    OK(cudaEventCreate(&start));
    OK(cudaEventCreate(&end));
    EXPECT(cudaEventElapsedTime(&took, start, end) == cudaErrorInvalidResourceHandle);
    OK(cudaEventRecord(start));
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    OK(cudaEventRecord(end));
    OK(cudaEventSynchronize(end));
    OK(cudaEventElapsedTime(&took, start, end));
    EXPECT(took >= 20 && took < 20000);
    OK(cudaEventDestroy(start));
    OK(cudaEventDestroy(end));
    EXPECT(fnn_emulated_live() == 0);
}

/* ---- launches and graphs ---- */

static __global__ void do_nothing(ints) {}

static void limits(void) {
    const ints a = {};
    EXPECT(launch(do_nothing, 0, 1, a) == cudaErrorInvalidValue);
    EXPECT(launch(do_nothing, 1, dim3(1, 0), a) == cudaErrorInvalidValue);
    EXPECT(launch(do_nothing, 1, 1025, a) == cudaErrorInvalidValue);
    EXPECT(launch(do_nothing, 1, dim3(64, 17), a) == cudaErrorInvalidValue);
    OK(launch(do_nothing, 1, dim3(64, 16), a, 48 * 1024));
    EXPECT(launch(do_nothing, 1, 1, a, 48 * 1024 + 1) == cudaErrorInvalidValue);
    const cudaFuncAttribute room = cudaFuncAttributeMaxDynamicSharedMemorySize;
    OK(cudaFuncSetAttribute(do_nothing, room, 64 * 1024));
    OK(launch(do_nothing, 1, 1, a, 64 * 1024));
    EXPECT(launch(do_nothing, 1, 1, a, 64 * 1024 + 1) == cudaErrorInvalidValue);
    EXPECT(launch(write_byte, 1, 1, a, 64 * 1024) == cudaErrorInvalidValue); /* allowed to the other one only */
    EXPECT(cudaFuncSetAttribute(do_nothing, room, 227 * 1024 + 1) == cudaErrorInvalidValue);
}

struct sum {
    int *at;
    int value;
};
static __global__ void add_value(sum a) { atomicAdd(a.at, a.value); }

/* What the default stream has to do is done late, in order, and nobody else waits for it. */
static void late(void) {
    int *at = device_new<int>(1), ahead = 0, value = 20;
    const cudaStream_t stream = new_stream();
    OK(cudaMemset(at, 1, sizeof(int)));
    OK(cudaMemcpy(at, &value, sizeof value, cudaMemcpyHostToDevice));
    value = 30; /* has been read */
    OK(cudaMemcpyAsync(&ahead, at, sizeof ahead, cudaMemcpyDeviceToHost, stream));
    OK(cudaStreamSynchronize(stream));
    EXPECT(ahead != 20 && ahead != 0x01010101);
    OK(cudaStreamSynchronize(0));
    OK(cudaMemcpyAsync(&ahead, at, sizeof ahead, cudaMemcpyDeviceToHost, stream));
    EXPECT(ahead == 20);
    OK(cudaMemset(at, 0, sizeof(int)));
    OK(launch(add_value, 1, 1, sum{at, 7})); /* on the default stream itself */
    EXPECT(fetch(at, 1)[0] == 7);
    OK(cudaMemset(at, 0, sizeof(int)));
    OK(cudaDeviceSynchronize());
    EXPECT(*at == 0);
}

static void graphs(void) {
    int *at = device_new<int>(2), out = 0;
    OK(cudaMemset(at, 0, 8));
    OK(cudaStreamSynchronize(0));
    const cudaStream_t stream = new_stream();
    cudaGraph_t graph;
    cudaGraphExec_t exec;
    OK(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal));
    sum a = {at, 1};
    OK(launch(add_value, 2, 5, a, 0, stream));
    a.value = 100; /* the launch has its copy */
    OK(launch(add_value, 1, 1, a, 0, stream));
    OK(cudaMemcpyAsync(&out, at, sizeof out, cudaMemcpyDeviceToHost, stream));
    OK(cudaMemsetAsync(at + 1, 3, sizeof(int), stream));
    OK(cudaStreamEndCapture(stream, &graph));
    EXPECT(at[0] == 0 && at[1] == 0 && out == 0);
    OK(cudaGraphInstantiate(&exec, graph));
    OK(cudaGraphDestroy(graph));
    EXPECT(fnn_emulated_recorded() == 4);
    OK(cudaGraphLaunch(exec, stream));
    EXPECT(at[0] == 110 && at[1] == 0x03030303 && out == 110);
    OK(launch(add_value, 1, 1, a, 0, stream)); /* not captured */
    OK(cudaGraphLaunch(exec, stream));
    OK(cudaStreamSynchronize(stream));
    EXPECT(at[0] == 320 && out == 320);
    setenv("FASTNN_EMULATE_FAILURE", "1", 1);
    EXPECT(cudaGraphLaunch(exec, stream) == cudaErrorLaunchFailure);
    EXPECT(at[0] == 430 && out == 320);
    EXPECT(fnn_emulated_live() == 3);
    OK(cudaGraphExecDestroy(exec));
    OK(cudaStreamDestroy(stream));
    OK(cudaFree(at));
    EXPECT(fnn_emulated_live() == 0);
}

static void captures(void) {
    const cudaStream_t stream = new_stream(), other = new_stream();
    const ints a = {};
    void *block;
    cudaGraph_t graph;
    cudaGraphExec_t exec;
    EXPECT(cudaStreamEndCapture(stream, &graph) == cudaErrorIllegalState);
    OK(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal));
    OK(launch(do_nothing, 1, 1, a, 0, stream));
    std::thread([=] {
        void *block;
        cudaGraph_t graph;
        OK(cudaMalloc(&block, 1)); /* another thread may */
        OK(cudaFree(block));
        EXPECT(cudaStreamEndCapture(stream, &graph) == cudaErrorStreamCaptureWrongThread);
    }).join();
    OK(launch(do_nothing, 1, 1, a, 0, other)); /* and so may another stream */
    OK(cudaStreamSynchronize(other));
    OK(cudaStreamEndCapture(stream, &graph));
    OK(cudaGraphInstantiate(&exec, graph, 0));
    for (int what = 0; what < 6; what++) {
        OK(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal));
        const cudaError_t error = what == 0   ? cudaStreamSynchronize(stream)
                                  : what == 1 ? cudaMalloc(&block, 1)
                                  : what == 2 ? cudaGraphLaunch(exec, stream)
                                  : what == 3 ? cudaStreamDestroy(stream)
                                  : what == 4 ? cudaDeviceSynchronize()
                                              : cudaMemset(NULL, 0, 0);
        EXPECT(error == cudaErrorStreamCaptureUnsupported);
        EXPECT(launch(do_nothing, 1, 1, a, 0, stream) == cudaErrorStreamCaptureInvalidated);
        EXPECT(cudaStreamEndCapture(stream, &graph) == cudaErrorStreamCaptureInvalidated && graph == NULL);
        OK(launch(do_nothing, 1, 1, a, 0, stream));
    }
}

/* ---- threads of the host ---- */

static void train(int *counter) {
    const cudaStream_t stream = new_stream();
    const floats a = new_floats(64);
    for (int i = 0; i < 50; i++) {
        OK(cudaStreamSynchronize(0));
        OK(launch(add_up, 1, 64, a, 64 * sizeof(float), stream));
        OK(launch(add_value, 3, 7, sum{counter, 1}, 0, stream));
        OK(cudaStreamSynchronize(stream));
        for (float each : fetch(a.at, 64)) EXPECT(each == 63.0f * 32);
        OK(cudaMemset(a.at, 0, 64 * sizeof(float)));
    }
    OK(cudaStreamDestroy(stream));
    OK(cudaFree(a.at));
    OK(cudaFree((void *)a.from));
}

static long mappings(void) {
    FILE *maps = fopen("/proc/self/maps", "r");
    long lines = 0;
    for (int c; maps != NULL && (c = getc(maps)) != EOF;) lines += c == '\n';
    if (maps != NULL) fclose(maps);
    return lines;
}

static void threads(void) {
    int *counter = device_new<int>(1);
    OK(cudaMemset(counter, 0, sizeof(int)));
    long before = 0;
    for (int round = 0; round < 5; round++) {
        std::vector<std::thread> all;
        for (int i = 0; i < 4; i++) all.emplace_back(train, counter);
        for (std::thread &each : all) each.join();
        if (round == 1) before = mappings();
    }
    EXPECT(counter[0] == 5 * 4 * 50 * 3 * 7);
    EXPECT(fnn_emulated_live() == 1);
    EXPECT(mappings() < before + 64); /* stacks are two each */
}

static const struct {
    const char *name;
    void (*run)(void);
} CASES[] = {
#define CASE(name)                                                                                                     \
    { #name, name }
    CASE(indices),
    CASE(orders),
    CASE(barriers),
    CASE(missing_barrier),
    CASE(any_of_a_block),
    CASE(shared_poison),
    CASE(last_of_shared),
    CASE(copies),
    CASE(arithmetic),
    CASE(devices),
    CASE(no_devices),
    CASE(memory),
    CASE(errors),
    CASE(events),
    CASE(limits),
    CASE(late),
    CASE(graphs),
    CASE(captures),
    CASE(threads),
    CASE(two_barriers),
    CASE(returned_threads),
    CASE(beyond_shared),
    CASE(before_shared),
    CASE(beyond_a_block),
    CASE(copy_of_12_bytes),
    CASE(copy_to_unaligned),
    CASE(copy_from_unaligned),
    CASE(copy_to_elsewhere),
};

int main(int n, char **words) {
    for (const auto &each : CASES) {
        if (n != 2 || strcmp(words[1], each.name) != 0) continue;
        each.run();
        return 0;
    }
    printf("no such case\n");
    return 2;
}
