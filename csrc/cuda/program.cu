/* program.cu: which operations gradients and steps of training are made of. */
#include "program.cuh"

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
    const sinks backward = {plan->net, epoch, is_stored, d.params, d.state, plan->gradients};
    sinks s = backward;
    program step;
    add_judged(&step, plan, d.params, buffer, true, {epoch->loss, true, true});
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
    plain_weights(&step, plan, backward);
    cut(&step, plan);
    return step;
}

program descent(const fnn_cuda_plan *plan, const descent_on_device &d, float *gradients, int64_t n_shares) {
    const sinks s = {plan->net, d.epoch, false, d.params, d.state, gradients};
    program step;
    add_shares(&step, plan, gradients, n_shares);
    clip_gradients(&step, plan, s);
    update_parameters(&step, plan, s);
    mask_weights(&step, plan, s, d.params);
    constrain(&step, plan, s);
    cut(&step, plan);
    return step;
}
