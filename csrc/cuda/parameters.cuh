/* parameters.cuh: what happens to whole blocks of gradients and parameters: sums, masks, clipping, updates, norms. */
#ifndef FNN_CUDA_PARAMETERS_CUH
#define FNN_CUDA_PARAMETERS_CUH

#include "layers.cuh"

/* This block's groups of sixteen out of n floats. */
#define FNN_EACH_GROUP(at, n)                                                                                          \
    for (int64_t at = ((int64_t)h->block * blockDim.x + threadIdx.x) / 16 * 16; at < (n);                              \
         at += (int64_t)h->blocks * blockDim.x)

FNN_DEVICE void add(const op &o, const here *h) {
    FNN_EACH_GROUP(at, o.n) v16_store(o.y + at, v16_add(v16_load(o.y + at), v16_load(o.x + at)));
}

FNN_DEVICE void apply_mask(const op &o, const here *h) {
    FNN_EACH_GROUP(at, o.n) v16_store(o.y + at, v16_select(v16_lt(0.0f, v16_load(o.x + at)), v16_load(o.y + at), 0.0f));
}

FNN_DEVICE void clip(const op &o, const here *h) {
    FNN_EACH_GROUP(at, o.n) {
        const v16 each = v16_load(o.g + at), below = v16_select(v16_lt(o.limit, each), o.limit, each);
        v16_store(o.g + at, v16_select(v16_lt(below, -o.limit), -o.limit, below));
    }
}

FNN_DEVICE void update(const op &o, const here *h) {
    const fnn_sink sink = sink_of(o, h);
    const float factor = h->at->factor;
    FNN_EACH_GROUP(at, o.n) deliver(&sink, at, v16_mul(factor, v16_load(o.g + at)));
}

/* A slot's squares, lane by lane and then over the lanes, in double. */
FNN_DEVICE void squares(const op &o, const here *h) {
    double *lanes = (double *)shared_floats() + threadIdx.x / 16 * 16;
    const int slot = (h->block * (int)blockDim.x + (int)threadIdx.x) / 16;
    const int64_t begin = (int64_t)slot * FNN_SLOT, end = begin + FNN_SLOT < o.n ? begin + FNN_SLOT : o.n;
    double sum = 0.0;
FNN_UNROLL_BY(4)
    for (int64_t at = begin; at < end; at += 16) {
        const double g = (double)v16_load(o.g + at);
        sum = __dadd_rn(sum, __dmul_rn(g, g));
    }
    lanes[fnn_lane()] = sum;
    __syncthreads();
    if (fnn_lane() != 0 || begin >= end) return;
    sum = 0.0;
    for (int lane = 0; lane < 16; lane++) sum = __dadd_rn(sum, lanes[lane]);
    o.squares[slot] = sum;
}

FNN_DEVICE void bound_norm(const op &o, const here *h) {
    if (threadIdx.x != 0) return;
    double sum = 0.0;
    for (int slot = 0; slot < o.slots; slot++) sum = __dadd_rn(sum, o.squares[slot]);
    const double norm = __dsqrt_rn(sum);
    h->at->norms = __dadd_rn(h->at->norms, norm);
    h->at->factor = norm > o.limit ? __double2float_rn(__ddiv_rn((double)o.limit, norm)) : 1.0f;
}

/* The norm of this lane's unit. */
FNN_DEVICE v16 norm_of(const float *w, int n_in) {
    v16 sum = 0.0f;
FNN_UNROLL_BY(8)
    for (int k = 0; k < n_in; k++) {
        const v16 each = v16_load(w + k * 16);
        sum = v16_fma(each, each, sum);
    }
    return v16_sqrt(sum);
}

FNN_DEVICE void scale_unit(float *w, v16 factor, int n_in) {
    for (int k = 0; k < n_in; k++) v16_store(w + k * 16, v16_mul(factor, v16_load(w + k * 16)));
}

/* As kernels/norm.inc.h. */
FNN_DEVICE void max_norm(const op &o, const here *h) {
    const int panel = (h->block * (int)blockDim.x + (int)threadIdx.x) / 16;
    if (panel >= panels_of(o.n_out)) return;
    float *w = o.y + (int64_t)panel * o.n_in * 16;
    v16 norm = norm_of(w, o.n_in);
    if (norm > FLT_MAX) { /* squares overflowed: only the direction counts */
        scale_unit(w, 0x1p-80f, o.n_in);
        scale_unit(w, v16_div(o.limit, norm_of(w, o.n_in)), o.n_in);
    } else if (norm > o.limit) {
        scale_unit(w, v16_div(o.limit, norm), o.n_in);
    }
}

#undef FNN_EACH_GROUP
#endif
