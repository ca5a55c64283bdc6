/* fnn.h: the whole C API.  C11, no Python, no allocation outside arena.c.
 *
 * Python checks arguments, a plan arranges memory and threads, kernels (kernels.h: one table per instruction set)
 * compute. Everything here trusts its caller: sizes are positive, pointers valid, labels in range.
 *
 * Layout, the same for every instruction set: values come in panels of FNN_LANES = 16 floats.
 *   activations  n values a row   [ceil(n / 16)][n_batch][16]
 *   weights      (n_in, n_out)    [ceil(n_out / 16)][n_in][16], then the bias [ceil(n_out / 16)][16]
 * Lanes beyond n are zero in parameters and gradients, and never read in activations.
 *
 * Bits: every output is one accumulator that starts from the bias (or +0) and takes fused multiply-adds in ascending
 * order of k, so no result depends on threads, tiles or instruction set.
 */
#ifndef FNN_H
#define FNN_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#ifdef __FAST_MATH__
#error "fastnn promises equal bits everywhere: compile it without -ffast-math"
#endif

/* What a GPU calls too. */
#ifdef __CUDACC__
#define FNN_ANYWHERE static inline __host__ __device__
#else
#define FNN_ANYWHERE static inline
#endif

#define FNN_LANES 16
#define FNN_MAX_THREADS 256

/* ---- status (status.c) --------------------------------------------------------------------------------------- */

typedef enum fnn_status {
    FNN_OK = 0,
    FNN_ERR_MEMORY,   /* an allocation failed */
    FNN_ERR_DIVERGED, /* the loss of a batch is not finite; parameters are those before that step */
    FNN_ERR_DEVICE,   /* a call of the CUDA driver failed: fnn_cuda_error says which and why */
} fnn_status;

const char *fnn_status_text(fnn_status status);

/* ---- memory (arena.c) ---------------------------------------------------------------------------------------- */

/* Zeroed, 64-byte aligned; NULL when memory is short.  bytes > 0. */
void *fnn_alloc(size_t bytes);
void fnn_free(void *block);
/* Number of fnn_alloc calls of this process: constant over training steps. */
int64_t fnn_alloc_count(void);

/* ---- randomness (rng.c, rng.h) -------------------------------------------------------------------------------- */

/* Streams of Philox4x32-10.  The key is the 64-bit seed; the fourth counter word is stream << 16 | index. */
typedef enum fnn_stream {
    FNN_STREAM_INITIALIZER = 1, /* index: variable; counter words: element (64 bits), 0 */
    FNN_STREAM_SHUFFLE = 2,     /* index: 0; words: draw, epoch, 0 */
    FNN_STREAM_DROPOUT = 3,     /* index: layer, 0 = input; words: unit / 8, batch row, step */
    FNN_STREAM_DIGITS = 4,      /* index: 0; words: draw, image, 0 */
    FNN_STREAM_SPLIT = 5,       /* index: 0; words: draw, epoch = 0, 0 */
} fnn_stream;

void fnn_philox(uint32_t out[4], const uint32_t counter[4], uint64_t seed);
/* order[0..n): a uniform permutation of 0..n-1 (Fisher-Yates), a function of (seed, stream, epoch, n) alone. n < 2^31
 */
void fnn_shuffle(uint32_t *order, int64_t n, uint64_t seed, fnn_stream stream, uint32_t epoch);

/* ---- initialisers (initializers.c) ---------------------------------------------------------------------------- */

typedef enum fnn_distribution {
    FNN_UNIFORM,          /* [a, b) */
    FNN_NORMAL,           /* mean a, standard deviation b */
    FNN_TRUNCATED_NORMAL, /* the same, within two standard deviations of the mean */
} fnn_distribution;

void fnn_draw(float *out, int64_t n, fnn_distribution distribution, double a, double b, uint64_t seed, int variable);

/* ---- synthetic digits (digits.c) ------------------------------------------------------------------------------ */

/* images[n][784] and labels[n] for digits first, first + 1, ... of the endless series that seed names. */
void fnn_digits(uint8_t *images, uint8_t *labels, int64_t first, int64_t n, uint64_t seed);

