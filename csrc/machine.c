/* machine.c: what the machine can do, measured: the roof that kernels work under, and what it costs threads to meet. */
#define _POSIX_C_SOURCE 200809L
#include "kernels.h"

#include <time.h>

int64_t fnn_now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* Members start a piece of work together, at a barrier, and it ends when the last one is done. */
typedef struct measurement {
    const fnn_kernels *kernels;
    int64_t n; /* calls of peak, or barriers */
    int64_t flops;
    double seconds;
    float sums[FNN_MAX_THREADS];
} measurement;

static void compute(void *job, fnn_worker *me) {
    measurement *m = job;
    fnn_team_barrier(me);
    const int64_t began = fnn_now_ns();
    const int64_t flops = m->kernels->peak(&m->sums[me->part.index], m->n);
    fnn_team_barrier(me);
    if (me->part.index == 0) m->seconds = 1e-9 * (double)(fnn_now_ns() - began), m->flops = flops * me->part.count;
}

static void meet(void *job, fnn_worker *me) {
    measurement *m = job;
    fnn_team_barrier(me);
    const int64_t began = fnn_now_ns();
    for (int64_t i = 0; i < m->n; i++) fnn_team_barrier(me);
    if (me->part.index == 0) m->seconds = 1e-9 * (double)(fnn_now_ns() - began);
}

double fnn_peak_flops(int n_threads, int64_t n) {
    measurement m = {.kernels = fnn_isa(), .n = n};
    fnn_team_run(n_threads, compute, &m);
    return (double)m.flops / m.seconds;
}

double fnn_barrier_seconds(int n_threads, int64_t n) {
    measurement m = {.n = n};
    fnn_team_run(n_threads, meet, &m);
    return m.seconds / (double)n;
}
