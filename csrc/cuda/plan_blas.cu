/* plan_blas.cu: which layers' products are the vendor library's, and the memory around them. */
#include "cursor.cuh"

bool uses_blas(const fnn_cuda_plan *plan, int64_t l) {
    const fnn_layer *layer = &plan->net->layers[l];
    if (plan->precision == FNN_FP32 || layer->n_in < FNN_BLAS_WIDTH) return false;
    return layer->n_out >= FNN_BLAS_WIDTH || (layer->n_in >= FNN_BLAS_INPUTS && l > 0 && uses_blas(plan, l - 1));
}

bool stays_plain(const fnn_cuda_plan *plan, int64_t l) {
    return l + 1 < plan->net->n_layers && uses_blas(plan, l) && uses_blas(plan, l + 1);
}

static bool is_relu(const fnn_cuda_plan *plan, int64_t l) {
    return plan->net->layers[l].activation.function == FNN_RELU;
}

static bool may_be_fused(const fnn_cuda_plan *plan, int64_t l) {
    const fnn_layer *layer = &plan->net->layers[l];
    return stays_plain(plan, l) && (plan->precision == FNN_FP32_BLAS || plan->precision == FNN_BF16) &&
           (is_relu(plan, l) || layer->activation.function == FNN_LINEAR) && !changes_output(plan, &layer->dropout);
}

blas_product forward_product(const fnn_cuda_plan *plan, int64_t l, bool is_fused, const float *bias) {
    const fnn_layer *layer = &plan->net->layers[l];
    const layer_blocks &blocks = plan->layers[(size_t)l];
    blas_product p = {};
    p.rows = (int)whole(plan->n_batch), p.columns = (int)whole(layer->n_out), p.depth = (int)whole(layer->n_in);
    if (!is_fused) return p;
    p.c = plan->layers[(size_t)l + 1].plain_x.at;
    p.c_is_factor = 1;
    p.row = blocks.plain_b.at != nullptr ? blocks.plain_b.at : (void *)bias;
    p.mask = blocks.positive;
    p.epilogue = !is_relu(plan, l) ? BLAS_BIAS : plan->training ? BLAS_BIAS_RELU_MASK : BLAS_BIAS_RELU;
    return p;
}

blas_product input_product(const fnn_cuda_plan *plan, int64_t l) {
    const fnn_layer *layer = &plan->net->layers[l];
    const layer_blocks &below = plan->layers[(size_t)l - 1];
    blas_product p = {};
    p.rows = (int)whole(plan->n_batch), p.columns = (int)whole(layer->n_in), p.depth = (int)whole(layer->n_out);
    p.b_is_transposed = 1;
    if (!below.is_fused) return p;
    p.c = below.plain_dy.at;
    p.c_is_factor = 1;
    p.row = below.bias_gradient.at;
    p.mask = below.positive;
    p.epilogue = !is_relu(plan, l - 1) ? BLAS_SUMS : below.sums_bias ? BLAS_MASKED_BIAS : BLAS_MASKED;
    return p;
}

/* As far as they are tried, is_fused and sums_bias are true. */
static fnn_status try_epilogues(fnn_cuda_plan *plan, int64_t l, bool *are_offered) {
    FNN_TRY(blas_offers(plan->library, forward_product(plan, l, true, nullptr), are_offered));
    if (!*are_offered || !plan->training) return FNN_OK;
    return blas_offers(plan->library, input_product(plan, l + 1), are_offered);
}

fnn_status choose_epilogues(fnn_cuda_plan *plan) {
    for (int64_t l = 0; l < plan->net->n_layers; l++) {
        if (!may_be_fused(plan, l)) continue;
        layer_blocks *blocks = &plan->layers[(size_t)l];
        blocks->is_fused = true;
        blocks->sums_bias = plan->training && is_relu(plan, l);
        bool are_offered = false;
        FNN_TRY(try_epilogues(plan, l, &are_offered));
        if (!are_offered && blocks->sums_bias) {
            blocks->sums_bias = false;
            FNN_TRY(try_epilogues(plan, l, &are_offered));
        }
        blocks->is_fused = are_offered;
    }
    return FNN_OK;
}

static int64_t larger(int64_t a, int64_t b) { return a > b ? a : b; }

static plain_matrix take_plain(const fnn_cuda_plan *plan, cursor *at, int64_t n) {
    float *first = plan->precision == FNN_BF16 ? (float *)at->take<uint16_t>(n) : at->take<float>(n);
    return {first, plan->precision == FNN_3XTF32 ? at->take<float>(n) : nullptr};
}

static void take_fused(fnn_cuda_plan *plan, cursor *at, int64_t l) {
    const int64_t n_out = whole(plan->net->layers[l].n_out);
    layer_blocks *blocks = &plan->layers[(size_t)l];
    if (plan->precision == FNN_BF16) blocks->plain_b = take_plain(plan, at, n_out);
    if (!plan->training || !is_relu(plan, l)) return;
    blocks->positive = at->take<char>((int64_t)blas_mask_bytes(whole(plan->n_batch), n_out));
    if (blocks->sums_bias) blocks->bias_gradient = take_plain(plan, at, n_out);
}

/* Elements of one layer's matrices, or of the largest. */
struct plain_sizes {
    int64_t x, w, dy, sums;
};

static plain_sizes sizes_of(const fnn_cuda_plan *plan, const fnn_layer *layer) {
    const int64_t rows = whole(plan->n_batch), n_in = whole(layer->n_in), n_out = whole(layer->n_out);
    plain_sizes sizes = {rows * n_in, n_in * n_out, rows * n_out, rows * n_out};
    if (plan->training) sizes.sums = larger(sizes.sums, larger(sizes.x, sizes.w));
    return sizes;
}

/* In a prediction layers follow each other: what they read, and what the next one does, lies in two places in turn, and
 * weights in one. */
void lay_out_plain(fnn_cuda_plan *plan, cursor *at) {
    plain_sizes most = {};
    plain_matrix x[2] = {}, w = {};
    for (int64_t l = 0; l < plan->net->n_layers; l++) {
        if (!uses_blas(plan, l)) continue;
        const plain_sizes sizes = sizes_of(plan, &plan->net->layers[l]);
        most = {larger(most.x, sizes.x), larger(most.w, sizes.w), 0, larger(most.sums, sizes.sums)};
    }
    if (most.sums == 0) return;
    if (!plan->training) {
        for (plain_matrix &each : x) each = take_plain(plan, at, most.x);
        w = take_plain(plan, at, most.w);
    }
    for (int64_t l = 0; l < plan->net->n_layers; l++) {
        if (!uses_blas(plan, l)) continue;
        const plain_sizes sizes = sizes_of(plan, &plan->net->layers[l]);
        layer_blocks *blocks = &plan->layers[(size_t)l];
        blocks->plain_x = plan->training ? take_plain(plan, at, sizes.x) : x[l % 2];
        blocks->plain_w = plan->training ? take_plain(plan, at, sizes.w) : w;
        if (plan->training) blocks->plain_dy = take_plain(plan, at, sizes.dy);
        if (blocks->is_fused) take_fused(plan, at, l);
    }
    plan->sums = at->take<float>(most.sums);
}
