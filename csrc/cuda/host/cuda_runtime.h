/* cuda_runtime.h: the part of CUDA that fastnn's device code uses, emulated on the host, so that the same sources run,
 * and are tested, where there is no GPU.  C++17, x86-64 and aarch64.
 *
 * A launch runs its blocks one after the other in a shuffled order, the threads of a block as fibers that switch at
 * barriers, in an order that is shuffled anew after each.  What breaks the rules ends the process with a message.
 *
 * It proves: indices; that results need no order of threads or blocks; barriers, where a missing one matters to some
 * order (try seeds), and that all threads of a block come to the same one; waits for asynchronous copies, and that
 * these are aligned and lead to shared memory; that shared memory, device memory and a copy's place are written before
 * they are read (they hold NaN until then); that nothing is written just outside a block's shared memory or a block of
 * device memory, and that the host's copies stay within one; shared memory that was asked for.
 *
 * It cannot see: races between blocks, or between launches of different streams, except by their order; threads of a
 * warp that rely on running together; what a stream has not done yet, as all work is done when it is given; time,
 * coalescing, bank conflicts, registers.
 *
 * FASTNN_EMULATE_SEED: of the orders (0).  A stream's n-th launch has the same order each time.
 * FASTNN_EMULATE_DEVICES: how many devices there are (1).
 * FASTNN_EMULATE_MEMORY: bytes of device memory, of all devices together (4 GiB).
 * FASTNN_EMULATE_PROCESSORS: of a device (4: few, so that small products are cut as large ones are).
 * FASTNN_EMULATE_FAILURE: 1: a graph fails when half of it is done (0). */
#ifndef FNN_HOST_CUDA_RUNTIME_H
#define FNN_HOST_CUDA_RUNTIME_H

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <functional>
#include <type_traits>

#define __global__
#define __device__
#define __host__
#define __constant__
#define __forceinline__ inline
#define __grid_constant__
#define __launch_bounds__(...)

struct uint3 {
    unsigned x, y, z;
};
struct dim3 {
    unsigned x, y, z;
    constexpr dim3(unsigned x_ = 1, unsigned y_ = 1, unsigned z_ = 1) : x(x_), y(y_), z(z_) {}
    constexpr dim3(uint3 from) : x(from.x), y(from.y), z(from.z) {}
};
struct alignas(16) float4 {
    float x, y, z, w;
};
static inline float4 make_float4(float x, float y, float z, float w) { return {x, y, z, w}; }

/* ---- what a kernel sees ---- */

struct fnn_emulated_place {
    uint3 thread, block, block_dim, grid_dim;
};
extern __thread fnn_emulated_place fnn_emulated; /* not thread_local: that would be a call for each access */
#define threadIdx (fnn_emulated.thread)
#define blockIdx (fnn_emulated.block)
#define blockDim (fnn_emulated.block_dim)
#define gridDim (fnn_emulated.grid_dim)

/* The block's dynamic shared memory, aligned to 128 bytes; instead of an extern __shared__ array. */
void *fnn_emulated_shared(void);
void fnn_emulated_copy(void *to, const void *from, size_t bytes, size_t zeros);
void fnn_emulated_commit(void);
void fnn_emulated_wait(size_t groups);
/* Returns whether any thread has come with a predicate that is not 0. */
int fnn_emulated_barrier(int predicate, const char *file, int line);

static inline void __syncthreads(const char *file = __builtin_FILE(), int line = __builtin_LINE()) {
    fnn_emulated_barrier(0, file, line);
}
static inline int __syncthreads_or(int predicate, const char *file = __builtin_FILE(), int line = __builtin_LINE()) {
    return fnn_emulated_barrier(predicate, file, line);
}
static inline void __threadfence(void) { __atomic_thread_fence(__ATOMIC_SEQ_CST); }

/* Other streams' launches may run at the same time on other threads of the host.  None of floats: their sums would
 * depend on the order. */
