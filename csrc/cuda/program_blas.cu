/* program_blas.cu: layers whose products are the vendor library's: factors as plain matrices, products, and what
 * follows on their sums. */
#include "program.cuh"

#include <string.h>

bool uses_blas(const fnn_cuda_plan *plan, int64_t l) {
    const fnn_layer *layer = &plan->net->layers[l];
    return plan->precision != FNN_FP32 && layer->n_in >= FNN_BLAS_WIDTH && layer->n_out >= FNN_BLAS_WIDTH;
}

static int whole(int64_t n) { return (int)(up(n, FNN_LANES) * FNN_LANES); }

/* A layer's weights, or n_in = 0: what a batch has of so many columns. */
static void plain_beside(program *to, const fnn_cuda_plan *plan, const plain_matrix &plain, const float *panels,
                         int64_t n_in, int64_t columns) {
    op o;
    new_op(&o, OP_PLAIN);
    o.x = panels;
    o.out = plain.at, o.work = plain.rest;
    o.n_in = (int)n_in, o.n_out = (int)columns;
    o.plain_rows = whole(n_in > 0 ? n_in : plan->n_batch);
    o.precision = plan->precision;
    add_op(to, plan, o);
}

static void add_one_product(program *to, const fnn_cuda_plan *plan, const blas_product &p) {
    new_phase(to, plan);
    memcpy(&to->back().product, &p, sizeof p);
}

/* sums = a b.  Where each is a sum of a large and a small part, the product of the small ones is too small to matter,
 * and the small products are added up first. */
static void add_product(program *to, const fnn_cuda_plan *plan, const plain_matrix &a, const plain_matrix &b,
                        blas_product p) {
    p.c = plan->sums;
    if (plan->precision == FNN_3XTF32) {
        p.a = a.at, p.b = b.rest;
        add_one_product(to, plan, p);
        p.a = a.rest, p.b = b.at;
        p.adds = 1;
        add_one_product(to, plan, p);
    }
    p.a = a.at, p.b = b.at;
    add_one_product(to, plan, p);
}

/* Instead of o. */
static void add_sums(program *to, const fnn_cuda_plan *plan, op o, op_kind kind) {
    o.kind = kind;
    o.x = plan->sums;
    new_phase(to, plan);
    add_op(to, plan, o);
}

void blas_forward(program *to, const fnn_cuda_plan *plan, const op &o, int64_t l) {
    const layer_blocks &blocks = plan->layers[(size_t)l];
    blas_product p = {};
    p.rows = whole(plan->n_batch), p.columns = whole(o.n_out), p.depth = whole(o.n_in);
    new_phase(to, plan);
    plain_beside(to, plan, blocks.plain_x, o.x, 0, o.n_in);
    plain_beside(to, plan, blocks.plain_w, o.w, o.n_in, o.n_out);
    add_product(to, plan, blocks.plain_x, blocks.plain_w, p);
    add_sums(to, plan, o, OP_FORWARD_SUMS);
}

void blas_backward_input(program *to, const fnn_cuda_plan *plan, const op &o, int64_t l) {
    const layer_blocks &blocks = plan->layers[(size_t)l];
    blas_product p = {};
    p.rows = whole(plan->n_batch), p.columns = whole(o.n_in), p.depth = whole(o.n_out);
    p.b_is_transposed = 1;
    new_phase(to, plan);
    plain_beside(to, plan, blocks.plain_dy, o.x, 0, o.n_out);
    add_product(to, plan, blocks.plain_dy, blocks.plain_w, p);
    add_sums(to, plan, o, OP_INPUT_SUMS);
}

void blas_backward_weight(program *to, const fnn_cuda_plan *plan, const op &o, int64_t l) {
    const layer_blocks &blocks = plan->layers[(size_t)l];
    blas_product p = {};
    p.rows = whole(o.n_in), p.columns = whole(o.n_out), p.depth = whole(plan->n_batch);
    p.a_is_transposed = 1;
    if (l == 0) { /* of the others blas_backward_input has done it */
        new_phase(to, plan);
        plain_beside(to, plan, blocks.plain_dy, o.y, 0, o.n_out);
    }
    add_product(to, plan, blocks.plain_x, blocks.plain_dy, p);
    add_sums(to, plan, o, OP_WEIGHT_SUMS);
}
