/* team.c: the threads, and nothing else knows of them.  OpenMP (or, built without it, pthreads) supplies the threads of
 * one call; inside it members meet at a barrier of our own, which spins for about 20 us and then yields.  Before it, those
 * who are early take over pieces of work of those who are late. */
#define _POSIX_C_SOURCE 200809L
#include "fnn.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

#ifdef _OPENMP
#include <omp.h>
#endif
#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

/* Works with help between two barriers: more have none. */
#define WORKS 4

/* What others read of a member, in cache lines of its own. */
typedef struct slot {
    _Alignas(128) _Atomic uint32_t phase;         /* barriers that it has reached */
    _Alignas(64) _Atomic uint64_t taken[WORKS]; /* work << 32 | pieces taken of its share, at work % WORKS */
} slot;

struct fnn_team {
    void (*body)(void *job, fnn_worker *me);
    void *job;
    int count;
    slot slots[FNN_MAX_THREADS];
};

/* ---- floating-point control: rounding to nearest, subnormals kept, whatever the process had set ---- */

static uint64_t control_default(void) {
#if defined(__x86_64__)
    const uint64_t saved = _mm_getcsr();
    _mm_setcsr(0x1f80);
#elif defined(__aarch64__)
    uint64_t saved;
    __asm__ volatile("mrs %0, fpcr" : "=r"(saved));
    __asm__ volatile("msr fpcr, %0" : : "r"((uint64_t)0));
#else
    const uint64_t saved = 0;
#endif
    return saved;
}

static void control_restore(uint64_t saved) {
#if defined(__x86_64__)
    _mm_setcsr((unsigned)saved);
#elif defined(__aarch64__)
    __asm__ volatile("msr fpcr, %0" : : "r"(saved));
#else
    (void)saved;
#endif
}

/* ---- barrier ---- */

static void spin_pause(int spins) {
    if (spins > 1000) {
        sched_yield();
        return;
    }
#if defined(__x86_64__)
    _mm_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

void fnn_team_barrier(fnn_worker *me) {
    fnn_team *team = me->team;
    const uint32_t phase = ++me->phase;
    me->since = 0;
    atomic_store_explicit(&team->slots[me->part.index].phase, phase, memory_order_release);
    for (int i = 0; i < me->part.count; i++)
        for (int spins = 0; (int32_t)(atomic_load_explicit(&team->slots[i].phase, memory_order_acquire) - phase) < 0;)
            spin_pause(spins++);
}

/* ---- help ---- */

fnn_part fnn_team_help(fnn_worker *me) {
    fnn_part part = me->part;
    if (part.count == 1 || me->since == WORKS) return part;
    me->since++;
    part.team = me->team;
    part.work = ++me->works;
    return part;
}

/* -1: all are taken.  Whoever comes first begins a work, be it the owner or not: at most WORKS are under way, so what is
 * left of an earlier one is not of this. */
static int take_piece(_Atomic uint64_t *taken, uint32_t work) {
    uint64_t before = atomic_load_explicit(taken, memory_order_relaxed);
    uint32_t piece;
    do {
        piece = (uint32_t)(before >> 32) == work ? (uint32_t)before : 0;
        if (piece == FNN_PIECES) return -1;
    } while (!atomic_compare_exchange_weak_explicit(taken, &before, (uint64_t)work << 32 | (piece + 1),
                                                    memory_order_relaxed, memory_order_relaxed));
    return (int)piece;
}

/* How many others a member looks at: each costs as much as a barrier of two. */
#define NEIGHBOURS 3

int fnn_team_take(const fnn_part *part, int *neighbour, int *owner) {
    for (; *neighbour < part->count && *neighbour <= NEIGHBOURS; ++*neighbour) {
        *owner = (part->index + *neighbour) % part->count;
        const int piece = take_piece(&part->team->slots[*owner].taken[part->work % WORKS], part->work);
        if (piece >= 0) return piece;
    }
    return -1;
}

/* ---- members ---- */

static void member(fnn_team *team, int index, int count) {
    fnn_worker me = {.part = {.index = index, .count = count}, .team = team, .phase = 0};
    const uint64_t saved = control_default();
    team->body(team->job, &me);
    control_restore(saved);
}

/* OpenMP's threads do not survive fork(), and waiting for them never ends. */
static _Atomic int is_forked_child;

static void note_fork(void) { atomic_store(&is_forked_child, 1); }

__attribute__((constructor)) static void watch_for_fork(void) { pthread_atfork(NULL, NULL, note_fork); }

#ifdef _OPENMP

const char *fnn_team_backend(void) { return "openmp"; }

static void run_members(fnn_team *team) {
#pragma omp parallel num_threads(team->count)
    member(team, omp_get_thread_num(), omp_get_num_threads());
}

#else

const char *fnn_team_backend(void) { return "pthread"; }

/* Threads live as long as a call: a member waits until it is known how many could be had. */
typedef struct seat {
    fnn_team *team;
    _Atomic int *count;
    int index;
} seat;

static void *sit(void *arg) {
    const seat *mine = arg;
    int count;
    for (int spins = 0; (count = atomic_load_explicit(mine->count, memory_order_acquire)) == 0;) spin_pause(spins++);
    member(mine->team, mine->index, count);
    return NULL;
}

static void run_members(fnn_team *team) {
    pthread_t threads[FNN_MAX_THREADS];
    seat seats[FNN_MAX_THREADS];
    _Atomic int count = 0;
    int started = 1;
    for (; started < team->count; started++) {
        seats[started] = (seat){team, &count, started};
        if (pthread_create(&threads[started], NULL, sit, &seats[started]) != 0) break;
    }
    atomic_store_explicit(&count, started, memory_order_release);
    member(team, 0, started);
    for (int i = 1; i < started; i++) pthread_join(threads[i], NULL);
}

#endif

void fnn_team_run(int n_threads, void (*body)(void *job, fnn_worker *me), void *job) {
    fnn_team team;
    if (n_threads > FNN_MAX_THREADS) n_threads = FNN_MAX_THREADS;
    if (n_threads < 1 || atomic_load(&is_forked_child)) n_threads = 1;
    team.body = body, team.job = job, team.count = n_threads;
    for (int i = 0; i < n_threads; i++) {
        atomic_init(&team.slots[i].phase, 0);
        for (int w = 0; w < WORKS; w++) atomic_init(&team.slots[i].taken[w], 0);
    }
    if (n_threads == 1)
        member(&team, 0, 1);
    else
        run_members(&team);
}
