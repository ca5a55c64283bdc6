/* dispatch.c: which kernel table runs.  Compiled with baseline flags; the tables themselves are not entered before the
 * processor has been asked. */
#include "kernels.h"

#include <stdatomic.h>
#include <string.h>

extern const fnn_kernels fnn_kernels_avx512, fnn_kernels_avx2, fnn_kernels_neon, fnn_kernels_scalar;

/* __builtin_cpu_supports also asks whether the operating system saves the registers. */
static int cpu_has_avx512(void) {
#if defined(FNN_EMULATE_AVX512) /* tests run this table through a header that emulates the intrinsics */
    return 1;
#elif defined(__x86_64__)
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
           __builtin_cpu_supports("avx512vbmi2");
#else
    return 0;
#endif
}

static int cpu_has_avx2(void) {
#if defined(__x86_64__)
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
#else
    return 0;
#endif
}

static int always(void) { return 1; }

/* Best first. */
static const struct {
    const fnn_kernels *kernels;
    int (*is_usable)(void);
} rows[] = {
    {&fnn_kernels_avx512, cpu_has_avx512},
    {&fnn_kernels_avx2, cpu_has_avx2},
    {&fnn_kernels_neon, always}, /* compiled for aarch64 alone, where it is baseline */
    {&fnn_kernels_scalar, always},
};

static const fnn_kernels *_Atomic chosen;

const fnn_kernels *fnn_isa_available(int i) {
    for (size_t row = 0; row < sizeof rows / sizeof *rows; row++)
        if (rows[row].kernels->name != NULL && rows[row].is_usable() && i-- == 0) return rows[row].kernels;
    return NULL;
}

int fnn_isa_use(const char *name) {
    const fnn_kernels *kernels;
    for (int i = 0; (kernels = fnn_isa_available(i)) != NULL; i++) {
        if (name != NULL && *name != '\0' && strcmp(name, kernels->name) != 0) continue;
        atomic_store(&chosen, kernels);
        return 1;
    }
    return 0;
}

const fnn_kernels *fnn_isa(void) {
    if (atomic_load(&chosen) == NULL) fnn_isa_use(NULL);
    return atomic_load(&chosen);
}
