/* isa_avx2_narrow.c: the kernels that isa_avx2.c has for layers of up to eight units; an empty table without AVX2. */
#if defined(__AVX2__) && defined(__FMA__)
#include "../vec/vec_avx2_narrow.h"

#define FNN_TABLE fnn_kernels_avx2_narrow
#include "../kernels/narrow.inc.h"
#else
#include "../kernels.h"
const fnn_kernels fnn_kernels_avx2_narrow = {.name = NULL};
#endif
