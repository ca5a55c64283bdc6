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
        if (rows == FNN_LANES) {
            v16_transpose(to, columns);
            continue;
        }
        float block[FNN_LANES * FNN_LANES];
        v16_transpose(block, columns);
        for (int64_t i = 0; i < rows * FNN_LANES; i++) to[i] = block[i];
    }
}

/* What load_targets will read, of the batch's rows [begin, end). */
static void prefetch_targets(const fnn_data *data, const uint32_t *rows, int64_t first, int64_t begin, int64_t end,
                             int64_t n_out) {
    for (int64_t i = begin; i < end; i++) {
        const int64_t row = row_at(rows, first, i);
        if (data->labels != NULL)
            __builtin_prefetch(data->labels + row);
        else
            prefetch(data->targets + row * n_out, data->targets + (row + 1) * n_out);
    }
}

/* columns[c] = target of unit c: the floats given, or 1 where c is the label; zero beyond n_rows */
static void load_targets(float *columns, const fnn_data *data, const uint32_t *rows, int64_t first, int64_t n_rows,
                         int64_t n_out) {
    if (data->labels != NULL) {
        memset(columns, 0, (size_t)(n_out * FNN_LANES) * sizeof(float));
        for (int64_t i = 0; i < n_rows; i++) columns[data->labels[row_at(rows, first, i)] * FNN_LANES + i] = 1.0f;
        return;
    }
    for (int64_t c = 0; c < n_out; c += FNN_LANES) {
        float block[FNN_LANES * FNN_LANES];
        for (int64_t i = 0; i < n_rows; i++) {
            const float *from = data->targets + row_at(rows, first, i) * n_out + c;
            v16_store(block + i * FNN_LANES, v16_load_part(from, (int)least(FNN_LANES, n_out - c)));
        }
        memset(block + n_rows * FNN_LANES, 0, (size_t)((FNN_LANES - n_rows) * FNN_LANES) * sizeof(float));
        v16_transpose(columns + c * FNN_LANES, block);
    }
}

/* A row's weight in each lane, 1 without weights or beyond the batch. */
static v16 load_weights(const fnn_data *data, const uint32_t *rows, int64_t first, int64_t n_rows) {
    if (data->weights == NULL) return v16_set1(1.0f);
    float weights[FNN_LANES];
    for (int64_t i = 0; i < FNN_LANES; i++) weights[i] = i < n_rows ? data->weights[row_at(rows, first, i)] : 1.0f;
    return v16_load(weights);
}

/* Sixteen rows of the gradient through the last activation, y as it was kept; lanes beyond n_out become zero. */
static void loss_gradient(float *dy, float *gradient, const float *y, int64_t row, fnn_activation activation,
                          int64_t n_batch, int64_t n_out) {
    const int64_t padding = fnn_panels(n_out) * FNN_LANES - n_out;
    for (int64_t i = 0; i < n_out * FNN_LANES; i += FNN_LANES)
        v16_store(gradient + i, through_activation(v16_load(gradient + i), v16_load(y + i), activation));
    memset(gradient + n_out * FNN_LANES, 0, (size_t)(padding * FNN_LANES) * sizeof(float));
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
        prefetch_targets(data, rows, first, row + FNN_LANES, least(row + 2 * FNN_LANES, n_batch), n_out);
        load_columns(outputs, out, row, n_batch, n_out);
        load_targets(targets, data, rows, first + row, n_rows, n_out);
        for (int64_t i = 0; i < n_out * FNN_LANES; i += FNN_LANES) v16_store(gradient + i, v16_load(outputs + i));

        float each_loss[FNN_LANES], each_right[FNN_LANES];
        int32_t each_hits[FNN_LANES];
        v16 right;
        const v16 weights = load_weights(data, rows, first + row, n_rows);
        const v16 own_scale = v16_mul(v16_set1(scale), weights);
        v16_store(each_loss, v16_mul(loss_of(gradient, targets, n_out, loss, own_scale, &right), weights));
        v16_store(each_right, right);
        for (int i = 0; i < FNN_LANES; i++) each_hits[i] = (int32_t)each_right[i];
        memcpy(losses + row, each_loss, (size_t)n_rows * sizeof *losses);
        memcpy(hits + row, each_hits, (size_t)n_rows * sizeof *hits);
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