/* ---- network (net.c) ------------------------------------------------------------------------------------------ */

/* Element-wise functions of z, most with constants a and b. */
typedef enum fnn_function {
    FNN_LINEAR, /* z */
    FNN_SIGMOID,
    FNN_TANH,
    FNN_RELU,
    FNN_AFFINE,     /* a z + b */
    FNN_LEAKY_RELU, /* z, below 0 a z; a >= 0 */
    FNN_ELU,        /* z, below 0 a (exp(z) - 1); a > 0 */
    FNN_THRESHOLD,  /* 1, below 0 -1; it has no slope */
    FNN_GELU,       /* z Phi(z), Phi the normal distribution function */
    FNN_SILU,       /* z sigmoid(z) */
    FNN_SOFTPLUS,   /* log(1 + exp(z)) */
    FNN_EXP,        /* no activation, as those that follow: for tests and the output link */
    FNN_LOG,
    FNN_LOG1P,
} fnn_function;

typedef struct fnn_activation {
    fnn_function function;
    float a, b;
    int with_slope; /* of a forward kernel that has two places for results: leave the slope in y, for a backward pass */
} fnn_activation;

/* Whether a forward pass keeps the slope itself for the backward pass: that of the others is a function of the
 * activity.
 */
FNN_ANYWHERE int fnn_keeps_slope(fnn_activation activation) {
    return activation.function == FNN_GELU || activation.function == FNN_SILU || activation.function == FNN_SOFTPLUS;
}

typedef enum fnn_link { FNN_IDENTITY, FNN_LOGISTIC, FNN_SOFTMAX, FNN_EXPONENTIAL } fnn_link;

typedef enum fnn_loss_kind {
    FNN_SQUARED_ERROR,
    FNN_SIGMOID_CROSS_ENTROPY,
    FNN_SOFTMAX_CROSS_ENTROPY,
    FNN_ABSOLUTE_ERROR,
    FNN_HUBER,
    FNN_POISSON,
    FNN_CUSTOM,
} fnn_loss_kind;

/* A loss that the caller computes: one thread calls run for each batch while the others wait.  run reads outputs
 * (n_rows, n_out) of rows first, first + 1, ... of the order in which an epoch goes through the data, and writes losses
 * (n_rows,) and gradients (n_rows, n_out) at the outputs.  One that fails leaves NaN as losses. */
typedef struct fnn_custom {
    void (*run)(void *context, float *losses, int64_t first, int64_t n_rows);
    void *context;
    float *outputs, *gradients;
} fnn_custom;

typedef struct fnn_loss {
    fnn_loss_kind kind;
    float delta;              /* of FNN_HUBER */
    int is_sum;               /* gradients are those of the sum over the batch, not of the mean */
    const fnn_custom *custom; /* of FNN_CUSTOM */
} fnn_loss;

/* A unit is kept where its 16 random bits are < threshold; 65536 keeps all and draws nothing. */
typedef struct fnn_dropout {
    uint32_t threshold;
    float train_scale;   /* what a kept unit is multiplied by in training */
    float predict_scale; /* what every unit is multiplied by in prediction */
} fnn_dropout;

typedef struct fnn_layer {
    int64_t n_in, n_out;
    fnn_activation activation;
    fnn_dropout dropout; /* of this layer's output */
    const float *mask;   /* packed as the weights, 0 for those that stay +0; NULL: all are free */
    int64_t same_as;     /* 1 + the earlier layer whose parameters it uses, which has its own; 0: its own */
    /* set by fnn_net_create, in floats: */
    int64_t w, b; /* where they start in a parameter block */
    int64_t g;    /* where its gradients start, W's and then b's, in a block of gradients */
} fnn_layer;

/* x' = (float)((double)x * scale + offset) */
typedef struct fnn_input {
    int64_t n_in;
    double scale, offset;
    fnn_dropout dropout;
} fnn_input;

typedef struct fnn_net {
    fnn_input input;
    int64_t n_layers;
    int64_t n_floats; /* length of a parameter block: weights and biases of all layers, packed */
    int64_t
        n_gradients; /* length of a block of gradients: the same, then those of layers that use others' parameters */
    fnn_layer layers[];
} fnn_net;

