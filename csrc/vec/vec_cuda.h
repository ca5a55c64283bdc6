/* vec_cuda.h: the vector type on a GPU, where sixteen neighbouring threads are the lanes: a v16 is this thread's lane.
 * Rounded operations are named, so that no compiler fuses them. */
#ifndef FNN_VEC_H
#define FNN_VEC_H

#include <stdint.h>

typedef float v16;
typedef bool m16;

#define FNN_VEC static __device__ __forceinline__

FNN_VEC int fnn_lane(void) { return (int)(threadIdx.x % 16); }

FNN_VEC v16 v16_load(const float *p) { return p[fnn_lane()]; }
FNN_VEC void v16_store(float *p, v16 a) { p[fnn_lane()] = a; }
FNN_VEC v16 v16_set1(float x) { return x; }
FNN_VEC v16 v16_add(v16 a, v16 b) { return __fadd_rn(a, b); }
FNN_VEC v16 v16_sub(v16 a, v16 b) { return __fsub_rn(a, b); }
FNN_VEC v16 v16_mul(v16 a, v16 b) { return __fmul_rn(a, b); }
FNN_VEC v16 v16_div(v16 a, v16 b) { return __fdiv_rn(a, b); }
FNN_VEC v16 v16_fma(v16 a, v16 b, v16 c) { return __fmaf_rn(a, b, c); }
FNN_VEC v16 v16_sqrt(v16 a) { return __fsqrt_rn(a); }
FNN_VEC v16 v16_abs(v16 a) { return __int_as_float(__float_as_int(a) & 0x7fffffff); }
FNN_VEC m16 v16_lt(v16 a, v16 b) { return a < b; }
FNN_VEC m16 v16_le(v16 a, v16 b) { return a <= b; }
FNN_VEC m16 v16_eq(v16 a, v16 b) { return a == b; }
FNN_VEC v16 v16_select(m16 m, v16 a, v16 b) { return m ? a : b; }
FNN_VEC m16 m16_from_bits(uint32_t bits) { return (bits >> fnn_lane() & 1) != 0; }

/* 2^n for whole n in [-126, 127]; any value for NaN */
FNN_VEC v16 v16_pow2(v16 n) {
    return n >= -126.0f && n <= 127.0f ? __int_as_float(((int32_t)n + 127) << 23) : 0.0f;
}

/* a = m * 2^e with m in [sqrt(1/2), sqrt(2)), for normal positive a: returns m */
FNN_VEC v16 v16_split(v16 a, v16 *e) {
    const int32_t exponent = (__float_as_int(a) - 0x3f3504f3) >> 23;
    *e = (float)exponent;
    return __int_as_float((int32_t)((uint32_t)__float_as_int(a) - ((uint32_t)exponent << 23)));
}

#endif
