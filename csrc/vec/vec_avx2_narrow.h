/* vec_avx2_narrow.h: sixteen floats of which eight are computed, in one AVX register: the others are not read, and zeros
 * are stored for them.  For dense layers of up to eight units, whose panel has nothing else there. */
#ifndef FNN_VEC_H
#define FNN_VEC_H

#include "half_avx2.h"

/* 8 accumulators, which hide the latency of a multiply-add, 1 weight and 1 broadcast; 12 gain nothing more */
#define FNN_MR 8
#define FNN_NR 1
#define FNN_ACCUMULATORS 8
#define FNN_WIDE_ROWS 8
#define FNN_TALL_TILE {8, 1}
#define FNN_SLIM_TILE {8, 1}
#define FNN_EACH_WIDTH(M) M(1)
#define FNN_EACH_TILE(M) M(1, 1) M(2, 1) M(3, 1) M(4, 1) M(5, 1) M(6, 1) M(7, 1) M(8, 1)
#define FNN_FEW_PANELS 1
#define FNN_FEW 4
#define FNN_EACH_FEW(M) M(1) M(2) M(3) M(4)
#define FNN_SPARSE_PANELS 1

typedef __m256 v16;
typedef __m256 m16;

static inline v16 v16_load(const float *p) { return _mm256_loadu_ps(p); }
static inline void v16_store(float *p, v16 a) {
    _mm256_storeu_ps(p, a);
    _mm256_storeu_ps(p + 8, _mm256_setzero_ps());
}
static inline v16 v16_set1(float x) { return _mm256_set1_ps(x); }
static inline v16 v16_add(v16 a, v16 b) { return _mm256_add_ps(a, b); }
static inline v16 v16_sub(v16 a, v16 b) { return _mm256_sub_ps(a, b); }
static inline v16 v16_mul(v16 a, v16 b) { return _mm256_mul_ps(a, b); }
static inline v16 v16_div(v16 a, v16 b) { return _mm256_div_ps(a, b); }
static inline v16 v16_fma(v16 a, v16 b, v16 c) { return _mm256_fmadd_ps(a, b, c); }
static inline v16 v16_sqrt(v16 a) { return _mm256_sqrt_ps(a); }
static inline v16 v16_abs(v16 a) { return half_abs(a); }
static inline m16 v16_lt(v16 a, v16 b) { return half_lt(a, b); }
static inline m16 v16_le(v16 a, v16 b) { return half_le(a, b); }
static inline v16 v16_select(m16 m, v16 a, v16 b) { return _mm256_blendv_ps(b, a, m); }
static inline m16 m16_from_bits(uint32_t bits) { return half_from_bits(bits); }
static inline v16 v16_pow2(v16 n) { return half_pow2(n); }
static inline v16 v16_split(v16 a, v16 *e) { return half_split(a, e); }
/* to[j][i] = from[i][j] for i < 8 of a contiguous 16 x 16 block; for others, nothing */
static inline void v16_transpose(float *to, const float *from) {
    half_transpose(to, from);
    half_transpose(to + 128, from + 8);
}

#endif
