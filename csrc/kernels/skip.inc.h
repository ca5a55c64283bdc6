/* skip.inc.h: the first layer on data with many zeros, where bits tell where the others are.  An accumulator takes the
 * products that are not zero, in the same order as the dense kernels take all of them: skipped products would have
 * added zero, so the results are equal to the bit (for finite weights).  A group of up to FNN_SPARSE_PANELS panels of
 * outputs is held in registers for one row, or one column, at a time. */

/* Words of a row that all rows pass before the next ones, so that the weights they meet (64 KB) stay near. */
#define FNN_SKIP_WORDS (16 / FNN_SPARSE_PANELS)

/* Lines, which are rows forward and inputs backward, are taken a few at a time, at places where any of them is not zero:
 * what the others add there is zero, and the matrix is loaded once for all.  A line alone is bound by those loads or, if
 * it has few panels, by how long a multiply-add takes.  Inputs beside each other, such as pixels, have most places in
 * common. */
#define FNN_MOST_LINES FNN_SPARSE_LINES(1)

/* Calls body(..., panels, is_bytes) with both as constants. */
#define FNN_SKIP_CASE(panels)                                                                                          \
    case 2 * (panels): FNN_SKIP_BODY(panels, 0) break;                                                                 \
    case 2 * (panels) + 1:                                                                                             \
        FNN_SKIP_BODY(panels, 1) break;
#define FNN_SKIP_SWITCH(panels, x)                                                                                     \
    switch (2 * (panels) + ((x)->x_type == FNN_UINT8)) { FNN_EACH_SPARSE(FNN_SKIP_CASE) }

/* ---- input ---- */

/* Which of n values are not zero; bits beyond them are 0. */
static void bits_of_bytes(uint64_t *bits, const uint8_t *x, int64_t n) {
    const int64_t rest = n % 64;
    for (int64_t k = 0; k + 64 <= n; k += 64) *bits++ = fnn_bits_of_bytes(x + k);
    if (rest == 0) return;
    *bits = 0;
    if (n > 64)
        *bits = fnn_bits_of_bytes(x + n - 64) >> (64 - rest);
    else
        for (int64_t k = 0; k < n; k++) *bits |= (uint64_t)(x[k] != 0) << k;
}

static void bits_of_floats(uint64_t *bits, const float *x, int64_t n) {
    memset(bits, 0, (size_t)fnn_words(n) * sizeof *bits);
    int64_t k = 0;
    for (; k + FNN_LANES <= n; k += FNN_LANES) bits[k / 64] |= (uint64_t)fnn_bits_of_floats(x + k) << (k % 64);
    for (; k < n; k++) bits[k / 64] |= (uint64_t)(x[k] != 0.0f) << (k % 64);
}

/* Bits [64 * word, ...) of row i that its dropout keeps. */
FNN_INLINE uint64_t kept_word(const uint16_t *keep, int64_t word, int64_t i, int64_t n_batch, int64_t n_panels) {
    uint64_t bits = 0;
    for (int64_t panel = 4 * word; panel < least(4 * word + 4, n_panels); panel++)
        bits |= (uint64_t)keep[panel * n_batch + i] << (16 * (panel % 4));
    return bits;
}

/* What is not kept of one word's values, from value `at` on, becomes zero, for a line beside may have a bit there. */
static void drop(const fnn_skip *x, int64_t word, int64_t at, uint64_t kept) {
    for (uint64_t rest = x->bits[word] & ~kept; rest != 0; rest &= rest - 1) {
        const int64_t k = at + __builtin_ctzll(rest);
        if (x->x_type == FNN_UINT8)
            ((uint8_t *)x->x)[k] = 0;
        else
            ((float *)x->x)[k] = 0.0f;
    }
    x->bits[word] &= kept;
}

