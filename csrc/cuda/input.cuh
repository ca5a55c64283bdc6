/* input.cuh: rows of the data into panels, rescaled, with the input's dropout, and the masks of all dropouts. */
#ifndef FNN_CUDA_INPUT_CUH
#define FNN_CUDA_INPUT_CUH

#include "device.cuh"

/* Bits of a panel's sixteen units. */
FNN_DEVICE uint16_t keep_bits(uint32_t threshold, int panel, int row, uint32_t step, int layer, uint64_t seed) {
    uint32_t bits = 0;
    for (int half = 0; half < 2; half++) {
        const uint32_t counter[4] = {(uint32_t)(2 * panel + half), (uint32_t)row, step,
                                     (uint32_t)FNN_STREAM_DROPOUT << 16 | (uint32_t)layer};
        uint32_t words[4];
        fnn_philox_block(words, counter, seed);
FNN_UNROLL_GPU
        for (int i = 0; i < 4; i++) {
            bits |= (uint32_t)((words[i] & 0xffff) < threshold) << (8 * half + 2 * i);
            bits |= (uint32_t)((words[i] >> 16) < threshold) << (8 * half + 2 * i + 1);
        }
    }
    return (uint16_t)bits;
}

FNN_DEVICE float rescaled(double x, const op &o) {
    return __double2float_rn(__dadd_rn(__dmul_rn(x, o.input_scale), o.input_offset));
}

FNN_DEVICE bool is_kept(uint32_t keep, int lane) { return (keep >> lane & 1) != 0; }

/* Sixteen values from column `first` on of a row that is a list. */
FNN_DEVICE void gather_entries(float *to, const fnn_sparse *sparse, int64_t row, int first, uint32_t keep,
                               const op &o) {
    int64_t begin = sparse->starts[row], end = sparse->starts[row + 1];
    for (int64_t last = end; begin < last;) { /* the first entry of these columns */
        const int64_t middle = (begin + last) / 2;
        if (sparse->columns[middle] < first)
            begin = middle + 1;
        else
            last = middle;
    }
    for (int i = 0; i < FNN_LANES; i++) to[i] = 0.0f;
    for (; begin < end && sparse->columns[begin] < first + FNN_LANES; begin++) {
        const int lane = sparse->columns[begin] - first;
        if (is_kept(keep, lane)) to[lane] = __fmul_rn(sparse->values[begin], o.scale);
    }
}

/* Sixteen values from column `first` on of a row; zero beyond the last column. */
FNN_DEVICE void gather_values(float *to, const fnn_data *data, int64_t row, int first, uint32_t keep, const op &o) {
    for (int i = 0; i < FNN_LANES; i++) {
        float value = 0.0f;
        if (first + i < o.n_in && is_kept(keep, i)) {
            const int64_t at = row * o.n_in + first + i;
            const double x =
                data->x_type == FNN_UINT8 ? ((const uint8_t *)data->x)[at] : (double)((const float *)data->x)[at];
            value = __fmul_rn(rescaled(x, o), o.scale);
        }
        to[i] = value;
    }
}

/* For one layer's masks, or for the input and its mask (y: its panels), where neighbours take panels of one row. */
FNN_DEVICE void prepare(const op &o, const here *h) {
    const int panels = panels_of(o.n_in);
    const bool draws = o.threshold < 65536 && h->at->is_drawn;
    for (int64_t item = (int64_t)h->block * blockDim.x + threadIdx.x; item < (int64_t)panels * h->rows;
         item += (int64_t)h->blocks * blockDim.x) {
        const int panel = (int)(item % panels), i = (int)(item / panels);
        const int64_t at = (int64_t)panel * h->capacity + i;
        uint32_t keep = 0xffff;
        if (draws) {
            const uint32_t step = h->at->first_step + (uint32_t)h->step;
            keep = keep_bits(o.threshold, panel, (int)h->at->before + i, step, o.layer, h->at->seed);
            if (o.keep != NULL) o.keep[at] = (uint16_t)keep;
        }
        if (o.y == NULL) continue;
        const int64_t row = row_at(h, i);
        if (h->at->data.sparse != NULL)
            gather_entries(o.y + at * FNN_LANES, &h->at->sparse, row, panel * FNN_LANES, keep, o);
        else
            gather_values(o.y + at * FNN_LANES, &h->at->data, row, panel * FNN_LANES, keep, o);
    }
}

#endif
