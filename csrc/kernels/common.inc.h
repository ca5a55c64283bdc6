/* common.inc.h: what every kernel file needs.  Included once by each csrc/isa file, after its vec header. */
#include "../kernels.h"
#include "../rng.h"

#include <float.h>
#include <string.h>

#define FNN_INLINE static inline __attribute__((always_inline))

#if defined(__clang__)
#define FNN_UNROLL _Pragma("clang loop unroll(full)")
#else
#define FNN_UNROLL _Pragma("GCC unroll 16")
#endif

/* begin and end of a part's share of total items */
FNN_INLINE void share(int64_t *begin, int64_t *end, int64_t total, fnn_part part) {
    *begin = total * part.index / part.count;
    *end = total * (part.index + 1) / part.count;
}

FNN_INLINE int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }
FNN_INLINE int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }

/* the data's row that is the batch's row i; rows: their order, or NULL */
FNN_INLINE int64_t row_at(const uint32_t *rows, int64_t first, int64_t i) {
    return rows != NULL ? (int64_t)rows[first + i] : first + i;
}

/* Rows are met in random order, so the processor does not see the next ones coming: asks for bytes [begin, end). */
FNN_INLINE void prefetch(const void *begin, const void *end) {
    for (const char *line = begin; line < (const char *)end; line += 64) __builtin_prefetch(line);
}

/* Where a group of up to nine panels, `stride` floats apart, is at one place: three pointers and the stride reach all
 * of them by addressing alone, where one pointer would cost an addition a panel. */
typedef struct group {
    const float *at[3];
    int64_t stride;
} group;

FNN_INLINE group group_at(const float *p, int64_t stride) {
    return (group){{p, p + 3 * stride, p + 6 * stride}, stride};
}

FNN_INLINE v16 group_load(const group *g, const int j) { return v16_load(g->at[j / 3] + j % 3 * g->stride); }

/* How many rows before its turn a row is asked for: short ones are done sooner than one that is far comes. */
#define FNN_ROWS_AHEAD 4
FNN_INLINE int64_t rows_ahead(int64_t row_bytes) { return FNN_ROWS_AHEAD + least(1024 / row_bytes, 28); }
