# The part of csrc/fnn.h that the border calls, and what tests ask of csrc/kernels.h, which includes it.
from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t, uintptr_t

cdef extern from "kernels.h" nogil:
    ctypedef enum fnn_status:
        FNN_OK
        FNN_ERR_MEMORY
        FNN_ERR_DIVERGED

    const char *fnn_status_text(fnn_status status)

    void *fnn_alloc(size_t size)
    void fnn_free(void *block)
    int64_t fnn_alloc_count()

    ctypedef enum fnn_stream:
        FNN_STREAM_SHUFFLE
        FNN_STREAM_SPLIT

    void fnn_philox(uint32_t *out, const uint32_t *counter, uint64_t seed)
    void fnn_shuffle(uint32_t *order, int64_t n, uint64_t seed, fnn_stream stream, uint32_t epoch)

    ctypedef enum fnn_distribution:
        FNN_UNIFORM
        FNN_NORMAL
        FNN_TRUNCATED_NORMAL

    void fnn_draw(float *out, int64_t n, fnn_distribution distribution, double a, double b, uint64_t seed, int variable)
    void fnn_digits(uint8_t *images, uint8_t *labels, int64_t first, int64_t n, uint64_t seed)

    ctypedef enum fnn_function:
        FNN_LINEAR
        FNN_SIGMOID
        FNN_TANH
        FNN_RELU
        FNN_AFFINE
        FNN_LEAKY_RELU
        FNN_ELU
        FNN_THRESHOLD
        FNN_GELU
        FNN_SILU
        FNN_SOFTPLUS
        FNN_EXP
        FNN_LOG
        FNN_LOG1P

    ctypedef struct fnn_activation:
        fnn_function function
        float a
        float b
        int with_slope

    ctypedef enum fnn_link:
        FNN_IDENTITY
        FNN_LOGISTIC
        FNN_SOFTMAX
        FNN_EXPONENTIAL

    ctypedef enum fnn_loss_kind:
        FNN_SQUARED_ERROR
        FNN_SIGMOID_CROSS_ENTROPY
        FNN_SOFTMAX_CROSS_ENTROPY
        FNN_ABSOLUTE_ERROR
        FNN_HUBER
        FNN_POISSON
        FNN_CUSTOM

    ctypedef struct fnn_custom:
        void (*run)(void *context, float *losses, int64_t first, int64_t n_rows) noexcept nogil
        void *context
        float *outputs
        float *gradients

    ctypedef struct fnn_loss:
        fnn_loss_kind kind
        float delta
        bint is_sum
        const fnn_custom *custom

    ctypedef struct fnn_dropout:
        uint32_t threshold
        float train_scale
        float predict_scale

    ctypedef struct fnn_layer:
        int64_t n_in
        int64_t n_out
        fnn_activation activation
        fnn_dropout dropout
        int64_t same_as
        int64_t w
        int64_t b
        const float *mask
        int64_t g

    ctypedef struct fnn_input:
        int64_t n_in
        double scale
        double offset
        fnn_dropout dropout

    ctypedef struct fnn_net:
        fnn_input input
        int64_t n_layers
        int64_t n_floats
        int64_t n_gradients
        fnn_layer *layers

    fnn_net *fnn_net_create(const fnn_input *input, const fnn_layer *layers, int64_t n_layers)
    int64_t fnn_layer_floats(const fnn_layer *layer)
    void fnn_pack(float *packed, const float *matrix, int64_t n_in, int64_t n_out)
    void fnn_unpack(float *matrix, const float *packed, int64_t n_in, int64_t n_out)

    int fnn_is_finite(const float *values, int64_t n)

    ctypedef struct fnn_moments:
        int64_t finite
        double min
        double max
        double sum
        double squares

    fnn_moments fnn_histogram(int64_t *counts, const float *packed, int64_t n_in, int64_t n_out, const double *edges,
                              int64_t n_bins)

    ctypedef enum fnn_type:
        FNN_UINT8
        FNN_FLOAT32

    ctypedef struct fnn_sparse:
        const int64_t *starts
        const int32_t *columns
        const float *values
        int64_t most

    ctypedef struct fnn_data:
        int64_t n_rows
        fnn_type x_type
        const void *x
        int skips_zeros
        const fnn_sparse *sparse
        const int32_t *labels
        const float *targets
        const float *weights

    bint fnn_zero_stays_zero(const fnn_input *input)
    bint fnn_worth_skipping(const fnn_data *data, const fnn_input *input, double max_density)

    ctypedef struct fnn_file_rows:
        int descriptor
        int64_t start
        int64_t stride
        int64_t row_bytes

    int fnn_file_read(void *out, const fnn_file_rows *file, const uint32_t *rows, const int64_t *places, int64_t n_rows)

    ctypedef enum fnn_update:
        FNN_SGD
        FNN_MOMENTUM
        FNN_NESTEROV
        FNN_ADAM
        FNN_RMSPROP

    ctypedef struct fnn_kernels:
        const char *name
        void apply(float *y, const float *x, int64_t n, fnn_activation function) noexcept nogil
        void slope(float *y, const float *x, int64_t n, fnn_activation activation) noexcept nogil

    int fnn_isa_use(const char *name)
    const fnn_kernels *fnn_isa()
    const fnn_kernels *fnn_isa_available(int i)

    const char *fnn_team_backend()

    double fnn_peak_flops(int n_threads, int64_t n)
    double fnn_barrier_seconds(int n_threads, int64_t n)

    ctypedef struct fnn_plan:
        pass

    ctypedef struct fnn_metrics:
        double loss
        int64_t hits
        int64_t rows

    fnn_status fnn_plan_create(fnn_plan **plan, const fnn_net *net, int64_t n_batch, int training, int n_threads,
                               const fnn_data *like)
    void fnn_plan_destroy(fnn_plan *plan)
    void fnn_plan_poison(fnn_plan *plan, int byte)
    int fnn_threads_worth(const fnn_net *net, int64_t n_batch, int n_threads)
    void fnn_predict(fnn_plan *plan, const float *params, const fnn_data *data, fnn_link link, int64_t budget_ns,
                     int64_t *row, float *out)
    void fnn_activities(fnn_plan *plan, const float *params, const fnn_data *data, int64_t budget_ns, int64_t *row,
                        float **outs)
    void fnn_evaluate(fnn_plan *plan, const float *params, const fnn_data *data, fnn_loss loss, int64_t budget_ns,
                      int64_t *row, fnn_metrics *metrics)
    ctypedef struct fnn_share:
        const uint32_t *order
        int64_t first
        int64_t n_rows
        int64_t before
        int64_t of
        int dropout
        uint64_t seed
        uint32_t step

    void fnn_gradients(fnn_plan *plan, const float *params, const fnn_data *data, fnn_loss loss, const fnn_share *share,
                       float *gradients, fnn_metrics *metrics)

    ctypedef struct fnn_restraint:
        float l2
        float l1
        float max_norm

    double fnn_penalty(const fnn_net *net, const float *params, const fnn_restraint *restraints)

    ctypedef struct fnn_epoch:
        const fnn_data *data
        fnn_loss loss
        fnn_update update
        int unfused
        float momentum
        double beta1
        double beta2
        float epsilon
        float decay
        float clip_value
        float clip_norm
        const fnn_restraint *restraints
        const float *rates
        const uint8_t *trainable
        const uint32_t *order
        uint64_t seed
        uint32_t first_step
        int64_t batch_size
        int64_t n_steps
        int64_t step
        fnn_metrics metrics
        double norms
        int64_t *perf
        int64_t perf_every
        double *losses

    int FNN_PERF_WAIT
    int64_t FNN_PERF(int64_t n_layers)
    int fnn_state_blocks(fnn_update update, float momentum)
    fnn_status fnn_train(fnn_plan *plan, float *params, float *state, fnn_epoch *epoch, int n_threads,
                         int64_t budget_ns)
    fnn_status fnn_train_by(fnn_plan *plan, float *params, float *state, fnn_epoch *epoch, int n_threads,
                            const float *const *gradients, const fnn_metrics *metrics, int64_t n_shares)
    fnn_status fnn_add_up(fnn_metrics *sum, const fnn_metrics *metrics, int64_t n_shares)
    void fnn_count_step(fnn_epoch *epoch, fnn_metrics metrics)

    ctypedef struct fnn_predictor:
        pass

    fnn_status fnn_predictor_create(fnn_predictor **predictor, const fnn_net *net, int64_t n_rows, int n_threads)
    void fnn_predictor_destroy(fnn_predictor *predictor)
    void fnn_predictor_poison(fnn_predictor *predictor, int byte)
    void fnn_predictor_run(fnn_predictor *predictor, const float *params, const fnn_data *data, fnn_link link,
                           float *out)