static void skip_gather(const fnn_skip *x, const fnn_data *data, const uint32_t *rows, int64_t first,
                        const fnn_input *input, const uint16_t *keep, float scale, int64_t n_batch, fnn_part part) {
    const int64_t n_in = input->n_in, n_words = fnn_words(n_in);
    const int64_t row_bytes = n_in * (data->x_type == FNN_UINT8 ? 1 : (int64_t)sizeof(float));
    const int is_plain = data->x_type == FNN_UINT8 || (input->scale == 1.0 && input->offset == 0.0 && scale == 1.0f);
    int64_t begin, end;
    if (data->x_type == FNN_UINT8 && part.index == 0)
        for (int byte = 0; byte < 256; byte++) x->table[byte] = (float)(byte * input->scale + input->offset) * scale;
    share(&begin, &end, n_batch, part);
    for (int64_t i = begin; i < end; i++) {
        if (i + rows_ahead(row_bytes) < end) {
            const int64_t ahead = row_at(rows, first, i + rows_ahead(row_bytes));
            const char *x_ahead = (const char *)data->x + ahead * row_bytes;
            prefetch(x_ahead, x_ahead + row_bytes);
        }
        const int64_t row = row_at(rows, first, i);
        char *to = (char *)x->x + i * row_bytes;
        if (is_plain) {
            memcpy(to, (const char *)data->x + row * row_bytes, (size_t)row_bytes);
        } else {
            for (int64_t k = 0; k < n_in; k++)
                ((float *)to)[k] =
                    (float)((double)((const float *)data->x)[row * n_in + k] * input->scale + input->offset) * scale;
        }
        if (data->x_type == FNN_UINT8)
            bits_of_bytes(x->bits + i * n_words, (const uint8_t *)to, n_in);
        else
            bits_of_floats(x->bits + i * n_words, (const float *)to, n_in);
        for (int64_t word = 0; keep != NULL && word < n_words; word++)
            drop(x, i * n_words + word, i * n_in + word * 64, kept_word(keep, word, i, n_batch, fnn_panels(n_in)));
    }
}

/* One of six rounds of a transposition of 64 x 64 bits: of rows i and i + 32, blocks of `width` bits are exchanged, and
 * they become rows 2i and 2i + 1, so that every round pairs the same rows and is a plain loop to the compiler. */
FNN_INLINE void transpose_round(uint64_t to[64], const uint64_t from[64], const int width, const uint64_t low) {
    for (int i = 0; i < 32; i++) {
        const uint64_t a = from[i], b = from[i + 32];
        to[2 * i] = (a & low) | (b & low) << width;
        to[2 * i + 1] = (a >> width & low) | (b & ~low);
    }
}

/* Bit j of block[i] becomes bit i of block[j]. */
static void transpose_bits(uint64_t block[64]) {
    uint64_t other[64];
    transpose_round(other, block, 32, 0x00000000ffffffffu);
    transpose_round(block, other, 16, 0x0000ffff0000ffffu);
    transpose_round(other, block, 8, 0x00ff00ff00ff00ffu);
    transpose_round(block, other, 4, 0x0f0f0f0f0f0f0f0fu);
    transpose_round(other, block, 2, 0x3333333333333333u);
    transpose_round(block, other, 1, 0x5555555555555555u);
}

static void skip_transpose(const fnn_skip *x, int64_t n_batch, int64_t n_in, fnn_part part) {
    const int64_t n_words = fnn_words(n_in), column_words = fnn_words(n_batch);
    int64_t begin, end;
    share(&begin, &end, n_words * column_words, part);
    for (int64_t item = begin; item < end; item++) {
        const int64_t word = item / column_words, row = item % column_words * 64;
        uint64_t block[64];
        for (int64_t i = 0; i < 64; i++) block[i] = row + i < n_batch ? x->bits[(row + i) * n_words + word] : 0;
        transpose_bits(block);
        for (int64_t i = 0; i < 64; i++) x->columns[(word * 64 + i) * column_words + row / 64] = block[i];
    }
}

/* ---- products ---- */

/* x comes as a copy: its fields stay in registers, whatever is stored meanwhile. */
FNN_INLINE v16 skip_value(const fnn_skip x, int64_t at, const int is_bytes) {
    return v16_set1(is_bytes ? x.table[((const uint8_t *)x.x)[at]] : ((const float *)x.x)[at]);
}

/* Values of x: of the first line and place, and how far apart those of lines and of places are. */
typedef struct skip_lines {
    int64_t at, line, place;
} skip_lines;

/* acc += value * matrix over the places that the bits of `word` name, for each line; the matrix has a group of panels a
 * place. */
FNN_INLINE void skip_multiply(v16 acc[FNN_MOST_LINES][FNN_SPARSE_PANELS], const fnn_skip x, const skip_lines values,
                              uint64_t word, const float *matrix, int64_t stride, const int lines, const int panels,
                              const int is_bytes) {
    for (; word != 0; word &= word - 1) {
        const int64_t place = __builtin_ctzll(word);
        const group entries = group_at(matrix + place * FNN_LANES, stride);
        v16 each[FNN_MOST_LINES];
        FNN_UNROLL
        for (int i = 0; i < lines; i++)
            each[i] = skip_value(x, values.at + i * values.line + place * values.place, is_bytes);
        FNN_UNROLL
        for (int j = 0; j < panels; j++) {
            const v16 entry = v16_in_register(group_load(&entries, j));
            FNN_UNROLL
            for (int i = 0; i < lines; i++) acc[i][j] = v16_fma(each[i], entry, acc[i][j]);
        }
    }
}

