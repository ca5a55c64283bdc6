/* cuda_pipeline.h: asynchronous copies to shared memory, emulated as asynchronously as they may be: a copy that is
 * asked for poisons where it goes, and happens when its thread waits for its group; one that nobody waits for never
 * does.  So a missing wait, and a missing barrier before memory is used again, leave NaN behind. */
#ifndef FNN_HOST_CUDA_PIPELINE_H
#define FNN_HOST_CUDA_PIPELINE_H

#include "cuda_runtime.h"

/* 4, 8 or 16 bytes, aligned to their number, the last `zeros` of which are zeroed instead. */
static inline void __pipeline_memcpy_async(void *to, const void *from, size_t bytes, size_t zeros = 0) {
    fnn_emulated_copy(to, from, bytes, zeros);
}
static inline void __pipeline_commit(void) { fnn_emulated_commit(); }
/* Until all but so many of this thread's latest groups are there. */
static inline void __pipeline_wait_prior(size_t groups) { fnn_emulated_wait(groups); }

#endif
