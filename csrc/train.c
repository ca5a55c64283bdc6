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

static int is_finite(double x) { return x - x == 0.0; }

void fnn_count_step(fnn_epoch *epoch, fnn_metrics metrics) {
    add_metrics(&epoch->metrics, metrics);
    if (epoch->losses != NULL) epoch->losses[epoch->step] = metrics.loss / (double)metrics.rows;
    epoch->step++;
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
        b.of = b.n_rows;
        b.step = epoch->first_step + (uint32_t)step;
        start_clock(&b, epoch->perf_every > 0 && step % epoch->perf_every == 0 ? own_perf(plan, me) : NULL);
        fnn_batch_forward(&b, me);
        fnn_batch_loss(&b, me);
        const fnn_metrics metrics = fnn_batch_metrics(&b);
        took(&b, FNN_PERF_LOSS);
        if (!is_finite(metrics.loss)) { /* every member sees the same and leaves */
            if (me->part.index == 0) t->status = FNN_ERR_DIVERGED;
            break;
        }
        fnn_descend(&t->d, &b, step, me);
        if (me->part.index == 0) {
            fnn_count_step(epoch, metrics);
            t->stop = fnn_now_ns() >= t->deadline;
        }
        meet(&b, me);
        if (t->stop) break;
    }
}

fnn_status fnn_train(fnn_plan *plan, float *params, float *state, fnn_epoch *epoch, int n_threads, int64_t budget_ns) {
    training t = {.d = {plan, params, state, epoch}, .deadline = fnn_now_ns() + budget_ns, .status = FNN_OK};
    memset(plan->perf, 0, (size_t)(plan->n_threads * FNN_PERF(plan->net->n_layers)) * sizeof(int64_t));
    fnn_team_run(n_threads < plan->n_threads ? n_threads : plan->n_threads, training_body, &t);
    if (epoch->perf_every > 0) add_perf(plan, epoch, t.members);
    return t.status;
}

/* ---- a step whose gradients were computed in shares ---- */

typedef struct shares_job {
    descent d;
    const float *const *gradients;
    int64_t n_shares;
} shares_job;

static void shares_body(void *job, fnn_worker *me) {
    const shares_job *s = job;
    const fnn_plan *plan = s->d.plan;
    const int64_t n = plan->net->n_floats, begin = n * me->part.index / me->part.count;
    const int64_t end = n * (me->part.index + 1) / me->part.count;
    batch b = {.plan = plan, .params = s->d.params};
    memcpy(plan->gradients + begin, s->gradients[0] + begin, (size_t)(end - begin) * sizeof(float));
    for (int64_t share = 1; share < s->n_shares; share++)
        for (int64_t i = begin; i < end; i++) plan->gradients[i] += s->gradients[share][i];
    meet(&b, me);
    fnn_descend_by_stored(&s->d, &b, s->d.epoch->step, me);
}

fnn_status fnn_add_up(fnn_metrics *sum, const fnn_metrics *metrics, int64_t n_shares) {
    *sum = metrics[0];
    for (int64_t share = 1; share < n_shares; share++) add_metrics(sum, metrics[share]);
    return is_finite(sum->loss) ? FNN_OK : FNN_ERR_DIVERGED;
}

fnn_status fnn_train_by(fnn_plan *plan, float *params, float *state, fnn_epoch *epoch, int n_threads,
                        const float *const *gradients, const fnn_metrics *metrics, int64_t n_shares) {
    shares_job s = {.d = {plan, params, state, epoch}, .gradients = gradients, .n_shares = n_shares};
    fnn_metrics sum;
    if (fnn_add_up(&sum, metrics, n_shares) != FNN_OK) return FNN_ERR_DIVERGED;
    fnn_team_run(n_threads < plan->n_threads ? n_threads : plan->n_threads, shares_body, &s);
    fnn_count_step(epoch, sum);
    return FNN_OK;
}
