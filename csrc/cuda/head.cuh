/* head.cuh: the last layer, the losses, and the gradients at its logits and at those of the layer below, in one launch
 * instead of three: a block takes a few rows through all of it, with the layer's weights in shared memory. */
#ifndef FNN_CUDA_HEAD_CUH
#define FNN_CUDA_HEAD_CUH

#include "layers.cuh"
#include "losses.cuh"

/* In shared memory: weights [n_out / 16][n_in][20], which keeps threads off each other's banks both ways that they are
 * read; x as it lies in its panels, [n_in / 16][rows][16]. */
typedef struct head_memory {
    float *w, *x;
    judged rows;
} head_memory;

FNN_DEVICE head_memory head_memory_of(const op &o) {
    float *w = shared_floats(), *x = w + panels_of(o.n_out) * o.n_in * FNN_HEAD_STRIDE;
    return {w, x, judged_at(x + panels_of(o.n_in) * FNN_HEAD_ROWS * 16, o.n_out)};
}

FNN_DEVICE void load_head(const op &o, const here *h, const head_memory &m, int row) {
    for (int piece = threadIdx.x; piece < panels_of(o.n_out) * o.n_in * 4; piece += blockDim.x)
        __pipeline_memcpy_async(m.w + piece / 4 * FNN_HEAD_STRIDE + piece % 4 * 4, o.w + piece * 4, 16);
    for (int piece = threadIdx.x; piece < panels_of(o.n_in) * FNN_HEAD_ROWS * 4; piece += blockDim.x) {
        const int r = piece / 4 % FNN_HEAD_ROWS, panel = piece / (4 * FNN_HEAD_ROWS);
        if (row + r >= h->rows) continue;
        const float *from = o.x + ((int64_t)panel * h->capacity + row + r) * 16;
        __pipeline_memcpy_async(m.x + piece * 4, from + piece % 4 * 4, 16);
    }
    __pipeline_commit();
    __pipeline_wait_prior(0);
    __syncthreads();
}

/* One accumulator a unit and row, k ascending. */
FNN_DEVICE v16 head_sum(const op &o, const head_memory &m, int panel, int r) {
    const float *w = m.w + panel * o.n_in * FNN_HEAD_STRIDE;
    v16 sum = v16_load(o.b + panel * 16);
FNN_UNROLL_BY(4)
    for (int k = 0; k < o.n_in; k += 4) {
        const float4 four = *(const float4 *)(m.x + (k / 16 * FNN_HEAD_ROWS + r) * 16 + k % 16);
        const float x[4] = {four.x, four.y, four.z, four.w};
FNN_UNROLL_GPU
        for (int q = 0; q < 4; q++)
            if (k + q < o.n_in) sum = v16_fma(x[q], v16_load(w + (k + q) * FNN_HEAD_STRIDE), sum);
    }
    return sum;
}

FNN_DEVICE void head_forward(const op &o, const here *h, const head_memory &m, int row) {
    const int n = panels_of(o.n_out) * FNN_HEAD_ROWS;
    for (int group = (int)threadIdx.x / 16; group < n; group += (int)blockDim.x / 16) {
        const int panel = group / FNN_HEAD_ROWS, r = group % FNN_HEAD_ROWS;
        if (row + r >= h->rows) continue;
        const int place = (panel * 16 + fnn_lane()) * 16 + r;
        const int64_t at = (int64_t)panel * h->capacity + row + r;
        m.rows.out[place] = unit_output(o, at, head_sum(o, m, panel, r), &m.rows.y[place]);
    }
}

/* A thread has an input of all rows, which lie side by side in the columns of gradients. */
FNN_DEVICE void head_backward(const op &o, const here *h, const head_memory &m, int row) {
    static_assert(FNN_HEAD_ROWS == 4, "a float4 holds the gradients of a unit");
    for (int i = threadIdx.x; i < panels_of(o.n_in) * 16; i += blockDim.x) {
        float sums[4] = {};
        for (int c = 0; i < o.n_in && c < o.n_out; c += 4) {
            const float4 four = *(const float4 *)(m.w + (c / 16 * o.n_in + i) * FNN_HEAD_STRIDE + c % 16);
            const float w[4] = {four.x, four.y, four.z, four.w};
FNN_UNROLL_GPU
            for (int q = 0; q < 4; q++) {
                if (c + q >= o.n_out) break;
                const float4 d = *(const float4 *)(m.rows.out + (c + q) * 16);
                sums[0] = __fmaf_rn(d.x, w[q], sums[0]), sums[1] = __fmaf_rn(d.y, w[q], sums[1]);
                sums[2] = __fmaf_rn(d.z, w[q], sums[2]), sums[3] = __fmaf_rn(d.w, w[q], sums[3]);
            }
        }
FNN_UNROLL_GPU
        for (int r = 0; r < 4; r++)
            if (row + r < h->rows) store_dx(o, h, i / 16, row + r, sums[r]);
    }
}

/* The forward pass, then its parts: the loss and, if a backward pass goes on below, the input gradient. */
FNN_DEVICE void head(const op &o, const here *h) {
    const op *parts = &o + 1;
    const int row = h->block * FNN_HEAD_ROWS;
    if (row >= h->rows) return;
    const head_memory m = head_memory_of(o);
    load_head(o, h, m, row);
    head_forward(o, h, m, row);
    judge_rows<FNN_HEAD_ROWS>(parts[0], h, m.rows, row);
    if (o.parts < 2) return;
    __syncthreads();
    head_backward(parts[1], h, m, row);
}

#endif
