/* peak.inc.h: as many multiply-adds as the processor can do, for no other use than to know how many those are. */

/* Chains that do not wait for each other: enough to hide the latency of a multiply-add, few enough for the registers.
 */
#define CHAINS (FNN_MR * FNN_NR < 12 ? FNN_MR * FNN_NR : 12)
#define ROUNDS 64

/* No two lanes start alike, or a compiler might compute one of them; all go towards 2, so none is ever subnormal.
 * *sum is there so that something needs the result. */
static int64_t peak(float *sum, int64_t n) {
    const v16 half = v16_set1(0.5f), one = v16_set1(1.0f);
    v16 chains[CHAINS];
    float lanes[CHAINS * FNN_LANES];
    for (int i = 0; i < CHAINS * FNN_LANES; i++) lanes[i] = (float)i;
    FNN_UNROLL for (int i = 0; i < CHAINS; i++) chains[i] = v16_load(lanes + i * FNN_LANES);
    for (int64_t k = 0; k < n * ROUNDS; k++)
        FNN_UNROLL for (int i = 0; i < CHAINS; i++) chains[i] = v16_fma(half, chains[i], one);
    FNN_UNROLL for (int i = 0; i < CHAINS; i++) v16_store(lanes + i * FNN_LANES, chains[i]);
    *sum = 0.0f;
    for (int i = 0; i < CHAINS * FNN_LANES; i++) *sum += lanes[i];
    return 2 * n * ROUNDS * CHAINS * FNN_LANES;
}

#undef CHAINS
#undef ROUNDS
