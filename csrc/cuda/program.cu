/* program.cu: which operations a step or a pass is made of, and which of them share a launch. */
#include "plan.cuh"

#include <string.h>

/* ---- phases ---- */

/* Operations that follow wait for those before. */
static void new_phase(program *to, const fnn_cuda_plan *plan) {
    launchable next;
    memset(&next, 0, sizeof next); /* its padding too: phases are compared as bytes */
    next.p.at = plan->at;
    next.p.capacity = (int)plan->n_batch;
    to->push_back(next);
}

/* One more for the last phase, or for one of its own when that is full.  It need not wait for those beside it. */
static void add(program *to, const fnn_cuda_plan *plan, const op &o) {
    if (to->back().p.n_ops == FNN_PHASE_OPS) new_phase(to, plan);
    phase *p = &to->back().p;
    memcpy(&p->ops[p->n_ops++], &o, sizeof o);
}

static void new_op(op *o, op_kind kind) {
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

static int64_t up(int64_t n, int64_t unit) { return (n + unit - 1) / unit; }

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
    default: return 1;
    }
}

/* The largest tile whose blocks keep all processors busy. */
static tile_size tile_of(const fnn_cuda_plan *plan, const phase &p) {
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
    if ((o.kind != OP_LOSS && o.kind != OP_OUTPUT) || o.work != nullptr) return 0;
    return (size_t)((o.kind == OP_LOSS ? 3 : 1) * fnn_panels(o.n_out)) * FNN_LANES * FNN_LANES * sizeof(float);
}

/* Once all operations are there: how each phase is cut into blocks. */
static void cut(program *to, const fnn_cuda_plan *plan) {
    for (launchable &each : *to) {
        each.tile = tile_of(plan, each.p);
        const int threads = tile_threads(each.tile);
        for (int i = 0; i < each.p.n_ops; i++) {
            op *o = &each.p.ops[i];
            const bool is_product = product_rows(plan, *o) > 0;
            o->blocks = (int)(is_product ? product_blocks(plan, *o, each.tile) : other_blocks(plan, *o, threads));
            const size_t shared = shared_of(*o, threads);
            if (shared > each.shared) each.shared = shared;
        }
    }
}

/* ---- input, forward, losses ---- */

static float scale_of(const fnn_dropout *dropout, bool is_drawn) {
    return is_drawn ? dropout->train_scale : dropout->predict_scale;
}

static void prepare_beside(program *to, const fnn_cuda_plan *plan, int buffer, int steps, bool is_drawn) {
    const fnn_input *input = &plan->net->input;
    op o;
    new_op(&o, OP_PREPARE);
    o.steps = steps;
    o.n_in = (int)input->n_in;
    o.y = plan->x[buffer];
    o.input_scale = input->scale, o.input_offset = input->offset;
    o.scale = scale_of(&input->dropout, is_drawn);
    o.threshold = is_drawn ? input->dropout.threshold : 65536;
    add(to, plan, o);
    for (int64_t l = 0; l < plan->net->n_layers; l++) {
        const fnn_layer *layer = &plan->net->layers[l];
        if (!is_drawn || layer->dropout.threshold >= 65536) continue;
        new_op(&o, OP_PREPARE);
        o.steps = steps;
        o.n_in = (int)layer->n_out;
        o.keep = plan->layers[(size_t)l].keep[buffer];
        o.threshold = layer->dropout.threshold;
        o.layer = (int)l + 1;
        add(to, plan, o);
    }
}

void add_prepare(program *to, const fnn_cuda_plan *plan, int buffer, int steps, bool is_drawn) {
    new_phase(to, plan);
    prepare_beside(to, plan, buffer, steps, is_drawn);
    cut(to, plan);
}

static uint16_t *keep_of(const fnn_cuda_plan *plan, int64_t l, int buffer, bool is_drawn) {
    return is_drawn ? plan->layers[(size_t)l].keep[buffer] : nullptr;
}

static const float *input_of(const fnn_cuda_plan *plan, int64_t l, int buffer) {
    return l > 0 ? plan->layers[(size_t)l - 1].out : plan->x[buffer];
}

void add_forward(program *to, const fnn_cuda_plan *plan, const float *params, int buffer, bool is_drawn,
                 bool is_backward) {
    for (int64_t l = 0; l < plan->net->n_layers; l++) {
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
        new_phase(to, plan);
        add(to, plan, o);
    }
    cut(to, plan);
}

void add_loss(program *to, const fnn_cuda_plan *plan, fnn_loss loss, bool is_backward, bool can_diverge) {
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
    new_phase(to, plan);
    add(to, plan, o);
    cut(to, plan);
}

static void tally_beside(program *to, const fnn_cuda_plan *plan, int64_t group) {
    op o;
    new_op(&o, OP_TALLY);
    o.group = (int)group;
    o.losses = plan->losses, o.hits = plan->hits;
    add(to, plan, o);
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
    add(to, plan, o);
    cut(to, plan);
}

/* ---- backward ---- */

/* Where gradients of each variable go. */
struct sinks {
    const fnn_net *net;
    const fnn_epoch *epoch; /* NULL: all are stored */
    bool stores;
    float *params, *state, *gradients;
};

