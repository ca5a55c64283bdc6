/* vec_avx512.h: sixteen floats in one AVX-512 register (F, BW, DQ, VL, VBMI2). */
#ifndef FNN_VEC_H
#define FNN_VEC_H

#include <immintrin.h>
#include <stdint.h>

/* Up to 24 accumulators, 4 weights and 1 broadcast of the 32 registers.  Loads are what holds tiles up (Ice Lake): those
 * of 10 x 2, with 12 of them for 20 multiply-adds, came to 86 % of the peak, 6 x 4 and 8 x 3 come to 98. */
#define FNN_MR 16
#define FNN_NR 4
#define FNN_ACCUMULATORS 24
#define FNN_WIDE_ROWS 6
#define FNN_TALL_TILE {8, 3}
#define FNN_SLIM_TILE {10, 2}
#define FNN_EACH_WIDTH(M) M(1) M(2) M(3) M(4)
#define FNN_EACH_TILE(M)                                                                                               \
    M(1, 1) M(2, 1) M(3, 1) M(4, 1) M(5, 1) M(6, 1) M(7, 1) M(8, 1) M(9, 1) M(10, 1) M(1, 2) M(2, 2) M(3, 2)           \
    M(4, 2) M(5, 2) M(6, 2) M(7, 2) M(8, 2) M(9, 2) M(10, 2) M(1, 3) M(2, 3) M(3, 3) M(4, 3) M(5, 3) M(6, 3)           \
    M(7, 3) M(8, 3) M(1, 4) M(2, 4) M(3, 4) M(4, 4) M(5, 4) M(6, 4)
/* rows of a batch whose gradients of so many panels fit in registers */
#define FNN_FEW_PANELS 2
#define FNN_FEW 12
#define FNN_EACH_FEW(M) M(1) M(2) M(3) M(4) M(5) M(6) M(7) M(8) M(9) M(10) M(11) M(12)
#define FNN_SPARSE_PANELS 8
#define FNN_SPARSE_LINES(panels) ((panels) <= 2 ? 4 : 2)
#define FNN_EACH_SPARSE(M) M(1) M(2) M(3) M(4) M(5) M(6) M(7) M(8)

typedef __m512 v16;
typedef __mmask16 m16;

static inline v16 v16_load(const float *p) { return _mm512_loadu_ps(p); }
/* n < 16 floats, then zeros */
static inline v16 v16_load_part(const float *p, int n) { return _mm512_maskz_loadu_ps((__mmask16)((1u << n) - 1), p); }
/* a, loaded once: gcc would load it again for every use that can take it from memory */
static inline v16 v16_in_register(v16 a) {
#if defined(__AVX512F__)
    __asm__("" : "+v"(a));
#endif
    return a;
}
static inline void v16_store(float *p, v16 a) { _mm512_storeu_ps(p, a); }
static inline v16 v16_set1(float x) { return _mm512_set1_ps(x); }
static inline v16 v16_add(v16 a, v16 b) { return _mm512_add_ps(a, b); }
static inline v16 v16_sub(v16 a, v16 b) { return _mm512_sub_ps(a, b); }
static inline v16 v16_mul(v16 a, v16 b) { return _mm512_mul_ps(a, b); }
static inline v16 v16_div(v16 a, v16 b) { return _mm512_div_ps(a, b); }
static inline v16 v16_fma(v16 a, v16 b, v16 c) { return _mm512_fmadd_ps(a, b, c); }
static inline v16 v16_sqrt(v16 a) { return _mm512_sqrt_ps(a); }
static inline v16 v16_abs(v16 a) { return _mm512_abs_ps(a); }
static inline m16 v16_lt(v16 a, v16 b) { return _mm512_cmp_ps_mask(a, b, _CMP_LT_OQ); }
static inline m16 v16_le(v16 a, v16 b) { return _mm512_cmp_ps_mask(a, b, _CMP_LE_OQ); }
static inline m16 v16_eq(v16 a, v16 b) { return _mm512_cmp_ps_mask(a, b, _CMP_EQ_OQ); }
static inline v16 v16_select(m16 m, v16 a, v16 b) { return _mm512_mask_blend_ps(m, b, a); }
static inline m16 m16_from_bits(uint32_t bits) { return (m16)bits; }

/* Packs the lanes of a that are not zero, and their numbers from `first` on; returns how many.  Writes 16 of each. */
#define FNN_HAS_PACK
static inline int v16_pack_nonzero(float *values, int32_t *places, v16 a, int32_t first) {
    const __m512i lanes = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    const __mmask16 kept = _mm512_cmp_ps_mask(a, _mm512_setzero_ps(), _CMP_NEQ_UQ);
    _mm512_storeu_ps(values, _mm512_maskz_compress_ps(kept, a));
    _mm512_storeu_si512(places, _mm512_maskz_compress_epi32(kept, _mm512_add_epi32(_mm512_set1_epi32(first), lanes)));
    return __builtin_popcount(kept);
}