/* ---- forward ---- */

/* The part of y = x W + b that words [first, end) of rows [i, i + lines) add; y and w: their first panel's. */
FNN_INLINE void skip_rows(float *y, const fnn_skip x, const float *w, const float *b, int64_t n_batch, int64_t n_in,
                          int64_t i, int64_t first, int64_t end, const int lines, const int panels,
                          const int is_bytes) {
    const int64_t w_stride = n_in * FNN_LANES, y_stride = n_batch * FNN_LANES, n_words = fnn_words(n_in);
    const float *from = first == 0 ? b : y + i * FNN_LANES;
    const int64_t from_stride = first == 0 ? FNN_LANES : y_stride, from_row = first == 0 ? 0 : FNN_LANES;
    v16 acc[FNN_MOST_LINES][FNN_SPARSE_PANELS];
    FNN_UNROLL
    for (int r = 0; r < lines; r++) {
        FNN_UNROLL
        for (int j = 0; j < panels; j++) acc[r][j] = v16_load(from + r * from_row + j * from_stride);
    }
    for (int64_t word = first; word < end; word++) {
        uint64_t bits = 0;
        FNN_UNROLL
        for (int r = 0; r < lines; r++) bits |= x.bits[(i + r) * n_words + word];
        skip_multiply(acc, x, (skip_lines){i * n_in + word * 64, n_in, 1}, bits, w + word * 64 * FNN_LANES, w_stride,
                      lines, panels, is_bytes);
    }
    FNN_UNROLL
    for (int r = 0; r < lines; r++) {
        FNN_UNROLL
        for (int j = 0; j < panels; j++)
            v16_store(y + (i + r) * FNN_LANES + j * y_stride, v16_add(acc[r][j], v16_set1(0.0f)));
    }
}

/* y = x W + b of rows [begin, end) and of panels from `panel` on */
FNN_INLINE void skip_product(float *y, const fnn_skip x, const float *w, const float *b, int64_t n_batch, int64_t n_in,
                             int64_t panel, int64_t begin, int64_t end, const int panels, const int is_bytes) {
    const int64_t n_words = fnn_words(n_in);
    const int lines = FNN_SPARSE_LINES(panels);
    w += panel * n_in * FNN_LANES, b += panel * FNN_LANES, y += panel * n_batch * FNN_LANES;
    for (int64_t first = 0; first < n_words; first += FNN_SKIP_WORDS) {
        const int64_t next = least(first + FNN_SKIP_WORDS, n_words);
        int64_t i = begin;
        for (; i + lines <= end; i += lines)
            skip_rows(y, x, w, b, n_batch, n_in, i, first, next, lines, panels, is_bytes);
        for (; i < end; i++) skip_rows(y, x, w, b, n_batch, n_in, i, first, next, 1, panels, is_bytes);
    }
}

static void skip_forward(float *out, float *y, const fnn_skip *x, const float *w, const float *b, const uint16_t *keep,
                         float scale, fnn_activation activation, int64_t n_batch, int64_t n_in, int64_t n_out,
                         fnn_part part) {
    const int64_t n_panels = fnn_panels(n_out);
    int64_t begin, end;
    share(&begin, &end, ceil_div(n_panels, FNN_SPARSE_PANELS) * n_batch, part); /* groups times rows */
    while (begin < end) {
        const int64_t panel = begin / n_batch * FNN_SPARSE_PANELS, row = begin % n_batch;
        const int64_t row_end = least(n_batch, row + end - begin), panels = least(FNN_SPARSE_PANELS, n_panels - panel);
#define FNN_SKIP_BODY(panels, is_bytes) skip_product(y, *x, w, b, n_batch, n_in, panel, row, row_end, panels, is_bytes);
        FNN_SKIP_SWITCH(panels, x)
#undef FNN_SKIP_BODY
        const tile t = {panel, row, (int)panels, (int)(row_end - row)};
        if (activation.function != FNN_LINEAR || out != y || scale != 1.0f)
            forward_epilogue(out, y, keep, scale, activation, n_batch, &t);
        begin += row_end - row;
    }
}

/* ---- backward ---- */

