/* cuda_runtime.h: the part of CUDA that fastnn's device code uses, emulated on the host, so that the same sources run,
 * and are tested, where there is no GPU.
 *
 * Blocks run one after the other in a shuffled order, a block's threads as fibers that switch at barriers, again in a
 * shuffled order. Shared and device memory is poisoned with NaN; writing beyond a block's shared memory, threads that
 * miss a barrier, copies that nobody waited for and misaligned ones are found. Races between blocks of a launch show
 * only by that order; time and coalescing not at all.
 *
 * FASTNN_EMULATE_SEED: of the orders. FASTNN_EMULATE_DEVICES: how many devices (1). */
#ifndef FNN_HOST_CUDA_RUNTIME_H
#define FNN_HOST_CUDA_RUNTIME_H

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <functional>

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __grid_constant__
#define __launch_bounds__(...)

struct dim3 {
    unsigned x, y, z;
    dim3(unsigned x_ = 1, unsigned y_ = 1, unsigned z_ = 1) : x(x_), y(y_), z(z_) {}
};
struct alignas(16) float4 {
    float x, y, z, w;
};

/* ---- what a kernel sees ---- */

struct fnn_emulated_place {
    dim3 thread, block, block_dim, grid_dim;
};
extern thread_local fnn_emulated_place fnn_emulated;
#define threadIdx (fnn_emulated.thread)
#define blockIdx (fnn_emulated.block)
#define blockDim (fnn_emulated.block_dim)
#define gridDim (fnn_emulated.grid_dim)

void *fnn_emulated_shared(void);
void fnn_emulated_copy(void *to, const void *from, size_t bytes);
void fnn_emulated_commit(void);
void fnn_emulated_wait(size_t groups);
void __syncthreads(void);

static inline float __fadd_rn(float a, float b) { return a + b; }
static inline float __fsub_rn(float a, float b) { return a - b; }
static inline float __fmul_rn(float a, float b) { return a * b; }
static inline float __fdiv_rn(float a, float b) { return a / b; }
static inline float __fsqrt_rn(float a) { return sqrtf(a); }
static inline float __fmaf_rn(float a, float b, float c) { return fmaf(a, b, c); }
static inline double __dadd_rn(double a, double b) { return a + b; }
static inline double __dmul_rn(double a, double b) { return a * b; }
static inline double __ddiv_rn(double a, double b) { return a / b; }
static inline double __dsqrt_rn(double a) { return sqrt(a); }
static inline float __double2float_rn(double a) { return (float)a; }
static inline int __float_as_int(float a) {
    int bits;
    memcpy(&bits, &a, sizeof bits);
    return bits;
}
static inline float __int_as_float(int bits) {
    float a;
    memcpy(&a, &bits, sizeof a);
    return a;
}

/* ---- the runtime's calls ---- */

typedef enum cudaError {
    cudaSuccess = 0,
    cudaErrorInvalidValue = 1,
    cudaErrorMemoryAllocation = 2,
    cudaErrorNoDevice = 100,
    cudaErrorInvalidDevice = 101,
    cudaErrorStreamCaptureUnsupported = 900,
} cudaError_t;
typedef enum cudaMemcpyKind {
    cudaMemcpyHostToHost,
    cudaMemcpyHostToDevice,
    cudaMemcpyDeviceToHost,
    cudaMemcpyDeviceToDevice
} cudaMemcpyKind;
typedef enum cudaDeviceAttr { cudaDevAttrMultiProcessorCount } cudaDeviceAttr;
typedef enum cudaFuncAttribute { cudaFuncAttributeMaxDynamicSharedMemorySize } cudaFuncAttribute;
typedef enum cudaStreamCaptureMode { cudaStreamCaptureModeThreadLocal } cudaStreamCaptureMode;
#define cudaStreamNonBlocking 1u

typedef struct fnn_emulated_stream *cudaStream_t;
typedef struct fnn_emulated_graph *cudaGraph_t;
typedef struct fnn_emulated_graph *cudaGraphExec_t;
typedef struct cudaDeviceProp {
    char name[256];
} cudaDeviceProp;

const char *cudaGetErrorName(cudaError_t error);
const char *cudaGetErrorString(cudaError_t error);
cudaError_t cudaGetLastError(void);
cudaError_t cudaGetDeviceCount(int *count);
cudaError_t cudaSetDevice(int device);
cudaError_t cudaGetDeviceProperties(cudaDeviceProp *properties, int device);
cudaError_t cudaDeviceGetAttribute(int *value, cudaDeviceAttr attribute, int device);
cudaError_t cudaMalloc(void **block, size_t bytes);
cudaError_t cudaFree(void *block);
cudaError_t cudaMemset(void *to, int byte, size_t bytes);
cudaError_t cudaMemcpy(void *to, const void *from, size_t bytes, cudaMemcpyKind kind);
cudaError_t cudaMemcpyAsync(void *to, const void *from, size_t bytes, cudaMemcpyKind kind, cudaStream_t stream);
cudaError_t cudaStreamCreateWithFlags(cudaStream_t *stream, unsigned flags);
cudaError_t cudaStreamDestroy(cudaStream_t stream);
cudaError_t cudaStreamSynchronize(cudaStream_t stream);
cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode mode);
cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t *graph);
cudaError_t cudaGraphInstantiate(cudaGraphExec_t *exec, cudaGraph_t graph, unsigned long long flags);
cudaError_t cudaGraphLaunch(cudaGraphExec_t exec, cudaStream_t stream);
cudaError_t cudaGraphExecDestroy(cudaGraphExec_t exec);
cudaError_t cudaGraphDestroy(cudaGraph_t graph);

cudaError_t fnn_emulated_allow(const void *kernel, int bytes);
cudaError_t fnn_emulated_launch(const void *kernel, std::function<void()> thread, dim3 grid, dim3 block, size_t shared,
                                cudaStream_t stream);

template <class A> cudaError_t cudaFuncSetAttribute(void (*kernel)(A), cudaFuncAttribute, int bytes) {
    return fnn_emulated_allow((const void *)kernel, bytes);
}

/* Kernels have one argument, a structure. */
template <class A>
cudaError_t cudaLaunchKernel(void (*kernel)(A), dim3 grid, dim3 block, void **args, size_t shared,
                             cudaStream_t stream) {
    const A argument = *(const A *)args[0];
    return fnn_emulated_launch((const void *)kernel, [=] { kernel(argument); }, grid, block, shared, stream);
}

#endif
