/* immintrin.h: stands in for the compiler's header of this name, so that csrc/isa/isa_avx512.c runs on processors
 * without AVX-512: SIMDe (https://github.com/simd-everywhere/simde) gives its intrinsics in AVX2 and FMA.  Compile that
 * file alone with -Itests/c -DFNN_EMULATE_AVX512, with -mavx2 -mfma (without FMA SIMDe would round twice), and without
 * -mavx512 flags. */
#ifndef FNN_TEST_IMMINTRIN_H
#define FNN_TEST_IMMINTRIN_H

#include_next <immintrin.h> /* SIMDe builds on the real one */

#if !defined(__AVX2__) || !defined(__FMA__) || defined(__AVX512F__)
#error "the emulation of AVX-512 needs -mavx2 -mfma and no -mavx512"
#endif

#define SIMDE_ENABLE_NATIVE_ALIASES
#include <simde/x86/avx512.h>
#include <simde/x86/fma.h>

/* What SIMDe 0.7.4 lacks, in halves. */
#ifndef _mm512_cvtps_epi32
static inline simde__m512i fnn_cvtps_epi32(simde__m512 a) {
    const simde__m512_private in = simde__m512_to_private(a);
    simde__m512i_private out;
    for (int i = 0; i < 2; i++) out.m256i[i] = _mm256_cvtps_epi32(in.m256[i]);
    return simde__m512i_from_private(out);
}
#define _mm512_cvtps_epi32 fnn_cvtps_epi32
#endif

#ifndef _mm512_cvtepi32_ps
static inline simde__m512 fnn_cvtepi32_ps(simde__m512i a) {
    const simde__m512i_private in = simde__m512i_to_private(a);
    simde__m512_private out;
    for (int i = 0; i < 2; i++) out.m256[i] = _mm256_cvtepi32_ps(in.m256i[i]);
    return simde__m512_from_private(out);
}
#define _mm512_cvtepi32_ps fnn_cvtepi32_ps
#endif

#ifndef _mm512_srai_epi32
static inline simde__m512i fnn_srai_epi32(simde__m512i a, int count) {
    simde__m512i_private both = simde__m512i_to_private(a);
    for (int i = 0; i < 2; i++) both.m256i[i] = _mm256_srai_epi32(both.m256i[i], count);
    return simde__m512i_from_private(both);
}
#define _mm512_srai_epi32 fnn_srai_epi32
#endif

#ifndef _mm512_cmplt_epu16_mask
static inline uint32_t fnn_cmplt_epu16_mask(simde__m512i a, simde__m512i b) {
    const simde__m512i_private x = simde__m512i_to_private(a), y = simde__m512i_to_private(b);
    uint32_t mask = 0;
    for (int i = 0; i < 32; i++) mask |= (uint32_t)(x.u16[i] < y.u16[i]) << i;
    return mask;
}
#define _mm512_cmplt_epu16_mask fnn_cmplt_epu16_mask
#endif

#ifndef _mm512_cvtpd_ps
static inline simde__m256 fnn_cvtpd_ps(simde__m512d a) {
    const simde__m512d_private in = simde__m512d_to_private(a);
    return _mm256_set_m128(_mm256_cvtpd_ps(in.m256d[1]), _mm256_cvtpd_ps(in.m256d[0]));
}
#define _mm512_cvtpd_ps fnn_cvtpd_ps
#endif

#ifndef _mm512_cvtps_pd
static inline simde__m512d fnn_cvtps_pd(simde__m256 a) {
    simde__m512d_private out;
    out.m256d[0] = _mm256_cvtps_pd(_mm256_castps256_ps128(a));
    out.m256d[1] = _mm256_cvtps_pd(_mm256_extractf128_ps(a, 1));
    return simde__m512d_from_private(out);
}
#define _mm512_cvtps_pd fnn_cvtps_pd
#endif

#ifndef _mm512_cvtepi32_pd
static inline simde__m512d fnn_cvtepi32_pd(simde__m256i a) {
    simde__m512d_private out;
    out.m256d[0] = _mm256_cvtepi32_pd(_mm256_castsi256_si128(a));
    out.m256d[1] = _mm256_cvtepi32_pd(_mm256_extracti128_si256(a, 1));
    return simde__m512d_from_private(out);
}
#define _mm512_cvtepi32_pd fnn_cvtepi32_pd
#endif

#ifndef _mm512_cvtepu8_epi32
static inline simde__m512i fnn_cvtepu8_epi32(__m128i a) {
    simde__m512i_private out;
    out.m256i[0] = _mm256_cvtepu8_epi32(a);
    out.m256i[1] = _mm256_cvtepu8_epi32(_mm_srli_si128(a, 8));
    return simde__m512i_from_private(out);
}
#define _mm512_cvtepu8_epi32 fnn_cvtepu8_epi32
#endif

#ifndef _mm512_maskz_loadu_ps
static inline simde__m512 fnn_maskz_loadu_ps(simde__mmask16 mask, const void *p) {
    float lanes[16];
    for (int i = 0; i < 16; i++) lanes[i] = mask >> i & 1 ? ((const float *)p)[i] : 0.0f;
    return simde_mm512_loadu_ps(lanes);
}
#define _mm512_maskz_loadu_ps fnn_maskz_loadu_ps
#endif

#ifndef _mm512_maskz_compress_ps
static inline simde__m512 fnn_maskz_compress_ps(simde__mmask16 mask, simde__m512 a) {
    float from[16], to[16] = {0};
    simde_mm512_storeu_ps(from, a);
    for (int i = 0, n = 0; i < 16; i++)
        if (mask >> i & 1) to[n++] = from[i];
    return simde_mm512_loadu_ps(to);
}
#define _mm512_maskz_compress_ps fnn_maskz_compress_ps
#endif

#ifndef _mm512_maskz_compress_epi32
static inline simde__m512i fnn_maskz_compress_epi32(simde__mmask16 mask, simde__m512i a) {
    return simde_mm512_castps_si512(fnn_maskz_compress_ps(mask, simde_mm512_castsi512_ps(a)));
}
#define _mm512_maskz_compress_epi32 fnn_maskz_compress_epi32
#endif

/* SIMDe has this one under its own name alone. */
#undef _mm512_shuffle_f32x4
#define _mm512_shuffle_f32x4 simde_mm512_shuffle_f32x4

#endif
