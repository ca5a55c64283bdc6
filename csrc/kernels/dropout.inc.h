/* dropout.inc.h: which units are kept, a bit a unit.  A block of Philox serves eight units of a row with 16 bits each. */

/* To each of eight nibbles a byte. */
FNN_INLINE uint64_t spread_nibbles(uint32_t nibbles) {
    uint64_t x = nibbles;
    x = (x | x << 16) & 0x0000ffff0000ffffu;
    x = (x | x << 8) & 0x00ff00ff00ff00ffu;
    return (x | x << 4) & 0x0f0f0f0f0f0f0f0fu;
}

/* A byte for each of eight rows: bits of the block's eight units. */
FNN_INLINE uint64_t keep_block(uint32_t threshold, uint32_t block, uint32_t row, uint32_t step, uint32_t tag,
                               uint64_t seed) {
    w8 c[4] = {w8_set1(block), w8_count_from(row), w8_set1(step), w8_set1(tag)};
    philox(c, seed);
    const uint32_t two = 0x33333333u; /* of the four bits that a row gets from each word */
    const uint32_t low = (w8_halves_below(c[0], threshold) & two) | (w8_halves_below(c[1], threshold) & two) << 2;
    const uint32_t high = (w8_halves_below(c[2], threshold) & two) | (w8_halves_below(c[3], threshold) & two) << 2;
    return spread_nibbles(low) | spread_nibbles(high) << 4;
}

static void dropout_keep(uint16_t *keep, uint32_t threshold, uint64_t seed, uint32_t step, int layer, int64_t first,
                         int64_t n_batch, int64_t n, fnn_part part) {
    const uint32_t tag = (uint32_t)FNN_STREAM_DROPOUT << 16 | (uint32_t)layer;
    const int64_t groups = ceil_div(n_batch, 8);
    int64_t begin, end;
    share(&begin, &end, fnn_panels(n) * groups, part);
    for (int64_t item = begin; item < end; item++) {
        const int64_t panel = item / groups, row = item % groups * 8, rows = least(8, n_batch - row);
        const uint64_t low = keep_block(threshold, (uint32_t)(2 * panel), (uint32_t)(first + row), step, tag, seed);
        const uint64_t high = keep_block(threshold, (uint32_t)(2 * panel + 1), (uint32_t)(first + row), step, tag, seed);
        for (int64_t i = 0; i < rows; i++)
            keep[panel * n_batch + row + i] = (uint16_t)((low >> 8 * i & 0xff) | (high >> 8 * i & 0xff) << 8);
    }
}