/* Copies the description; only n_out, activation, dropout, mask and same_as of each layer are read.  NULL when memory
 * is short. */
fnn_net *fnn_net_create(const fnn_input *input, const fnn_layer *layers, int64_t n_layers);

/* Between a row-major matrix (n_in, n_out) and its place in a parameter block; a bias is a matrix with n_in = 1. */
void fnn_pack(float *packed, const float *matrix, int64_t n_in, int64_t n_out);
void fnn_unpack(float *matrix, const float *packed, int64_t n_in, int64_t n_out);

/* Whether none of n floats is infinite or NaN. */
int fnn_is_finite(const float *values, int64_t n);

FNN_ANYWHERE int64_t fnn_panels(int64_t n) { return (n + FNN_LANES - 1) / FNN_LANES; }
/* Floats of a layer's weights and biases, packed. */
FNN_ANYWHERE int64_t fnn_layer_floats(const fnn_layer *layer) {
    return fnn_panels(layer->n_out) * (layer->n_in + 1) * FNN_LANES;
}
/* Whether some layer uses another's parameters. */
FNN_ANYWHERE int fnn_shares(const fnn_net *net) { return net->n_gradients > net->n_floats; }
/* Words of 64 bits for a bit each of n values. */
FNN_ANYWHERE int64_t fnn_words(int64_t n) { return (n + 63) / 64; }

/* ---- histograms (histogram.c) ----------------------------------------------------------------------------------- */

/* Of the values that are finite, in double, added in the order in which they lie.  min, max: NaN if there is none. */
typedef struct fnn_moments {
    int64_t finite; /* how many */
    double min, max, sum, squares;
} fnn_moments;

/* counts[n_bins]: how many values of a matrix (n_in, n_out), packed, are >= edges[i] and < edges[i + 1]; the last bin
 * holds its right edge too.  edges[n_bins + 1] ascend and are finite. */
fnn_moments fnn_histogram(int64_t *counts, const float *packed, int64_t n_in, int64_t n_out, const double *edges,
                          int64_t n_bins);

/* ---- data ----------------------------------------------------------------------------------------------------- */

typedef enum fnn_type { FNN_UINT8, FNN_FLOAT32 } fnn_type;

/* Rows as lists of their non-zero values, rescaled, in ascending columns (CSR). */
typedef struct fnn_sparse {
    const int64_t *starts;  /* (n_rows + 1,) entries of row i: starts[i] to starts[i + 1] */
    const int32_t *columns; /* an entry each, as are values */
    const float *values;
    int64_t most; /* entries of the fullest row */
} fnn_sparse;

/* Rows are contiguous.  Targets are class indices or rows of floats; the other is NULL, both for predictions. */
typedef struct fnn_data {
    int64_t n_rows;
    fnn_type x_type;
    const void *x;            /* (n_rows, n_in), or NULL where there is a list of entries */
    int skips_zeros;          /* the first layer finds those of x and skips them; zero must stay zero */
    const fnn_sparse *sparse; /* the rows as lists, or NULL */
    const int32_t *labels;    /* (n_rows,) */
    const float *targets;     /* (n_rows, n_out) */
    const float *weights;     /* (n_rows,) what each row's loss is multiplied by; NULL: 1 */
} fnn_data;

/* Whether zero stays +0 when rescaled, so that its products can be left out. */
int fnn_zero_stays_zero(const fnn_input *input);
/* Whether zero stays zero and at most max_density of the values in a sample of x are not zero. */
int fnn_worth_skipping(const fnn_data *data, const fnn_input *input, double max_density);

/* ---- files (file.c) ------------------------------------------------------------------------------------------- */

/* Where rows lie in a file that is open for reading: row i has row_bytes from start + i * stride on. */
typedef struct fnn_file_rows {
    int descriptor;
    int64_t start, stride, row_bytes;
} fnn_file_rows;

#define FNN_END_OF_FILE (-1)

/* out[places[i]] = row rows[i], for i < n_rows.  Returns 0, an errno, or FNN_END_OF_FILE where a row is not all there.
 */
