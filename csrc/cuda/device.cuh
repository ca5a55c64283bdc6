/* device.cuh: what all device code needs: the toolkit, or its emulation, and the formulas that the CPU's kernels use
 * too, with a thread for a lane. */
#ifndef FNN_CUDA_DEVICE_CUH
#define FNN_CUDA_DEVICE_CUH

#include <cuda_pipeline.h>
#include <cuda_runtime.h>

#include "../rng.h"
#include "../vec/vec_cuda.h"
#include "phase.cuh"

#include <float.h>

#define FNN_DEVICE static __device__ __forceinline__
#define FNN_INLINE FNN_DEVICE

#ifdef FNN_EMULATE
#define FNN_UNROLL_GPU
#define FNN_UNROLL_BY(n)
#else
#define FNN_UNROLL_GPU _Pragma("unroll")
#define FNN_UNROLL_TEXT(text) _Pragma(#text)
#define FNN_UNROLL_BY(n) FNN_UNROLL_TEXT(unroll n)
#endif

#include "../kernels/math.inc.h"

#include "../kernels/criteria.inc.h"
#include "../kernels/descend.inc.h"

FNN_DEVICE float *shared_floats(void) {
#ifdef FNN_EMULATE
    return (float *)fnn_emulated_shared();
#else
    extern __shared__ float4 block_memory[];
    return (float *)block_memory;
#endif
}

FNN_DEVICE int smaller_of(int a, int b) { return a < b ? a : b; }
FNN_DEVICE int panels_of(int n) { return (n + FNN_LANES - 1) / FNN_LANES; }

/* The batch that a block works on, and which block of its operation it is. */
typedef struct here {
    progress *at;
    int64_t step;  /* of the epoch */
    int64_t first; /* row of the data, or of its order */
    int rows, capacity;
    int block, blocks;
} here;

/* False: that step is not to be done. */
FNN_DEVICE bool find_batch(here *h, int64_t step) {
    const progress *at = h->at;
    if (step >= at->n_steps || at->diverged) return false;
    h->step = step;
    h->first = at->first_row + step * at->batch_size;
    const int64_t left = at->data.n_rows - h->first;
    h->rows = (int)(left < at->batch_size ? left : at->batch_size);
    return true;
}

/* Rows that the mean loss is over. */
FNN_DEVICE int batch_rows(const here *h) { return h->at->of > 0 ? (int)h->at->of : h->rows; }

FNN_DEVICE int64_t row_at(const here *h, int i) {
    const uint32_t *order = h->at->order;
    return order != NULL ? (int64_t)order[h->first + i] : h->first + i;
}

#endif
