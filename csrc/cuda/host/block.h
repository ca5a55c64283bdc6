/* block.h: what the emulation's runtime and block.cpp share. */
#ifndef FNN_HOST_BLOCK_H
#define FNN_HOST_BLOCK_H

#include "cuda_runtime.h"

/* Ends the process with a message. */
[[noreturn]] void fnn_emulated_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* An environment variable's whole number. */
uint64_t fnn_emulated_setting(const char *name, uint64_t otherwise);

/* Runs all blocks, in an order that `seed` gives; thread: one thread's work. */
void fnn_emulated_run(const std::function<void()> &thread, dim3 grid, dim3 block, size_t shared, uint64_t seed);

/* Zones around memory, whose bytes tell whether they were written; read as float or double they are NaN. */
#define FNN_EMULATED_POISON 0xff
#define FNN_EMULATED_GUARD_BYTES 1024
void fnn_emulated_set_guard(void *zone);
bool fnn_emulated_guard_holds(const void *zone);

#endif
