/* random.inc.h: Philox (rng.h), eight blocks at a time. */

/* The words of the blocks of eight counters, in place of these. */
FNN_INLINE void philox(w8 c[4], uint64_t seed) {
    uint32_t k0 = (uint32_t)seed, k1 = (uint32_t)(seed >> 32);
    FNN_UNROLL
    for (int round = 0; round < 10; round++, k0 += FNN_PHILOX_W0, k1 += FNN_PHILOX_W1) {
        const w8 p0 = w8_mul(c[0], w8_set1(FNN_PHILOX_M0)), p1 = w8_mul(c[2], w8_set1(FNN_PHILOX_M1));
        c[0] = w8_xor(w8_xor(w8_high(p1), c[1]), w8_set1(k0));
        c[1] = p1;
        c[2] = w8_xor(w8_xor(w8_high(p0), c[3]), w8_set1(k1));
        c[3] = p0;
    }
}

static void random_draws(uint64_t draws[2][8], const uint32_t counter[4], uint64_t seed) {
    w8 c[4] = {w8_count_from(counter[0]), w8_set1(counter[1]), w8_set1(counter[2]), w8_set1(counter[3])};
    philox(c, seed);
    w8_store_pairs(draws[0], c[0], c[1]);
    w8_store_pairs(draws[1], c[2], c[3]);
}
