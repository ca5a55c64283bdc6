/* plan_blas.cu: which layers' products are the vendor library's, and the memory around them. */
#include "cursor.cuh"

bool uses_blas(const fnn_cuda_plan *plan, int64_t l) {
    const fnn_layer *layer = &plan->net->layers[l];
    return plan->precision != FNN_FP32 && layer->n_in >= FNN_BLAS_WIDTH && layer->n_out >= FNN_BLAS_WIDTH;
}

bool stays_plain(const fnn_cuda_plan *plan, int64_t l) {
    return l + 1 < plan->net->n_layers && uses_blas(plan, l) && uses_blas(plan, l + 1);
}

static int64_t whole(int64_t n) { return fnn_panels(n) * FNN_LANES; }
static int64_t larger(int64_t a, int64_t b) { return a > b ? a : b; }

static plain_matrix take_plain(const fnn_cuda_plan *plan, cursor *at, int64_t n) {
    float *first = plan->precision == FNN_BF16 ? (float *)at->take<uint16_t>(n) : at->take<float>(n);
    return {first, plan->precision == FNN_3XTF32 ? at->take<float>(n) : nullptr};
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
    }
    plan->sums = at->take<float>(most.sums);
}
