/* program_backward.cu: operations of the backward pass, and where they leave gradients. */
#include "program.cuh"

void set_sink(op *o, const sinks &s, int64_t i) {
    const fnn_layer *layer = &s.net->layers[i / 2];
    const int64_t shift = i % 2 == 0 ? 0 : layer->b - layer->w;
    fnn_sink *sink = &o->sink;
    if (!is_trainable(s, i)) {
        sink->update = FNN_FREEZE;
        return;
    }
    if (s.stores) {
        sink->update = FNN_STORE;
        sink->w = s.gradients + layer->g + shift;
        return;
    }
    const fnn_epoch *epoch = s.epoch;
    const int blocks = fnn_state_blocks(epoch->update, epoch->momentum);
    const bool has_squares = epoch->update == FNN_ADAM || epoch->update == FNN_RMSPROP;
    sink->update = epoch->update;
    sink->momentum = epoch->momentum;
    sink->w = s.params + layer->w + shift;
    if (blocks > 0 && !(has_squares && blocks == 1)) sink->v = s.state + layer->w + shift;
    if (has_squares) {
        sink->s = s.state + (blocks - 1) * s.net->n_floats + layer->w + shift;
        sink->adam.beta1 = (float)epoch->beta1, sink->adam.rest1 = (float)(1 - epoch->beta1);
        sink->adam.beta2 = (float)epoch->beta2, sink->adam.rest2 = (float)(1 - epoch->beta2);
        sink->adam.epsilon = epoch->epsilon;
    }
    if (i % 2 != 0) return; /* biases do not shrink */
    sink->l2 = epoch->restraints[i / 2].l2;
    o->decay = epoch->decay;
    o->l1 = epoch->restraints[i / 2].l1;
}

static void weight_beside(program *to, const fnn_cuda_plan *plan, const sinks &s, int64_t l, int buffer) {
    const fnn_layer *layer = &plan->net->layers[l];
    op o;
    new_op(&o, OP_BACKWARD_WEIGHT);
    o.n_in = (int)layer->n_in, o.n_out = (int)layer->n_out;
    o.x = input_of(plan, l, buffer);
    o.y = plan->layers[(size_t)l].dy;
    op bias = o;
    bias.kind = OP_BACKWARD_BIAS;
    set_sink(&o, s, 2 * l);
    set_sink(&bias, s, 2 * l + 1);
    if (uses_blas(plan, l)) return blas_backward_weight(to, plan, s, o, bias, l);
    if (o.sink.update != FNN_FREEZE) add_op(to, plan, o);
    if (bias.sink.update != FNN_FREEZE) add_op(to, plan, bias);
}

op input_op(const fnn_cuda_plan *plan, const float *params, int64_t l, int buffer, bool is_drawn) {
    const fnn_layer *layer = &plan->net->layers[l], *under = layer - 1;
    const layer_blocks &below = plan->layers[(size_t)l - 1];
    op o;
    new_op(&o, OP_BACKWARD_INPUT);
    o.n_in = (int)layer->n_in, o.n_out = (int)layer->n_out;
    o.x = plan->layers[(size_t)l].dy;
    o.w = params + layer->w;
    o.y = below.y, o.out = below.dy;
    o.keep = keep_of(plan, l - 1, buffer, is_drawn);
    o.scale = scale_of(&under->dropout, is_drawn);
    o.activation = under->activation;
    return o;
}

void backward_beside(program *to, const fnn_cuda_plan *plan, const sinks &s, const float *params, int buffer,
                            bool is_drawn, int64_t group) {
    const int64_t last = plan->net->n_layers - 1, first = has_head(plan) ? last - 1 : last;
    for (int64_t l = first; l > 0; l--) {
        const op o = input_op(plan, params, l, buffer, is_drawn);
        if (uses_blas(plan, l)) {
            blas_backward_input(to, plan, o, l);
        } else {
            new_phase(to, plan);
            add_op(to, plan, o);
        }
        if (l < last) weight_beside(to, plan, s, l + 1, buffer);
        if (l == first) tally_beside(to, plan, group);
    }
    new_phase(to, plan);
    weight_beside(to, plan, s, 0, buffer);
    if (last > 0) weight_beside(to, plan, s, 1, buffer);
    if (first <= 0) tally_beside(to, plan, group);
}
