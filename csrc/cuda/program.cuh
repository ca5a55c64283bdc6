/* program.cuh: what the files program*.cu share: operations that make up the phases of a step or a pass. */
#ifndef FNN_CUDA_PROGRAM_CUH
#define FNN_CUDA_PROGRAM_CUH

#include "plan.cuh"

static inline int64_t up(int64_t n, int64_t unit) { return (n + unit - 1) / unit; }

/* Where gradients of each variable go. */
struct sinks {
    const fnn_net *net;
    const fnn_epoch *epoch; /* NULL: all are stored */
    bool stores;
    float *params, *state, *gradients;
};

static inline bool is_trainable(const sinks &s, int64_t i) {
    return s.epoch == nullptr || s.epoch->trainable[i] != 0;
}

/* ---- program_phases.cu ---- */

/* Operations that follow wait for those before. */
void new_phase(program *to, const fnn_cuda_plan *plan);
/* One more for the last phase, or for one of its own when that is full.  It need not wait for those beside it. */
void add_op(program *to, const fnn_cuda_plan *plan, const op &o);
void new_op(op *o, op_kind kind);
/* Once all operations are there: how each phase is cut into blocks. */
void cut(program *to, const fnn_cuda_plan *plan);

/* ---- program_forward.cu ---- */

float scale_of(const fnn_dropout *dropout, bool is_drawn);
uint16_t *keep_of(const fnn_cuda_plan *plan, int64_t l, int buffer, bool is_drawn);
const float *input_of(const fnn_cuda_plan *plan, int64_t l, int buffer);
void prepare_beside(program *to, const fnn_cuda_plan *plan, int buffer, int steps, bool is_drawn);
void tally_beside(program *to, const fnn_cuda_plan *plan, int64_t group);
/* Of shared memory, for OP_HEAD of such a layer. */
int64_t head_bytes(int64_t n_in, int64_t n_out);
/* Whether the last layer and what follows it are one operation: its weights are few enough for shared memory, and the
 * batch for blocks of FNN_HEAD_ROWS rows to be at work together, as each reads all of the weights. */
bool has_head(const fnn_cuda_plan *plan);

/* ---- program_blas.cu: instead of phases with that operation, for a layer that uses_blas ---- */

/* What a forward pass finds and leaves; keeps_panels: what layers read and put out, even where it can be plain;
 * has_weights: they are plain already. */
struct forward_wish {
    bool keeps_panels, has_weights;
};
void blas_forward(program *to, const fnn_cuda_plan *plan, op o, int64_t l, forward_wish wish);
void blas_backward_input(program *to, const fnn_cuda_plan *plan, op o, int64_t l);
/* Of the weights and of the biases. */
void blas_backward_weight(program *to, const fnn_cuda_plan *plan, const sinks &s, op weight, op bias, int64_t l);
/* At the end of a step: weights that have changed since blas_backward_weight. */
void plain_weights(program *to, const fnn_cuda_plan *plan, const sinks &s);

/* ---- program_backward.cu ---- */

/* dx of layer l: the gradient at the logits of layer l - 1. */
op input_op(const fnn_cuda_plan *plan, const float *params, int64_t l, int buffer, bool is_drawn);
void set_sink(op *o, const sinks &s, int64_t i);
/* After add_judged.  While the weights of layer l + 1 change, the gradient at the logits of layer l - 1 is computed;
 * those of layers 1 and 0 change last, beside what the caller adds. */
void backward_beside(program *to, const fnn_cuda_plan *plan, const sinks &s, const float *params, int buffer,
                     bool is_drawn, int64_t group);

/* ---- program_update.cu ---- */

void sum_shared(program *to, const fnn_cuda_plan *plan);
/* gradients: of each share in turn; the first become the sum. */
void add_shares(program *to, const fnn_cuda_plan *plan, float *gradients, int64_t n_shares);
/* Of a parameter block, or of its gradients. */
void mask_weights(program *to, const fnn_cuda_plan *plan, const sinks &s, float *block);
void clip_gradients(program *to, const fnn_cuda_plan *plan, const sinks &s);
void update_parameters(program *to, const fnn_cuda_plan *plan, const sinks &s);
void constrain(program *to, const fnn_cuda_plan *plan, const sinks &s);

#endif
