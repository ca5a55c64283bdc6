/* batch.h: one batch forward and backward, and the clock that tells where its time goes; private to what works with a
 * plan.  Every member of the team runs the same code and works on its part of each kernel; where one kernel reads what
 * another member wrote, they meet at a barrier. */
#ifndef FNN_BATCH_H
#define FNN_BATCH_H

#include "plan.h"

typedef struct batch {
    const fnn_plan *plan;
    const float *params;
    const fnn_data *data;
    const uint32_t *rows; /* order of the data's rows; NULL: as they are */
    int64_t first, n_rows;
    int64_t before, of; /* of a share: rows of the whole batch before it, and in all */
    int dropout; /* draw masks, for this seed and step */
    uint64_t seed;
    uint32_t step;
    fnn_loss loss;
    int is_backward;       /* a backward pass follows */
    const fnn_sink *sinks; /* where its gradients go: W and b of each layer in turn */
    int64_t *perf;         /* this member's, while it measures; else NULL */
    int64_t mark;          /* when what it measures now began */
} batch;

/* ---- time ---- */

static inline void start_clock(batch *b, int64_t *perf) {
    b->perf = perf;
    if (perf != NULL) b->mark = fnn_now_ns();
}

/* What was done since the last call took the time of this place. */
static inline void took(batch *b, int place) {
    if (b->perf == NULL) return;
    const int64_t now = fnn_now_ns();
    b->perf[place] += now - b->mark;
    b->mark = now;
}

enum { FORWARD, BACKWARD_INPUT, BACKWARD_WEIGHT };

static inline int of_layer(int64_t l, int what) { return FNN_PERF_LAYERS + 3 * (int)l + what; }

static inline void meet(batch *b, fnn_worker *me) {
    fnn_team_barrier(me);
    took(b, FNN_PERF_WAIT);
}

/* ---- batch.c ---- */

void fnn_batch_forward(batch *b, fnn_worker *me);
/* Losses and hits of its rows and, if a backward pass follows, the gradient at the last layer's logits. */
void fnn_batch_loss(batch *b, fnn_worker *me);
/* Their sums, in row order and in double; each member that needs them adds up for itself. */
fnn_metrics fnn_batch_metrics(const batch *b);
/* Gradients go to the batch's sinks. */
void fnn_batch_backward(batch *b, fnn_worker *me);

static inline float *own_work(const fnn_plan *plan, const fnn_worker *me) {
    return plan->work + me->part.index * plan->work_floats;
}

static inline void add_metrics(fnn_metrics *total, fnn_metrics more) {
    total->loss += more.loss;
    total->hits += more.hits;
    total->rows += more.rows;
}

#endif
