/* cursor.h: how plan.c and predictor.c lay out what they own in one block; private to these two. */
#ifndef FNN_CURSOR_H
#define FNN_CURSOR_H

#include "fnn.h"

/* Hands out aligned pieces of a block; without a block it only counts. */
typedef struct cursor {
    char *base;
    size_t used;
} cursor;

static inline void *take(cursor *at, int64_t count, size_t size) {
    void *piece = at->base != NULL ? at->base + at->used : NULL;
    at->used += ((size_t)count * size + 63) / 64 * 64;
    return piece;
}

static inline float *take_panels(cursor *at, int64_t n, int64_t rows) {
    return take(at, fnn_panels(n) * rows * FNN_LANES, sizeof(float));
}

#endif
