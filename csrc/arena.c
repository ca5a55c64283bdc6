/* arena.c: the only place that allocates. */
#include "fnn.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define ALIGNMENT 64

static _Atomic int64_t alloc_count;

void *fnn_alloc(size_t bytes) {
    if (bytes > SIZE_MAX - ALIGNMENT) return NULL;
    const size_t rounded = (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    void *block = aligned_alloc(ALIGNMENT, rounded);
    if (block == NULL) return NULL;
    memset(block, 0, rounded);
    atomic_fetch_add_explicit(&alloc_count, 1, memory_order_relaxed);
    return block;
}

void fnn_free(void *block) { free(block); }

int64_t fnn_alloc_count(void) { return atomic_load_explicit(&alloc_count, memory_order_relaxed); }