static bool is_trainable(const sinks &s, int64_t i) { return s.epoch == nullptr || s.epoch->trainable[i] != 0; }

static void set_sink(op *o, const sinks &s, int64_t i) {
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
    set_sink(&o, s, 2 * l);
    if (o.sink.update != FNN_FREEZE) add(to, plan, o);
    o.kind = OP_BACKWARD_BIAS;
    memset(&o.sink, 0, sizeof o.sink);
    o.decay = o.l1 = 0;
    set_sink(&o, s, 2 * l + 1);
    if (o.sink.update != FNN_FREEZE) add(to, plan, o);
}

/* dx: the gradient at the logits of layer l - 1. */
static void input_beside(program *to, const fnn_cuda_plan *plan, const float *params, int64_t l, int buffer,
                         bool is_drawn) {
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
    add(to, plan, o);
}

/* While the weights of layer l + 1 change, the gradient at the logits of layer l - 1 is computed; those of layers 1 and
 * 0 change last, beside what the caller adds. */
static void backward_beside(program *to, const fnn_cuda_plan *plan, const sinks &s, const float *params, int buffer,
                            bool is_drawn, int64_t group) {
    const int64_t last = plan->net->n_layers - 1;
    for (int64_t l = last; l > 0; l--) {
        new_phase(to, plan);
        input_beside(to, plan, params, l, buffer, is_drawn);
        if (l < last) weight_beside(to, plan, s, l + 1, buffer);
        if (l == last) tally_beside(to, plan, group);
    }
    new_phase(to, plan);
    weight_beside(to, plan, s, 0, buffer);
    if (last > 0) weight_beside(to, plan, s, 1, buffer);
    if (last == 0) tally_beside(to, plan, group);
}

/* ---- stored gradients ---- */

static void sum_shared(program *to, const fnn_cuda_plan *plan) {
    for (int64_t l = 0; l < plan->net->n_layers; l++) {
        const fnn_layer *layer = &plan->net->layers[l];
        if (layer->same_as == 0) continue;
        op o;
        new_op(&o, OP_SUM);
        o.n = fnn_layer_floats(layer);
        o.y = plan->gradients + plan->net->layers[layer->same_as - 1].g;
        o.x = plan->gradients + layer->g;
        new_phase(to, plan);
        add(to, plan, o);
    }
}

/* Of a parameter block, or of its gradients. */
static void mask_weights(program *to, const fnn_cuda_plan *plan, const sinks &s, float *block) {
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
        add(to, plan, o);
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

static void clip_gradients(program *to, const fnn_cuda_plan *plan, const sinks &s) {
    const fnn_epoch *epoch = s.epoch;
    if (epoch->clip_value > 0) {
        new_phase(to, plan);
        each_variable(plan, s, [&](int64_t, int64_t begin, int64_t n) {
            op o;
            new_op(&o, OP_CLIP);
            o.g = s.gradients + begin, o.n = n;
            o.limit = epoch->clip_value;
            add(to, plan, o);
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
        add(to, plan, o);
    });
    op o;
    new_op(&o, OP_NORM);
    o.squares = plan->squares, o.slots = slots;
    o.limit = epoch->clip_norm;
    new_phase(to, plan);
    add(to, plan, o);
}

static void update_parameters(program *to, const fnn_cuda_plan *plan, const sinks &s) {
    new_phase(to, plan);
    each_variable(plan, s, [&](int64_t i, int64_t begin, int64_t n) {
        op o;
        new_op(&o, OP_UPDATE);
        o.g = s.gradients + begin, o.n = n;
        set_sink(&o, s, i);
        add(to, plan, o);
    });
}

static void constrain(program *to, const fnn_cuda_plan *plan, const sinks &s) {
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
        add(to, plan, o);
    }
}

void add_gradients(program *to, const fnn_cuda_plan *plan, const float *params, int buffer, bool is_drawn) {
    const sinks store = {plan->net, nullptr, true, nullptr, nullptr, plan->gradients};
    backward_beside(to, plan, store, params, buffer, is_drawn, plan->n_batch);
    sum_shared(to, plan);
    mask_weights(to, plan, store, plan->gradients);
    cut(to, plan);
}

program training_step(const fnn_cuda_plan *plan, const descent_on_device &d, int buffer) {
    const fnn_epoch *epoch = d.epoch;
    const bool is_stored = epoch->unfused || epoch->clip_value > 0 || epoch->clip_norm > 0 || fnn_shares(plan->net);
    sinks s = {plan->net, epoch, is_stored, d.params, d.state, plan->gradients};
    program step;
    add_forward(&step, plan, d.params, buffer, true, true);
    add_loss(&step, plan, epoch->loss, true, true);
    backward_beside(&step, plan, s, d.params, buffer, true, plan->n_batch);
    prepare_beside(&step, plan, 1 - buffer, 1, true);
    if (is_stored) {
        sum_shared(&step, plan);
        mask_weights(&step, plan, s, plan->gradients);
        clip_gradients(&step, plan, s);
        s.stores = false;
        update_parameters(&step, plan, s);
    }
    mask_weights(&step, plan, s, d.params);
    constrain(&step, plan, s);
    cut(&step, plan);
    return step;
}
