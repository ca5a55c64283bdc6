/* loss.inc.h: losses with their gradients, and the output link.  Sixteen rows at a time, transposed: a vector holds one
 * unit of sixteen rows, so that sums over units run in ascending order in every lane. */

/* columns[c] = unit c of rows [row, row + 16), zero beyond the batch */
static void load_columns(float *columns, const float *y, int64_t row, int64_t n_batch, int64_t n_out) {
    const int64_t rows = least(FNN_LANES, n_batch - row);
    for (int64_t panel = 0; panel < fnn_panels(n_out); panel++, columns += FNN_LANES * FNN_LANES) {
        const float *from = y + (panel * n_batch + row) * FNN_LANES;
        if (rows == FNN_LANES) {
            v16_transpose(columns, from);
            continue;
        }
        float block[FNN_LANES * FNN_LANES] = {0};
        for (int64_t i = 0; i < rows * FNN_LANES; i++) block[i] = from[i];
        v16_transpose(columns, block);
    }
}

static void store_columns(float *y, const float *columns, int64_t row, int64_t n_batch, int64_t n_out) {
    const int64_t rows = least(FNN_LANES, n_batch - row);
    for (int64_t panel = 0; panel < fnn_panels(n_out); panel++, columns += FNN_LANES * FNN_LANES) {
        float *to = y + (panel * n_batch + row) * FNN_LANES;
        float block[FNN_LANES * FNN_LANES];
        v16_transpose(block, columns);
        for (int64_t i = 0; i < rows * FNN_LANES; i++) to[i] = block[i];
    }
}

/* columns[c] = target of unit c: the floats given, or 1 where c is the label */
static void load_targets(float *columns, const fnn_data *data, const uint32_t *rows, int64_t first, int64_t n_rows,
                         int64_t n_out) {
    for (int64_t i = 0; i < n_out * FNN_LANES; i++) columns[i] = 0.0f;
    for (int64_t i = 0; i < n_rows; i++) {
        const int64_t row = row_at(rows, first, i);
        if (data->labels != NULL)
            columns[data->labels[row] * FNN_LANES + i] = 1.0f;
        else
            for (int64_t c = 0; c < n_out; c++) columns[c * FNN_LANES + i] = data->targets[row * n_out + c];
    }
}

/* Largest of n columns and where the first of them is */
FNN_INLINE v16 greatest(const float *columns, int64_t n, v16 *where) {
    v16 max = v16_load(columns);
    *where = v16_set1(0.0f);
    for (int64_t c = 1; c < n; c++) {
        const v16 each = v16_load(columns + c * FNN_LANES);
        const m16 is_greater = v16_lt(max, each);
        max = v16_select(is_greater, each, max);
        *where = v16_select(is_greater, v16_set1((float)c), *where);
    }
    return max;
}

/* columns[c] = exp(columns[c] - max); returns their sum, in ascending c */
FNN_INLINE v16 exponentials(float *columns, v16 max, int64_t n) {
    v16 sum = v16_set1(0.0f);
    for (int64_t c = 0; c < n; c++) {
        const v16 e = vexp(v16_sub(v16_load(columns + c * FNN_LANES), max));
        v16_store(columns + c * FNN_LANES, e);
        sum = v16_add(sum, e);
    }
    return sum;
}

/* The losses: z and t hold n columns of outputs and targets; z becomes the gradient of scale * loss. */

FNN_INLINE v16 softmax_cross_entropy(float *z, const float *t, int64_t n, v16 scale, v16 *hits) {
    v16 where, where_target;
    const v16 max = greatest(z, n, &where);
    greatest(t, n, &where_target);
    *hits = v16_select(v16_eq(where, where_target), v16_set1(1.0f), v16_set1(0.0f));

    /* loss = sum t (log(sum exp(z - max)) - (z - max)), taken as two sums because exp overwrites z */
    const v16 zero = v16_set1(0.0f);
    v16 weight = zero, inner = zero;
    for (int64_t c = 0; c < n; c++) {
        const v16 target = v16_load(t + c * FNN_LANES), shifted = v16_sub(v16_load(z + c * FNN_LANES), max);
        weight = v16_add(weight, target);
        inner = v16_select(v16_eq(target, zero), inner, v16_fma(target, shifted, inner));
    }
    const v16 sum = exponentials(z, max, n);
    for (int64_t c = 0; c < n; c++) {
        const v16 p = v16_div(v16_load(z + c * FNN_LANES), sum);
        const v16 d = v16_sub(v16_mul(p, weight), v16_load(t + c * FNN_LANES));
        v16_store(z + c * FNN_LANES, v16_mul(d, scale));
    }
    return v16_sub(v16_mul(weight, vlog(sum)), inner);
}

