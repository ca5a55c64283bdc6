/* vec_avx2.h: sixteen floats in two AVX registers, with FMA. */
#ifndef FNN_VEC_H
#define FNN_VEC_H

#include "half_avx2.h"

/* 6 x 2 accumulators, 2 weights and 1 broadcast of the 16 registers */
#define FNN_MR 6
#define FNN_NR 1
#define FNN_ACCUMULATORS 6
#define FNN_WIDE_ROWS 6
#define FNN_TALL_TILE {6, 1}
#define FNN_SLIM_TILE {6, 1}
#define FNN_EACH_WIDTH(M) M(1)
#define FNN_EACH_TILE(M) M(1, 1) M(2, 1) M(3, 1) M(4, 1) M(5, 1) M(6, 1)
/* rows of a batch whose gradients of so many panels fit in registers */
#define FNN_FEW_PANELS 1
#define FNN_FEW 4
#define FNN_EACH_FEW(M) M(1) M(2) M(3) M(4)
#define FNN_SPARSE_PANELS 4
#define FNN_SPARSE_LINES(panels) (4 / (panels))
#define FNN_EACH_SPARSE(M) M(1) M(2) M(3) M(4)

typedef struct v16 {
    __m256 lo, hi;
} v16;
typedef v16 m16; /* lanes all ones or all zeros */

static inline v16 v16_load(const float *p) { return (v16){_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8)}; }
/* n < 8 floats, then zeros */
static inline __m256 fnn_load_few(const float *p, int n) {
    const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    return _mm256_maskload_ps(p, _mm256_cmpgt_epi32(_mm256_set1_epi32(n), lane));
}
/* n < 16 floats, then zeros.  Where a masked load would load nothing there is none: some processors take long for it. */
static inline v16 v16_load_part(const float *p, int n) {
    if (n < 8) return (v16){fnn_load_few(p, n), _mm256_setzero_ps()};
    return (v16){_mm256_loadu_ps(p), n == 8 ? _mm256_setzero_ps() : fnn_load_few(p + 8, n - 8)};
}
static inline v16 v16_in_register(v16 a) { return a; }
static inline void v16_store(float *p, v16 a) {
    _mm256_storeu_ps(p, a.lo);
    _mm256_storeu_ps(p + 8, a.hi);
}
static inline v16 v16_set1(float x) {
    const __m256 all = _mm256_set1_ps(x);
    return (v16){all, all};
}

#define FNN_BINARY(name, f)                                                                                            \
    static inline v16 name(v16 a, v16 b) { return (v16){f(a.lo, b.lo), f(a.hi, b.hi)}; }
FNN_BINARY(v16_add, _mm256_add_ps)
FNN_BINARY(v16_sub, _mm256_sub_ps)
FNN_BINARY(v16_mul, _mm256_mul_ps)
FNN_BINARY(v16_div, _mm256_div_ps)
FNN_BINARY(v16_lt, half_lt)
FNN_BINARY(v16_le, half_le)
FNN_BINARY(v16_eq, half_eq)
#undef FNN_BINARY

static inline v16 v16_fma(v16 a, v16 b, v16 c) {
    return (v16){_mm256_fmadd_ps(a.lo, b.lo, c.lo), _mm256_fmadd_ps(a.hi, b.hi, c.hi)};
}
static inline v16 v16_sqrt(v16 a) { return (v16){_mm256_sqrt_ps(a.lo), _mm256_sqrt_ps(a.hi)}; }
static inline v16 v16_abs(v16 a) { return (v16){half_abs(a.lo), half_abs(a.hi)}; }
static inline v16 v16_select(m16 m, v16 a, v16 b) {
    return (v16){_mm256_blendv_ps(b.lo, a.lo, m.lo), _mm256_blendv_ps(b.hi, a.hi, m.hi)};
}
static inline m16 m16_from_bits(uint32_t bits) { return (m16){half_from_bits(bits), half_from_bits(bits >> 8)}; }

