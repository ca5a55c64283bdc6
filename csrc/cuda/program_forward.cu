/* program_forward.cu: operations from the data to losses or outputs. */
#include "program.cuh"

float scale_of(const fnn_dropout *dropout, bool is_drawn) {
    return is_drawn ? dropout->train_scale : dropout->predict_scale;
}

void prepare_beside(program *to, const fnn_cuda_plan *plan, int buffer, int steps, bool is_drawn) {
    const fnn_input *input = &plan->net->input;
    op o;
    new_op(&o, OP_PREPARE);
    o.steps = steps;
    o.n_in = (int)input->n_in;
    o.y = plan->x[buffer];
    o.input_scale = input->scale, o.input_offset = input->offset;
    o.scale = scale_of(&input->dropout, is_drawn);
    o.threshold = is_drawn ? input->dropout.threshold : 65536;
    add_op(to, plan, o);
    for (int64_t l = 0; l < plan->net->n_layers; l++) {
        const fnn_layer *layer = &plan->net->layers[l];
        if (!is_drawn || layer->dropout.threshold >= 65536) continue;
        new_op(&o, OP_PREPARE);
        o.steps = steps;
        o.n_in = (int)layer->n_out;
        o.keep = plan->layers[(size_t)l].keep[buffer];
        o.threshold = layer->dropout.threshold;
        o.layer = (int)l + 1;
        add_op(to, plan, o);
    }
}

void add_prepare(program *to, const fnn_cuda_plan *plan, int buffer, int steps, bool is_drawn) {
    new_phase(to, plan);
    prepare_beside(to, plan, buffer, steps, is_drawn);
    cut(to, plan);
}

uint16_t *keep_of(const fnn_cuda_plan *plan, int64_t l, int buffer, bool is_drawn) {
    return is_drawn ? plan->layers[(size_t)l].keep[buffer] : nullptr;
}

const float *input_of(const fnn_cuda_plan *plan, int64_t l, int buffer) {
    return l > 0 ? plan->layers[(size_t)l - 1].out : plan->x[buffer];
}

/* Of layer l. */
static op forward_op(const fnn_cuda_plan *plan, const float *params, int64_t l, int buffer, bool is_drawn,
                     bool is_backward) {
    const fnn_layer *layer = &plan->net->layers[l];
    op o;
    new_op(&o, OP_FORWARD);
    o.n_in = (int)layer->n_in, o.n_out = (int)layer->n_out;
    o.x = input_of(plan, l, buffer);
    o.w = params + layer->w, o.b = params + layer->b;
    o.y = plan->layers[(size_t)l].y, o.out = plan->layers[(size_t)l].out;
    o.keep = keep_of(plan, l, buffer, is_drawn);
    o.scale = scale_of(&layer->dropout, is_drawn);
    o.activation = layer->activation;
    o.activation.with_slope = is_backward && fnn_keeps_slope(layer->activation);
    return o;
}

static void add_layer(program *to, const fnn_cuda_plan *plan, const op &o, int64_t l, forward_wish wish) {
    if (uses_blas(plan, l)) return blas_forward(to, plan, o, l, wish);
    new_phase(to, plan);
    add_op(to, plan, o);
}

void add_forward(program *to, const fnn_cuda_plan *plan, const float *params, int buffer, bool keeps_all) {
    for (int64_t l = 0; l < plan->net->n_layers; l++)
        add_layer(to, plan, forward_op(plan, params, l, buffer, false, false), l, {keeps_all, false});
    cut(to, plan);
}

static op loss_op(const fnn_cuda_plan *plan, fnn_loss loss, bool is_backward, bool can_diverge) {
    const fnn_layer *last = &plan->net->layers[plan->net->n_layers - 1];
    const layer_blocks &blocks = plan->layers.back();
    op o;
    new_op(&o, OP_LOSS);
    o.n_out = (int)last->n_out;
    o.y = blocks.y, o.out = blocks.out;
    o.g = is_backward ? blocks.dy : nullptr;
    o.activation = last->activation;
    o.loss = loss;
    o.loss.custom = nullptr;
    o.can_diverge = can_diverge;
    o.losses = plan->losses, o.hits = plan->hits;
    if (3 * fnn_panels(last->n_out) * FNN_LANES * FNN_LANES * (int64_t)sizeof(float) > FNN_COLUMNS_SHARED)
        o.work = plan->work;
    return o;
}

int64_t head_bytes(int64_t n_in, int64_t n_out) {
    const int64_t weights = fnn_panels(n_out) * n_in * FNN_HEAD_STRIDE;
    const int64_t rows = fnn_panels(n_in) * FNN_HEAD_ROWS * FNN_LANES;
    return (weights + rows + 3 * fnn_panels(n_out) * FNN_LANES * FNN_LANES) * (int64_t)sizeof(float);
}

bool has_head(const fnn_cuda_plan *plan) {
    const fnn_layer *last = &plan->net->layers[plan->net->n_layers - 1];
    return !uses_blas(plan, plan->net->n_layers - 1) && head_bytes(last->n_in, last->n_out) <= FNN_HEAD_SHARED &&
           up(plan->n_batch, FNN_HEAD_ROWS) <= 2 * plan->n_processors;
}

void add_judged(program *to, const fnn_cuda_plan *plan, const float *params, int buffer, bool is_drawn,
                const judgement &j) {
    const int64_t last = plan->net->n_layers - 1;
    for (int64_t l = 0; l <= last; l++) {
        op o = forward_op(plan, params, l, buffer, is_drawn, j.is_backward);
        if (l == last && has_head(plan)) {
            o.kind = OP_HEAD;
            o.parts = j.is_backward && last > 0 ? 2 : 1;
        }
        add_layer(to, plan, o, l, {false, j.is_training});
    }
    if (!has_head(plan)) new_phase(to, plan);
    add_op(to, plan, loss_op(plan, j.loss, j.is_backward, j.is_training));
    if (has_head(plan) && j.is_backward && last > 0) add_op(to, plan, input_op(plan, params, last, buffer, is_drawn));
    cut(to, plan);
}

void tally_beside(program *to, const fnn_cuda_plan *plan, int64_t group) {
    op o;
    new_op(&o, OP_TALLY);
    o.group = (int)group;
    o.losses = plan->losses, o.hits = plan->hits;
    add_op(to, plan, o);
}

void add_tally(program *to, const fnn_cuda_plan *plan, int64_t group) {
    new_phase(to, plan);
    tally_beside(to, plan, group);
    cut(to, plan);
}

void add_output(program *to, const fnn_cuda_plan *plan, const float *y, int64_t n_out, fnn_link link) {
    op o;
    new_op(&o, OP_OUTPUT);
    o.n_out = (int)n_out;
    o.x = y, o.out = plan->matrix;
    o.link = link;
    if (fnn_panels(n_out) * FNN_LANES * FNN_LANES * (int64_t)sizeof(float) > FNN_COLUMNS_SHARED) o.work = plan->work;
    new_phase(to, plan);
    add_op(to, plan, o);
    cut(to, plan);
}
