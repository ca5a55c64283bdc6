/* plain.cuh: around a product of the vendor's library, which knows no panels: its factors as plain matrices, row by
 * row, padded with zeros to whole panels, in the numbers of its precision; and what follows on its sums, plain too. */
#ifndef FNN_CUDA_PLAIN_CUH
#define FNN_CUDA_PLAIN_CUH

#include "layers.cuh"

/* This block's rows of panels; neighbours take those of one row of the plain matrix. */
#define FNN_EACH_PLACE(at, rows, panels)                                                                               \
    for (int64_t at = ((int64_t)h->block * blockDim.x + threadIdx.x) / 16; at < (int64_t)(rows) * (panels);            \
         at += (int64_t)h->blocks * (blockDim.x / 16))

/* The nearest number, ties to even, whose last n bits are zero: 13 for TF32, 16 for bfloat16. */
FNN_DEVICE float without_bits(float x, int n) {
    if (!(v16_abs(x) <= FLT_MAX)) return x;
    const uint32_t bits = __float_as_uint(x), below_half = (1u << (n - 1)) - 1;
    return __uint_as_float((bits + below_half + (bits >> n & 1)) >> n << n);
}

FNN_DEVICE void store_plain(const op &o, int64_t at, v16 value) {
    if (o.precision == FNN_FP32_BLAS) {
        v16_store(o.plain + at, value);
    } else if (o.precision == FNN_BF16) {
        ((uint16_t *)o.plain)[at + fnn_lane()] = (uint16_t)(__float_as_uint(without_bits(value, 16)) >> 16);
    } else {
        const v16 big = without_bits(value, 13);
        v16_store(o.plain + at, big);
        if (o.precision != FNN_3XTF32) return;
        v16_store(o.plain_rest + at, v16_abs(big) <= FLT_MAX ? without_bits(v16_sub(value, big), 13) : 0.0f);
    }
}

FNN_DEVICE v16 load_plain(const op &o, int64_t at) {
    if (o.precision == FNN_BF16) return __uint_as_float((uint32_t)((const uint16_t *)o.plain)[at + fnn_lane()] << 16);
    const v16 big = v16_load(o.plain + at);
    return o.precision == FNN_3XTF32 ? v16_add(big, v16_load(o.plain_rest + at)) : big;
}

/* x: panels of n_out columns and n_in rows, or the batch's where that is 0. */
FNN_DEVICE void make_plain(const op &o, const here *h) {
    const int panels = panels_of(o.n_out), length = o.n_in > 0 ? o.n_in : h->capacity;
    const int rows = o.n_in > 0 ? o.n_in : h->rows;
    FNN_EACH_PLACE(at, o.plain_rows, panels) {
        const int row = (int)(at / panels), panel = (int)(at % panels);
        const bool is_there = row < rows && panel * 16 + fnn_lane() < o.n_out;
        store_plain(o, at * 16, is_there ? v16_load(o.x + ((int64_t)panel * length + row) * 16) : 0.0f);
    }
}

/* What a unit puts out, for a layer above that reads plain matrices; y, if it is there, for the backward pass. */
FNN_DEVICE v16 plain_output(const op &o, int64_t at, int panel, v16 sum) {
    v16 y;
    const v16 out = unit_output(o, at, sum, &y);
    if (o.y != NULL) v16_store(o.y + at * 16, y);
    return panel * 16 + fnn_lane() < o.n_out ? out : 0.0f;
}

/* As forward, from x: its sums but for the bias; to panels, or to a plain matrix. */
FNN_DEVICE void forward_sums(const op &o, const here *h) {
    const int panels = panels_of(o.n_out);
    FNN_EACH_PLACE(at, o.plain != NULL ? o.plain_rows : h->rows, panels) {
        const int row = (int)(at / panels), panel = (int)(at % panels);
        const int64_t place = (int64_t)panel * h->capacity + row;
        const v16 sum = v16_add(v16_load(o.b + panel * 16), v16_load(o.x + at * 16));
        if (o.plain == NULL)
            store_output(o, place, sum);
        else
            store_plain(o, at * 16, row < h->rows ? plain_output(o, place, panel, sum) : 0.0f);
    }
}

/* The gradient for a layer below that reads plain matrices; y is not there where it is linear. */
FNN_DEVICE v16 plain_dx(const op &o, int64_t at, int panel, v16 sum) {
    return dx_of(o, at, panel, sum, o.y != NULL ? v16_load(o.y + at * 16) : 0.0f);
}

/* As backward_input, from x: its sums; to panels, or to a plain matrix. */
FNN_DEVICE void input_sums(const op &o, const here *h) {
    const int panels = panels_of(o.n_in);
    FNN_EACH_PLACE(at, o.plain != NULL ? o.plain_rows : h->rows, panels) {
        const int row = (int)(at / panels), panel = (int)(at % panels);
        const v16 sum = v16_load(o.x + at * 16);
        if (o.plain == NULL)
            store_dx(o, h, panel, row, sum);
        else
            store_plain(o, at * 16,
                        row < h->rows ? plain_dx(o, (int64_t)panel * h->capacity + row, panel, sum) : 0.0f);
    }
}

/* As backward_weight, from x: its sums; the new weights to a plain matrix too, if it is there. */
FNN_DEVICE void weight_sums(const op &o, const here *h) {
    const int panels = panels_of(o.n_out);
    const fnn_sink sink = sink_of(o, h);
    FNN_EACH_PLACE(at, o.n_in, panels) {
        const int64_t input = at / panels, panel = at % panels;
        const int64_t place = (panel * o.n_in + input) * 16;
        deliver(&sink, place, v16_add(v16_load(o.x + at * 16), 0.0f));
        if (o.plain != NULL) store_plain(o, at * 16, v16_load(sink.w + place));
    }
}

/* As backward_bias, or from a plain matrix of n_in rows, or the batch's where that is 0; by a block a panel, whose
 * groups of sixteen threads take rows in turn: beside a product of the library's there is none of ours to hide sums of
 * one thread a unit behind, and no bits of the CPU's to keep. */
FNN_DEVICE void bias_sums(const op &o, const here *h) {
    const int group = (int)threadIdx.x / 16, groups = (int)blockDim.x / 16, panels = panels_of(o.n_out);
    const int rows = o.n_in > 0 ? o.n_in : h->rows;
    float *sums = shared_floats();
    v16 sum = 0.0f;
FNN_UNROLL_BY(8)
    for (int i = group; i < rows; i += groups)
        sum = v16_add(sum, o.plain == NULL ? v16_load(o.y + ((int64_t)h->block * h->capacity + i) * 16)
                                           : load_plain(o, ((int64_t)i * panels + h->block) * 16));
    v16_store(sums + group * 16, sum);
    __syncthreads();
    if (group != 0) return;
    for (int other = 1; other < groups; other++) sum = v16_add(sum, v16_load(sums + other * 16));
    const fnn_sink sink = sink_of(o, h);
    deliver(&sink, h->block * 16, v16_add(sum, 0.0f));
}

#undef FNN_EACH_PLACE
#endif
