/* rng.h: Philox4x32-10 (Salmon, Moraes, Dror, Shaw: "Parallel random numbers: as easy as 1, 2, 3", SC 2011).
 * Counter-based: a block of four words is a function of (counter, seed) and of nothing else, so any thread, instruction
 * set or device draws the same numbers.  Inline, because the dropout kernel vectorises it over rows. */
#ifndef FNN_RNG_H
#define FNN_RNG_H

#include "fnn.h"

#define FNN_PHILOX_M0 0xD2511F53u
#define FNN_PHILOX_M1 0xCD9E8D57u
#define FNN_PHILOX_W0 0x9E3779B9u
#define FNN_PHILOX_W1 0xBB67AE85u

FNN_ANYWHERE void fnn_philox_block(uint32_t out[4], const uint32_t counter[4], uint64_t seed) {
    uint32_t c0 = counter[0], c1 = counter[1], c2 = counter[2], c3 = counter[3];
    uint32_t k0 = (uint32_t)seed, k1 = (uint32_t)(seed >> 32);
    for (int round = 0; round < 10; round++) {
        const uint64_t p0 = (uint64_t)FNN_PHILOX_M0 * c0, p1 = (uint64_t)FNN_PHILOX_M1 * c2;
        c0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0;
        c1 = (uint32_t)p1;
        c2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
        c3 = (uint32_t)p0;
        k0 += FNN_PHILOX_W0;
        k1 += FNN_PHILOX_W1;
    }
    out[0] = c0, out[1] = c1, out[2] = c2, out[3] = c3;
}

/* [0, 1) with 53 bits, from two words. */
static inline double fnn_uniform(uint32_t high, uint32_t low) {
    return (double)(((uint64_t)high << 32 | low) >> 11) * 0x1p-53;
}

#endif