int fnn_file_read(void *out, const fnn_file_rows *file, const uint32_t *rows, const int64_t *places, int64_t n_rows);

/* ---- instruction sets (dispatch.c) ------------------------------------------------------------------------------ */

/* A table of kernels; kernels.h has what is in it. */
typedef struct fnn_kernels fnn_kernels;

/* Chooses the best table, or the one that name gives (the value of FASTNN_ISA; NULL or "": the best).
 * Returns 0 and changes nothing when name is not usable here. */
int fnn_isa_use(const char *name);
const fnn_kernels *fnn_isa(void);
/* The i-th usable table, best first; NULL beyond the last. */
const fnn_kernels *fnn_isa_available(int i);

/* ---- threads (team.c) ------------------------------------------------------------------------------------------ */

typedef struct fnn_team fnn_team;

/* Share index of count of a kernel's work.  How the work is cut never changes a result. */
typedef struct fnn_part {
    int index, count;
    fnn_team *team; /* NULL: this share and no other; else members also help each other out, see fnn_team_take */
    uint32_t work;  /* which kernel's, of those whose members do */
} fnn_part;

/* One member's view of a running team. */
typedef struct fnn_worker {
    fnn_part part;
    fnn_team *team;
    uint32_t phase;
    uint32_t works; /* how many there were with help, */
    int since;      /* and how many since the last barrier */
} fnn_worker;

/* Calls body(job, worker) on up to n_threads threads at once, this one among them, and returns when all are done.
 * In a forked child it is one thread. */
void fnn_team_run(int n_threads, void (*body)(void *job, fnn_worker *me), void *job);
/* All members meet; what one wrote before, all see after. */
void fnn_team_barrier(fnn_worker *me);
/* The member's part of work that is long enough for those who are done early to help the others.  All members ask for
 * the same works in the same order. */
fnn_part fnn_team_help(fnn_worker *me);
/* Takes the next of the pieces that each share of this work is cut into, of the member's own share first, then of others:
 * its number from 0 on, and whose share; -1 when there is none left.  neighbour: 0 at first. */
#define FNN_PIECES 4
int fnn_team_take(const fnn_part *part, int *neighbour, int *owner);
/* "openmp" or "pthread" */
const char *fnn_team_backend(void);

/* ---- measured machine (machine.c) ------------------------------------------------------------------------------ */

/* Floating-point operations a second of n_threads threads at once that do nothing but multiply-adds with the chosen
 * table.  n: how much work. */
double fnn_peak_flops(int n_threads, int64_t n);
/* Seconds of a barrier of n_threads threads, the mean of n. */
double fnn_barrier_seconds(int n_threads, int64_t n);
/* Nanoseconds on a clock that never goes back. */
int64_t fnn_now_ns(void);

/* ---- plan (plan.c) --------------------------------------------------------------------------------------------- */

typedef struct fnn_plan fnn_plan;

/* Memory for batches of up to n_batch rows of one network, for training or (training = 0) for prediction, worked on by
 * up to n_threads threads.  like: data of the kind that it will work on: of the same type, with or without bits, with
 * lists whose fullest row has at least as many entries, or without.  Uses the table that is chosen now.  The network
 * must outlive the plan.  FNN_ERR_MEMORY leaves *plan NULL. */
fnn_status fnn_plan_create(fnn_plan **plan, const fnn_net *net, int64_t n_batch, int training, int n_threads,
                           const fnn_data *like);
void fnn_plan_destroy(fnn_plan *plan);
/* For tests: fills every activation, gradient and scratch byte; no result may change. */
void fnn_plan_poison(fnn_plan *plan, int byte);
/* How many of up to n_threads threads are worth their barriers for batches of n_batch rows. */
int fnn_threads_worth(const fnn_net *net, int64_t n_batch, int n_threads);

typedef struct fnn_metrics {
    double loss; /* sum over rows */
    int64_t hits, rows;
} fnn_metrics;

/* ---- a pass over data in prediction mode (pass.c) --------------------------------------------------------------- */

/* Each begins at *row and ends when the data or budget_ns is used up. */

