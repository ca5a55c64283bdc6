/* blas.cuh: matrix products by NVIDIA's library, cuBLASLt, which is loaded when a network first asks for it. */
#ifndef FNN_CUDA_BLAS_CUH
#define FNN_CUDA_BLAS_CUH

#include <cuda_runtime.h>

#include "fnn_cuda.h"

/* What the library does to the sums of a product before it stores them. */
typedef enum blas_epilogue {
    BLAS_SUMS,           /* nothing */
    BLAS_BIAS,           /* adds a row to each row */
    BLAS_BIAS_RELU,      /* and stores zero for what is not positive then, */
    BLAS_BIAS_RELU_MASK, /* and which are positive in the mask */
    BLAS_MASKED,         /* stores zero where a mask says so, */
    BLAS_MASKED_BIAS,    /* and the sums of columns as a row */
} blas_epilogue;

/* c (rows, columns) = a (rows, depth) b (depth, columns), or c += that; all are stored row by row without gaps, a or b
 * transposed where that is said.  a and b hold what the precision says, c floats or what the precision says, and so do
 * rows. */
typedef struct blas_product {
    const void *a, *b;
    void *c;
    void *row;  /* of biases, or of their gradients */
    void *mask; /* the library's own; blas_mask_bytes */
    int rows, columns, depth;
    int a_is_transposed, b_is_transposed;
    int adds;
    int c_is_factor; /* c holds what a and b do */
    blas_epilogue epilogue;
} blas_product;

size_t blas_mask_bytes(int64_t rows, int64_t columns);

/* What a plan has of the library: its algorithms of each shape, once chosen, and a workspace of its own, on which the
 * bits of its products depend. */
struct blas;

/* On the current device. */
fnn_status blas_create(blas **out, fnn_precision precision);
void blas_destroy(blas *b);
/* Whether the library has an algorithm for that shape and epilogue; pointers are not read. */
fnn_status blas_offers(blas *b, const blas_product &p, bool *is_offered);
/* The first product of a shape must not be captured: it chooses an algorithm, whose kernels may have to be loaded. */
fnn_status blas_multiply(blas *b, const blas_product &p, cudaStream_t stream);

#endif
