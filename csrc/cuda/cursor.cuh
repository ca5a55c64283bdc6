/* cursor.cuh: how a plan's memory is laid out in one block. */
#ifndef FNN_CUDA_CURSOR_CUH
#define FNN_CUDA_CURSOR_CUH

#include "plan.cuh"

/* Hands out aligned pieces of a block; without a block it only counts. */
struct cursor {
    char *base;
    size_t used;

    template <class T> T *take(int64_t count) {
        char *piece = base != nullptr ? base + used : nullptr;
        used += ((size_t)count * sizeof(T) + 255) / 256 * 256;
        return (T *)piece;
    }
    float *panels(int64_t n, int64_t rows) { return take<float>(fnn_panels(n) * rows * FNN_LANES); }
};

/* ---- plan.cu ---- */

/* Whether that dropout, of the input or of a layer, ever does anything in such a plan. */
bool changes_output(const fnn_cuda_plan *plan, const fnn_dropout *dropout);

/* ---- plan_blas.cu ---- */

/* What products of the vendor's library read and write. */
void lay_out_plain(fnn_cuda_plan *plan, cursor *at);

#endif