/* Eight words of 32 bits, each the low half of 64; high halves hold anything. */
typedef __m512i w8;
static inline w8 w8_set1(uint32_t x) { return _mm512_set1_epi64((int64_t)x); }
static inline w8 w8_count_from(uint32_t x) {
    return _mm512_add_epi64(_mm512_set1_epi64((int64_t)x), _mm512_setr_epi64(0, 1, 2, 3, 4, 5, 6, 7));
}
/* Products of words, of 64 bits; w8_high: their high halves as words */
static inline w8 w8_mul(w8 a, w8 b) { return _mm512_mul_epu32(a, b); }
static inline w8 w8_high(w8 a) { return _mm512_srli_epi64(a, 32); }
static inline w8 w8_xor(w8 a, w8 b) { return _mm512_xor_si512(a, b); }
/* to[i] = high << 32 | low, of words i */
static inline void w8_store_pairs(uint64_t *to, w8 high, w8 low) {
    const __m512i low_half = _mm512_and_si512(low, _mm512_set1_epi64(0xffffffff));
    _mm512_storeu_si512(to, _mm512_or_si512(_mm512_slli_epi64(high, 32), low_half));
}
/* Four bits a word: whether its low and its high 16 bits are less than limit < 2^16; two that mean nothing */
static inline uint32_t w8_halves_below(w8 a, uint32_t limit) {
    return _mm512_cmplt_epu16_mask(a, _mm512_set1_epi16((int16_t)limit));
}

/* 2^n for whole n in [-126, 127]; any value for NaN */
static inline v16 v16_pow2(v16 n) {
    const __m512i biased = _mm512_add_epi32(_mm512_cvtps_epi32(n), _mm512_set1_epi32(127));
    return _mm512_castsi512_ps(_mm512_slli_epi32(biased, 23));
}

/* a = m * 2^e with m in [sqrt(1/2), sqrt(2)), for normal positive a: returns m */
static inline v16 v16_split(v16 a, v16 *e) {
    const __m512i bits = _mm512_castps_si512(a);
    const __m512i exponent = _mm512_srai_epi32(_mm512_sub_epi32(bits, _mm512_set1_epi32(0x3f3504f3)), 23);
    *e = _mm512_cvtepi32_ps(exponent);
    return _mm512_castsi512_ps(_mm512_sub_epi32(bits, _mm512_slli_epi32(exponent, 23)));
}

/* A bit for each of 64 bytes, or of sixteen floats, that is not zero */
static inline uint64_t fnn_bits_of_bytes(const uint8_t *p) {
    const __m512i bytes = _mm512_loadu_si512(p);
    return _mm512_test_epi8_mask(bytes, bytes);
}
static inline uint32_t fnn_bits_of_floats(const float *p) {
    return _mm512_cmp_ps_mask(_mm512_loadu_ps(p), _mm512_setzero_ps(), _CMP_NEQ_UQ);
}

static inline v16 fnn_rescaled(__m512d lo, __m512d hi, double scale, double offset) {
    const __m512d s = _mm512_set1_pd(scale), o = _mm512_set1_pd(offset);
    const __m256 low = _mm512_cvtpd_ps(_mm512_add_pd(_mm512_mul_pd(lo, s), o));
    const __m256 high = _mm512_cvtpd_ps(_mm512_add_pd(_mm512_mul_pd(hi, s), o));
    return _mm512_insertf32x8(_mm512_castps256_ps512(low), high, 1);
}
/* (float)((double)a * scale + offset) of sixteen floats, or bytes */
static inline v16 v16_rescale(v16 a, double scale, double offset) {
    const __m256 high = _mm256_castpd_ps(_mm512_extractf64x4_pd(_mm512_castps_pd(a), 1));
    return fnn_rescaled(_mm512_cvtps_pd(_mm512_castps512_ps256(a)), _mm512_cvtps_pd(high), scale, offset);
}
static inline v16 v16_rescale_bytes(const uint8_t *p, double scale, double offset) {
    const __m512i values = _mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)p));
    return fnn_rescaled(_mm512_cvtepi32_pd(_mm512_castsi512_si256(values)),
                        _mm512_cvtepi32_pd(_mm512_extracti64x4_epi64(values, 1)), scale, offset);
}

/* to[j][i] = from[i][j] of a contiguous 16 x 16 block */
static inline void v16_transpose(float *to, const float *from) {
    __m512 r[16], t[16];
    for (int i = 0; i < 16; i++) r[i] = _mm512_loadu_ps(from + 16 * i);
    for (int i = 0; i < 16; i += 2) {
        t[i] = _mm512_unpacklo_ps(r[i], r[i + 1]);
        t[i + 1] = _mm512_unpackhi_ps(r[i], r[i + 1]);
    }
    for (int i = 0; i < 16; i += 4) {
        r[i] = _mm512_shuffle_ps(t[i], t[i + 2], 0x44);
        r[i + 1] = _mm512_shuffle_ps(t[i], t[i + 2], 0xee);
        r[i + 2] = _mm512_shuffle_ps(t[i + 1], t[i + 3], 0x44);
        r[i + 3] = _mm512_shuffle_ps(t[i + 1], t[i + 3], 0xee);
    }
    for (int i = 0; i < 4; i++) { /* 128-bit parts: rows 0-3 and 4-7, 8-11 and 12-15 */
        t[i] = _mm512_shuffle_f32x4(r[i], r[i + 4], 0x88);
        t[i + 4] = _mm512_shuffle_f32x4(r[i], r[i + 4], 0xdd);
        t[i + 8] = _mm512_shuffle_f32x4(r[i + 8], r[i + 12], 0x88);
        t[i + 12] = _mm512_shuffle_f32x4(r[i + 8], r[i + 12], 0xdd);
    }
    for (int i = 0; i < 8; i++) {
        _mm512_storeu_ps(to + 16 * i, _mm512_shuffle_f32x4(t[i], t[i + 8], 0x88));
        _mm512_storeu_ps(to + 16 * (i + 8), _mm512_shuffle_f32x4(t[i], t[i + 8], 0xdd));
    }
}

#endif
