/* vec_neon.h: sixteen floats in four NEON registers (aarch64). */
#ifndef FNN_VEC_H
#define FNN_VEC_H

#include <arm_neon.h>
#include <stdint.h>

/* 6 x 4 accumulators, 4 weights and 1 broadcast of the 32 registers */
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
#define FNN_SPARSE_LINES(panels) 1
#define FNN_EACH_SPARSE(M) M(1) M(2) M(3) M(4)

typedef struct v16 {
    float32x4_t q0, q1, q2, q3;
} v16;
typedef struct m16 {
    uint32x4_t q0, q1, q2, q3;
} m16;

static inline v16 v16_load(const float *p) {
    return (v16){vld1q_f32(p), vld1q_f32(p + 4), vld1q_f32(p + 8), vld1q_f32(p + 12)};
}
/* n < 16 floats, then zeros */
static inline v16 v16_load_part(const float *p, int n) {
    float whole[16] = {0};
    for (int i = 0; i < n; i++) whole[i] = p[i];
    return v16_load(whole);
}
static inline v16 v16_in_register(v16 a) { return a; }
static inline void v16_store(float *p, v16 a) {
    vst1q_f32(p, a.q0);
    vst1q_f32(p + 4, a.q1);
    vst1q_f32(p + 8, a.q2);
    vst1q_f32(p + 12, a.q3);
}
static inline v16 v16_set1(float x) {
    const float32x4_t all = vdupq_n_f32(x);
    return (v16){all, all, all, all};
}

#define FNN_BINARY(type, name, f)                                                                                      \
    static inline type name(v16 a, v16 b) { return (type){f(a.q0, b.q0), f(a.q1, b.q1), f(a.q2, b.q2), f(a.q3, b.q3)}; }
FNN_BINARY(v16, v16_add, vaddq_f32)
FNN_BINARY(v16, v16_sub, vsubq_f32)
FNN_BINARY(v16, v16_mul, vmulq_f32)
FNN_BINARY(v16, v16_div, vdivq_f32)
FNN_BINARY(m16, v16_lt, vcltq_f32)
FNN_BINARY(m16, v16_le, vcleq_f32)
FNN_BINARY(m16, v16_eq, vceqq_f32)
#undef FNN_BINARY

static inline v16 v16_fma(v16 a, v16 b, v16 c) {
    return (v16){vfmaq_f32(c.q0, a.q0, b.q0), vfmaq_f32(c.q1, a.q1, b.q1), vfmaq_f32(c.q2, a.q2, b.q2),
                 vfmaq_f32(c.q3, a.q3, b.q3)};
}
static inline v16 v16_sqrt(v16 a) {
    return (v16){vsqrtq_f32(a.q0), vsqrtq_f32(a.q1), vsqrtq_f32(a.q2), vsqrtq_f32(a.q3)};
}
static inline v16 v16_abs(v16 a) { return (v16){vabsq_f32(a.q0), vabsq_f32(a.q1), vabsq_f32(a.q2), vabsq_f32(a.q3)}; }
static inline v16 v16_select(m16 m, v16 a, v16 b) {
    return (v16){vbslq_f32(m.q0, a.q0, b.q0), vbslq_f32(m.q1, a.q1, b.q1), vbslq_f32(m.q2, a.q2, b.q2),
                 vbslq_f32(m.q3, a.q3, b.q3)};
}
static inline m16 m16_from_bits(uint32_t bits) {
    static const uint32_t lanes[4] = {1, 2, 4, 8};
    const uint32x4_t lane = vld1q_u32(lanes);
    return (m16){vtstq_u32(vdupq_n_u32(bits), lane), vtstq_u32(vdupq_n_u32(bits >> 4), lane),
                 vtstq_u32(vdupq_n_u32(bits >> 8), lane), vtstq_u32(vdupq_n_u32(bits >> 12), lane)};
}

static inline float32x4_t fnn_pow2_quarter(float32x4_t n) {
    return vreinterpretq_f32_s32(vshlq_n_s32(vaddq_s32(vcvtq_s32_f32(n), vdupq_n_s32(127)), 23));
}
/* Eight words of 32 bits, each the low half of 64; high halves hold anything. */
typedef struct w8 {
    uint64x2_t q[4];
} w8;
static inline w8 w8_set1(uint32_t x) {
    const uint64x2_t all = vdupq_n_u64(x);
    return (w8){{all, all, all, all}};
}
static inline w8 w8_count_from(uint32_t x) {
    w8 a;
    for (int i = 0; i < 4; i++)
        a.q[i] = vcombine_u64(vcreate_u64((uint64_t)x + 2 * i), vcreate_u64((uint64_t)x + 2 * i + 1));
    return a;
}
/* Products of words, of 64 bits; w8_high: their high halves as words */
static inline w8 w8_mul(w8 a, w8 b) {
    for (int i = 0; i < 4; i++) a.q[i] = vmull_u32(vmovn_u64(a.q[i]), vmovn_u64(b.q[i]));
    return a;
}
static inline w8 w8_high(w8 a) {
    for (int i = 0; i < 4; i++) a.q[i] = vshrq_n_u64(a.q[i], 32);
    return a;
}
static inline w8 w8_xor(w8 a, w8 b) {
    for (int i = 0; i < 4; i++) a.q[i] = veorq_u64(a.q[i], b.q[i]);
    return a;
}
/* to[i] = high << 32 | low, of words i */
static inline void w8_store_pairs(uint64_t *to, w8 high, w8 low) {
    for (int i = 0; i < 4; i++) vst1q_u64(to + 2 * i, vsliq_n_u64(low.q[i], high.q[i], 32));
}
/* Four bits a word: whether its low and its high 16 bits are less than limit < 2^16; two that mean nothing */
static inline uint32_t w8_halves_below(w8 a, uint32_t limit) {
    static const uint16_t weights[8] = {1, 2, 4, 8, 16, 32, 64, 128};
    uint32_t bits = 0;
    for (int i = 0; i < 4; i++) {
        const uint16x8_t is_below = vcltq_u16(vreinterpretq_u16_u64(a.q[i]), vdupq_n_u16((uint16_t)limit));
        bits |= (uint32_t)vaddvq_u16(vandq_u16(is_below, vld1q_u16(weights))) << (8 * i);
    }
    return bits;
}

