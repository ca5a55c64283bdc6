/* isa_avx512.c: the kernels for AVX-512; an empty table where the compiler was not told of it. */
#if (defined(__AVX512F__) && defined(__AVX512BW__) && defined(__AVX512DQ__) && defined(__AVX512VL__) &&                \
     defined(__AVX512VBMI2__)) ||                                                                                      \
    defined(FNN_EMULATE_AVX512)
#include "../vec/vec_avx512.h"

#define FNN_TABLE fnn_kernels_avx512
#define FNN_TABLE_NAME "avx512"
#include "../kernels/table.inc.h"
#else
#include "../kernels.h"
const fnn_kernels fnn_kernels_avx512 = {.name = NULL};
#endif