FNN_INLINE v16 sigmoid_cross_entropy(float *z, const float *t, int64_t n, v16 scale, v16 *hits) {
    const v16 zero = v16_set1(0.0f), one = v16_set1(1.0f);
    v16 loss = zero;
    *hits = zero;
    for (int64_t c = 0; c < n; c++) {
        const v16 logit = v16_load(z + c * FNN_LANES), target = v16_load(t + c * FNN_LANES);
        const v16 said = v16_select(v16_lt(zero, logit), one, zero);
        const v16 meant = v16_select(v16_lt(v16_set1(0.5f), target), one, zero);
        *hits = v16_add(*hits, v16_select(v16_eq(said, meant), one, zero));

        /* max(z, 0) - z t + log(1 + exp(-|z|)) */
        const v16 e = vexp(v16_mul(v16_set1(-1.0f), v16_abs(logit)));
        const v16 linear = v16_sub(vrelu(logit), v16_mul(logit, target));
        loss = v16_add(loss, v16_add(linear, vlog1p(e)));
        v16_store(z + c * FNN_LANES, v16_mul(v16_sub(vsigmoid(logit), target), scale));
    }
    return loss;
}

FNN_INLINE v16 squared_error(float *y, const float *t, int64_t n, v16 scale, v16 *hits) {
    v16 loss = v16_set1(0.0f);
    *hits = v16_set1(0.0f);
    for (int64_t c = 0; c < n; c++) {
        const v16 d = v16_sub(v16_load(y + c * FNN_LANES), v16_load(t + c * FNN_LANES));
        loss = v16_fma(v16_mul(v16_set1(0.5f), d), d, loss);
        v16_store(y + c * FNN_LANES, v16_mul(d, scale));
    }
    return loss;
}

FNN_INLINE v16 absolute_error(float *y, const float *t, int64_t n, v16 scale, v16 *hits) {
    const v16 zero = v16_set1(0.0f);
    v16 loss = zero;
    *hits = zero;
    for (int64_t c = 0; c < n; c++) {
        const v16 d = v16_sub(v16_load(y + c * FNN_LANES), v16_load(t + c * FNN_LANES));
        const v16 rising = v16_select(v16_lt(zero, d), v16_set1(1.0f), d); /* NaN passes */
        const v16 sign = v16_select(v16_lt(d, zero), v16_set1(-1.0f), rising);
        loss = v16_add(loss, v16_abs(d));
        v16_store(y + c * FNN_LANES, v16_mul(sign, scale));
    }
    return loss;
}

/* With m = d within [-delta, delta] it is m (d - m / 2). */
FNN_INLINE v16 huber(float *y, const float *t, int64_t n, float delta, v16 scale, v16 *hits) {
    v16 loss = v16_set1(0.0f);
    *hits = loss;
    for (int64_t c = 0; c < n; c++) {
        const v16 d = v16_sub(v16_load(y + c * FNN_LANES), v16_load(t + c * FNN_LANES));
        const v16 m = clamp(d, -delta, delta);
        loss = v16_fma(m, v16_fma(v16_set1(-0.5f), m, d), loss);
        v16_store(y + c * FNN_LANES, v16_mul(m, scale));
    }
    return loss;
}

FNN_INLINE v16 poisson(float *z, const float *t, int64_t n, v16 scale, v16 *hits) {
    v16 loss = v16_set1(0.0f);
    *hits = loss;
    for (int64_t c = 0; c < n; c++) {
        const v16 log_rate = v16_load(z + c * FNN_LANES), target = v16_load(t + c * FNN_LANES), rate = vexp(log_rate);
        loss = v16_add(loss, v16_fma(v16_mul(v16_set1(-1.0f), target), log_rate, rate));
        v16_store(z + c * FNN_LANES, v16_mul(v16_sub(rate, target), scale));
    }
    return loss;
}

static v16 loss_of(float *z, const float *t, int64_t n, fnn_loss loss, v16 scale, v16 *hits) {
    switch (loss.kind) {
    case FNN_SOFTMAX_CROSS_ENTROPY: return softmax_cross_entropy(z, t, n, scale, hits);
    case FNN_SIGMOID_CROSS_ENTROPY: return sigmoid_cross_entropy(z, t, n, scale, hits);
    case FNN_ABSOLUTE_ERROR: return absolute_error(z, t, n, scale, hits);
    case FNN_HUBER: return huber(z, t, n, loss.delta, scale, hits);
    case FNN_POISSON: return poisson(z, t, n, scale, hits);
    default: return squared_error(z, t, n, scale, hits);
    }
}

/* A row's weight in each lane, 1 without weights or beyond the batch. */
static v16 load_weights(const fnn_data *data, const uint32_t *rows, int64_t first, int64_t n_rows) {
    float weights[FNN_LANES];
    for (int64_t i = 0; i < FNN_LANES; i++)
        weights[i] = data->weights != NULL && i < n_rows ? data->weights[row_at(rows, first, i)] : 1.0f;
    return v16_load(weights);
}