/* 2^n for whole n in [-126, 127]; any value for NaN */
static inline v16 v16_pow2(v16 n) {
    return (v16){fnn_pow2_quarter(n.q0), fnn_pow2_quarter(n.q1), fnn_pow2_quarter(n.q2), fnn_pow2_quarter(n.q3)};
}

static inline float32x4_t fnn_split_quarter(float32x4_t a, float32x4_t *e) {
    const int32x4_t bits = vreinterpretq_s32_f32(a);
    const int32x4_t exponent = vshrq_n_s32(vsubq_s32(bits, vdupq_n_s32(0x3f3504f3)), 23);
    *e = vcvtq_f32_s32(exponent);
    return vreinterpretq_f32_s32(vsubq_s32(bits, vshlq_n_s32(exponent, 23)));
}
/* a = m * 2^e with m in [sqrt(1/2), sqrt(2)), for normal positive a: returns m */
static inline v16 v16_split(v16 a, v16 *e) {
    return (v16){fnn_split_quarter(a.q0, &e->q0), fnn_split_quarter(a.q1, &e->q1), fnn_split_quarter(a.q2, &e->q2),
                 fnn_split_quarter(a.q3, &e->q3)};
}

static inline uint64_t fnn_bits_of_quarter(const uint8_t *p) {
    static const uint8_t weights[16] = {1, 2, 4, 8, 16, 32, 64, 128, 1, 2, 4, 8, 16, 32, 64, 128};
    const uint8x16_t bytes = vld1q_u8(p), bits = vandq_u8(vtstq_u8(bytes, bytes), vld1q_u8(weights));
    return (uint64_t)(vaddv_u8(vget_low_u8(bits)) | vaddv_u8(vget_high_u8(bits)) << 8);
}
/* A bit for each of 64 bytes, or of sixteen floats, that is not zero */
static inline uint64_t fnn_bits_of_bytes(const uint8_t *p) {
    return fnn_bits_of_quarter(p) | fnn_bits_of_quarter(p + 16) << 16 | fnn_bits_of_quarter(p + 32) << 32 |
           fnn_bits_of_quarter(p + 48) << 48;
}
static inline uint32_t fnn_bits_of_floats(const float *p) {
    uint32_t bits = 0;
    for (int i = 0; i < 16; i++) bits |= (uint32_t)(p[i] != 0.0f) << i;
    return bits;
}

static inline float32x4_t fnn_rescale_quarter(float32x4_t values, double scale, double offset) {
    const float64x2_t s = vdupq_n_f64(scale), o = vdupq_n_f64(offset);
    const float64x2_t low = vaddq_f64(vmulq_f64(vcvt_f64_f32(vget_low_f32(values)), s), o);
    const float64x2_t high = vaddq_f64(vmulq_f64(vcvt_high_f64_f32(values), s), o);
    return vcvt_high_f32_f64(vcvt_f32_f64(low), high);
}
static inline v16 fnn_rescaled(v16 a, double scale, double offset) {
    return (v16){fnn_rescale_quarter(a.q0, scale, offset), fnn_rescale_quarter(a.q1, scale, offset),
                 fnn_rescale_quarter(a.q2, scale, offset), fnn_rescale_quarter(a.q3, scale, offset)};
}
/* (float)((double)a * scale + offset) of sixteen floats, or bytes */
static inline v16 v16_rescale(v16 a, double scale, double offset) { return fnn_rescaled(a, scale, offset); }
static inline v16 v16_rescale_bytes(const uint8_t *p, double scale, double offset) {
    const uint8x16_t bytes = vld1q_u8(p);
    const uint16x8_t low = vmovl_u8(vget_low_u8(bytes)), high = vmovl_high_u8(bytes);
    const v16 values = {vcvtq_f32_u32(vmovl_u16(vget_low_u16(low))), vcvtq_f32_u32(vmovl_high_u16(low)),
                        vcvtq_f32_u32(vmovl_u16(vget_low_u16(high))), vcvtq_f32_u32(vmovl_high_u16(high))};
    return fnn_rescaled(values, scale, offset);
}

/* to[j][i] = from[i][j] of a contiguous 16 x 16 block */
static inline void v16_transpose(float *to, const float *from) {
    for (int i = 0; i < 16; i += 4)
        for (int j = 0; j < 16; j += 4) {
            const float32x4_t r0 = vld1q_f32(from + 16 * i + j), r1 = vld1q_f32(from + 16 * (i + 1) + j);
            const float32x4_t r2 = vld1q_f32(from + 16 * (i + 2) + j), r3 = vld1q_f32(from + 16 * (i + 3) + j);
            const float32x4_t a = vzip1q_f32(r0, r2), b = vzip1q_f32(r1, r3);
            const float32x4_t c = vzip2q_f32(r0, r2), d = vzip2q_f32(r1, r3);
            vst1q_f32(to + 16 * j + i, vzip1q_f32(a, b));
            vst1q_f32(to + 16 * (j + 1) + i, vzip2q_f32(a, b));
            vst1q_f32(to + 16 * (j + 2) + i, vzip1q_f32(c, d));
            vst1q_f32(to + 16 * (j + 3) + i, vzip2q_f32(c, d));
        }
}

#endif