template <class T> static inline T fnn_emulated_add(T *at, T value) {
    return __atomic_fetch_add(at, value, __ATOMIC_SEQ_CST);
}
static inline int atomicAdd(int *at, int value) { return fnn_emulated_add(at, value); }
static inline unsigned atomicAdd(unsigned *at, unsigned value) { return fnn_emulated_add(at, value); }
static inline unsigned long long atomicAdd(unsigned long long *at, unsigned long long value) {
    return fnn_emulated_add(at, value);
}
static inline int atomicOr(int *at, int value) { return __atomic_fetch_or(at, value, __ATOMIC_SEQ_CST); }
static inline unsigned atomicOr(unsigned *at, unsigned value) { return __atomic_fetch_or(at, value, __ATOMIC_SEQ_CST); }
static inline int atomicExch(int *at, int value) { return __atomic_exchange_n(at, value, __ATOMIC_SEQ_CST); }
static inline unsigned atomicExch(unsigned *at, unsigned value) {
    return __atomic_exchange_n(at, value, __ATOMIC_SEQ_CST);
}

/* Each rounds once: this is compiled with -ffp-contract=off. */
static inline float __fadd_rn(float a, float b) { return a + b; }
static inline float __fsub_rn(float a, float b) { return a - b; }
static inline float __fmul_rn(float a, float b) { return a * b; }
static inline float __fdiv_rn(float a, float b) { return a / b; }
static inline float __fsqrt_rn(float a) { return sqrtf(a); }
static inline float __fmaf_rn(float a, float b, float c) { return fmaf(a, b, c); }
static inline double __dadd_rn(double a, double b) { return a + b; }
static inline double __dsub_rn(double a, double b) { return a - b; }
static inline double __dmul_rn(double a, double b) { return a * b; }
static inline double __ddiv_rn(double a, double b) { return a / b; }
static inline double __dsqrt_rn(double a) { return sqrt(a); }
static inline double __fma_rn(double a, double b, double c) { return fma(a, b, c); }
static inline float __double2float_rn(double a) { return (float)a; }

template <class To, class From> static inline To fnn_emulated_bits(From from) {
    static_assert(sizeof(To) == sizeof(From), "as many bits");
    To to;
    memcpy(&to, &from, sizeof to);
    return to;
}
static inline int __float_as_int(float a) { return fnn_emulated_bits<int>(a); }
static inline unsigned __float_as_uint(float a) { return fnn_emulated_bits<unsigned>(a); }
static inline float __int_as_float(int bits) { return fnn_emulated_bits<float>(bits); }
static inline float __uint_as_float(unsigned bits) { return fnn_emulated_bits<float>(bits); }
static inline unsigned __umulhi(unsigned a, unsigned b) { return (unsigned)((uint64_t)a * b >> 32); }
static inline int __popc(unsigned bits) { return __builtin_popcount(bits); }

/* As CUDA's, of two integers of one type. */
#define FNN_EMULATED_MIN_MAX(type)                                                                                     \
    static inline type min(type a, type b) { return a < b ? a : b; }                                                   \
    static inline type max(type a, type b) { return a < b ? b : a; }
FNN_EMULATED_MIN_MAX(int)
FNN_EMULATED_MIN_MAX(unsigned)
FNN_EMULATED_MIN_MAX(long)
FNN_EMULATED_MIN_MAX(unsigned long)
FNN_EMULATED_MIN_MAX(long long)
FNN_EMULATED_MIN_MAX(unsigned long long)
#undef FNN_EMULATED_MIN_MAX

/* ---- the runtime's types: values as CUDA's ---- */

