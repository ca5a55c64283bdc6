/* dropout.inc.h: which units are kept, a bit a unit.  Many rows at a time, so that the compiler vectorises Philox
 * (rng.h) over them (it unrolls loops of 16 and then does not); a block serves eight units of a row with 16 bits each.
 */

#define ROWS 32

/* words[w][i]: word w of the block of row + i */
static void philox_rows(uint32_t words[4][ROWS], uint32_t block, uint32_t row, uint32_t step, uint32_t tag,
                        uint64_t seed) {
    uint32_t c0[ROWS], c1[ROWS], c2[ROWS], c3[ROWS];
    for (uint32_t i = 0; i < ROWS; i++) c0[i] = block, c1[i] = row + i, c2[i] = step, c3[i] = tag;
    uint32_t k0 = (uint32_t)seed, k1 = (uint32_t)(seed >> 32);
    for (int round = 0; round < 10; round++, k0 += FNN_PHILOX_W0, k1 += FNN_PHILOX_W1)
        for (int i = 0; i < ROWS; i++) {
            const uint64_t p0 = (uint64_t)FNN_PHILOX_M0 * c0[i], p1 = (uint64_t)FNN_PHILOX_M1 * c2[i];
            c0[i] = (uint32_t)(p1 >> 32) ^ c1[i] ^ k0;
            c1[i] = (uint32_t)p1;
            c2[i] = (uint32_t)(p0 >> 32) ^ c3[i] ^ k1;
            c3[i] = (uint32_t)p0;
        }
    for (int i = 0; i < ROWS; i++) words[0][i] = c0[i], words[1][i] = c1[i], words[2][i] = c2[i], words[3][i] = c3[i];
}

static void dropout_keep(uint16_t *keep, uint32_t threshold, uint64_t seed, uint32_t step, int layer, int64_t n_batch,
                         int64_t n, fnn_part part) {
    const uint32_t tag = (uint32_t)FNN_STREAM_DROPOUT << 16 | (uint32_t)layer;
    const int64_t groups = ceil_div(n_batch, ROWS);
    int64_t begin, end;
    share(&begin, &end, fnn_panels(n) * groups, part);
    for (int64_t item = begin; item < end; item++) {
        const int64_t panel = item / groups, row = item % groups * ROWS;
        uint32_t bits[ROWS] = {0}, words[4][ROWS];
        for (int half = 0; half < 2; half++) {
            philox_rows(words, (uint32_t)(2 * panel + half), (uint32_t)row, step, tag, seed);
            for (int unit = 0; unit < 8; unit++)
                for (int i = 0; i < ROWS; i++) {
                    const uint32_t drawn = words[unit / 2][i] >> (16 * (unit % 2)) & 0xffff;
                    bits[i] |= (uint32_t)(drawn < threshold) << (8 * half + unit);
                }
        }
        const int64_t rows = least(ROWS, n_batch - row);
        for (int64_t i = 0; i < rows; i++) keep[panel * n_batch + row + i] = (uint16_t)bits[i];
    }
}

#undef ROWS