/* out (n_rows, n_out) = link(network(x)), rows in order. */
void fnn_predict(fnn_plan *plan, const float *params, const fnn_data *data, fnn_link link, int64_t budget_ns,
                 int64_t *row, float *out);
/* outs[l] (n_rows, n_out) = what layer l puts out, before its dropout; outs[l] = NULL: not wanted. */
void fnn_activities(fnn_plan *plan, const float *params, const fnn_data *data, int64_t budget_ns, int64_t *row,
                    float *const *outs);
/* Adds losses and hits of the rows to *metrics. */
void fnn_evaluate(fnn_plan *plan, const float *params, const fnn_data *data, fnn_loss loss, int64_t budget_ns,
                  int64_t *row, fnn_metrics *metrics);

/* ---- gradients (gradients.c) ------------------------------------------------------------------------------------ */

/* Rows of a batch, all of them or a share. */
typedef struct fnn_share {
    const uint32_t *order; /* of the data's rows; NULL: as they are */
    int64_t first, n_rows; /* n_rows <= n_batch of the plan, from `first` of that order on */
    int64_t before;        /* rows of the batch before them: dropout masks are numbered by the row's place in it */
    int64_t of;            /* rows of the batch, which a mean is over */
    int dropout;           /* draw masks, those of training step `step` */
    uint64_t seed;
    uint32_t step;
} fnn_share;

/* What the rows of a share contribute to the gradients of their batch's loss, as a parameter block, in the first
 * n_floats of net->n_gradients floats.  Parameters that layers share get the sum of what each would give them. */
void fnn_gradients(fnn_plan *plan, const float *params, const fnn_data *data, fnn_loss loss, const fnn_share *share,
                   float *gradients, fnn_metrics *metrics);

/* ---- training (train.c) ----------------------------------------------------------------------------------------- */

/* Where the time of training steps goes: places of an array of FNN_PERF(n_layers) numbers. */
typedef enum fnn_perf_place {
    FNN_PERF_INPUT,  /* rows of the batch, dropout masks */
    FNN_PERF_LOSS,   /* losses, their gradient and their sum */
    FNN_PERF_WAIT,   /* for other threads */
    FNN_PERF_LAYERS, /* from here on three a layer: forward, gradient of its input, gradient and update of its weights
                      */
} fnn_perf_place;
#define FNN_PERF(n_layers) (FNN_PERF_LAYERS + 3 * (n_layers))

/* What a gradient g does to the parameter w it belongs to.  FNN_STORE: w = g, a place for gradients.  FNN_FREEZE:
 * nothing.  The others, in this order, where sums of products are fused:
 *   g += l2 * w;   w -= decay * w;   w -= rate * step;   w moves by l1 towards 0, at most to 0
 * with the step  FNN_SGD: g;  FNN_MOMENTUM: v = momentum * v + g;  FNN_NESTEROV: the same v, momentum * v + g;
 * FNN_ADAM: v = beta1 * v + (rest1 * g), s = beta2 * s + ((rest2 * g) * g), v / (root_scale * sqrt(s) + epsilon).
 * FNN_RMSPROP: the same s, r = g / (sqrt(s) + epsilon), v = momentum * v + r; r itself where v is NULL.
 * Where v and s are subnormal they become 0. */
typedef enum fnn_update {
    FNN_SGD,
    FNN_MOMENTUM,
    FNN_NESTEROV,
    FNN_ADAM,
    FNN_RMSPROP,
    FNN_STORE,
    FNN_FREEZE
} fnn_update;

/* What holds a layer's weights small: strengths of L2 and L1, and the largest norm of the weights of a unit, kept after
 * every update.  Zeros: nothing does. */
typedef struct fnn_restraint {
    float l2, l1, max_norm;
} fnn_restraint;

/* The sum over the layers of l2 / 2 w^2 + l1 |w|, in double, in the order in which weights lie. */
double fnn_penalty(const fnn_net *net, const float *params, const fnn_restraint *restraints);

