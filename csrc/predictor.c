/* predictor.c: from rows to predictions.  Rows are cut into chunks, and a member of the team takes a chunk through all
 * layers in memory of its own, so members meet nowhere. */
#include "cursor.h"
#include "kernels.h"

#include <stdatomic.h>
#include <string.h>

/* Rows of a chunk: enough to use a weight from the cache many times, few enough to leave the cache to the weights. */
#define MOST_ROWS 120

/* Rows of a chunk that may skip zeros. */
#define MOST_SPARSE_ROWS MOST_ROWS

/* Memory of one member. */
typedef struct desk {
    float *x;            /* a chunk's input */
    float *y[2];         /* outputs of every other layer */
    fnn_entries entries; /* what is not zero in a layer's input */
    float *work;
} desk;

struct fnn_predictor {
    const fnn_net *net;
    const fnn_kernels *kernels;
    int64_t n_rows; /* of a chunk */
    int64_t work;   /* multiply-adds of a row */
    int n_threads;
    void *arena;
    size_t arena_bytes;
    desk desks[];
};

/* ---- threads ---- */

/* Three million multiply-adds take a thread 30 us or more; to wake one that sleeps takes as long. */
#define WORTH_A_THREAD 3000000

static int threads_for(const fnn_predictor *p, int64_t n_rows) {
    const double worth = (double)p->work * (double)n_rows / WORTH_A_THREAD;
    return worth < 1.0 ? 1 : worth < p->n_threads ? (int)worth : p->n_threads;
}

/* ---- memory ---- */

static void lay_out(fnn_predictor *p, cursor *at) {
    const fnn_net *net = p->net;
    const int64_t sparse_rows = p->n_rows < MOST_SPARSE_ROWS ? p->n_rows : MOST_SPARSE_ROWS;
    int64_t widest = 0, widest_input = net->input.n_in;
    for (int64_t l = 0; l < net->n_layers; l++) {
        if (net->layers[l].n_out > widest) widest = net->layers[l].n_out;
        if (net->layers[l].n_in > widest_input) widest_input = net->layers[l].n_in;
    }
    for (desk *d = p->desks; d < p->desks + p->n_threads; d++) {
        d->x = take_panels(at, net->input.n_in, p->n_rows);
        for (int i = 0; i < 2; i++) d->y[i] = take_panels(at, widest, p->n_rows);
        d->entries.ends = take(at, sparse_rows, sizeof(int64_t));
        d->entries.cursors = take(at, sparse_rows, sizeof(int64_t));
        d->entries.places = take(at, sparse_rows * widest_input + FNN_LANES, sizeof(int32_t));
        d->entries.values = take(at, sparse_rows * widest_input + FNN_LANES, sizeof(float));
        d->work = take(at, FNN_LOSS_WORK(net->layers[net->n_layers - 1].n_out), sizeof(float));
    }
}

fnn_status fnn_predictor_create(fnn_predictor **out, const fnn_net *net, int64_t n_rows, int n_threads) {
    *out = NULL;
    n_threads = n_threads < 1 ? 1 : n_threads > FNN_MAX_THREADS ? FNN_MAX_THREADS : n_threads;
    fnn_predictor *p = fnn_alloc(sizeof(fnn_predictor) + (size_t)n_threads * sizeof(desk));
    if (p == NULL) return FNN_ERR_MEMORY;
    p->net = net;
    p->kernels = fnn_isa();
    p->n_rows = n_rows < MOST_ROWS ? n_rows : MOST_ROWS;
    for (int64_t l = 0; l < net->n_layers; l++) p->work += net->layers[l].n_in * net->layers[l].n_out;
    p->n_threads = n_threads;
    p->n_threads = threads_for(p, n_rows);

    cursor at = {NULL, 0};
    lay_out(p, &at);
    p->arena_bytes = at.used;
    p->arena = fnn_alloc(p->arena_bytes);
    if (p->arena == NULL) {
        fnn_free(p);
        return FNN_ERR_MEMORY;
    }
    at = (cursor){p->arena, 0};
    lay_out(p, &at);
    *out = p;
    return FNN_OK;
}

void fnn_predictor_destroy(fnn_predictor *p) {
    if (p == NULL) return;
    fnn_free(p->arena);
    fnn_free(p);
}

void fnn_predictor_poison(fnn_predictor *p, int byte) { memset(p->arena, byte, p->arena_bytes); }

/* ---- one chunk ---- */

