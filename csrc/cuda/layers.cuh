/* layers.cuh: a dense layer, forward and backward, a tile of the result a block. */
#ifndef FNN_CUDA_LAYERS_CUH
#define FNN_CUDA_LAYERS_CUH

#include "product.cuh"

/* Where block `block` of a product's has its tile; columns vary faster, so that neighbours share rows. */
template <class T> FNN_DEVICE void tile_at(const here *h, int n_columns, int *row, int *column) {
    const int across = (n_columns + T::COLUMNS - 1) / T::COLUMNS;
    *row = h->block / across * T::ROWS;
    *column = h->block % across * T::COLUMNS;
}

template <class T> FNN_DEVICE int own_row(int row, int i) { return row + (int)threadIdx.x / 16 * T::TM + i; }

/* What a unit puts out after dropout, from its sum; at: its row of a panel; y: what the backward pass wants of it. */
FNN_DEVICE v16 unit_output(const op &o, int64_t at, v16 sum, v16 *y) {
    v16 slope;
    const v16 activity = activate(v16_add(sum, 0.0f), o.activation, &slope);
    *y = o.activation.with_slope ? slope : activity;
    if (o.out == o.y && o.scale == 1.0f) return activity;
    const m16 kept = m16_from_bits(o.keep != NULL ? o.keep[at] : 0xffff);
    return v16_select(kept, v16_mul(activity, o.scale), 0.0f);
}

FNN_DEVICE void store_output(const op &o, int64_t at, v16 sum) {
    v16 y;
    const v16 out = unit_output(o, at, sum, &y);
    v16_store(o.y + at * 16, y);
    if (o.out != o.y || o.scale != 1.0f) v16_store(o.out + at * 16, out);
}

template <class T> FNN_DEVICE void forward(const op &o, const here *h) {
    int row, column;
    tile_at<T>(h, o.n_out, &row, &column);
    if (row >= h->rows) return;
    float acc[T::TM][T::TN];
FNN_UNROLL_GPU
    for (int j = 0; j < T::TN; j++) {
        const int panel = column / 16 + j;
        const float bias = panel < panels_of(o.n_out) ? v16_load(o.b + panel * 16) : 0.0f;
FNN_UNROLL_GPU
        for (int i = 0; i < T::TM; i++) acc[i][j] = bias;
    }
    product<T, ALONG_K, ACROSS>(acc, {o.x, h->capacity, h->rows}, {o.w, o.n_in, o.n_out}, row, column, o.n_in);
FNN_UNROLL_GPU
    for (int j = 0; j < T::TN; j++)
FNN_UNROLL_GPU
        for (int i = 0; i < T::TM; i++) {
            const int panel = column / 16 + j, r = own_row<T>(row, i);
            if (panel >= panels_of(o.n_out) || r >= h->rows) continue;
            store_output(o, (int64_t)panel * h->capacity + r, acc[i][j]);
        }
}

/* From the sum of a unit of the layer below, the gradient at its logits; at: its row of a panel; y: what that layer's
 * forward pass left there. */
FNN_DEVICE v16 dx_of(const op &o, int64_t at, int panel, v16 sum, v16 y) {
    const m16 kept = m16_from_bits(o.keep != NULL ? o.keep[at] : 0xffff);
    const v16 gradient = v16_select(kept, v16_mul(v16_add(sum, 0.0f), o.scale), 0.0f);
    const v16 dx = through_activation(gradient, y, o.activation);
    return panel * 16 + fnn_lane() < o.n_in ? dx : 0.0f; /* else padded weights move */
}

FNN_DEVICE void store_dx(const op &o, const here *h, int panel, int row, v16 sum) {
    const int64_t at = (int64_t)panel * h->capacity + row;
    v16_store(o.out + at * 16, dx_of(o, at, panel, sum, v16_load(o.y + at * 16)));
}

/* x: dy (rows, n_out); y: what the layer below left in y; out: dx (rows, n_in). */
template <class T> FNN_DEVICE void backward_input(const op &o, const here *h) {
    int row, column;
    tile_at<T>(h, o.n_in, &row, &column);
    if (row >= h->rows) return;
    float acc[T::TM][T::TN] = {};
    product<T, ALONG_K, ALONG_K>(acc, {o.x, h->capacity, h->rows}, {o.w, o.n_in, o.n_in}, row, column, o.n_out);
FNN_UNROLL_GPU
    for (int j = 0; j < T::TN; j++)
FNN_UNROLL_GPU
        for (int i = 0; i < T::TM; i++) {
            const int panel = column / 16 + j, r = own_row<T>(row, i);
            if (panel < panels_of(o.n_in) && r < h->rows) store_dx(o, h, panel, r, acc[i][j]);
        }
}

/* The sink of this step. */
FNN_DEVICE fnn_sink sink_of(const op &o, const here *h) {
    fnn_sink sink = o.sink;
    if (sink.update == FNN_STORE || sink.update == FNN_FREEZE) return sink;
    const step_constants each = h->at->constants[h->step - h->at->since];
    sink.rate = each.step_rate;
    sink.adam.root_scale = each.root_scale;
    sink.decay = v16_mul(each.rate, o.decay);
    sink.l1 = v16_mul(each.rate, o.l1);
    sink.shrinks = sink.l2 != 0 || sink.decay != 0 || sink.l1 != 0;
    return sink;
}

/* A gradient g for this lane's parameter at `at`. */
FNN_DEVICE void deliver(const fnn_sink *sink, int64_t at, v16 g) {
    if (sink->update == FNN_FREEZE) return;
    if (sink->update == FNN_STORE)
        v16_store(sink->w + at, g);
    else
        descend(sink, at, g, sink->update, sink->shrinks);
}

/* x: the layer's input (rows, n_in); y: dy (rows, n_out). */
template <class T> FNN_DEVICE void backward_weight(const op &o, const here *h) {
    int row, column;
    tile_at<T>(h, o.n_out, &row, &column);
    float acc[T::TM][T::TN] = {};
    product<T, ACROSS, ACROSS>(acc, {o.x, h->capacity, o.n_in}, {o.y, h->capacity, o.n_out}, row, column, h->rows);
    const fnn_sink sink = sink_of(o, h);
FNN_UNROLL_GPU
    for (int j = 0; j < T::TN; j++)
FNN_UNROLL_GPU
        for (int i = 0; i < T::TM; i++) {
            const int panel = column / 16 + j, input = own_row<T>(row, i);
            if (panel < panels_of(o.n_out) && input < o.n_in)
                deliver(&sink, ((int64_t)panel * o.n_in + input) * 16, v16_add(acc[i][j], 0.0f));
        }
}

/* y: dy (rows, n_out). */
FNN_DEVICE void backward_bias(const op &o, const here *h) {
    const int panel = (h->block * (int)blockDim.x + (int)threadIdx.x) / 16;
    if (panel >= panels_of(o.n_out)) return;
    const float *dy = o.y + (int64_t)panel * h->capacity * 16;
    v16 sum = 0.0f;
FNN_UNROLL_BY(8)
    for (int i = 0; i < h->rows; i++) sum = v16_add(sum, v16_load(dy + i * 16));
    const fnn_sink sink = sink_of(o, h);
    deliver(&sink, panel * 16, v16_add(sum, 0.0f));
}

#endif
