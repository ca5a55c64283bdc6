/* blas.cuh: matrix products by NVIDIA's library, cuBLASLt, which is loaded when a network first asks for it. */
#ifndef FNN_CUDA_BLAS_CUH
#define FNN_CUDA_BLAS_CUH

#include <cuda_runtime.h>

#include "fnn_cuda.h"

/* c (rows, columns) = a (rows, depth) b (depth, columns), or c += that; all are stored row by row without gaps, a or b
 * transposed where that is said.  c holds floats, a and b what the precision says. */
typedef struct blas_product {
    const void *a, *b;
    float *c;
    int rows, columns, depth;
    int a_is_transposed, b_is_transposed;
    int adds;
} blas_product;

/* What a plan has of the library: its algorithms of each shape, once chosen, and a workspace of its own, on which the
 * bits of its products depend. */
struct blas;

/* On the current device. */
fnn_status blas_create(blas **out, fnn_precision precision);
void blas_destroy(blas *b);
/* The first product of a shape must not be captured: it chooses an algorithm, whose kernels may have to be loaded. */
fnn_status blas_multiply(blas *b, const blas_product &p, cudaStream_t stream);

#endif