/* The chunk's input: where it is if nothing is to be done to it, else in d->x. */
static fnn_view read_input(const fnn_predictor *p, const desk *d, const fnn_data *data, int64_t first, int64_t n_rows) {
    const fnn_input *input = &p->net->input;
    const float scale = input->dropout.predict_scale;
    if (data->x_type == FNN_FLOAT32 && input->scale == 1.0 && input->offset == 0.0 && scale == 1.0f)
        return (fnn_view){(const float *)data->x + first * input->n_in, input->n_in, FNN_LANES};
    p->kernels->gather(d->x, data, NULL, first, input, NULL, scale, n_rows, (fnn_part){.count = 1});
    return fnn_view_panels(d->x, n_rows);
}

/* Lists what is not zero, unless multiplying with all of it is the faster way: a product from a list costs as much as
 * three of a dense tile, and a tile of fewer than four rows as much as one of four. */
static int list_entries(const fnn_predictor *p, const desk *d, fnn_view x, int64_t n_rows, int64_t n_in) {
    if (n_rows > MOST_SPARSE_ROWS || n_in > INT32_MAX) return 0;
    const int64_t worth = n_in * (n_rows < 4 ? 4 : n_rows) / (3 * n_rows); /* entries a row */
    int64_t count = 0;
    for (int64_t i = 0; i < n_rows; i++, x.at += x.row) {
        count += p->kernels->row_entries(d->entries.places + count, d->entries.values + count, x, n_in);
        if (count > (i + 1) * worth + n_in) return 0; /* far too many; a single full row is not */
        d->entries.ends[i] = count;
    }
    return count <= n_rows * worth;
}

static void forward(const fnn_predictor *p, const desk *d, const float *params, const fnn_data *data, int64_t first,
                    int64_t n_rows, fnn_link link, float *out) {
    const fnn_net *net = p->net;
    const fnn_kernels *kernels = p->kernels;
    fnn_view x = read_input(p, d, data, first, n_rows);
    for (int64_t l = 0; l < net->n_layers; l++) {
        const fnn_layer *layer = &net->layers[l];
        const float *w = params + layer->w, *b = params + layer->b, scale = layer->dropout.predict_scale;
        float *y = d->y[l % 2];
        if (list_entries(p, d, x, n_rows, layer->n_in))
            kernels->row_forward(y, &d->entries, w, b, scale, layer->activation, n_rows, layer->n_in, layer->n_out);
        else
            kernels->view_forward(y, x, w, b, scale, layer->activation, n_rows, layer->n_in, layer->n_out);
        x = fnn_view_panels(y, n_rows);
    }
    const int64_t n_out = net->layers[net->n_layers - 1].n_out;
    if (n_rows < FNN_LANES / 2)
        kernels->row_output(out, x.at, link, d->work, n_rows, n_out);
    else
        kernels->output(out, x.at, link, d->work, n_rows, n_out, (fnn_part){.count = 1});
}

/* ---- all of them ---- */

typedef struct job {
    const fnn_predictor *predictor;
    const float *params;
    const fnn_data *data;
    fnn_link link;
    float *out;
    int64_t chunk; /* rows */
    _Atomic int64_t next;
} job;

static void body(void *arg, fnn_worker *me) {
    job *j = arg;
    const fnn_predictor *p = j->predictor;
    const int64_t n_out = p->net->layers[p->net->n_layers - 1].n_out, n_rows = j->data->n_rows;
    for (;;) {
        const int64_t first = atomic_fetch_add_explicit(&j->next, j->chunk, memory_order_relaxed);
        if (first >= n_rows) break;
        const int64_t rows = n_rows - first < j->chunk ? n_rows - first : j->chunk;
        forward(p, &p->desks[me->part.index], j->params, j->data, first, rows, j->link, j->out + first * n_out);
    }
}

void fnn_predictor_run(fnn_predictor *p, const float *params, const fnn_data *data, fnn_link link, float *out) {
    if (data->n_rows == 0) return;
    const int n_threads = threads_for(p, data->n_rows);
    /* as few rounds as memory allows, each of a chunk a thread, all chunks alike */
    const int64_t a_round = p->n_rows * n_threads, n_chunks = (data->n_rows + a_round - 1) / a_round * n_threads;
    job j = {.predictor = p, .params = params, .data = data, .link = link, .out = out};
    j.chunk = (data->n_rows + n_chunks - 1) / n_chunks;
    fnn_team_run(n_threads, body, &j);
}
