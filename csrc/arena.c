/* arena.c: the only place that allocates. */
#define _DEFAULT_SOURCE
#include "fnn.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define ALIGNMENT 64
#define HUGE_PAGE (2u << 20)

static _Atomic int64_t alloc_count;

/* Kernels walk eight or more panels at once, each in other pages: huge ones keep them all translated. */
static void ask_for_huge_pages(void *block, size_t bytes) {
#ifdef MADV_HUGEPAGE
    madvise(block, bytes, MADV_HUGEPAGE);
#else
    (void)block, (void)bytes;
#endif
}

void *fnn_alloc(size_t bytes) {
    const size_t alignment = bytes >= HUGE_PAGE / 2 ? HUGE_PAGE : ALIGNMENT;
    if (bytes > SIZE_MAX - alignment) return NULL;
    const size_t rounded = (bytes + alignment - 1) / alignment * alignment;
    void *block = aligned_alloc(alignment, rounded);
    if (block == NULL) return NULL;
    if (alignment == HUGE_PAGE) ask_for_huge_pages(block, rounded);
    memset(block, 0, rounded);
    atomic_fetch_add_explicit(&alloc_count, 1, memory_order_relaxed);
    return block;
}

void fnn_free(void *block) { free(block); }

int64_t fnn_alloc_count(void) { return atomic_load_explicit(&alloc_count, memory_order_relaxed); }
