/* pass.c: the rows of a data set once, in prediction mode: predictions, activities of layers, losses and hits. */
#include "batch.h"

#include <string.h>

typedef struct pass {
    const fnn_plan *plan;
    const float *params;
    const fnn_data *data;
    int64_t deadline, row;
    int stop;
    fnn_link link;
    float *out;         /* predictions, */
    float *const *outs; /* or activities of each layer, */
    fnn_loss loss;
    fnn_metrics *metrics; /* or losses and hits; the others are NULL */
} pass;

/* One batch's activities of layer l, from panels to rows. */
static void copy_activities(float *out, const batch *b, int64_t l, const fnn_worker *me) {
    const int64_t n_out = b->plan->net->layers[l].n_out;
    const float *y = b->plan->layers[l].y;
    for (int64_t panel = me->part.index; panel < fnn_panels(n_out); panel += me->part.count) {
        const int64_t first = panel * FNN_LANES, lanes = n_out - first < FNN_LANES ? n_out - first : FNN_LANES;
        for (int64_t i = 0; i < b->n_rows; i++)
            memcpy(out + (b->first + i) * n_out + first, y + (panel * b->n_rows + i) * FNN_LANES,
                   (size_t)lanes * sizeof(float));
    }
}

static void pass_body(void *job, fnn_worker *me) {
    pass *p = job;
    const fnn_plan *plan = p->plan;
    const int64_t n_out = plan->net->layers[plan->net->n_layers - 1].n_out;
    batch b = {.plan = plan, .params = p->params, .data = p->data, .loss = p->loss};
    for (b.first = p->row; b.first < p->data->n_rows; b.first += b.n_rows) {
        b.n_rows = p->data->n_rows - b.first < plan->n_batch ? p->data->n_rows - b.first : plan->n_batch;
        b.of = b.n_rows;
        fnn_batch_forward(&b, me);
        if (p->metrics != NULL) fnn_batch_loss(&b, me);
        for (int64_t l = 0; p->outs != NULL && l < plan->net->n_layers; l++)
            if (p->outs[l] != NULL) copy_activities(p->outs[l], &b, l, me);
        if (p->out != NULL)
            plan->kernels->output(p->out + b.first * n_out, plan->layers[plan->net->n_layers - 1].out, p->link,
                                  own_work(plan, me), b.n_rows, n_out, me->part);
        if (me->part.index == 0) {
            if (p->metrics != NULL) add_metrics(p->metrics, fnn_batch_metrics(&b));
            p->row = b.first + b.n_rows;
            p->stop = fnn_now_ns() >= p->deadline;
        }
        fnn_team_barrier(me);
        if (p->stop) break;
    }
}

static void run(pass p, int64_t budget_ns, int64_t *row) {
    p.deadline = fnn_now_ns() + budget_ns;
    p.row = *row;
    fnn_team_run(p.plan->n_threads, pass_body, &p);
    *row = p.row;
}

void fnn_predict(fnn_plan *plan, const float *params, const fnn_data *data, fnn_link link, int64_t budget_ns,
                 int64_t *row, float *out) {
    run((pass){.plan = plan, .params = params, .data = data, .link = link, .out = out}, budget_ns, row);
}

void fnn_activities(fnn_plan *plan, const float *params, const fnn_data *data, int64_t budget_ns, int64_t *row,
                    float *const *outs) {
    run((pass){.plan = plan, .params = params, .data = data, .outs = outs}, budget_ns, row);
}

void fnn_evaluate(fnn_plan *plan, const float *params, const fnn_data *data, fnn_loss loss, int64_t budget_ns,
                  int64_t *row, fnn_metrics *metrics) {
    run((pass){.plan = plan, .params = params, .data = data, .loss = loss, .metrics = metrics}, budget_ns, row);
}
