/* kernels.h: what plans and predictors ask of the kernels, which are written once, in kernels/, and compiled to a table
 * for each instruction set.  Private to the C side, with the layouts and the trust of fnn.h. */
#ifndef FNN_KERNELS_H
#define FNN_KERNELS_H

#include "fnn.h"

/* ---- memory that they work in ---- */

#define FNN_LOSS_WORK(n_out) (3 * fnn_panels(n_out) * FNN_LANES * FNN_LANES)
/* Floats that stay in the second-level cache while weights stream past them. */
#define FNN_NEAR (128 * 1024)
/* A product whose input is larger copies it in blocks: so many floats, of so many places.  They and the weights for a
 * tile fill half of a second-level cache of 1.25 MB, whose other half a neighbour on the core may have. */
#define FNN_BLOCK (64 * 1024)
#define FNN_BLOCK_PLACES 256
static inline int64_t fnn_product_work(int64_t n_batch, int64_t n_k) {
    return n_batch * n_k > FNN_NEAR ? FNN_BLOCK : 0;
}
/* Panels of weights that are turned at a time for a product with a transposed matrix: those of a tile, or more of
 * them, where blocks of a large input pass them one by one. */
static inline int64_t fnn_turned_panels(int64_t n_batch, int64_t n_k) {
    return fnn_product_work(n_batch, n_k) == 0 ? 4 : 64;
}
static inline int64_t fnn_turned_work(int64_t n_batch, int64_t n_k) {
    const int64_t places = fnn_product_work(n_batch, n_k) == 0 ? n_k : FNN_BLOCK_PLACES;
    return fnn_turned_panels(n_batch, n_k) * FNN_LANES * places;
}
/* What a product with a transposed matrix may take of any batch of up to n_batch rows: a few rows of very many places
 * are not copied in blocks, but their weights take more than those of a block. */
static inline int64_t fnn_backward_work(int64_t n_batch, int64_t n_k) {
    const int64_t all = fnn_product_work(n_batch, n_k) + fnn_turned_work(n_batch, n_k);
    const int64_t one = fnn_product_work(1, n_k) + fnn_turned_work(1, n_k);
    return all > one ? all : one;
}

/* Squares of gradients are summed in slots, of up to so many of one variable: the sum does not depend on who does which. */
#define FNN_SLOT 4096

/* ---- what they read and write ---- */

/* Adam's constants at step t = 1, 2, ...; RMSProp has beta2, rest2 and epsilon. */
typedef struct fnn_adam {
    float beta1, rest1, beta2, rest2; /* rest = 1 - beta */
    float root_scale, epsilon;        /* root_scale = 1 / sqrt(1 - beta2^t); 1 - beta1^t divides the rate */
} fnn_adam;

/* Where the gradients of a variable go.  The same whether a backward kernel delivers them at once or `update` later. */
typedef struct fnn_sink {
    fnn_update update;
    int shrinks; /* whether any of l2, decay and l1 is not zero */
    float rate, momentum;
    float l2, decay, l1; /* the last two times the learning rate */
    fnn_adam adam;
    float *w, *v, *s; /* packed as the variable; v only for momentum and Adam, s only for Adam and RMSProp */
} fnn_sink;

/* A batch's input for a first layer that skips zeros; written by skip_gather, columns by skip_transpose. */
typedef struct fnn_skip {
    fnn_type x_type;
    void *x;           /* (n_batch, n_in): bytes as in the data, or floats rescaled and scaled by the dropout */
    float *table;      /* (256,) what a byte stands for, rescaled and scaled by the dropout */
    uint64_t *bits;    /* (n_batch, fnn_words(n_in)) which are neither zero nor dropped */
    uint64_t *columns; /* (64 * fnn_words(n_in), fnn_words(n_batch)) the same bits, transposed */
} fnn_skip;

/* The entries of a batch by column, written by sparse_columns. */
typedef struct fnn_columns {
    int32_t *ends; /* (n_in,) of column c: from ends[c - 1], or 0, to ends[c] */
    int32_t *rows; /* the batch's row of each entry, ascending in a column */
    float *values;
} fnn_columns;

