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

/* A division takes as long as a row of a tiny net: where there is one piece, none is made, here and below. */

/* begin and end of a part's share of total items */
FNN_INLINE void share(int64_t *begin, int64_t *end, int64_t total, fnn_part part) {
    if (part.count == 1) {
        *begin = 0, *end = total;
        return;
    }
    *begin = total * part.index / part.count;
    *end = total * (part.index + 1) / part.count;
}

/* Where a part is in the shares of a work. */
typedef struct turn {
    int64_t begin, end; /* items to do now */
    int count, neighbour;
} turn;

/* The next items of total that the part does, until there are none: its share; or, with help, pieces of a half, a
 * quarter and two eighths of it, and then of others' shares. */
FNN_INLINE int next_turn(turn *t, int64_t total, const fnn_part *part) {
    static const int eighths[FNN_PIECES + 1] = {0, 4, 6, 7, 8};
    t->count++;
    if (part->team == NULL) {
        share(&t->begin, &t->end, total, *part);
        return t->count == 1;
    }
    fnn_part owner = *part;
    const int piece = fnn_team_take(part, &t->neighbour, &owner.index);
    if (piece < 0) return 0;
    share(&t->begin, &t->end, total, owner);
    const int64_t n = t->end - t->begin;
    t->end = t->begin + n * eighths[piece + 1] / 8;
    t->begin += n * eighths[piece] / 8;
    return 1;
}

FNN_INLINE int64_t ceil_div(int64_t a, int64_t b) { return a <= b ? a > 0 : (a + b - 1) / b; }
FNN_INLINE int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }

/* the data's row that is the batch's row i; rows: their order, or NULL */
FNN_INLINE int64_t row_at(const uint32_t *rows, int64_t first, int64_t i) {
    return rows != NULL ? (int64_t)rows[first + i] : first + i;
}

/* Rows are met in random order, so the processor does not see the next ones coming: asks for bytes [begin, end). */
FNN_INLINE void prefetch(const void *begin, const void *end) {
    const char *line = (const char *)begin - (uintptr_t)begin % 64;
    for (; line < (const char *)end; line += 64) __builtin_prefetch(line);
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
