/* sparse.c: a data set's rows as lists of their non-zero values, built once before a training. */
#include "fnn.h"

#include <string.h>

static float rescaled(double x, const fnn_input *input) { return (float)(x * input->scale + input->offset); }

static int zero_stays_zero(const fnn_input *input) {
    const float zero = rescaled(0.0, input);
    uint32_t bits;
    memcpy(&bits, &zero, sizeof bits);
    return bits == 0; /* +0 */
}

/* Values of a row that are not zero before rescaling: at least as many as its entries. */
static int64_t count_bound(const fnn_data *data, int64_t row, int64_t n_in) {
    int64_t n = 0;
    if (data->x_type == FNN_UINT8) {
        const uint8_t *x = (const uint8_t *)data->x + row * n_in;
        for (int64_t c = 0; c < n_in; c++) n += x[c] != 0;
    } else {
        const float *x = (const float *)data->x + row * n_in;
        for (int64_t c = 0; c < n_in; c++) n += x[c] != 0.0f;
    }
    return n;
}

/* These write each value and keep it only if it is not zero: no branch to mispredict, but room for one entry more. */

static int64_t entries_of_bytes(const uint8_t *x, int64_t n_in, const float *table, int32_t *columns, float *values) {
    int64_t n = 0;
    for (int64_t c = 0; c < n_in; c++) {
        uint64_t eight = 1;
        if (c + 8 <= n_in) memcpy(&eight, x + c, sizeof eight);
        if (eight == 0) { /* most of a background goes this way */
            c += 7;
            continue;
        }
        columns[n] = (int32_t)c;
        values[n] = table[x[c]];
        n += table[x[c]] != 0.0f;
    }
    return n;
}

static int64_t entries_of_floats(const float *x, int64_t n_in, const fnn_input *input, int32_t *columns,
                                 float *values) {
    int64_t n = 0;
    for (int64_t c = 0; c < n_in; c++) {
        const float value = rescaled(x[c], input);
        columns[n] = (int32_t)c;
        values[n] = value;
        n += value != 0.0f;
    }
    return n;
}

static void fill(fnn_sparse *sparse, const fnn_data *data, const fnn_input *input) {
    const int64_t n_in = input->n_in;
    float table[256];
    for (int byte = 0; byte < 256; byte++) table[byte] = rescaled(byte, input);
    for (int64_t i = 0; i < data->n_rows; i++) {
        int32_t *columns = sparse->columns + sparse->starts[i];
        float *values = sparse->values + sparse->starts[i];
        const int64_t n = data->x_type == FNN_UINT8
                              ? entries_of_bytes((const uint8_t *)data->x + i * n_in, n_in, table, columns, values)
                              : entries_of_floats((const float *)data->x + i * n_in, n_in, input, columns, values);
        sparse->starts[i + 1] = sparse->starts[i] + n;
        if (n > sparse->most) sparse->most = n;
    }
}

fnn_status fnn_sparse_create(fnn_sparse **out, const fnn_data *data, const fnn_input *input, double max_density) {
    *out = NULL;
    if (!zero_stays_zero(input)) return FNN_OK;
    const double most = max_density * (double)data->n_rows * (double)input->n_in;
    int64_t bound = 0;
    for (int64_t i = 0; i < data->n_rows; i++) {
        bound += count_bound(data, i, input->n_in);
        if ((double)bound > most) return FNN_OK;
    }
    fnn_sparse *sparse = fnn_alloc(sizeof(fnn_sparse));
    if (sparse == NULL) return FNN_ERR_MEMORY;
    sparse->starts = fnn_alloc((size_t)(data->n_rows + 1) * sizeof(int64_t));
    sparse->columns = fnn_alloc((size_t)(bound + 1) * sizeof(int32_t));
    sparse->values = fnn_alloc((size_t)(bound + 1) * sizeof(float));
    if (sparse->starts == NULL || sparse->columns == NULL || sparse->values == NULL) {
        fnn_sparse_destroy(sparse);
        return FNN_ERR_MEMORY;
    }
    fill(sparse, data, input);
    *out = sparse;
    return FNN_OK;
}

void fnn_sparse_destroy(fnn_sparse *sparse) {
    if (sparse == NULL) return;
    fnn_free(sparse->values);
    fnn_free(sparse->columns);
    fnn_free(sparse->starts);
    fnn_free(sparse);
}
