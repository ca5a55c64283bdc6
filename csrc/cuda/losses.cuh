/* losses.cuh: losses with their gradients, their sums, and the output link.  A block takes up to sixteen rows,
 * transposed, so that a lane is a row; its first threads compute, one a row, all copy. */
#ifndef FNN_CUDA_LOSSES_CUH
#define FNN_CUDA_LOSSES_CUH

#include "device.cuh"

/* columns[c][i] = unit c of row `row` + i, zero beyond the batch */
FNN_DEVICE void load_columns(float *columns, const float *y, int row, int n_out, const here *h) {
    for (int k = threadIdx.x; k < panels_of(n_out) * 256; k += blockDim.x) {
        const int panel = k / 256, i = k / 16 % 16, lane = k % 16;
        const float value = row + i < h->rows ? y[((int64_t)panel * h->capacity + row + i) * 16 + lane] : 0.0f;
        columns[(panel * 16 + lane) * 16 + i] = value;
    }
}

/* columns[c][i] = target of unit c: the floats given, or 1 where c is the label */
template <int Rows> FNN_DEVICE void load_targets(float *columns, int row, int n_out, const here *h) {
    const fnn_data *data = &h->at->data;
    for (int k = threadIdx.x; k < n_out * Rows; k += blockDim.x) {
        const int i = k / n_out, c = k % n_out;
        float target = 0.0f;
        if (row + i < h->rows) {
            const int64_t at = row_at(h, row + i);
            target = data->labels == NULL ? data->targets[at * n_out + c] : data->labels[at] == c ? 1.0f : 0.0f;
        }
        columns[c * 16 + i] = target;
    }
}

/* What is judged: columns of what units put out, which turn into gradients at their logits; of what the backward pass
 * wants of them; and of their targets. */
typedef struct judged {
    float *out, *y, *targets;
} judged;

FNN_DEVICE judged judged_at(float *memory, int n_out) {
    const int block = panels_of(n_out) * 256;
    return {memory, memory + block, memory + 2 * block};
}

/* Losses and hits of rows whose out and y this block has stored and, if g is there, the gradients. */
template <int Rows> FNN_DEVICE void judge_rows(const op &o, const here *h, const judged &rows, int row) {
    const int n = o.n_out, own = row + (int)threadIdx.x;
    load_targets<Rows>(rows.targets, row, n, h);
    __syncthreads();
    if (threadIdx.x < Rows && own < h->rows) {
        const float *weights = h->at->data.weights;
        const v16 weight = weights != NULL ? weights[row_at(h, own)] : 1.0f;
        const v16 scale = v16_mul(o.loss.is_sum ? 1.0f : __fdiv_rn(1.0f, (float)batch_rows(h)), weight);
        v16 hits;
        const v16 loss = v16_mul(loss_of(rows.out, rows.targets, n, o.loss, scale, &hits), weight);
        o.losses[own] = loss;
        o.hits[own] = (int32_t)hits;
        if (o.can_diverge && !(v16_abs(loss) <= FLT_MAX)) h->at->diverged = 1;
    }
    __syncthreads();
    if (o.g == NULL) return;
    for (int k = threadIdx.x; k < panels_of(n) * 16 * Rows; k += blockDim.x) {
        const int panel = k / (16 * Rows), i = k / 16 % Rows, lane = k % 16, c = panel * 16 + lane;
        if (row + i >= h->rows) continue;
        float *place = rows.out + c * 16 + i;
        *place = c < n ? through_activation(*place, rows.y[c * 16 + i], o.activation) : 0.0f;
        o.g[((int64_t)panel * h->capacity + row + i) * 16 + lane] = *place;
    }
}

/* Room for so many blocks of columns. */
FNN_DEVICE float *work_of(const op &o, const here *h, int blocks) {
    return o.work == NULL ? shared_floats() : o.work + (int64_t)h->block * blocks * panels_of(o.n_out) * 256;
}

/* out: what the layer puts out; y: what its backward pass wants; g: dy, or NULL. */
FNN_DEVICE void judge(const op &o, const here *h) {
    const int row = h->block * 16;
    if (row >= h->rows) return;
    const judged rows = judged_at(work_of(o, h, 3), o.n_out);
    load_columns(rows.out, o.out, row, o.n_out, h);
    load_columns(rows.y, o.y, row, o.n_out, h);
    judge_rows<16>(o, h, rows, row);
}

/* x: panels; out: a matrix (rows, n_out). */
FNN_DEVICE void output(const op &o, const here *h) {
    const int row = h->block * 16, n = o.n_out;
    if (row >= h->rows) return;
    float *columns = work_of(o, h, 1);
    load_columns(columns, o.x, row, n, h);
    __syncthreads();
    if (threadIdx.x < 16 && o.link != FNN_IDENTITY) {
        v16 where, sum = 1.0f;
        if (o.link == FNN_SOFTMAX) sum = exponentials(columns, greatest(columns, n, &where), n);
        for (int c = 0; c < n; c++) {
            v16 each = v16_load(columns + c * 16);
            if (o.link == FNN_SOFTMAX) each = v16_div(each, sum);
            if (o.link == FNN_LOGISTIC) each = vsigmoid(each);
            if (o.link == FNN_EXPONENTIAL) each = vexp(each);
            v16_store(columns + c * 16, each);
        }
    }
    __syncthreads();
    for (int k = threadIdx.x; k < n * 16; k += blockDim.x) {
        const int i = k / n, c = k % n;
        if (row + i < h->rows) o.out[(int64_t)(row + i) * n + c] = columns[c * 16 + i];
    }
}

/* Adds up losses and hits in row order, in double, first those of so many rows (the batches of a pass on the CPU). */
FNN_DEVICE void tally(const op &o, const here *h) {
    if (threadIdx.x != 0) return;
    progress *at = h->at;
    double all = at->metrics.loss;
    for (int first = 0; first < h->rows; first += o.group) {
        double sum = 0.0;
        const int end = smaller_of(first + o.group, h->rows);
FNN_UNROLL_BY(8)
        for (int i = first; i < end; i++) sum = __dadd_rn(sum, (double)o.losses[i]);
        all = __dadd_rn(all, sum);
        if (at->losses != NULL) at->losses[h->step - at->since] = __ddiv_rn(sum, (double)h->rows);
    }
    int64_t hits = 0;
    for (int i = 0; i < h->rows; i++) hits += o.hits[i];
    at->metrics.loss = all;
    at->metrics.hits += hits;
    at->metrics.rows += h->rows;
    at->done = h->step + 1;
}

#endif
