/* program_blas.cu: layers whose products are the vendor library's: factors as plain matrices, products, and what
 * follows on their sums. */
#include "program.cuh"

#include <string.h>

/* The plain matrix that o reads or writes, of so many rows. */
static void set_plain(op *o, const fnn_cuda_plan *plan, const plain_matrix &plain, int64_t rows) {
    o->plain = plain.at, o->plain_rest = plain.rest;
    o->plain_rows = (int)rows;
    o->precision = plan->precision;
}

/* Of panels with so many rows, or n_in = 0: those of a batch; the others are zeros. */
static void plain_beside(program *to, const fnn_cuda_plan *plan, const plain_matrix &plain, int64_t rows,
                         const float *panels, int64_t n_in, int64_t columns) {
    op o;
    new_op(&o, OP_PLAIN);
    o.x = panels;
    o.n_in = (int)n_in, o.n_out = (int)columns;
    set_plain(&o, plan, plain, rows);
    add_op(to, plan, o);
}

static void add_one_product(program *to, const fnn_cuda_plan *plan, const blas_product &p) {
    new_phase(to, plan);
    memcpy(&to->back().product, &p, sizeof p);
}

/* c = a b, or sums.  Where each is a sum of a large and a small part, the product of the small ones is too small to
 * matter, and the small products are added up first. */
static void add_product(program *to, const fnn_cuda_plan *plan, const plain_matrix &a, const plain_matrix &b,
                        blas_product p) {
    if (p.c == nullptr) p.c = plan->sums;
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

/* What a batch has of so many columns. */
static void plain_batch_beside(program *to, const fnn_cuda_plan *plan, const plain_matrix &plain, const float *panels,
                               int64_t columns) {
    plain_beside(to, plan, plain, whole(plan->n_batch), panels, 0, columns);
}

/* w: those of layer l. */
static void plain_weight_beside(program *to, const fnn_cuda_plan *plan, const float *w, int64_t l) {
    const fnn_layer *layer = &plan->net->layers[l];
    plain_beside(to, plan, plan->layers[(size_t)l].plain_w, whole(layer->n_in), w, layer->n_in, layer->n_out);
}

void add_plain_weights(program *to, const fnn_cuda_plan *plan, const descent_on_device &d) {
    new_phase(to, plan);
    for (int64_t l = 0; l < plan->net->n_layers; l++)
        if (uses_blas(plan, l)) plain_weight_beside(to, plan, d.params + plan->net->layers[l].w, l);
    cut(to, plan);
}

/* Whether all that a step does to those weights, it does where it has their gradient. */
static bool change_once(const fnn_cuda_plan *plan, const sinks &s, int64_t l) {
    return !s.stores && plan->net->layers[l].mask == nullptr && s.epoch->restraints[l].max_norm == 0;
}

void plain_weights(program *to, const fnn_cuda_plan *plan, const sinks &s) {
    bool any = false;
    for (int64_t l = 0; l < plan->net->n_layers; l++) {
        const fnn_layer *layer = &plan->net->layers[l];
        if (!uses_blas(plan, l) || !is_trainable(s, 2 * l) || change_once(plan, s, l)) continue;
        if (!any) new_phase(to, plan);
        any = true;
        plain_weight_beside(to, plan, s.params + layer->w, l);
    }
}

void blas_forward(program *to, const fnn_cuda_plan *plan, op o, int64_t l, forward_wish wish) {
    const layer_blocks &blocks = plan->layers[(size_t)l];
    const bool is_fused = blocks.is_fused && !wish.keeps_panels;
    new_phase(to, plan);
    if (wish.keeps_panels || l == 0 || !stays_plain(plan, l - 1))
        plain_batch_beside(to, plan, blocks.plain_x, o.x, o.n_in);
    if (!wish.has_weights) plain_weight_beside(to, plan, o.w, l);
    if (is_fused && blocks.plain_b.at != nullptr) plain_beside(to, plan, blocks.plain_b, 1, o.b, 1, o.n_out);
    add_product(to, plan, blocks.plain_x, blocks.plain_w, forward_product(plan, l, is_fused, o.b));
    if (is_fused) return;
    if (!wish.keeps_panels && stays_plain(plan, l)) {
        o.y = plan->training ? blocks.y : nullptr;
        o.out = nullptr;
        set_plain(&o, plan, plan->layers[(size_t)l + 1].plain_x, whole(plan->n_batch));
    }
    add_sums(to, plan, o, OP_FORWARD_SUMS);
}

void blas_backward_input(program *to, const fnn_cuda_plan *plan, op o, int64_t l) {
    const layer_blocks &blocks = plan->layers[(size_t)l];
    const bool is_fused = plan->layers[(size_t)l - 1].is_fused;
    new_phase(to, plan);
    if (!stays_plain(plan, l)) plain_batch_beside(to, plan, blocks.plain_dy, o.x, o.n_out);
    add_product(to, plan, blocks.plain_dy, blocks.plain_w, input_product(plan, l));
    if (is_fused) return;
    if (stays_plain(plan, l - 1)) set_plain(&o, plan, plan->layers[(size_t)l - 1].plain_dy, whole(plan->n_batch));
    add_sums(to, plan, o, OP_INPUT_SUMS);
}

void blas_backward_weight(program *to, const fnn_cuda_plan *plan, const sinks &s, op weight, op bias, int64_t l) {
    const layer_blocks &blocks = plan->layers[(size_t)l];
    const bool moves_weight = weight.sink.update != FNN_FREEZE, moves_bias = bias.sink.update != FNN_FREEZE;
    if (!moves_weight && !moves_bias) return;
    new_phase(to, plan);
    if (l == 0 && moves_weight && !stays_plain(plan, 0)) /* of the others blas_backward_input has done it */
        plain_batch_beside(to, plan, blocks.plain_dy, weight.y, weight.n_out);
    if (moves_weight) {
        blas_product p = {};
        p.rows = (int)whole(weight.n_in), p.columns = (int)whole(weight.n_out), p.depth = (int)whole(plan->n_batch);
        p.a_is_transposed = 1;
        add_product(to, plan, blocks.plain_x, blocks.plain_dy, p);
        if (s.epoch != nullptr && change_once(plan, s, l)) set_plain(&weight, plan, blocks.plain_w, whole(weight.n_in));
        add_sums(to, plan, weight, OP_WEIGHT_SUMS);
    } else {
        new_phase(to, plan);
    }
    if (!moves_bias) return;
    bias.kind = OP_BIAS_SUMS;
    bias.n_in = 0;
    if (blocks.is_fused && blocks.sums_bias) {
        bias.n_in = 1;
        set_plain(&bias, plan, blocks.bias_gradient, 1);
    } else if (stays_plain(plan, l)) {
        set_plain(&bias, plan, blocks.plain_dy, whole(plan->n_batch));
    }
    add_op(to, plan, bias);
}
