/* isa_scalar.c: the kernels in plain C, for any processor. */
#include "../vec/vec_scalar.h"

#define FNN_TABLE fnn_kernels_scalar
#define FNN_TABLE_NAME "scalar"
#include "../kernels/table.inc.h"