#define FNN_EMULATED_ERRORS(each)                                                                                      \
    each(cudaSuccess, 0, "no error") each(cudaErrorInvalidValue, 1, "invalid argument") each(                          \
        cudaErrorMemoryAllocation, 2, "out of memory") each(cudaErrorInitializationError, 3, "initialization error")   \
        each(cudaErrorInvalidConfiguration, 9, "invalid configuration argument") each(cudaErrorInvalidPitchValue, 12,  \
                                                                                      "invalid pitch argument")        \
            each(cudaErrorInvalidMemcpyDirection, 21, "invalid copy direction for memcpy") each(                       \
                cudaErrorInsufficientDriver, 35,                                                                       \
                "CUDA driver version is insufficient for CUDA runtime version") each(cudaErrorInvalidDeviceFunction,   \
                                                                                     98, "invalid device function")    \
                each(cudaErrorNoDevice, 100, "no CUDA-capable device is detected") each(                               \
                    cudaErrorInvalidDevice, 101,                                                                       \
                    "invalid device ordinal") each(cudaErrorNoKernelImageForDevice, 209,                               \
                                                   "no kernel image is available for execution on the device")         \
                    each(cudaErrorInvalidResourceHandle, 400, "invalid resource handle") each(                         \
                        cudaErrorIllegalState, 401, "the operation cannot be performed in the present state")          \
                        each(cudaErrorNotReady, 600, "device not ready") each(                                         \
                            cudaErrorIllegalAddress, 700, "an illegal memory access was encountered")                  \
                            each(cudaErrorLaunchFailure, 719, "unspecified launch failure") each(                      \
                                cudaErrorNotSupported, 801,                                                            \
                                "operation not supported") each(cudaErrorStreamCaptureUnsupported, 900,                \
                                                                "operation not permitted when stream is capturing")    \
                                each(cudaErrorStreamCaptureInvalidated, 901,                                           \
                                     "operation failed due to a previous error during capture")                        \
                                    each(cudaErrorStreamCaptureWrongThread, 908,                                       \
                                         "attempt to terminate a thread-local capture sequence from another thread")   \
                                        each(cudaErrorUnknown, 999, "unknown error")

typedef enum cudaError {
#define FNN_EMULATED_ERROR(name, value, text) name = value,
    FNN_EMULATED_ERRORS(FNN_EMULATED_ERROR)
#undef FNN_EMULATED_ERROR
} cudaError_t;

typedef enum cudaMemcpyKind {
    cudaMemcpyHostToHost,
    cudaMemcpyHostToDevice,
    cudaMemcpyDeviceToHost,
    cudaMemcpyDeviceToDevice,
    cudaMemcpyDefault
} cudaMemcpyKind;
typedef enum cudaDeviceAttr {
    cudaDevAttrMaxThreadsPerBlock = 1,
    cudaDevAttrMaxSharedMemoryPerBlock = 8,
    cudaDevAttrWarpSize = 10,
    cudaDevAttrMultiProcessorCount = 16,
    cudaDevAttrComputeCapabilityMajor = 75,
    cudaDevAttrComputeCapabilityMinor = 76,
    cudaDevAttrMaxSharedMemoryPerBlockOptin = 97
} cudaDeviceAttr;
typedef enum cudaFuncAttribute { cudaFuncAttributeMaxDynamicSharedMemorySize = 8 } cudaFuncAttribute;
typedef enum cudaStreamCaptureMode {
    cudaStreamCaptureModeGlobal,
    cudaStreamCaptureModeThreadLocal,
    cudaStreamCaptureModeRelaxed
} cudaStreamCaptureMode;
#define cudaStreamDefault 0u
#define cudaStreamNonBlocking 1u

typedef struct fnn_emulated_stream *cudaStream_t; /* 0: the legacy stream */
typedef struct fnn_emulated_graph *cudaGraph_t;
typedef struct fnn_emulated_exec *cudaGraphExec_t;
typedef struct fnn_emulated_event *cudaEvent_t;
typedef struct cudaDeviceProp {
    char name[256];
    size_t totalGlobalMem, sharedMemPerBlock, sharedMemPerBlockOptin;
    int warpSize, maxThreadsPerBlock, major, minor, multiProcessorCount;
} cudaDeviceProp;

/* ---- the runtime's calls ---- */

const char *cudaGetErrorName(cudaError_t error);
const char *cudaGetErrorString(cudaError_t error);
cudaError_t cudaGetLastError(void);
cudaError_t cudaPeekAtLastError(void);
cudaError_t cudaDriverGetVersion(int *version);
cudaError_t cudaRuntimeGetVersion(int *version);