/* Sixteen rows of the gradient through the last activation, y as it was kept; lanes beyond n_out become zero. */
static void loss_gradient(float *dy, float *gradient, const float *y, int64_t row, fnn_activation activation,
                          int64_t n_batch, int64_t n_out) {
    const int64_t padded = fnn_panels(n_out) * FNN_LANES;
    for (int64_t c = 0; c < padded; c++) {
        float *column = gradient + c * FNN_LANES;
        const v16 d = through_activation(v16_load(column), v16_load(y + c * FNN_LANES), activation);
        v16_store(column, c < n_out ? d : v16_set1(0.0f));
    }
    store_columns(dy, gradient, row, n_batch, n_out);
}

static void loss(float *losses, int32_t *hits, float *dy, const float *out, const float *y, const fnn_data *data,
                 const uint32_t *rows, int64_t first, fnn_loss loss, fnn_activation activation, float scale,
                 float *work, int64_t n_batch, int64_t n_out, fnn_part part) {
    const int64_t block = fnn_panels(n_out) * FNN_LANES * FNN_LANES;
    float *outputs = work, *targets = work + block, *gradient = work + 2 * block;
    int64_t begin, end;
    share(&begin, &end, ceil_div(n_batch, FNN_LANES), part);
    for (int64_t row = begin * FNN_LANES; row < least(end * FNN_LANES, n_batch); row += FNN_LANES) {
        const int64_t n_rows = least(FNN_LANES, n_batch - row);
        load_columns(outputs, out, row, n_batch, n_out);
        load_targets(targets, data, rows, first + row, n_rows, n_out);
        for (int64_t i = 0; i < n_out * FNN_LANES; i += FNN_LANES) v16_store(gradient + i, v16_load(outputs + i));

        float each_loss[FNN_LANES], each_hits[FNN_LANES];
        v16 right;
        const v16 weights = load_weights(data, rows, first + row, n_rows);
        const v16 own_scale = v16_mul(v16_set1(scale), weights);
        v16_store(each_loss, v16_mul(loss_of(gradient, targets, n_out, loss, own_scale, &right), weights));
        v16_store(each_hits, right);
        for (int64_t i = 0; i < n_rows; i++) {
            losses[row + i] = each_loss[i];
            hits[row + i] = (int32_t)each_hits[i];
        }
        if (dy == NULL) continue;
        if (y != out) load_columns(outputs, y, row, n_batch, n_out);
        loss_gradient(dy, gradient, outputs, row, activation, n_batch, n_out);
    }
}

static void output_gradient(float *dy, const float *gradient, const float *y, fnn_activation activation, float *work,
                            int64_t n_batch, int64_t n_out, fnn_part part) {
    const fnn_data data = {.targets = gradient};
    float *columns = work, *kept = work + fnn_panels(n_out) * FNN_LANES * FNN_LANES;
    int64_t begin, end;
    share(&begin, &end, ceil_div(n_batch, FNN_LANES), part);
    for (int64_t row = begin * FNN_LANES; row < least(end * FNN_LANES, n_batch); row += FNN_LANES) {
        load_columns(kept, y, row, n_batch, n_out);
        load_targets(columns, &data, NULL, row, least(FNN_LANES, n_batch - row), n_out);
        loss_gradient(dy, columns, kept, row, activation, n_batch, n_out);
    }
}

static void output(float *matrix, const float *y, fnn_link link, float *work, int64_t n_batch, int64_t n_out,
                   fnn_part part) {
    int64_t begin, end;
    share(&begin, &end, ceil_div(n_batch, FNN_LANES), part);
    for (int64_t row = begin * FNN_LANES; row < least(end * FNN_LANES, n_batch); row += FNN_LANES) {
        load_columns(work, y, row, n_batch, n_out);
        v16 where, sum = v16_set1(1.0f);
        if (link == FNN_SOFTMAX) sum = exponentials(work, greatest(work, n_out, &where), n_out);
        for (int64_t c = 0; c < n_out; c++) {
            v16 each = v16_load(work + c * FNN_LANES);
            if (link == FNN_SOFTMAX) each = v16_div(each, sum);
            if (link == FNN_LOGISTIC) each = vsigmoid(each);
            if (link == FNN_EXPONENTIAL) each = vexp(each);
            v16_store(work + c * FNN_LANES, each);
        }
        for (int64_t i = 0; i < least(FNN_LANES, n_batch - row); i++)
            for (int64_t c = 0; c < n_out; c++) matrix[(row + i) * n_out + c] = work[c * FNN_LANES + i];
    }
}
