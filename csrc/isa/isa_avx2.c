/* isa_avx2.c: the kernels for AVX2 and FMA; an empty table where the compiler was not told of them. */
#if defined(__AVX2__) && defined(__FMA__)
#include "../vec/vec_avx2.h"

#define FNN_TABLE fnn_kernels_avx2
#define FNN_TABLE_NAME "avx2"
#define FNN_NARROW fnn_kernels_avx2_narrow
#include "../kernels/table.inc.h"
#else
#include "../kernels.h"
const fnn_kernels fnn_kernels_avx2 = {.name = NULL};
#endif
