/* memory.cuh: device memory, failed calls of the driver, and what an fnn_cuda_floats and an fnn_cuda_data are. */
#ifndef FNN_CUDA_MEMORY_CUH
#define FNN_CUDA_MEMORY_CUH

#include <cuda_runtime.h>

#include "fnn_cuda.h"

/* The status of a call, whose words fnn_cuda_error then has. */
fnn_status status_of(cudaError_t error, const char *call);

/* FNN_ERR_DEVICE, in whose words it says what failed. */
fnn_status device_failure(const char *why, const char *call);

#define FNN_CUDA(call)                                                                                                 \
    do {                                                                                                               \
        const fnn_status failed_ = status_of(call, #call);                                                             \
        if (failed_ != FNN_OK) return failed_;                                                                         \
    } while (0)
#define FNN_TRY(expression)                                                                                            \
    do {                                                                                                               \
        const fnn_status failed_ = (expression);                                                                       \
        if (failed_ != FNN_OK) return failed_;                                                                         \
    } while (0)

/* n of them on the current device, not initialised; n = 0 gives one. */
template <class T> fnn_status device_new(T **out, int64_t n) {
    void *block = nullptr;
    FNN_CUDA(cudaMalloc(&block, (size_t)(n > 0 ? n : 1) * sizeof(T)));
    *out = (T *)block;
    return FNN_OK;
}

/* After a cudaMemset, or a cudaMemcpy to the device: these may return before they are done, and plans' streams do not
 * wait for the default one. */
static inline cudaError_t settled(cudaError_t error) { return error != cudaSuccess ? error : cudaStreamSynchronize(0); }

/* A copy of the host's. */
template <class T> fnn_status device_copy(const T **out, const T *from, int64_t n) {
    T *block = nullptr;
    FNN_TRY(device_new(&block, n));
    *out = block;
    FNN_CUDA(settled(cudaMemcpy(block, from, (size_t)n * sizeof(T), cudaMemcpyHostToDevice)));
    return FNN_OK;
}

static inline void device_free(const void *block) { cudaFree((void *)block); }

/* An array that grows. */
template <class T> struct device_array {
    T *at;
    int64_t room;

    fnn_status reserve(int64_t n) {
        if (n <= room) return FNN_OK;
        device_free(at);
        at = nullptr, room = 0;
        FNN_TRY(device_new(&at, n));
        room = n;
        return FNN_OK;
    }
};

struct fnn_cuda_floats {
    int device;
    int64_t n;
    float *at;
};

struct fnn_cuda_data {
    int device;
    fnn_data host;     /* n_rows and types; pointers are the device's, sparse is not NULL where there are lists */
    fnn_sparse sparse;
};

#endif