/* Where a batch's values are: value k of row i is at[i * row + k / 16 * panel + k % 16]. */
typedef struct fnn_view {
    const float *at;
    int64_t row, panel;
} fnn_view;

static inline fnn_view fnn_view_panels(const float *x, int64_t n_batch) {
    return (fnn_view){x, FNN_LANES, n_batch * FNN_LANES};
}

/* What is not zero in the rows of a batch, row after row. */
typedef struct fnn_entries {
    int64_t *ends;    /* of row i: from ends[i - 1], or 0, to ends[i] */
    int64_t *cursors; /* scratch: one a row */
    int32_t *places;  /* of each entry in its row, ascending */
    float *values;
} fnn_entries;

/* ---- the table ---- */

struct fnn_kernels {
    const char *name; /* NULL: this build has no such table */

    /* For tests: y = function(x), or the slope of the activation at x, over n floats; y may be x. */
    void (*apply)(float *y, const float *x, int64_t n, fnn_activation function);
    void (*slope)(float *y, const float *x, int64_t n, fnn_activation activation);

    /* Of the Philox blocks of counter, counter + 1, ... in its first word: 64 bits of two words each, draws 2b and 2b + 1
     * from block b. */
    void (*random_draws)(uint64_t draws[2][8], const uint32_t counter[4], uint64_t seed);

    /* x (panels) from rows of the data, rescaled; rows = NULL: first, first + 1, ...
     * keep: bits of the input dropout, or NULL. */
    void (*gather)(float *x, const fnn_data *data, const uint32_t *rows, int64_t first, const fnn_input *input,
                   const uint16_t *keep, float scale, int64_t n_batch, fnn_part part);

    /* keep[ceil(n / 16)][n_batch]: a bit a unit, of rows first, first + 1, ... of the masks of a step. */
    void (*dropout_keep)(uint16_t *keep, uint32_t threshold, uint64_t seed, uint32_t step, int layer, int64_t first,
                         int64_t n_batch, int64_t n, fnn_part part);

    /* y = activation(x W + b);  out = keep ? y * scale : 0, all kept where keep is NULL; y and out may be the same.
     * If they are not, and activation.with_slope (where fnn_keeps_slope), y is that slope instead.
     * work: fnn_product_work(n_batch, n_in) floats of this part's own. */
    void (*dense_forward)(float *out, float *y, const float *x, const float *w, const float *b, const uint16_t *keep,
                          float scale, fnn_activation activation, float *work, int64_t n_batch, int64_t n_in,
                          int64_t n_out, fnn_part part);

    /* Gradient at the logits of the layer below, whose output this layer read:
     * dx = (dy W^T, where kept, times scale) * activation'.  y: what that layer's forward pass left in y.
     * work: fnn_product_work(n_batch, n_out) + fnn_turned_work(n_batch, n_out) floats of this part's own. */
    void (*dense_backward_input)(float *dx, const float *dy, const float *w, const float *y, const uint16_t *keep,
                                 float scale, fnn_activation activation, float *work, int64_t n_batch, int64_t n_in,
                                 int64_t n_out, fnn_part part);

    /* Delivers dW = x^T dy and db = column sums of dy, samples in batch order. */
    void (*dense_backward_weight)(const fnn_sink *dw, const fnn_sink *db, const float *x, const float *dy,
                                  int64_t n_batch, int64_t n_in, int64_t n_out, fnn_part part);

    /* The first layer on data whose zeros are skipped: the same results as gather and the dense kernels. */
    void (*skip_gather)(const fnn_skip *x, const fnn_data *data, const uint32_t *rows, int64_t first,
                        const fnn_input *input, const uint16_t *keep, float scale, int64_t n_batch, fnn_part part);
    void (*skip_transpose)(const fnn_skip *x, int64_t n_batch, int64_t n_in, fnn_part part);
    void (*skip_forward)(float *out, float *y, const fnn_skip *x, const float *w, const float *b, const uint16_t *keep,
                         float scale, fnn_activation activation, int64_t n_batch, int64_t n_in, int64_t n_out,
                         fnn_part part);
    void (*skip_backward_weight)(const fnn_sink *dw, const fnn_sink *db, const fnn_skip *x, const float *dy,
                                 int64_t n_batch, int64_t n_in, int64_t n_out, fnn_part part);

