/* rng.c: Philox behind the C API, and the permutations drawn from it. */
#include "kernels.h"
#include "rng.h"

void fnn_philox(uint32_t out[4], const uint32_t counter[4], uint64_t seed) { fnn_philox_block(out, counter, seed); }

/* floor(random * bound / 2^64) for bound < 2^32: uniform to within bound / 2^64, with no rejection. */
static uint32_t scale_to(uint64_t random, uint64_t bound) {
    const uint64_t low = (random & 0xffffffffu) * bound;
    return (uint32_t)(((random >> 32) * bound + (low >> 32)) >> 32);
}

void fnn_shuffle(uint32_t *order, int64_t n, uint64_t seed, fnn_stream stream, uint32_t epoch) {
    const fnn_kernels *kernels = fnn_isa();
    for (int64_t i = 0; i < n; i++) order[i] = (uint32_t)i;

    uint64_t draws[2][8];
    for (int64_t i = n - 1, draw = 0; i > 0; i--, draw++) {
        if (draw % 16 == 0) {
            const uint32_t counter[4] = {(uint32_t)(draw / 2), epoch, 0, (uint32_t)stream << 16};
            kernels->random_draws(draws, counter, seed);
        }
        const uint32_t j = scale_to(draws[draw % 2][draw / 2 % 8], (uint64_t)i + 1), kept = order[i];
        order[i] = order[j];
        order[j] = kept;
    }
}