cudaError_t cudaGetDeviceCount(int *count);
cudaError_t cudaSetDevice(int device);
cudaError_t cudaGetDevice(int *device);
cudaError_t cudaGetDeviceProperties(cudaDeviceProp *properties, int device);
cudaError_t cudaDeviceGetAttribute(int *value, cudaDeviceAttr attribute, int device);
cudaError_t cudaDeviceSynchronize(void);

cudaError_t cudaMalloc(void **block, size_t bytes);
cudaError_t cudaFree(void *block);
cudaError_t cudaMallocHost(void **block, size_t bytes);
cudaError_t cudaFreeHost(void *block);
cudaError_t cudaMemset(void *to, int byte, size_t bytes);
cudaError_t cudaMemsetAsync(void *to, int byte, size_t bytes, cudaStream_t stream = 0);
cudaError_t cudaMemcpy(void *to, const void *from, size_t bytes, cudaMemcpyKind kind);
cudaError_t cudaMemcpyAsync(void *to, const void *from, size_t bytes, cudaMemcpyKind kind, cudaStream_t stream = 0);
cudaError_t cudaMemcpy2DAsync(void *to, size_t to_pitch, const void *from, size_t from_pitch, size_t width,
                              size_t height, cudaMemcpyKind kind, cudaStream_t stream = 0);

cudaError_t cudaStreamCreateWithFlags(cudaStream_t *stream, unsigned flags);
cudaError_t cudaStreamDestroy(cudaStream_t stream);
cudaError_t cudaStreamSynchronize(cudaStream_t stream);
cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode mode);
cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t *graph);
cudaError_t cudaGraphInstantiate(cudaGraphExec_t *exec, cudaGraph_t graph, unsigned long long flags = 0);
cudaError_t cudaGraphLaunch(cudaGraphExec_t exec, cudaStream_t stream);
cudaError_t cudaGraphExecDestroy(cudaGraphExec_t exec);
cudaError_t cudaGraphDestroy(cudaGraph_t graph);

cudaError_t cudaEventCreate(cudaEvent_t *event);
cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream = 0);
cudaError_t cudaEventSynchronize(cudaEvent_t event);
cudaError_t cudaEventElapsedTime(float *milliseconds, cudaEvent_t start, cudaEvent_t end);
cudaError_t cudaEventDestroy(cudaEvent_t event);

/* Exported, for a library that stands in for one of NVIDIA's and must do its work in a stream's turn. */
typedef void (*cudaHostFn_t)(void *data);
extern "C" cudaError_t cudaLaunchHostFunc(cudaStream_t stream, cudaHostFn_t function, void *data);

/* How many blocks of device and of pinned memory, streams, graphs and events there are that nobody has freed. */
extern "C" int fnn_emulated_live(void);
/* How many launches and copies the graph that was instantiated last has. */
extern "C" int fnn_emulated_recorded(void);

cudaError_t fnn_emulated_allow(const void *kernel, cudaFuncAttribute attribute, int value);
cudaError_t fnn_emulated_launch(const void *kernel, const std::function<void()> &thread, dim3 grid, dim3 block,
                                size_t shared, cudaStream_t stream);

template <class T> cudaError_t cudaFuncSetAttribute(T *kernel, cudaFuncAttribute attribute, int value) {
    return fnn_emulated_allow((const void *)kernel, attribute, value);
}

/* Kernels have one argument, a structure, of which each thread gets its copy. */
template <class A>
cudaError_t cudaLaunchKernel(void (*kernel)(A), dim3 grid, dim3 block, void **args, size_t shared = 0,
                             cudaStream_t stream = 0) {
    static_assert(std::is_trivially_copyable<A>::value && sizeof(A) <= 4096, "an argument is at most 4 KiB");
    const A argument = *(const A *)args[0];
    return fnn_emulated_launch((const void *)kernel, [=] { kernel(argument); }, grid, block, shared, stream);
}

#endif