    /* The first layer on sparse data: the same bits as gather and the dense kernels, zeros skipped.
     * cursors: n_batch of this part's own. */
    void (*sparse_forward)(float *out, float *y, const fnn_data *data, const uint32_t *rows, int64_t first,
                           const float *w, const float *b, const uint16_t *keep, float scale, fnn_activation activation,
                           int64_t *cursors, int64_t n_batch, int64_t n_in, int64_t n_out, fnn_part part);
    void (*sparse_columns)(const fnn_columns *columns, const fnn_data *data, const uint32_t *rows, int64_t first,
                           int64_t *cursors, int64_t n_batch, int64_t n_in, fnn_part part);
    void (*sparse_backward_weight)(const fnn_sink *dw, const fnn_sink *db, const fnn_columns *columns, const float *dy,
                                   int64_t n_batch, int64_t n_in, int64_t n_out, fnn_part part);

    /* losses[row], times the row's weight, hits[row] (units judged right; 0 for regressions) and, unless dy is NULL,
     * the gradient of scale * sum(losses) at the logits that out = activation(logits) came from.  y: as the forward
     * pass left it. work: FNN_LOSS_WORK(n_out) floats of this part's own. */
    void (*loss)(float *losses, int32_t *hits, float *dy, const float *out, const float *y, const fnn_data *data,
                 const uint32_t *rows, int64_t first, fnn_loss loss, fnn_activation activation, float scale,
                 float *work, int64_t n_batch, int64_t n_out, fnn_part part);

    /* dy: the gradient (n_batch, n_out) at the outputs through the last activation.  work: as for loss. */
    void (*output_gradient)(float *dy, const float *gradient, const float *y, fnn_activation activation, float *work,
                            int64_t n_batch, int64_t n_out, fnn_part part);

    /* matrix (n_batch, n_out) = link(y). work: as for loss. */
    void (*output)(float *matrix, const float *y, fnn_link link, float *work, int64_t n_batch, int64_t n_out,
                   fnn_part part);

    /* For prediction: the bits of dense_forward and output, of a batch that one thread works on.
     * view_forward: y = activation(x W + b) * scale.
     * row_entries lists a row of x, given from its first value on, and returns how many entries it has; it writes up to
     * 16 more.  row_forward: view_forward of the rows listed, zeros skipped (the same bits for finite weights).
     * row_output: best for few rows. */
    void (*view_forward)(float *y, fnn_view x, const float *w, const float *b, float scale, fnn_activation activation,
                         int64_t n_batch, int64_t n_in, int64_t n_out);
    int64_t (*row_entries)(int32_t *places, float *values, fnn_view x, int64_t n);
    void (*row_forward)(float *y, const fnn_entries *entries, const float *w, const float *b, float scale,
                        fnn_activation activation, int64_t n_batch, int64_t n_in, int64_t n_out);
    void (*row_output)(float *matrix, const float *y, fnn_link link, float *work, int64_t n_batch, int64_t n_out);

    /* Delivers n floats of stored gradients, each times factor. */
    void (*update)(const fnn_sink *sink, const float *g, float factor, int64_t n, fnn_part part);

    /* Each of n floats to the nearest in [-limit, limit]; NaN stays.  A part has those that it has in update. */
    void (*clip)(float *g, float limit, int64_t n, fnn_part part);

    /* Each of n floats becomes +0 where mask is 0. */
    void (*mask)(float *w, const float *mask, int64_t n, fnn_part part);

    /* Projects each unit's n_in weights onto the ball of that radius: those of a larger norm are scaled down to it. */
    void (*max_norm)(float *w, float radius, int64_t n_in, int64_t n_out, fnn_part part);

    /* Does nothing but multiply-adds, for a time in proportion to n; returns how many floating-point operations. */
    int64_t (*peak)(float *sum, int64_t n);
};

#endif
