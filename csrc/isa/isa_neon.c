/* isa_neon.c: the kernels for aarch64, where NEON is baseline; an empty table elsewhere. */
#if defined(__aarch64__)
#include "../vec/vec_neon.h"

#define FNN_TABLE fnn_kernels_neon
#define FNN_TABLE_NAME "neon"
#include "../kernels/table.inc.h"
#else
#include "../kernels.h"
const fnn_kernels fnn_kernels_neon = {.name = NULL};
#endif
