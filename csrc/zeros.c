/* zeros.c: whether a data set has so many zeros that the first layer gains by skipping them. */
#include "kernels.h"

#include <string.h>

int fnn_zero_stays_zero(const fnn_input *input) {
    const float zero = (float)(0.0 * input->scale + input->offset);
    uint32_t bits;
    memcpy(&bits, &zero, sizeof bits);
    return bits == 0; /* +0 */
}

static int64_t count_nonzero(const fnn_data *data, int64_t row, int64_t n_in) {
    const uint8_t *bytes = (const uint8_t *)data->x + row * n_in;
    const float *floats = (const float *)data->x + row * n_in;
    int64_t count = 0;
    if (data->x_type == FNN_UINT8)
        for (int64_t k = 0; k < n_in; k++) count += bytes[k] != 0;
    else
        for (int64_t k = 0; k < n_in; k++) count += floats[k] != 0.0f;
    return count;
}

/* Rows that are looked at, evenly spaced: the answer changes the speed alone. */
#define SAMPLE 500

int fnn_worth_skipping(const fnn_data *data, const fnn_input *input, double max_density) {
    if (data->x == NULL || !fnn_zero_stays_zero(input)) return 0;
    const int64_t n_rows = data->n_rows < SAMPLE ? data->n_rows : SAMPLE;
    int64_t count = 0;
    for (int64_t i = 0; i < n_rows; i++) count += count_nonzero(data, data->n_rows * i / n_rows, input->n_in);
    return (double)count <= max_density * (double)n_rows * (double)input->n_in;
}