/* Delivers the gradients of the weights of inputs [k, k + lines) and of panels from `panel` on. */
FNN_INLINE void skip_weight_inputs(const fnn_sink *dw, const fnn_skip x, const float *dy, int64_t n_batch, int64_t n_in,
                                   int64_t panel, int64_t k, const int lines, const int panels, const int is_bytes) {
    const int64_t dy_stride = n_batch * FNN_LANES, n_words = fnn_words(n_batch);
    v16 acc[FNN_MOST_LINES][FNN_SPARSE_PANELS];
    FNN_UNROLL
    for (int i = 0; i < lines; i++) {
        FNN_UNROLL
        for (int j = 0; j < panels; j++) acc[i][j] = v16_set1(0.0f);
    }
    for (int64_t word = 0; word < n_words; word++) {
        uint64_t bits = 0;
        FNN_UNROLL
        for (int i = 0; i < lines; i++) bits |= x.columns[(k + i) * n_words + word];
        skip_multiply(acc, x, (skip_lines){word * 64 * n_in + k, 1, n_in}, bits,
                      dy + (panel * n_batch + word * 64) * FNN_LANES, dy_stride, lines, panels, is_bytes);
    }
    FNN_UNROLL
    for (int i = 0; i < lines; i++) {
        FNN_UNROLL
        for (int j = 0; j < panels; j++) acc[i][j] = v16_add(acc[i][j], v16_set1(0.0f));
        deliver(dw, (panel * n_in + k + i) * FNN_LANES, n_in * FNN_LANES, acc[i], panels);
    }
}

/* Inputs of one word that change their weights: those that a row of the batch has, or all. */
FNN_INLINE uint64_t changing_inputs(const fnn_skip x, int64_t word, int64_t n_batch, int64_t n_in, int is_still) {
    uint64_t inputs = 0;
    if (!is_still) return ~(uint64_t)0;
    for (int64_t i = 0; i < n_batch; i++) inputs |= x.bits[i * fnn_words(n_in) + word]; /* else w -= rate * 0 */
    return inputs;
}

/* Inputs [begin, end). */
FNN_INLINE void skip_weight_product(const fnn_sink *dw, const fnn_skip x, const float *dy, int64_t n_batch,
                                    int64_t n_in, int64_t panel, int64_t begin, int64_t end, const int panels,
                                    const int is_bytes) {
    const int lines = FNN_SPARSE_LINES(panels);
    const uint64_t all = (1u << lines) - 1;
    for (int64_t word = begin / 64; word * 64 < end; word++) {
        uint64_t inputs = changing_inputs(x, word, n_batch, n_in, is_still(dw));
        if (word * 64 < begin) inputs &= ~(uint64_t)0 << (begin % 64);
        if (word * 64 + 64 > end) inputs &= ((uint64_t)1 << (end % 64)) - 1;
        while (inputs != 0) {
            const int64_t k = __builtin_ctzll(inputs);
            const int together = (inputs >> k & all) == all;
            if (together)
                skip_weight_inputs(dw, x, dy, n_batch, n_in, panel, word * 64 + k, lines, panels, is_bytes);
            else
                skip_weight_inputs(dw, x, dy, n_batch, n_in, panel, word * 64 + k, 1, panels, is_bytes);
            inputs &= ~((together ? all : 1) << k);
        }
    }
}

static void skip_backward_weight(const fnn_sink *dw, const fnn_sink *db, const fnn_skip *x, const float *dy,
                                 int64_t n_batch, int64_t n_in, int64_t n_out, fnn_part part) {
    const int64_t n_panels = fnn_panels(n_out);
    const int64_t n_items = ceil_div(n_panels, FNN_SPARSE_PANELS) * n_in; /* groups times inputs */
    for (turn t = {0}; next_turn(&t, n_items, &part);)
        while (t.begin < t.end) {
            const int64_t panel = t.begin / n_in * FNN_SPARSE_PANELS, k = t.begin % n_in;
            const int64_t k_end = least(n_in, k + t.end - t.begin), panels = least(FNN_SPARSE_PANELS, n_panels - panel);
#define FNN_SKIP_BODY(panels, is_bytes)                                                                                \
        skip_weight_product(dw, *x, dy, n_batch, n_in, panel, k, k_end, panels, is_bytes);
            FNN_SKIP_SWITCH(panels, x)
#undef FNN_SKIP_BODY
            if (k == 0) backward_bias(db, dy, n_batch, panel, panel + panels);
            t.begin += k_end - k;
        }
}

#undef FNN_SKIP_WORDS
#undef FNN_MOST_LINES
#undef FNN_SKIP_CASE
#undef FNN_SKIP_SWITCH
