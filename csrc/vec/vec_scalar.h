/* vec_scalar.h: sixteen floats in plain C; fmaf is the one call to libm (sqrtf, as exact, is an instruction). */
#ifndef FNN_VEC_H
#define FNN_VEC_H

#include <math.h>
#include <stdint.h>
#include <string.h>

#define FNN_MR 1
#define FNN_NR 1
#define FNN_ACCUMULATORS 1
#define FNN_WIDE_ROWS 1
#define FNN_TALL_TILE {1, 1}
#define FNN_SLIM_TILE {1, 1}
#define FNN_EACH_WIDTH(M) M(1)
#define FNN_EACH_TILE(M) M(1, 1)
/* rows of a batch whose gradients of so many panels fit in registers */
#define FNN_FEW_PANELS 1
#define FNN_FEW 1
#define FNN_EACH_FEW(M) M(1)
#define FNN_SPARSE_PANELS 1
#define FNN_SPARSE_LINES(panels) 1
#define FNN_EACH_SPARSE(M) M(1)

typedef struct v16 {
    float at[16];
} v16;
typedef struct m16 {
    uint8_t at[16];
} m16;

#define FNN_LANEWISE(type, expression)                                                                                 \
    type result;                                                                                                       \
    for (int i = 0; i < 16; i++) result.at[i] = (expression);                                                          \
    return result

static inline v16 v16_load(const float *p) { FNN_LANEWISE(v16, p[i]); }
/* n < 16 floats, then zeros */
static inline v16 v16_load_part(const float *p, int n) { FNN_LANEWISE(v16, i < n ? p[i] : 0.0f); }
static inline v16 v16_in_register(v16 a) { return a; }
static inline void v16_store(float *p, v16 a) { memcpy(p, a.at, sizeof a.at); }
static inline v16 v16_set1(float x) { FNN_LANEWISE(v16, x); }
static inline v16 v16_add(v16 a, v16 b) { FNN_LANEWISE(v16, a.at[i] + b.at[i]); }
static inline v16 v16_sub(v16 a, v16 b) { FNN_LANEWISE(v16, a.at[i] - b.at[i]); }
static inline v16 v16_mul(v16 a, v16 b) { FNN_LANEWISE(v16, a.at[i] * b.at[i]); }
static inline v16 v16_div(v16 a, v16 b) { FNN_LANEWISE(v16, a.at[i] / b.at[i]); }
static inline v16 v16_fma(v16 a, v16 b, v16 c) { FNN_LANEWISE(v16, fmaf(a.at[i], b.at[i], c.at[i])); }
static inline v16 v16_sqrt(v16 a) { FNN_LANEWISE(v16, sqrtf(a.at[i])); }
static inline v16 v16_abs(v16 a) { FNN_LANEWISE(v16, __builtin_fabsf(a.at[i])); }
static inline m16 v16_lt(v16 a, v16 b) { FNN_LANEWISE(m16, a.at[i] < b.at[i]); }
static inline m16 v16_le(v16 a, v16 b) { FNN_LANEWISE(m16, a.at[i] <= b.at[i]); }
static inline m16 v16_eq(v16 a, v16 b) { FNN_LANEWISE(m16, a.at[i] == b.at[i]); }
static inline v16 v16_select(m16 m, v16 a, v16 b) { FNN_LANEWISE(v16, m.at[i] ? a.at[i] : b.at[i]); }
static inline m16 m16_from_bits(uint32_t bits) { FNN_LANEWISE(m16, bits >> i & 1); }

static inline int32_t fnn_bits(float x) {
    int32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}
static inline float fnn_from_bits(int32_t bits) {
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

/* Eight words of 32 bits, each the low half of 64; high halves hold anything. */
typedef struct w8 {
    uint64_t at[8];
} w8;
#define FNN_EIGHT(expression)                                                                                          \
    w8 result;                                                                                                         \
    for (int i = 0; i < 8; i++) result.at[i] = (expression);                                                           \
    return result
static inline w8 w8_set1(uint32_t x) { FNN_EIGHT(x); }
static inline w8 w8_count_from(uint32_t x) { FNN_EIGHT((uint64_t)x + (uint64_t)i); }
/* Products of words, of 64 bits; w8_high: their high halves as words */
static inline w8 w8_mul(w8 a, w8 b) { FNN_EIGHT((a.at[i] & 0xffffffffu) * (b.at[i] & 0xffffffffu)); }
static inline w8 w8_high(w8 a) { FNN_EIGHT(a.at[i] >> 32); }
static inline w8 w8_xor(w8 a, w8 b) { FNN_EIGHT(a.at[i] ^ b.at[i]); }
#undef FNN_EIGHT
/* to[i] = high << 32 | low, of words i */
static inline void w8_store_pairs(uint64_t *to, w8 high, w8 low) {
    for (int i = 0; i < 8; i++) to[i] = high.at[i] << 32 | (low.at[i] & 0xffffffffu);
}
/* Four bits a word: whether its low and its high 16 bits are less than limit < 2^16; two that mean nothing */
static inline uint32_t w8_halves_below(w8 a, uint32_t limit) {
    uint32_t bits = 0;
    for (int i = 0; i < 8; i++)
        bits |= ((uint32_t)((a.at[i] & 0xffff) < limit) | (uint32_t)((a.at[i] >> 16 & 0xffff) < limit) << 1) << (4 * i);
    return bits;
}

/* 2^n for whole n in [-126, 127]; any value for NaN */
static inline v16 v16_pow2(v16 n) {
    FNN_LANEWISE(v16, n.at[i] >= -126.0f && n.at[i] <= 127.0f ? fnn_from_bits(((int32_t)n.at[i] + 127) << 23) : 0.0f);
}

/* a = m * 2^e with m in [sqrt(1/2), sqrt(2)), for normal positive a: returns m */
static inline v16 v16_split(v16 a, v16 *e) {
    v16 m;
    for (int i = 0; i < 16; i++) {
        const int32_t exponent = (fnn_bits(a.at[i]) - 0x3f3504f3) >> 23;
        e->at[i] = (float)exponent;
        m.at[i] = fnn_from_bits((int32_t)((uint32_t)fnn_bits(a.at[i]) - ((uint32_t)exponent << 23)));
    }
    return m;
}

/* A bit for each of 64 bytes, or of sixteen floats, that is not zero */
static inline uint64_t fnn_bits_of_bytes(const uint8_t *p) {
    uint64_t bits = 0;
    for (int i = 0; i < 64; i++) bits |= (uint64_t)(p[i] != 0) << i;
    return bits;
}
static inline uint32_t fnn_bits_of_floats(const float *p) {
    uint32_t bits = 0;
    for (int i = 0; i < 16; i++) bits |= (uint32_t)(p[i] != 0.0f) << i;
    return bits;
}

/* (float)((double)a * scale + offset) of sixteen floats, or bytes */
static inline v16 v16_rescale(v16 a, double scale, double offset) {
    FNN_LANEWISE(v16, (float)((double)a.at[i] * scale + offset));
}
static inline v16 v16_rescale_bytes(const uint8_t *p, double scale, double offset) {
    FNN_LANEWISE(v16, (float)(p[i] * scale + offset));
}

/* to[j][i] = from[i][j] of a contiguous 16 x 16 block */
static inline void v16_transpose(float *to, const float *from) {
    for (int i = 0; i < 16; i++)
        for (int j = 0; j < 16; j++) to[16 * j + i] = from[16 * i + j];
}

#undef FNN_LANEWISE
#endif
