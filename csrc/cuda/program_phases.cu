/* program_phases.cu: how operations are put into phases, and phases cut into blocks. */
#include "program.cuh"

#include <string.h>

void new_phase(program *to, const fnn_cuda_plan *plan) {
    if (!to->empty() && to->back().p.n_ops == 0 && to->back().product.a == nullptr) return; /* nothing is in it yet */
    launchable next;
    memset(&next, 0, sizeof next); /* its padding too: phases are compared as bytes */
    next.p.at = plan->at;
    next.p.capacity = (int)plan->n_batch;
    to->push_back(next);
}

void add_op(program *to, const fnn_cuda_plan *plan, const op &o) {
    if (to->back().p.n_ops == FNN_PHASE_OPS || to->back().product.a != nullptr) new_phase(to, plan);
    phase *p = &to->back().p;
    memcpy(&p->ops[p->n_ops++], &o, sizeof o);
}

void new_op(op *o, op_kind kind) {
    memset(o, 0, sizeof *o);
    o->kind = kind;
    o->scale = 1.0f;
    o->threshold = 65536;
}

/* Rows and columns of an operation's product, or 0. */
static int64_t product_rows(const fnn_cuda_plan *plan, const op &o) {
    return o.kind == OP_BACKWARD_WEIGHT ? o.n_in
           : o.kind == OP_FORWARD || o.kind == OP_BACKWARD_INPUT ? plan->n_batch
                                                                 : 0;
}
static int64_t product_columns(const op &o) { return o.kind == OP_BACKWARD_INPUT ? o.n_in : o.n_out; }

static int64_t product_blocks(const fnn_cuda_plan *plan, const op &o, tile_size tile) {
    return up(product_rows(plan, o), tile_rows(tile)) * up(product_columns(o), tile_columns(tile));
}

/* How many blocks of so many threads an operation that is no product is worth. */
static int64_t other_blocks(const fnn_cuda_plan *plan, const op &o, int threads) {
    const int64_t most = 8 * plan->n_processors;
    switch (o.kind) {
    case OP_PREPARE: {
        const int64_t blocks = up(fnn_panels(o.n_in) * plan->n_batch, threads);
        return blocks < most ? blocks : most;
    }
    case OP_HEAD: return up(plan->n_batch, FNN_HEAD_ROWS);
    case OP_LOSS:
    case OP_OUTPUT: return up(plan->n_batch, FNN_LANES);
    case OP_BACKWARD_BIAS:
    case OP_MAX_NORM: return up(fnn_panels(o.n_out) * FNN_LANES, threads);
    case OP_SQUARES: return up(o.slots * FNN_LANES, threads);
    case OP_SUM:
    case OP_MASK:
    case OP_CLIP:
    case OP_UPDATE: {
        const int64_t blocks = up(o.n, threads);
        return blocks < most ? blocks : most;
    }
    case OP_PLAIN:
    case OP_FORWARD_SUMS:
    case OP_INPUT_SUMS:
    case OP_WEIGHT_SUMS: {
        const int64_t rows = o.kind == OP_PLAIN ? o.plain_rows : o.kind == OP_WEIGHT_SUMS ? o.n_in : plan->n_batch;
        const int64_t columns = o.kind == OP_INPUT_SUMS ? o.n_in : o.n_out;
        const int64_t blocks = up(rows * fnn_panels(columns) * FNN_LANES, threads);
        return blocks < most ? blocks : most;
    }
    case OP_BIAS_SUMS: return fnn_panels(o.n_out);
    default: return 1;
    }
}

/* The largest tile whose blocks keep all processors busy. */
static tile_size tile_of(const fnn_cuda_plan *plan, const phase &p) {
    if (p.ops[0].kind == OP_HEAD) return MEDIUM_TILE; /* for its threads: they copy the weights */
    for (int tile = LARGE_TILE; tile > SMALL_TILE; tile--) {
        int64_t blocks = 0;
        for (int i = 0; i < p.n_ops; i++)
            if (product_rows(plan, p.ops[i]) > 0) blocks += product_blocks(plan, p.ops[i], (tile_size)tile);
        if (blocks >= plan->n_processors) return (tile_size)tile;
    }
    return SMALL_TILE;
}

static size_t shared_of(const op &o, int threads) {
    if (o.kind == OP_SQUARES) return (size_t)threads * sizeof(double);
    if (o.kind == OP_BIAS_SUMS) return (size_t)threads * sizeof(float);
    if (o.kind == OP_HEAD) return (size_t)head_bytes(o.n_in, o.n_out);
    if ((o.kind != OP_LOSS && o.kind != OP_OUTPUT) || o.work != nullptr) return 0;
    return (size_t)((o.kind == OP_LOSS ? 3 : 1) * fnn_panels(o.n_out)) * FNN_LANES * FNN_LANES * sizeof(float);
}

void cut(program *to, const fnn_cuda_plan *plan) {
    for (launchable &each : *to) {
        each.tile = tile_of(plan, each.p);
        const int threads = tile_threads(each.tile);
        for (int i = 0; i < each.p.n_ops; i += 1 + each.p.ops[i].parts) {
            op *o = &each.p.ops[i];
            const bool is_product = product_rows(plan, *o) > 0;
            o->blocks = (int)(is_product ? product_blocks(plan, *o, each.tile) : other_blocks(plan, *o, threads));
            const size_t shared = shared_of(*o, threads);
            if (shared > each.shared) each.shared = shared;
        }
    }
}
