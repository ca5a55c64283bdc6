/* program_update.cu: operations on whole blocks of stored gradients and of parameters. */
#include "program.cuh"

static void add_to(program *to, const fnn_cuda_plan *plan, float *sum, const float *more, int64_t n) {
    op o;
    new_op(&o, OP_SUM);
    o.n = n;
    o.y = sum;
    o.x = more;
    new_phase(to, plan);
    add_op(to, plan, o);
}

void sum_shared(program *to, const fnn_cuda_plan *plan) {
    for (int64_t l = 0; l < plan->net->n_layers; l++) {
        const fnn_layer *layer = &plan->net->layers[l];
        if (layer->same_as == 0) continue;
        float *sum = plan->gradients + plan->net->layers[layer->same_as - 1].g;
        add_to(to, plan, sum, plan->gradients + layer->g, fnn_layer_floats(layer));
    }
}

void add_shares(program *to, const fnn_cuda_plan *plan, float *gradients, int64_t n_shares) {
    const int64_t n = plan->net->n_floats;
    for (int64_t share = 1; share < n_shares; share++) add_to(to, plan, gradients, gradients + share * n, n);
}

void mask_weights(program *to, const fnn_cuda_plan *plan, const sinks &s, float *block) {
    bool any = false;
    for (int64_t l = 0; l < plan->net->n_layers; l++) {
        const fnn_layer *layer = &plan->net->layers[l];
        if (layer->mask == nullptr || !is_trainable(s, 2 * l)) continue;
        op o;
        new_op(&o, OP_MASK);
        o.n = layer->b - layer->w;
        o.y = block + layer->w;
        o.x = plan->layers[(size_t)l].mask;
        if (!any) new_phase(to, plan);
        any = true;
        add_op(to, plan, o);
    }
}

/* Each variable that has gradients: of its own, and trainable. */
template <class F> static void each_variable(const fnn_cuda_plan *plan, const sinks &s, F function) {
    for (int64_t i = 0; i < 2 * plan->net->n_layers; i++) {
        const fnn_layer *layer = &plan->net->layers[i / 2];
        if (layer->same_as != 0 || !is_trainable(s, i)) continue;
        const int64_t begin = i % 2 == 0 ? layer->w : layer->b, n_weights = layer->b - layer->w;
        function(i, begin, i % 2 == 0 ? n_weights : fnn_layer_floats(layer) - n_weights);
    }
}

void clip_gradients(program *to, const fnn_cuda_plan *plan, const sinks &s) {
    const fnn_epoch *epoch = s.epoch;
    if (epoch->clip_value > 0) {
        new_phase(to, plan);
        each_variable(plan, s, [&](int64_t, int64_t begin, int64_t n) {
            op o;
            new_op(&o, OP_CLIP);
            o.g = s.gradients + begin, o.n = n;
            o.limit = epoch->clip_value;
            add_op(to, plan, o);
        });
    }
    if (epoch->clip_norm == 0) return;
    int slots = 0;
    new_phase(to, plan);
    each_variable(plan, s, [&](int64_t, int64_t begin, int64_t n) {
        op o;
        new_op(&o, OP_SQUARES);
        o.g = s.gradients + begin, o.n = n;
        o.squares = plan->squares + slots;
        o.slots = (int)up(n, FNN_SLOT);
        slots += o.slots;
        add_op(to, plan, o);
    });
    op o;
    new_op(&o, OP_NORM);
    o.squares = plan->squares, o.slots = slots;
    o.limit = epoch->clip_norm;
    new_phase(to, plan);
    add_op(to, plan, o);
}

void update_parameters(program *to, const fnn_cuda_plan *plan, const sinks &s) {
    new_phase(to, plan);
    each_variable(plan, s, [&](int64_t i, int64_t begin, int64_t n) {
        op o;
        new_op(&o, OP_UPDATE);
        o.g = s.gradients + begin, o.n = n;
        set_sink(&o, s, i);
        add_op(to, plan, o);
    });
}

void constrain(program *to, const fnn_cuda_plan *plan, const sinks &s) {
    bool any = false;
    for (int64_t l = 0; l < plan->net->n_layers; l++) {
        const fnn_layer *layer = &plan->net->layers[l];
        const float radius = s.epoch->restraints[l].max_norm;
        if (radius == 0 || layer->same_as != 0 || !is_trainable(s, 2 * l)) continue;
        op o;
        new_op(&o, OP_MAX_NORM);
        o.n_in = (int)layer->n_in, o.n_out = (int)layer->n_out;
        o.y = s.params + layer->w;
        o.limit = radius;
        if (!any) new_phase(to, plan);
        any = true;
        add_op(to, plan, o);
    }
}
