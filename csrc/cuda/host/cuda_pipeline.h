/* cuda_pipeline.h: asynchronous copies to shared memory, emulated: each happens only when its thread waits for it, so
 * that a wait that is missing leaves poison behind. */
#ifndef FNN_HOST_CUDA_PIPELINE_H
#define FNN_HOST_CUDA_PIPELINE_H

#include "cuda_runtime.h"

static inline void __pipeline_memcpy_async(void *to, const void *from, size_t bytes) {
    fnn_emulated_copy(to, from, bytes);
}
static inline void __pipeline_commit(void) { fnn_emulated_commit(); }
static inline void __pipeline_wait_prior(size_t groups) { fnn_emulated_wait(groups); }

#endif
