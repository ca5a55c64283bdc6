/* nccl.c: stands in for NVIDIA's NCCL where CUDA is emulated: the calls that fastnn makes, and no others.  What breaks
 * the rules of the real one, as far as they are known here, gets its error result, or ends the process where the real
 * one would wait for ever or read what is not there.
 *
 * Built with -shared -Wl,-soname,libnccl.so.2.  As the real one may, it does nothing before a group ends; then work is
 * done in each stream's turn, by the emulation's cudaLaunchHostFunc, which the process must have for all to see
 * (RTLD_GLOBAL).  What it is to write is poisoned until then.
 *
 * FAKE_NCCL_FAILURE: 1: there are no communicators; 2: gathers fail; 3: groups do, after all has been done but for the
 * last device.  FAKE_NCCL_AFTER: so many gathers later.  FAKE_NCCL_MICROSECONDS: how long a group takes. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SUCCESS = 0, UNHANDLED_CUDA_ERROR = 1, SYSTEM_ERROR = 2, INVALID_ARGUMENT = 4, INVALID_USAGE = 5 };
enum { FLOAT32 = 7, MOST = 16 };

typedef struct clique clique;
typedef struct communicator {
    clique *of;
    int rank, device;
} communicator;

/* Communicators that were made together, and what the open group gives each. */
struct clique {
    int n, live;
    communicator *members[MOST];
    const float *from[MOST];
    float *to[MOST];
    void *streams[MOST];
    size_t count;
};

typedef struct gathering {
    int n;
    const float *from[MOST];
    float *to;
    size_t count;
} gathering;

/* Communicators that live, cliques that were made, gathers that were done, and communicators that were aborted; for
 * tests. */
int fake_nccl_live, fake_nccl_cliques, fake_nccl_gathers, fake_nccl_aborted;

static int n_open; /* groups */
static __thread int depth;
static __thread clique *joined; /* the clique that the open group is about */

static void fail(const char *what) {
    fprintf(stderr, "nccl.c: %s\n", what);
    abort();
}

static int setting(const char *name) {
    const char *text = getenv(name);
    return text != NULL ? atoi(text) : 0;
}

static int is_to_fail(int how) {
    return setting("FAKE_NCCL_FAILURE") == how && fake_nccl_gathers >= setting("FAKE_NCCL_AFTER");
}

const char *ncclGetErrorString(int result) {
    switch (result) {
    case SUCCESS: return "no error";
    case UNHANDLED_CUDA_ERROR: return "unhandled cuda error (run with NCCL_DEBUG=INFO for details)";
    case SYSTEM_ERROR: return "unhandled system error (run with NCCL_DEBUG=INFO for details)";
    case INVALID_ARGUMENT: return "invalid argument";
    case INVALID_USAGE: return "invalid usage";
    }
    return "unknown result code";
}

/* ---- communicators ---- */

int ncclCommInitAll(void **out, int n, const int *devices) {
    if (out == NULL || devices == NULL || n < 1 || n > MOST) return INVALID_ARGUMENT;
    for (int i = 0; i < n; i++)
        for (int j = 0; j < i; j++)
            if (devices[i] == devices[j]) return INVALID_USAGE;
    if (is_to_fail(1)) return SYSTEM_ERROR;
    clique *made = calloc(1, sizeof *made);
    made->n = made->live = n;
    for (int i = 0; i < n; i++) {
        communicator *c = malloc(sizeof *c);
        c->of = made, c->rank = i, c->device = devices[i];
        out[i] = made->members[i] = c;
    }
    fake_nccl_live += n;
    fake_nccl_cliques++;
    return SUCCESS;
}

int ncclCommDestroy(void *at) {
    communicator *c = at;
    if (c == NULL || c->of->members[c->rank] != c) fail("no communicator, or destroyed before");
    if (depth > 0) fail("destroyed within a group");
    c->of->members[c->rank] = NULL;
    if (--c->of->live == 0) free(c->of);
    free(c);
    fake_nccl_live--;
    return SUCCESS;
}

int ncclCommAbort(void *at) {
    fake_nccl_aborted++;
    return ncclCommDestroy(at);
}

/* ---- gathers ---- */

int ncclGroupStart(void) {
    if (depth++ == 0 && __atomic_add_fetch(&n_open, 1, __ATOMIC_SEQ_CST) > 1)
        fail("two threads at once: the devices of the real one may wait for each other for ever");
    return SUCCESS;
}

int ncclAllGather(const void *from, void *to, size_t count, int type, void *at, void *stream) {
    communicator *c = at;
    if (c == NULL || c->of->members[c->rank] != c) fail("no communicator, or destroyed");
    if (depth == 0) fail("one thread's communicators must be in a group: the real one would wait for ever");
    if (from == NULL || to == NULL || type != FLOAT32) return INVALID_ARGUMENT;
    if (is_to_fail(2)) return UNHANDLED_CUDA_ERROR;
    clique *of = c->of;
    if (joined != NULL && (joined != of || of->count != count || of->to[c->rank] != NULL))
        fail("a group is one gather of one clique here");
    joined = of;
    of->count = count, of->from[c->rank] = from, of->to[c->rank] = to, of->streams[c->rank] = stream;
    memset(to, 0xff, (size_t)of->n * count * sizeof(float));
    return SUCCESS;
}

static void gather(void *data) {
    gathering *g = data;
    for (int i = 0; i < g->n; i++) memcpy(g->to + (size_t)i * g->count, g->from[i], g->count * sizeof(float));
    free(g);
}

static int give(clique *of, int rank) {
    int (*launch)(void *, void (*)(void *), void *);
    *(void **)&launch = dlsym(RTLD_DEFAULT, "cudaLaunchHostFunc");
    if (launch == NULL) fail("no emulation of CUDA is there for all to see");
    gathering *g = malloc(sizeof *g);
    g->n = of->n, g->to = of->to[rank], g->count = of->count;
    memcpy(g->from, of->from, sizeof g->from);
    return launch(of->streams[rank], gather, g) == 0 ? SUCCESS : UNHANDLED_CUDA_ERROR;
}

int ncclGroupEnd(void) {
    if (depth == 0) return INVALID_USAGE;
    if (--depth > 0) return SUCCESS;
    usleep((useconds_t)setting("FAKE_NCCL_MICROSECONDS"));
    __atomic_sub_fetch(&n_open, 1, __ATOMIC_SEQ_CST);
    if (joined == NULL) return SUCCESS;
    clique *of = joined;
    const int is_last_left_out = is_to_fail(3);
    int result = SUCCESS, n = 0;
    for (int i = 0; i < of->n; i++) n += of->to[i] != NULL;
    if (n < of->n && setting("FAKE_NCCL_FAILURE") != 2) fail("not all take part: the real one would wait for ever");
    for (int i = 0; i < of->n - is_last_left_out && n == of->n && result == SUCCESS; i++) result = give(of, i);
    fake_nccl_gathers += n == of->n;
    joined = NULL;
    memset(of->to, 0, sizeof of->to);
    return is_last_left_out ? UNHANDLED_CUDA_ERROR : result;
}