/* Training: what stays the same over an epoch, and how far it has come. */
typedef struct fnn_epoch {
    const fnn_data *data;
    fnn_loss loss;
    fnn_update update;
    int unfused; /* store all gradients before any update: the specification of the fused path, the same bits */
    float momentum;
    float epsilon;                   /* of Adam and RMSProp, as are the betas */
    double beta1, beta2;             /* in double for the bias corrections; beta1 of RMSProp is 0 */
    float decay;                     /* decoupled, of all weights */
    float clip_value, clip_norm;     /* bounds of gradients and, after that, of the norm of all; 0: none */
    const fnn_restraint *restraints; /* of each layer's weights */
    const float *rates;              /* learning rate of each step of the epoch */
    const uint8_t *trainable;        /* W and b of each layer in turn: 2 * n_layers flags */
    const uint32_t *order;           /* of the data's rows; NULL: as they are */
    uint64_t seed;
    uint32_t first_step; /* training steps before this epoch: numbers the dropout masks */
    int64_t batch_size;  /* <= n_batch of the plan */
    int64_t n_steps;     /* of this epoch; the last may be ragged */
    int64_t step;        /* in, out: steps of this epoch that are done */
    fnn_metrics metrics; /* in, out: sums over the batches seen, before each one's update */
    double norms;        /* in, out: sum of the norms before clip_norm bounds them; 0 without it */
    int64_t *perf;       /* in, out: nanoseconds, the mean of the threads, of the steps that were measured */
    int64_t perf_every;  /* measures every so many steps; 0: none */
    double *losses;      /* mean loss of each step's batch, before its update; NULL: not wanted */
} fnn_epoch;

/* How many: none for FNN_SGD, velocity for momentum, the two moments for Adam; for RMSProp, after a velocity if there
 * is momentum, the squares. */
FNN_ANYWHERE int fnn_state_blocks(fnn_update update, float momentum) {
    if (update == FNN_RMSPROP) return momentum != 0 ? 2 : 1;
    return update == FNN_SGD ? 0 : update == FNN_ADAM ? 2 : 1;
}

/* Runs steps until the epoch ends or, at a step border, budget_ns has passed, on up to n_threads of the plan's threads.
 * state: fnn_state_blocks blocks like params, zeros before the first step; what it holds of masked weights is not
 * defined. FNN_ERR_DIVERGED: step counts the good steps; the parameters are those after them. */
fnn_status fnn_train(fnn_plan *plan, float *params, float *state, fnn_epoch *epoch, int n_threads, int64_t budget_ns);

/* The next step by gradients and metrics of its batch's n_shares shares, which fnn_gradients computed, here or elsewhere:
 * their sum, added up in this order, moves the parameters.  That of one share gives the bits of fnn_train.  Statuses as
 * there; the plan's batches may be of any size. */
fnn_status fnn_train_by(fnn_plan *plan, float *params, float *state, fnn_epoch *epoch, int n_threads,
                        const float *const *gradients, const fnn_metrics *metrics, int64_t n_shares);

/* Its first part and its last, for parameters that are updated elsewhere: whether what the shares' losses add up to is
 * finite, else FNN_ERR_DIVERGED; and that the next step is done. */
fnn_status fnn_add_up(fnn_metrics *sum, const fnn_metrics *metrics, int64_t n_shares);
void fnn_count_step(fnn_epoch *epoch, fnn_metrics metrics);

/* ---- predictor (predictor.c) ------------------------------------------------------------------------------------ */

typedef struct fnn_predictor fnn_predictor;

/* Memory for predictions of one network by up to n_threads threads, and by no more than calls of n_rows rows are worth;
 * a call may have more rows.  Uses the table that is chosen now.  The network must outlive the predictor.
 * FNN_ERR_MEMORY leaves *predictor NULL. */
fnn_status fnn_predictor_create(fnn_predictor **predictor, const fnn_net *net, int64_t n_rows, int n_threads);
void fnn_predictor_destroy(fnn_predictor *predictor);
/* For tests, as fnn_plan_poison. */
void fnn_predictor_poison(fnn_predictor *predictor, int byte);

/* out (n_rows, n_out) = link(network(x)), by as many threads as the work is worth. */
void fnn_predictor_run(fnn_predictor *predictor, const float *params, const fnn_data *data, fnn_link link, float *out);

#ifdef __cplusplus
}
#endif
#endif