/* Eight words of 32 bits, each the low half of 64; high halves hold anything. */
typedef struct w8 {
    __m256i lo, hi;
} w8;
static inline w8 w8_set1(uint32_t x) {
    const __m256i all = _mm256_set1_epi64x((int64_t)x);
    return (w8){all, all};
}
static inline w8 w8_count_from(uint32_t x) {
    const __m256i all = _mm256_set1_epi64x((int64_t)x);
    return (w8){_mm256_add_epi64(all, _mm256_setr_epi64x(0, 1, 2, 3)),
                _mm256_add_epi64(all, _mm256_setr_epi64x(4, 5, 6, 7))};
}
/* Products of words, of 64 bits; w8_high: their high halves as words */
static inline w8 w8_mul(w8 a, w8 b) { return (w8){_mm256_mul_epu32(a.lo, b.lo), _mm256_mul_epu32(a.hi, b.hi)}; }
static inline w8 w8_high(w8 a) { return (w8){_mm256_srli_epi64(a.lo, 32), _mm256_srli_epi64(a.hi, 32)}; }
static inline w8 w8_xor(w8 a, w8 b) { return (w8){_mm256_xor_si256(a.lo, b.lo), _mm256_xor_si256(a.hi, b.hi)}; }
static inline void fnn_store_pairs_half(uint64_t *to, __m256i high, __m256i low) {
    const __m256i low_half = _mm256_and_si256(low, _mm256_set1_epi64x(0xffffffff));
    _mm256_storeu_si256((__m256i *)to, _mm256_or_si256(_mm256_slli_epi64(high, 32), low_half));
}
/* to[i] = high << 32 | low, of words i */
static inline void w8_store_pairs(uint64_t *to, w8 high, w8 low) {
    fnn_store_pairs_half(to, high.lo, low.lo);
    fnn_store_pairs_half(to + 4, high.hi, low.hi);
}
/* Four bits a word: whether its low and its high 16 bits are less than limit < 2^16; two that mean nothing */
static inline uint32_t w8_halves_below(w8 a, uint32_t limit) {
    const __m256i sign = _mm256_set1_epi16(-0x8000), signed_limit = _mm256_set1_epi16((int16_t)(limit ^ 0x8000));
    const __m256i lo = _mm256_cmpgt_epi16(signed_limit, _mm256_xor_si256(a.lo, sign));
    const __m256i hi = _mm256_cmpgt_epi16(signed_limit, _mm256_xor_si256(a.hi, sign));
    return (uint32_t)_mm256_movemask_epi8(_mm256_permute4x64_epi64(_mm256_packs_epi16(lo, hi), 0xd8));
}

/* 2^n for whole n in [-126, 127]; any value for NaN */
static inline v16 v16_pow2(v16 n) { return (v16){half_pow2(n.lo), half_pow2(n.hi)}; }

/* a = m * 2^e with m in [sqrt(1/2), sqrt(2)), for normal positive a: returns m */
static inline v16 v16_split(v16 a, v16 *e) { return (v16){half_split(a.lo, &e->lo), half_split(a.hi, &e->hi)}; }

static inline uint32_t fnn_bits_of_half(const uint8_t *p) {
    const __m256i is_zero = _mm256_cmpeq_epi8(_mm256_loadu_si256((const __m256i *)p), _mm256_setzero_si256());
    return ~(uint32_t)_mm256_movemask_epi8(is_zero);
}
/* A bit for each of 64 bytes, or of sixteen floats, that is not zero */
static inline uint64_t fnn_bits_of_bytes(const uint8_t *p) {
    return fnn_bits_of_half(p) | (uint64_t)fnn_bits_of_half(p + 32) << 32;
}
static inline uint32_t fnn_bits_of_floats(const float *p) {
    const __m256 zero = _mm256_setzero_ps();
    const int low = _mm256_movemask_ps(_mm256_cmp_ps(_mm256_loadu_ps(p), zero, _CMP_NEQ_UQ));
    const int high = _mm256_movemask_ps(_mm256_cmp_ps(_mm256_loadu_ps(p + 8), zero, _CMP_NEQ_UQ));
    return (uint32_t)(low | high << 8);
}

static inline __m128 fnn_rescaled(__m256d values, double scale, double offset) {
    return _mm256_cvtpd_ps(_mm256_add_pd(_mm256_mul_pd(values, _mm256_set1_pd(scale)), _mm256_set1_pd(offset)));
}
static inline __m256 fnn_rescale_half(__m256 a, double scale, double offset) {
    return _mm256_set_m128(fnn_rescaled(_mm256_cvtps_pd(_mm256_extractf128_ps(a, 1)), scale, offset),
                           fnn_rescaled(_mm256_cvtps_pd(_mm256_castps256_ps128(a)), scale, offset));
}
static inline __m256 fnn_rescale_bytes_half(const uint8_t *p, double scale, double offset) {
    const __m256i values = _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)p));
    return _mm256_set_m128(fnn_rescaled(_mm256_cvtepi32_pd(_mm256_extracti128_si256(values, 1)), scale, offset),
                           fnn_rescaled(_mm256_cvtepi32_pd(_mm256_castsi256_si128(values)), scale, offset));
}
/* (float)((double)a * scale + offset) of sixteen floats, or bytes */
static inline v16 v16_rescale(v16 a, double scale, double offset) {
    return (v16){fnn_rescale_half(a.lo, scale, offset), fnn_rescale_half(a.hi, scale, offset)};
}
static inline v16 v16_rescale_bytes(const uint8_t *p, double scale, double offset) {
    return (v16){fnn_rescale_bytes_half(p, scale, offset), fnn_rescale_bytes_half(p + 8, scale, offset)};
}

/* to[j][i] = from[i][j] of a contiguous 16 x 16 block */
static inline void v16_transpose(float *to, const float *from) {
    half_transpose(to, from);
    half_transpose(to + 128, from + 8);
    half_transpose(to + 8, from + 128);
    half_transpose(to + 136, from + 136);
}

#endif
