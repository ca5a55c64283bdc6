/* launch.cu: the kernel that runs a phase, one for each size of tile. */
#include "launch.cuh"

#include "head.cuh"
#include "input.cuh"
#include "layers.cuh"
#include "losses.cuh"
#include "parameters.cuh"
#include "plain.cuh"

template <class T> FNN_DEVICE void run(const op &o, here *h, int64_t step) {
    if (o.kind == OP_ADVANCE) {
        if (threadIdx.x == 0) h->at->step += o.steps;
        return;
    }
    if (!find_batch(h, step + (o.kind == OP_PREPARE ? o.steps : 0))) return;
    switch (o.kind) {
    case OP_PREPARE: prepare(o, h); return;
    case OP_FORWARD: forward<T>(o, h); return;
    case OP_HEAD: head(o, h); return;
    case OP_LOSS: judge(o, h); return;
    case OP_TALLY: tally(o, h); return;
    case OP_BACKWARD_INPUT: backward_input<T>(o, h); return;
    case OP_BACKWARD_WEIGHT: backward_weight<T>(o, h); return;
    case OP_BACKWARD_BIAS: backward_bias(o, h); return;
    case OP_OUTPUT: output(o, h); return;
    case OP_SUM: add(o, h); return;
    case OP_MASK: apply_mask(o, h); return;
    case OP_CLIP: clip(o, h); return;
    case OP_SQUARES: squares(o, h); return;
    case OP_NORM: bound_norm(o, h); return;
    case OP_UPDATE: update(o, h); return;
    case OP_MAX_NORM: max_norm(o, h); return;
    case OP_PLAIN: make_plain(o, h); return;
    case OP_FORWARD_SUMS: forward_sums(o, h); return;
    case OP_INPUT_SUMS: input_sums(o, h); return;
    case OP_WEIGHT_SUMS: weight_sums(o, h); return;
    case OP_BIAS_SUMS: bias_sums(o, h); return;
    case OP_ADVANCE: return;
    }
}

template <class T> __global__ void __launch_bounds__(T::THREADS, T::BLOCKS) run_phase(const __grid_constant__ phase p) {
    int block = (int)blockIdx.x, i = 0;
    while (block >= p.ops[i].blocks) block -= p.ops[i++].blocks;
    here h = {};
    h.at = p.at;
    h.capacity = p.capacity;
    h.block = block;
    h.blocks = p.ops[i].blocks;
    run<T>(p.ops[i], &h, p.at->step + p.slot);
}

int tile_rows(tile_size tile) {
    return tile == SMALL_TILE ? small_tile::ROWS : tile == MEDIUM_TILE ? medium_tile::ROWS : large_tile::ROWS;
}

int tile_columns(tile_size tile) {
    return tile == SMALL_TILE ? small_tile::COLUMNS : tile == MEDIUM_TILE ? medium_tile::COLUMNS : large_tile::COLUMNS;
}

int tile_threads(tile_size tile) {
    return tile == SMALL_TILE ? small_tile::THREADS : tile == MEDIUM_TILE ? medium_tile::THREADS : large_tile::THREADS;
}

template <class T> static cudaError_t allow(void) {
    const int most = T::SHARED > FNN_HEAD_SHARED ? T::SHARED : FNN_HEAD_SHARED;
    return cudaFuncSetAttribute(run_phase<T>, cudaFuncAttributeMaxDynamicSharedMemorySize, most);
}

cudaError_t allow_shared_memory(void) {
    cudaError_t error = allow<small_tile>();
    if (error == cudaSuccess) error = allow<medium_tile>();
    return error == cudaSuccess ? allow<large_tile>() : error;
}

template <class T> static cudaError_t launch_tile(const phase &p, size_t shared, cudaStream_t stream) {
    unsigned blocks = 0;
    bool has_product = false;
    for (int i = 0; i < p.n_ops; i += 1 + p.ops[i].parts) {
        const op_kind kind = p.ops[i].kind;
        blocks += (unsigned)p.ops[i].blocks;
        has_product |= kind == OP_FORWARD || kind == OP_BACKWARD_INPUT || kind == OP_BACKWARD_WEIGHT;
    }
    if (has_product && shared < (size_t)T::SHARED) shared = T::SHARED;
    void *args[] = {(void *)&p};
    return cudaLaunchKernel(run_phase<T>, dim3(blocks), dim3(T::THREADS), args, shared, stream);
}

cudaError_t launch(const phase &p, tile_size tile, size_t shared, cudaStream_t stream) {
    switch (tile) {
    case SMALL_TILE: return launch_tile<small_tile>(p, shared, stream);
    case MEDIUM_TILE: return launch_tile<medium_tile>(p, shared, stream);
    default: return launch_tile<large_tile>(p, shared, stream);
    }
}
