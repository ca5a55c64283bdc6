/* train.c: the steps of an epoch, and where their time went. */
#include "update.h"

#include <string.h>

typedef struct training {
    descent d;
    int64_t deadline;
    int stop, members;
    fnn_status status;
} training;

static int64_t *own_perf(const fnn_plan *plan, const fnn_worker *me) {
    return plan->perf + me->part.index * FNN_PERF(plan->net->n_layers);
}

static void add_perf(const fnn_plan *plan, fnn_epoch *epoch, int members) {
    const int64_t places = FNN_PERF(plan->net->n_layers);
    for (int64_t place = 0; place < places; place++) {
        int64_t sum = 0;
        for (int i = 0; i < members; i++) sum += plan->perf[i * places + place];
        epoch->perf[place] += sum / members;
    }
}

static void training_body(void *job, fnn_worker *me) {
    training *t = job;
    const fnn_plan *plan = t->d.plan;
    fnn_epoch *epoch = t->d.epoch;
    const int64_t n_rows = epoch->data->n_rows;
    if (me->part.index == 0) t->members = me->part.count;
    batch b = {.plan = plan,
               .params = t->d.params,
               .data = epoch->data,
               .rows = epoch->order,
               .dropout = 1,
               .seed = epoch->seed,
               .loss = epoch->loss,
               .is_backward = 1};
    for (int64_t step = epoch->step; step < epoch->n_steps; step++) {
        b.first = step * epoch->batch_size;
        b.n_rows = n_rows - b.first < epoch->batch_size ? n_rows - b.first : epoch->batch_size;
        b.step = epoch->first_step + (uint32_t)step;
        start_clock(&b, epoch->perf_every > 0 && step % epoch->perf_every == 0 ? own_perf(plan, me) : NULL);
        fnn_batch_forward(&b, me);
        fnn_batch_loss(&b, me);
        const fnn_metrics metrics = fnn_batch_metrics(&b);
        took(&b, FNN_PERF_LOSS);
        if (metrics.loss - metrics.loss != 0.0) { /* infinite or NaN: every member sees the same and leaves */
            if (me->part.index == 0) t->status = FNN_ERR_DIVERGED;
            break;
        }
        fnn_descend(&t->d, &b, step, me);
        if (me->part.index == 0) {
            add_metrics(&epoch->metrics, metrics);
            if (epoch->losses != NULL) epoch->losses[step] = metrics.loss / (double)metrics.rows;
            epoch->step = step + 1;
            t->stop = fnn_now_ns() >= t->deadline;
        }
        meet(&b, me);
        if (t->stop) break;
    }
}

fnn_status fnn_train(fnn_plan *plan, float *params, float *state, fnn_epoch *epoch, int n_threads, int64_t budget_ns) {
    training t = {.d = {plan, params, state, epoch}, .deadline = fnn_now_ns() + budget_ns, .status = FNN_OK};
    if (epoch->step == 0 && epoch->order != NULL)
        fnn_shuffle(epoch->order, epoch->data->n_rows, epoch->seed, FNN_STREAM_SHUFFLE, epoch->epoch);
    memset(plan->perf, 0, (size_t)(plan->n_threads * FNN_PERF(plan->net->n_layers)) * sizeof(int64_t));
    fnn_team_run(n_threads < plan->n_threads ? n_threads : plan->n_threads, training_body, &t);
    if (epoch->perf_every > 0) add_perf(plan, epoch, t.members);
    return t.status;
}
