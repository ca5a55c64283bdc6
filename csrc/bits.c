/* bits.c: which values of a data set are not zero, a bit each, found once before a training. */
#include "kernels.h"

#include <string.h>

int fnn_zero_stays_zero(const fnn_input *input) {
    const float zero = (float)(0.0 * input->scale + input->offset);
    uint32_t bits;
    memcpy(&bits, &zero, sizeof bits);
    return bits == 0; /* +0 */
}

typedef struct search {
    uint64_t *bits;
    const fnn_data *data;
    int64_t n_in;
    int64_t counts[FNN_MAX_THREADS];
} search;

static void search_body(void *job, fnn_worker *me) {
    search *s = job;
    s->counts[me->part.index] = fnn_isa()->find_bits(s->bits, s->data, s->n_in, me->part);
}

static int64_t find(uint64_t *bits, const fnn_data *data, int64_t n_in, int n_threads) {
    search s = {.bits = bits, .data = data, .n_in = n_in};
    fnn_team_run(n_threads, search_body, &s);
    int64_t count = 0;
    for (int i = 0; i < FNN_MAX_THREADS; i++) count += s.counts[i];
    return count;
}

/* Rows that are looked at first, so that dense data is not searched to its end. */
#define FIRST_ROWS 1000

/* *out = the bits, if at most so many are set. */
static fnn_status find_few(uint64_t **out, const fnn_data *data, int64_t n_in, double most, int n_threads) {
    uint64_t *bits = fnn_alloc((size_t)(data->n_rows * fnn_words(n_in)) * sizeof(uint64_t));
    *out = NULL;
    if (bits == NULL) return FNN_ERR_MEMORY;
    if ((double)find(bits, data, n_in, n_threads) <= most)
        *out = bits;
    else
        fnn_free(bits);
    return FNN_OK;
}

fnn_status fnn_bits_create(uint64_t **out, const fnn_data *data, const fnn_input *input, double max_density,
                           int n_threads) {
    const int64_t n_in = input->n_in;
    const double most = max_density * (double)data->n_rows * (double)n_in;
    *out = NULL;
    if (data->x == NULL || !fnn_zero_stays_zero(input)) return FNN_OK;
    if (data->n_rows > FIRST_ROWS) {
        fnn_data first = *data;
        first.n_rows = FIRST_ROWS;
        const fnn_status status = find_few(out, &first, n_in, 1.5 * max_density * FIRST_ROWS * (double)n_in, 1);
        if (*out == NULL) return status;
        fnn_free(*out);
    }
    return find_few(out, data, n_in, most, n_threads);
}
