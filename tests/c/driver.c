/* driver.c: the bit promise, tested without Python.  Trains, evaluates and predicts small networks through the plan API
 * with every kernel table and with 1, 2, 3 and 8 threads, and prints for each result
 *
 *     name isa threads hash        (FNV-1a, 64 bits, of the raw bytes)
 *
 * which tests/test_driver.py compares with tests/golden.json.  What it checks itself it tells on stderr, and then exits
 * with 1.  Arguments: thread counts in place of 1 2 3 8. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels.h"

#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

#define FOREVER_NS INT64_MAX / 2
#define SEED 20240229
#define MAX_LAYERS 6
#define MAX_RESULTS 256

/* ---- failures and results ---- */

static int failures;

#define CHECK(condition, ...)                                                                                          \
    do {                                                                                                               \
        if (condition) break;                                                                                          \
        failures++;                                                                                                    \
        fprintf(stderr, __VA_ARGS__);                                                                                  \
        fputc('\n', stderr);                                                                                           \
    } while (0)

typedef struct result {
    char name[64];
    const char *isa;
    int threads;
    uint64_t hash;
} result;

static result results[MAX_RESULTS];
static int n_results;

#define FNV_START 0xcbf29ce484222325u

static uint64_t fnv1a(uint64_t hash, const void *bytes, size_t n) {
    for (size_t i = 0; i < n; i++) hash = (hash ^ ((const uint8_t *)bytes)[i]) * 0x100000001b3u;
    return hash;
}

static uint64_t hash_metrics(uint64_t hash, const fnn_metrics *metrics) {
    hash = fnv1a(hash, &metrics->loss, sizeof metrics->loss);
    hash = fnv1a(hash, &metrics->hits, sizeof metrics->hits);
    return fnv1a(hash, &metrics->rows, sizeof metrics->rows);
}

static const result *find_result(const char *name) {
    for (int i = 0; i < n_results; i++)
        if (strcmp(results[i].name, name) == 0) return &results[i];
    return NULL;
}

/* Prints a result; the first of its name is what all others are held against. */
static void report(const char *verb, const char *name, const char *isa, int threads, uint64_t hash) {
    result new = {.isa = isa, .threads = threads, .hash = hash};
    snprintf(new.name, sizeof new.name, "%s/%s", verb, name);
    printf("%s %s %d %016llx\n", new.name, isa, threads, (unsigned long long)hash);
    const result *first = find_result(new.name);
    if (first == NULL) {
        if (n_results == MAX_RESULTS) abort();
        results[n_results++] = new;
        return;
    }
    CHECK(hash == first->hash, "%s differs: %016llx with %s and %d threads, %016llx with %s and %d threads", new.name,
          (unsigned long long)hash, isa, threads, (unsigned long long)first->hash, first->isa, first->threads);
}

static void *allocate(int64_t count, size_t size) {
    void *block = fnn_alloc((size_t)count * size + 1);
    if (block == NULL) abort();
    return block;
}

/* ---- floating-point control: subnormals as zero, as a program compiled with -ffast-math leaves it ---- */

#if defined(__x86_64__)
#define FLUSH 0x8040u
static uint64_t control(void) { return _mm_getcsr(); }
static void set_control(uint64_t value) { _mm_setcsr((unsigned)value); }
#elif defined(__aarch64__)
#define FLUSH (1u << 24)
static uint64_t control(void) {
    uint64_t value;
    __asm__ volatile("mrs %0, fpcr" : "=r"(value));
    return value;
}
static void set_control(uint64_t value) { __asm__ volatile("msr fpcr, %0" : : "r"(value)); }
#else
#define FLUSH 0u
static uint64_t control(void) { return 0; }
static void set_control(uint64_t value) { (void)value; }
#endif

/* ---- configurations ---- */

typedef enum x_kind { DIGITS, BYTES, BYTES_AS_FLOATS, FLOATS } x_kind;
typedef enum target_kind { LABELS, ONE_HOT, DISTRIBUTIONS, PARTS, VALUES } target_kind;

typedef struct config {
    const char *name;
    const char *like;             /* the configuration that must train to the same bits, or NULL */
    int64_t n_in, rows, batch;    /* a ragged last batch where batch does not divide rows */
    double scale, offset;         /* scale 0: no rescaling */
    fnn_dropout dropout;          /* of the input; threshold 0: none */
    fnn_layer layers[MAX_LAYERS]; /* as many as have n_out > 0 */
    x_kind x;
    target_kind targets;
    fnn_loss loss;
    fnn_link link;
    fnn_update update;
    float rate, momentum, decay, clip_value, clip_norm;
    double beta1, beta2; /* of Adam and RMSProp; their epsilon is 1e-8 */
    fnn_restraint restraints[MAX_LAYERS];
    int weighted; /* rows have weights; 64 rows at most */
    int shuffle;
    int frozen;   /* variable that stays as it is, counted from 1 */
    int flush;    /* train also in a thread that flushes subnormals */
    int diverges; /* before the end of its training */
} config;

#define INVERTED(t)                                                                                                    \
    { t, 65536.0f / t, 1.0f }
#define NAIVE(t)                                                                                                       \
    { t, 1.0f, t / 65536.0f }
#define EPOCHS 2

/* The first one's bits hang on subnormals, and its calls under flush create the threads that the others use. */
static const config configs[] = {
    {.name = "subnormal",
     .n_in = 19,
     .rows = 21,
     .batch = 8,
     .scale = 7e-42,
     .x = BYTES,
     .flush = 1,
     .layers = {{.n_out = 17, .activation = {FNN_RELU}}, {.n_out = 3}},
     .targets = VALUES,
     .loss = {FNN_SQUARED_ERROR},
     .update = FNN_MOMENTUM,
     .rate = 0.1f,
     .momentum = 0.5f},
    {.name = "digits",
     .n_in = 784,
     .rows = 23,
     .batch = 10,
     .scale = 1 / 255.0,
     .x = DIGITS,
     .flush = 1,
     .layers = {{.n_out = 17, .activation = {FNN_SIGMOID}}, {.n_out = 10}},
     .loss = {FNN_SOFTMAX_CROSS_ENTROPY},
     .link = FNN_SOFTMAX,
     .rate = 0.5f,
     .shuffle = 1},
    {.name = "dropout",
     .n_in = 784,
     .rows = 23,
     .batch = 17,
     .scale = 1 / 255.0,
     .x = DIGITS,
     .dropout = INVERTED(52429),
     .layers = {{.n_out = 33, .activation = {FNN_RELU}, .dropout = INVERTED(32768)},
                {.n_out = 15, .activation = {FNN_TANH}, .dropout = INVERTED(50000)},
                {.n_out = 10}},
     .loss = {FNN_SOFTMAX_CROSS_ENTROPY},
     .link = FNN_SOFTMAX,
     .update = FNN_NESTEROV,
     .rate = 0.05f,
     .momentum = 0.9f,
     .shuffle = 1},
    {.name = "naive_dropout",
     .n_in = 31,
     .rows = 30,
     .batch = 7,
     .x = FLOATS,
     .dropout = NAIVE(52429),
     .layers = {{.n_out = 47, .activation = {FNN_TANH}, .dropout = NAIVE(1)},
                {.n_out = 33, .activation = {FNN_SIGMOID}, .dropout = NAIVE(65535)},
                {.n_out = 4}},
     .targets = DISTRIBUTIONS,
     .loss = {FNN_SOFTMAX_CROSS_ENTROPY},
     .link = FNN_SOFTMAX,
     .rate = 0.1f,
     .shuffle = 1},
    {.name = "odd_widths",
     .n_in = 17,
     .rows = 26,
     .batch = 8,
     .x = FLOATS,
     .layers = {{.n_out = 255, .activation = {FNN_RELU}}, {.n_out = 3, .activation = {FNN_TANH}}, {.n_out = 1}},
     .targets = VALUES,
     .loss = {FNN_SQUARED_ERROR},
     .update = FNN_MOMENTUM,
     .rate = 0.02f,
     .momentum = 0.9f},
    {.name = "single",
     .n_in = 1,
     .rows = 5,
     .batch = 1,
     .x = FLOATS,
     .layers = {{.n_out = 1}},
     .targets = VALUES,
     .loss = {FNN_SQUARED_ERROR},
     .rate = 0.1f},
    {.name = "single_rows",
     .n_in = 255,
     .rows = 9,
     .batch = 1,
     .x = FLOATS,
     .layers = {{.n_out = 3, .activation = {FNN_SIGMOID}}, {.n_out = 17}},
     .targets = PARTS,
     .loss = {FNN_SIGMOID_CROSS_ENTROPY},
     .link = FNN_LOGISTIC,
     .rate = 0.1f,
     .shuffle = 1},
    {.name = "labels_per_unit",
     .n_in = 40,
     .rows = 33,
     .batch = 16,
     .x = FLOATS,
     .layers = {{.n_out = 49, .activation = {FNN_TANH}}, {.n_out = 35}},
     .targets = PARTS,
     .loss = {FNN_SIGMOID_CROSS_ENTROPY},
     .link = FNN_LOGISTIC,
     .update = FNN_NESTEROV,
     .rate = 0.05f,
     .momentum = 0.8f},
    {.name = "sigmoid_outputs",
     .n_in = 16,
     .rows = 20,
     .batch = 6,
     .x = FLOATS,
     .layers = {{.n_out = 32, .activation = {FNN_SIGMOID}}, {.n_out = 18, .activation = {FNN_SIGMOID}}},
     .targets = PARTS,
     .loss = {FNN_SQUARED_ERROR},
     .rate = 0.7f,
     .shuffle = 1},
    {.name = "relu_outputs",
     .n_in = 16,
     .rows = 20,
     .batch = 6,
     .x = FLOATS,
     .layers = {{.n_out = 5, .activation = {FNN_RELU}}},
     .targets = VALUES,
     .loss = {FNN_SQUARED_ERROR},
     .rate = 0.1f},
    {.name = "tanh_outputs",
     .n_in = 16,
     .rows = 20,
     .batch = 6,
     .x = FLOATS,
     .layers = {{.n_out = 5, .activation = {FNN_TANH}}},
     .targets = VALUES,
     .loss = {FNN_SQUARED_ERROR},
     .rate = 0.1f},
    {.name = "smooth",
     .n_in = 30,
     .rows = 26,
     .batch = 10,
     .x = FLOATS,
     .layers = {{.n_out = 47, .activation = {FNN_GELU}},
                {.n_out = 33, .activation = {FNN_SILU}, .dropout = INVERTED(40000)},
                {.n_out = 5, .activation = {FNN_SOFTPLUS}}},
     .targets = VALUES,
     .loss = {FNN_SQUARED_ERROR},
     .rate = 0.05f,
     .shuffle = 1},
    {.name = "kinked",
     .n_in = 784,
     .rows = 23,
     .batch = 10,
     .scale = 1 / 255.0,
     .x = DIGITS,
     .layers = {{.n_out = 47, .activation = {FNN_LEAKY_RELU, 0.125f}},
                {.n_out = 33, .activation = {FNN_ELU, 1.25f}, .dropout = NAIVE(40000)},
                {.n_out = 5, .activation = {FNN_AFFINE, 0.5f, -0.25f}}},
     .targets = VALUES,
     .loss = {FNN_SQUARED_ERROR},
     .rate = 0.05f,
     .shuffle = 1},
    {.name = "absolute",
     .n_in = 20,
     .rows = 26,
     .batch = 9,
     .x = FLOATS,
     .layers = {{.n_out = 19, .activation = {FNN_TANH}}, {.n_out = 5}},
     .targets = VALUES,
     .loss = {FNN_ABSOLUTE_ERROR},
     .rate = 0.05f,
     .shuffle = 1},
    {.name = "huber",
     .n_in = 20,
     .rows = 26,
     .batch = 9,
     .x = FLOATS,
     .layers = {{.n_out = 19, .activation = {FNN_TANH}}, {.n_out = 5, .activation = {FNN_GELU}}},
     .targets = VALUES,
     .loss = {FNN_HUBER, 0.5f, .is_sum = 1},
     .weighted = 1,
     .rate = 0.01f,
     .shuffle = 1},
    {.name = "poisson",
     .n_in = 20,
     .rows = 26,
     .batch = 9,
     .x = FLOATS,
     .layers = {{.n_out = 19, .activation = {FNN_TANH}}, {.n_out = 17}},
     .targets = PARTS,
     .loss = {FNN_POISSON},
     .link = FNN_EXPONENTIAL,
     .rate = 0.05f,
     .shuffle = 1},
    {.name = "weighted",
     .n_in = 20,
     .rows = 26,
     .batch = 9,
     .x = FLOATS,
     .layers = {{.n_out = 19, .activation = {FNN_TANH}}, {.n_out = 17}},
     .loss = {FNN_SOFTMAX_CROSS_ENTROPY},
     .link = FNN_SOFTMAX,
     .weighted = 1,
     .rate = 0.1f,
     .shuffle = 1},
    {.name = "wide",
     .n_in = 65,
     .rows = 19,
     .batch = 11,
     .x = FLOATS,
     .layers = {{.n_out = 255, .activation = {FNN_RELU}}, {.n_out = 34, .activation = {FNN_RELU}}, {.n_out = 20}},
     .loss = {FNN_SOFTMAX_CROSS_ENTROPY},
     .link = FNN_SOFTMAX,
     .rate = 0.1f,
     .shuffle = 1},
    {.name = "rescaled",
     .n_in = 30,
     .rows = 25,
     .batch = 10,
     .scale = 0.037,
     .offset = -4.5,
     .x = BYTES,
     .layers = {{.n_out = 18, .activation = {FNN_TANH}}, {.n_out = 6}},
     .loss = {FNN_SOFTMAX_CROSS_ENTROPY},
     .link = FNN_SOFTMAX,
     .rate = 0.1f,
     .shuffle = 1},
    {.name = "rescaled_floats",
     .like = "rescaled",
     .n_in = 30,
     .rows = 25,
     .batch = 10,
     .scale = 0.037,
     .offset = -4.5,
     .x = BYTES_AS_FLOATS,
     .layers = {{.n_out = 18, .activation = {FNN_TANH}}, {.n_out = 6}},
     .loss = {FNN_SOFTMAX_CROSS_ENTROPY},
     .link = FNN_SOFTMAX,
     .rate = 0.1f,
     .shuffle = 1},
    {.name = "rescaled_one_hot",
     .like = "rescaled",
     .n_in = 30,
     .rows = 25,
     .batch = 10,
     .scale = 0.037,
     .offset = -4.5,
     .x = BYTES,
     .layers = {{.n_out = 18, .activation = {FNN_TANH}}, {.n_out = 6}},
     .targets = ONE_HOT,
     .loss = {FNN_SOFTMAX_CROSS_ENTROPY},
     .link = FNN_SOFTMAX,
     .rate = 0.1f,
     .shuffle = 1},
    {.name = "frozen",
     .n_in = 20,
     .rows = 22,
     .batch = 9,
     .x = FLOATS,
     .frozen = 3,
     .layers = {{.n_out = 24, .activation = {FNN_SIGMOID}}, {.n_out = 20, .activation = {FNN_TANH}}, {.n_out = 3}},
     .targets = DISTRIBUTIONS,
     .loss = {FNN_SOFTMAX_CROSS_ENTROPY},
     .link = FNN_SOFTMAX,
     .update = FNN_MOMENTUM,
     .rate = 0.1f,
     .momentum = 0.9f},
    {.name = "l2",
     .n_in = 33,
     .rows = 25,
     .batch = 9,
     .x = BYTES,
     .scale = 1 / 255.0,
     .layers = {{.n_out = 50, .activation = {FNN_RELU}}, {.n_out = 6}},
     .loss = {FNN_SOFTMAX_CROSS_ENTROPY},
     .link = FNN_SOFTMAX,
     .rate = 0.1f,
     .restraints = {{.l2 = 0.1f}, {.l2 = 0.03f}},
     .shuffle = 1},
    {.name = "decay",
     .n_in = 784,
     .rows = 23,
     .batch = 10,
     .scale = 1 / 255.0,
     .x = DIGITS,
     .layers = {{.n_out = 33, .activation = {FNN_RELU}}, {.n_out = 10}},
     .loss = {FNN_SOFTMAX_CROSS_ENTROPY},
     .link = FNN_SOFTMAX,
     .update = FNN_NESTEROV,
     .rate = 0.1f,
     .momentum = 0.9f,
     .decay = 0.05f},
    {.name = "l1",
     .n_in = 784,
     .rows = 23,
     .batch = 10,
     .scale = 1 / 255.0,
     .x = DIGITS,
     .frozen = 3,
     .layers = {{.n_out = 47, .activation = {FNN_TANH}}, {.n_out = 10}},
     .loss = {FNN_SOFTMAX_CROSS_ENTROPY},
     .link = FNN_SOFTMAX,
     .update = FNN_MOMENTUM,
     .rate = 0.1f,
     .momentum = 0.5f,
     .restraints = {{.l1 = 0.01f}, {.l1 = 0.01f}},
     .shuffle = 1},
    {.name = "adam",
     .n_in = 784,
     .rows = 23,
     .batch = 10,
     .scale = 1 / 255.0,
     .x = DIGITS,
     .layers = {{.n_out = 33, .activation = {FNN_RELU}, .dropout = INVERTED(50000)}, {.n_out = 10}},
     .loss = {FNN_SOFTMAX_CROSS_ENTROPY},
     .link = FNN_SOFTMAX,
     .update = FNN_ADAM,
     .rate = 0.01f,
     .beta1 = 0.9,
     .beta2 = 0.999,
     .shuffle = 1},
    {.name = "adam_subnormal",
     .n_in = 19,
     .rows = 21,
     .batch = 8,
     .scale = 7e-42,
     .x = BYTES,
     .flush = 1,
     .layers = {{.n_out = 17, .activation = {FNN_RELU}}, {.n_out = 3}},
     .targets = VALUES,
     .loss = {FNN_SQUARED_ERROR},
     .update = FNN_ADAM,
     .rate = 0.1f,
     .beta1 = 0.5,
     .beta2 = 0.5},
    {.name = "adam_restrained",
     .n_in = 40,
     .rows = 33,
     .batch = 16,
     .x = FLOATS,
     .frozen = 4,
     .layers = {{.n_out = 49, .activation = {FNN_TANH}}, {.n_out = 35}},
     .targets = VALUES,
     .loss = {FNN_SQUARED_ERROR},
     .update = FNN_ADAM,
     .rate = 0.01f,
     .decay = 0.1f,
     .beta2 = 0.9,
     .restraints = {{.l2 = 0.1f}, {.l1 = 0.5f}}},
    {.name = "rmsprop",
     .n_in = 784,
     .rows = 23,
     .batch = 10,
     .scale = 1 / 255.0,
     .x = DIGITS,
     .layers = {{.n_out = 33, .activation = FNN_RELU}, {.n_out = 10}},
     .loss = FNN_SOFTMAX_CROSS_ENTROPY,
     .link = FNN_SOFTMAX,
     .update = FNN_RMSPROP,
     .rate = 0.001f,
     .beta2 = 0.9,
     .shuffle = 1},
    {.name = "rmsprop_momentum",
     .n_in = 40,
     .rows = 33,
     .batch = 16,
     .x = FLOATS,
     .frozen = 4,
     .layers = {{.n_out = 49, .activation = FNN_TANH}, {.n_out = 35}},
     .targets = VALUES,
     .loss = FNN_SQUARED_ERROR,
     .update = FNN_RMSPROP,
     .rate = 0.001f,
     .momentum = 0.9f,
     .decay = 0.1f,
     .beta2 = 0.75,
     .restraints = {{.l2 = 0.1f}, {.l1 = 0.5f}}},
    {.name = "clip_norm",
     .n_in = 784,
     .rows = 23,
     .batch = 10,
     .scale = 1 / 255.0,
     .x = DIGITS,
     .frozen = 3,
     .layers = {{.n_out = 47, .activation = FNN_RELU}, {.n_out = 10}},
     .loss = FNN_SOFTMAX_CROSS_ENTROPY,
     .link = FNN_SOFTMAX,
     .update = FNN_NESTEROV,
     .rate = 0.1f,
     .momentum = 0.9f,
     .clip_norm = 1.0f,
     .shuffle = 1},
    {.name = "clip_both",
     .n_in = 65,
     .rows = 19,
     .batch = 11,
     .x = FLOATS,
     .layers = {{.n_out = 255, .activation = FNN_RELU}, {.n_out = 34, .activation = FNN_RELU}, {.n_out = 20}},
     .loss = FNN_SOFTMAX_CROSS_ENTROPY,
     .link = FNN_SOFTMAX,
     .update = FNN_ADAM,
     .rate = 0.1f,
     .beta1 = 0.9,
     .beta2 = 0.999,
     .clip_value = 0.01f,
     .clip_norm = 0.2f,
     .restraints = {{.l2 = 0.1f}}},
    {.name = "max_norm",
     .n_in = 784,
     .rows = 23,
     .batch = 10,
     .scale = 1 / 255.0,
     .x = DIGITS,
     .layers = {{.n_out = 95, .activation = {FNN_RELU}}, {.n_out = 10}},
     .loss = {FNN_SOFTMAX_CROSS_ENTROPY},
     .link = FNN_SOFTMAX,
     .update = FNN_NESTEROV,
     .rate = 0.1f,
     .momentum = 0.9f,
     .restraints = {{.max_norm = 1.0f}, {.l2 = 0.1f, .max_norm = 0.9f}},
     .shuffle = 1},
    {.name = "shared",
     .n_in = 37,
     .rows = 41,
     .batch = 15,
     .x = FLOATS,
     .frozen = 6,
     .layers = {{.n_out = 37, .activation = FNN_TANH},
                {.n_out = 37, .activation = FNN_TANH, .same_as = 1, .dropout = {49152, 65536.0f / 49152, 1.0f}},
                {.n_out = 20, .activation = FNN_RELU},
                {.n_out = 37},
                {.n_out = 37, .activation = FNN_TANH, .same_as = 1},
                {.n_out = 20, .activation = FNN_RELU, .same_as = 3}},
     .loss = FNN_SOFTMAX_CROSS_ENTROPY,
     .link = FNN_SOFTMAX,
     .update = FNN_ADAM,
     .rate = 0.01f,
     .decay = 0.1f,
     .beta2 = 0.9,
     .restraints = {{.l2 = 0.1f, .max_norm = 0.8f}, {0}, {.l1 = 0.01f}},
     .shuffle = 1},
    {.name = "diverging",
     .n_in = 20,
     .rows = 40,
     .batch = 5,
     .x = FLOATS,
     .diverges = 1,
     .layers = {{.n_out = 24, .activation = {FNN_RELU}}, {.n_out = 7}},
     .targets = VALUES,
     .loss = {FNN_SQUARED_ERROR},
     .rate = 1e3f},
};
#define N_CONFIGS ((int)(sizeof configs / sizeof *configs))

/* ---- problems: a configuration with its network, initial parameters and data ---- */

typedef struct problem {
    const config *config;
    fnn_net *net;
    const fnn_layer *last;
    fnn_data data;
    int zero_stays; /* else zeros cannot be skipped and there are no lists */
    fnn_sparse lists;
    int unfused;
    float *initial;
    void *x, *y;
} problem;

/* n numbers in [low, high), of a stream of their own. */
static void fill(float *out, int64_t n, float low, float high, uint32_t stream) {
    for (int64_t i = 0; i < n; i++) {
        const uint32_t counter[4] = {(uint32_t)i, 0, 0, 0x70000000u + stream};
        uint32_t words[4];
        fnn_philox(words, counter, SEED);
        out[i] = low + (high - low) * ((float)(words[0] >> 8) * 0x1p-24f);
    }
}

static void make_x(problem *p) {
    const config *c = p->config;
    const int64_t n = c->rows * c->n_in;
    float *floats = p->x = allocate(n, sizeof(float));
    p->data.x = p->x;
    p->data.x_type = FNN_FLOAT32;
    if (c->x == FLOATS) {
        fill(floats, n, -1.0f, 1.0f, 0);
        return;
    }
    fill(floats, n, 0.0f, 256.0f, 0);
    if (c->x == BYTES_AS_FLOATS) {
        for (int64_t i = 0; i < n; i++) floats[i] = (float)(int)floats[i];
        return;
    }
    uint8_t *bytes = allocate(n, 1);
    for (int64_t i = 0; i < n; i++) bytes[i] = (uint8_t)floats[i];
    fnn_free(floats);
    p->data.x = p->x = bytes;
    p->data.x_type = FNN_UINT8;
}

static void make_labels(problem *p) {
    const config *c = p->config;
    const int64_t n_out = p->last->n_out;
    int32_t *labels = allocate(c->rows, sizeof(int32_t));
    if (c->x == DIGITS) {
        uint8_t *bytes = allocate(c->rows, 1);
        fnn_digits(p->x, bytes, 0, c->rows, SEED);
        for (int64_t i = 0; i < c->rows; i++) labels[i] = bytes[i];
        fnn_free(bytes);
    } else {
        for (int64_t i = 0; i < c->rows; i++) labels[i] = (int32_t)(i * i % n_out);
    }
    p->data.labels = p->y = labels;
    if (c->targets != ONE_HOT) return;
    float *one_hot = allocate(c->rows * n_out, sizeof(float));
    for (int64_t i = 0; i < c->rows; i++) one_hot[i * n_out + labels[i]] = 1.0f;
    fnn_free(labels);
    p->data.labels = NULL;
    p->data.targets = p->y = one_hot;
}

static void make_y(problem *p) {
    const config *c = p->config;
    const int64_t n_out = p->last->n_out, n = c->rows * n_out;
    if (c->targets == LABELS || c->targets == ONE_HOT) {
        make_labels(p);
        return;
    }
    float *targets = p->y = allocate(n, sizeof(float));
    fill(targets, n, c->targets == VALUES ? -1.0f : 0.0f, 1.0f, 1);
    if (c->targets == DISTRIBUTIONS)
        for (float *row = targets; row < targets + n; row += n_out) {
            float sum = 0.0f;
            for (int64_t i = 0; i < n_out; i++) sum += row[i];
            for (int64_t i = 0; i < n_out; i++) row[i] /= sum;
        }
    p->data.targets = targets;
}

/* Of every row, zeros among them. */
static void make_weights(problem *p) {
    static float weights[64];
    for (int i = 0; i < 64; i++) weights[i] = (float)(i * 7 % 5) / 4.0f;
    if (p->config->weighted) p->data.weights = weights;
}

static fnn_dropout dropout_or_none(fnn_dropout dropout) {
    return dropout.threshold != 0 ? dropout : (fnn_dropout){65536, 1.0f, 1.0f};
}

static void make_net(problem *p) {
    const config *c = p->config;
    const fnn_input input = {c->n_in, c->scale != 0 ? c->scale : 1.0, c->offset, dropout_or_none(c->dropout)};
    fnn_layer layers[MAX_LAYERS];
    int64_t n_layers = 0;
    for (; n_layers < MAX_LAYERS && c->layers[n_layers].n_out > 0; n_layers++) {
        layers[n_layers] = c->layers[n_layers];
        layers[n_layers].dropout = dropout_or_none(layers[n_layers].dropout);
    }
    p->net = fnn_net_create(&input, layers, n_layers);
    if (p->net == NULL) abort();
    p->last = &p->net->layers[n_layers - 1];

    p->initial = allocate(p->net->n_floats, sizeof(float));
    for (int64_t l = 0; l < n_layers; l++) {
        const fnn_layer *layer = &p->net->layers[l];
        if (layer->same_as != 0) continue;
        float *matrix = allocate(layer->n_in * layer->n_out, sizeof(float));
        fnn_draw(matrix, layer->n_in * layer->n_out, FNN_NORMAL, 0, 1 / sqrt((double)layer->n_in), SEED, (int)(2 * l));
        fnn_pack(p->initial + layer->w, matrix, layer->n_in, layer->n_out);
        fnn_draw(matrix, layer->n_out, FNN_UNIFORM, -0.1, 0.1, SEED, (int)(2 * l) + 1);
        /* biases would hide the subnormal activations */
        if (c->scale == 0 || c->scale > 1e-30) fnn_pack(p->initial + layer->b, matrix, 1, layer->n_out);
        fnn_free(matrix);
    }
}

/* The rows as lists of their entries, rescaled. */
static void make_lists(problem *p) {
    const fnn_input *input = &p->net->input;
    const int64_t n_rows = p->data.n_rows, n_in = input->n_in;
    int64_t *starts = allocate(n_rows + 1, sizeof(int64_t)), n = 0;
    int32_t *columns = allocate(n_rows * n_in, sizeof(int32_t));
    float *values = allocate(n_rows * n_in, sizeof(float));
    p->lists = (fnn_sparse){starts, columns, values, 1};
    for (int64_t i = 0; i < n_rows; i++) {
        for (int64_t k = 0; k < n_in; k++) {
            const int64_t at = i * n_in + k;
            const double x = p->data.x_type == FNN_UINT8 ? ((uint8_t *)p->x)[at] : ((float *)p->x)[at];
            columns[n] = (int32_t)k;
            values[n] = (float)(x * input->scale + input->offset);
            n += x != 0;
        }
        starts[i + 1] = n;
        if (n - starts[i] > p->lists.most) p->lists.most = n - starts[i];
    }
}

/* The same data to be read in another way. */
typedef enum data_way { ALL, SKIPPED, LISTED } data_way;

static fnn_data data_read(const problem *p, data_way way) {
    fnn_data data = p->data;
    if (way == SKIPPED) data.skips_zeros = p->zero_stays;
    if (way == LISTED && p->zero_stays) data.x = NULL, data.x_type = FNN_FLOAT32, data.sparse = &p->lists;
    return data;
}

static void make_problem(problem *p, const config *c) {
    *p = (problem){.config = c, .data = {.n_rows = c->rows}};
    make_net(p);
    make_x(p);
    make_y(p);
    make_weights(p);
    p->zero_stays = fnn_worth_skipping(&p->data, &p->net->input, 1.0);
    CHECK(p->zero_stays == (c->offset == 0), "%s: are zeros skipped?", c->name);
    make_lists(p);
}

static void destroy_problem(problem *p) {
    fnn_free((void *)p->lists.starts);
    fnn_free((void *)p->lists.columns);
    fnn_free((void *)p->lists.values);
    fnn_free(p->net);
    fnn_free(p->initial);
    fnn_free(p->x);
    fnn_free(p->y);
}

static fnn_plan *make_plan(const problem *p, int64_t n_batch, int training, int threads, int poison) {
    fnn_plan *plan;
    if (fnn_plan_create(&plan, p->net, n_batch, training, threads, &p->data) != FNN_OK) abort();
    fnn_plan_poison(plan, poison);
    return plan;
}

/* ---- the verbs of a plan ---- */

typedef struct trained {
    float *params;
    uint64_t hash;
} trained;

static void check_frozen(const problem *p, const float *params) {
    const int variable = p->config->frozen - 1;
    const fnn_layer *layer = &p->net->layers[variable / 2];
    const int64_t begin = variable % 2 == 0 ? layer->w : layer->b;
    const int64_t n = variable % 2 == 0 ? layer->b - layer->w : fnn_panels(layer->n_out) * FNN_LANES;
    CHECK(memcmp(params + begin, p->initial + begin, (size_t)n * sizeof(float)) == 0, "%s: a frozen variable changed",
          p->config->name);
    CHECK(memcmp(params, p->initial, (size_t)begin * sizeof(float)) != 0, "%s: nothing was trained", p->config->name);
}

static void train_epoch(const problem *p, fnn_plan *plan, float *params, float *state, fnn_epoch *epoch,
                        int64_t budget_ns) {
    const int64_t allocations = fnn_alloc_count();
    fnn_status status = FNN_OK;
    while (epoch->step < epoch->n_steps && status == FNN_OK)
        status = fnn_train(plan, params, state, epoch, FNN_MAX_THREADS, budget_ns);
    CHECK(fnn_alloc_count() == allocations, "%s: training steps allocated", p->config->name);
    CHECK(status == FNN_OK || p->config->diverges, "%s: %s", p->config->name, fnn_status_text(status));
    CHECK(status != FNN_OK || !p->config->diverges, "%s: must diverge, but does not", p->config->name);
}

/* Such numbers would slow every step down. */
static void check_state(const problem *p, const float *state, int64_t n) {
    for (int64_t i = 0; i < n; i++)
        if (fpclassify(state[i]) == FP_SUBNORMAL) {
            CHECK(0, "%s: the state holds a subnormal number", p->config->name);
            return;
        }
}

/* Two epochs; the hash is of parameters, state, metrics and steps. */
static trained train(const problem *p, int threads) {
    const config *c = p->config;
    const int64_t n_steps = (c->rows + c->batch - 1) / c->batch, n_bytes = p->net->n_floats * (int64_t)sizeof(float);
    float *params = allocate(n_bytes, 1), *state = allocate(2 * n_bytes, 1);
    float *rates = allocate(n_steps, sizeof(float));
    uint32_t *order = allocate(c->rows, sizeof(uint32_t));
    uint8_t trainable[2 * MAX_LAYERS];
    for (int i = 0; i < 2 * MAX_LAYERS; i++) trainable[i] = i != c->frozen - 1;
    memcpy(params, p->initial, (size_t)n_bytes);
    fnn_plan *plan = make_plan(p, c->batch, 1, threads, 0xff);

    const int64_t n_blocks = fnn_state_blocks(c->update, c->momentum);
    double norms = 0;
    uint64_t hash = FNV_START;
    for (uint32_t i = 0; i < (c->diverges ? 1 : EPOCHS); i++) {
        fnn_epoch epoch = {.data = &p->data,
                           .loss = c->loss,
                           .update = c->update,
                           .unfused = p->unfused,
                           .momentum = c->momentum,
                           .beta1 = c->beta1,
                           .beta2 = c->beta2,
                           .epsilon = 1e-8f,
                           .decay = c->decay,
                           .clip_value = c->clip_value,
                           .clip_norm = c->clip_norm,
                           .restraints = c->restraints,
                           .rates = rates,
                           .trainable = trainable,
                           .order = c->shuffle ? order : NULL,
                           .seed = SEED,
                           .first_step = i * (uint32_t)n_steps,
                           .batch_size = c->batch,
                           .n_steps = n_steps};
        for (int64_t step = 0; step < n_steps; step++) rates[step] = c->rate / (float)(1 + i + step);
        fnn_shuffle(order, c->rows, SEED, FNN_STREAM_SHUFFLE, i);
        /* with three threads every call comes back after one step */
        train_epoch(p, plan, params, state, &epoch, threads == 3 ? 0 : FOREVER_NS);
        hash = fnv1a(hash_metrics(hash, &epoch.metrics), &epoch.step, sizeof epoch.step);
        norms += epoch.norms;
    }
    hash = fnv1a(hash, params, (size_t)n_bytes);
    const double penalty = fnn_penalty(p->net, params, c->restraints);
    if (penalty != 0) hash = fnv1a(hash, &penalty, sizeof penalty);
    if (c->clip_norm != 0) hash = fnv1a(hash, &norms, sizeof norms);
    hash = fnv1a(hash, state, (size_t)(n_blocks * n_bytes));
    if (c->frozen) check_frozen(p, params);
    check_state(p, state, n_blocks * p->net->n_floats);

    fnn_plan_destroy(plan);
    fnn_free(state);
    fnn_free(rates);
    fnn_free(order);
    return (trained){params, hash};
}

/* A predictor must give the rows' outputs to the bit, whatever number of them a call takes. */
static void check_predictor(const problem *p, const float *params, const float *expected, int threads, int poison) {
    const int64_t n_rows = p->config->rows, n_out = p->last->n_out;
    const int64_t row_bytes = p->config->n_in * (p->data.x_type == FNN_UINT8 ? 1 : (int64_t)sizeof(float));
    float *out = allocate(n_rows * n_out, sizeof(float));
    fnn_predictor *predictor;
    CHECK(fnn_predictor_create(&predictor, p->net, n_rows, threads) == FNN_OK, "no memory for a predictor");
    fnn_predictor_poison(predictor, poison);
    const int64_t allocated = fnn_alloc_count();
    for (int64_t most = 1; most <= n_rows; most += most < 8 ? 1 : most) {
        memset(out, 0xff, (size_t)(n_rows * n_out) * sizeof(float));
        for (int64_t row = 0; row < n_rows; row += most) {
            const fnn_data data = {.n_rows = n_rows - row < most ? n_rows - row : most,
                                   .x_type = p->data.x_type,
                                   .x = (const char *)p->data.x + row * row_bytes};
            fnn_predictor_run(predictor, params, &data, p->config->link, out + row * n_out);
        }
        CHECK(memcmp(out, expected, (size_t)(n_rows * n_out) * sizeof(float)) == 0,
              "%s: a predictor of %lld rows a call differs", p->config->name, (long long)most);
    }
    CHECK(fnn_alloc_count() == allocated, "%s: a predictor allocated", p->config->name);
    fnn_predictor_destroy(predictor);
    fnn_free(out);
}

static uint64_t predict(const problem *p, const float *params, int threads, int poison) {
    const int64_t n = p->config->rows * p->last->n_out;
    fnn_data data = p->data;
    data.labels = NULL, data.targets = NULL;
    float *out = allocate(n, sizeof(float));
    fnn_plan *plan = make_plan(p, 18, 0, threads, poison);
    for (int64_t row = 0; row < data.n_rows;) fnn_predict(plan, params, &data, p->config->link, 0, &row, out);
    if (p->data.x != NULL) check_predictor(p, params, out, threads, poison);
    const uint64_t hash = fnv1a(FNV_START, out, (size_t)n * sizeof(float));
    fnn_plan_destroy(plan);
    fnn_free(out);
    return hash;
}

static uint64_t evaluate(const problem *p, const float *params, int threads, int poison) {
    fnn_metrics metrics = {0};
    int64_t row = 0;
    fnn_plan *plan = make_plan(p, 18, 0, threads, poison);
    fnn_evaluate(plan, params, &p->data, p->config->loss, FOREVER_NS, &row, &metrics);
    CHECK(row == p->config->rows, "%s: evaluate ended at row %lld", p->config->name, (long long)row);
    fnn_plan_destroy(plan);
    return hash_metrics(FNV_START, &metrics);
}

static uint64_t gradients(const problem *p, const float *params, int threads, int poison) {
    fnn_metrics metrics;
    float *block = allocate(p->net->n_gradients, sizeof(float));
    memset(block, poison, (size_t)p->net->n_gradients * sizeof(float));
    fnn_plan *plan = make_plan(p, p->config->rows, 1, threads, poison);
    const fnn_share all = {.n_rows = p->config->rows, .of = p->config->rows, .dropout = 1, .seed = SEED, .step = 7};
    fnn_gradients(plan, params, &p->data, p->config->loss, &all, block, &metrics);
    const uint64_t hash = fnv1a(hash_metrics(FNV_START, &metrics), block, (size_t)p->net->n_floats * sizeof(float));
    fnn_plan_destroy(plan);
    fnn_free(block);
    return hash;
}

static void run(const problem *p, const char *isa, int threads) {
    const char *name = p->config->name;
    if (p->config->flush) {
        const uint64_t saved = control();
        set_control(saved | FLUSH);
        const trained flushed = train(p, threads);
        CHECK(control() == (saved | FLUSH), "%s: the caller's floating-point control was not restored", name);
        const uint64_t predicted = predict(p, flushed.params, threads, 0);
        const uint64_t gradient = gradients(p, flushed.params, threads, 0);
        set_control(saved);
        report("train", name, isa, threads, flushed.hash);
        report("predict", name, isa, threads, predicted);
        report("gradients", name, isa, threads, gradient);
        fnn_free(flushed.params);
    }
    problem way = *p; /* the same work done in other ways must give the same bits */
    if (threads == 1)
        for (way.unfused = 0; way.unfused <= 1; way.unfused++) {
            const trained dense = train(&way, threads);
            report("train", name, isa, threads, dense.hash);
            fnn_free(dense.params);
        }
    way.unfused = 0;
    for (data_way read = SKIPPED; read <= LISTED; read++) {
        way.data = data_read(p, read);
        const trained t = train(&way, threads);
        report("train", name, isa, threads, t.hash);
        for (int poison = 0; poison <= 0xff; poison += 0xff) {
            way.data = data_read(p, poison == 0 ? ALL : read);
            report("predict", name, isa, threads, predict(&way, t.params, threads, poison));
            report("evaluate", name, isa, threads, evaluate(&way, t.params, threads, poison));
            report("gradients", name, isa, threads, gradients(&way, t.params, threads, poison));
        }
        fnn_free(t.params);
    }
}

/* ---- kernels one by one ---- */

/* Of every 40,009th float that is in the function's domain: the function, and an activation's slope. */
static void element_wise(const fnn_kernels *kernels) {
    static const char *const names[] = {"linear",    "sigmoid", "tanh", "relu",     "affine", "leaky_relu", "elu",
                                        "threshold", "gelu",    "silu", "softplus", "exp",    "log",        "log1p"};
    const uint32_t stride = 40009;
    float *x = allocate(UINT32_MAX / stride + 1, sizeof(float));
    float *y = allocate(UINT32_MAX / stride + 1, sizeof(float));
    for (int f = FNN_SIGMOID; f <= FNN_LOG1P; f++) {
        const fnn_activation function = {(fnn_function)f, 0.7f, -0.3f};
        int64_t n = 0;
        for (uint64_t bits = 0; bits <= UINT32_MAX; bits += stride) {
            const uint32_t word = (uint32_t)bits;
            float value;
            memcpy(&value, &word, sizeof value);
            const int usable = f == FNN_LOG     ? value >= 0x1p-126f && value < INFINITY
                               : f == FNN_LOG1P ? value >= 0.0f && value <= 1.0f
                                                : value - value == 0.0f;
            if (usable) x[n++] = value;
        }
        kernels->apply(y, x, n, function);
        report("apply", names[f], kernels->name, 1, fnv1a(FNV_START, y, (size_t)n * sizeof(float)));
        if (f >= FNN_EXP) continue;
        kernels->slope(y, x, n, function);
        report("slope", names[f], kernels->name, 1, fnv1a(FNV_START, y, (size_t)n * sizeof(float)));
    }
    fnn_free(y);
    fnn_free(x);
}

/* A chain of n roundings of relative error u = 2^-24 errs by at most n u / (1 - n u) times the sum of magnitudes
 * (Higham, Accuracy and Stability of Numerical Algorithms, section 3.1); the double's own error is far below that. */
static void check_dense(const char *isa, int threads, int64_t n_in, int64_t n_out) {
    const config c = {
        .name = "dense", .n_in = n_in, .rows = 13, .x = FLOATS, .targets = VALUES, .layers = {{.n_out = n_out}}};
    problem p;
    make_problem(&p, &c);
    float *w = allocate(n_in * n_out, sizeof(float)), *b = allocate(n_out, sizeof(float));
    float *out = allocate(c.rows * n_out, sizeof(float));
    fnn_unpack(w, p.initial, n_in, n_out);
    fnn_unpack(b, p.initial + p.last->b, 1, n_out);
    fnn_plan *plan = make_plan(&p, c.rows, 0, threads, 0xff);
    int64_t row = 0;
    fnn_predict(plan, p.initial, &p.data, FNN_IDENTITY, FOREVER_NS, &row, out);

    const double nu = (double)n_in * 0x1p-24;
    for (int64_t i = 0; i < c.rows * n_out; i++) {
        const float *x = (const float *)p.x + i / n_out * n_in;
        double sum = b[i % n_out], magnitudes = fabs(sum);
        for (int64_t k = 0; k < n_in; k++) {
            const double product = (double)x[k] * w[k * n_out + i % n_out];
            sum += product;
            magnitudes += fabs(product);
        }
        const double error = fabs(out[i] - sum), bound = nu / (1 - nu) * magnitudes + 0x1p-149;
        CHECK(error <= bound, "dense %lld to %lld, %s: output %lld errs by %g, more than %g", (long long)n_in,
              (long long)n_out, isa, (long long)i, error, bound);
    }
    fnn_plan_destroy(plan);
    fnn_free(out);
    fnn_free(b);
    fnn_free(w);
    destroy_problem(&p);
}

/* ---- what needs no kernel table ---- */

/* From the known-answer file of Random123, the authors' implementation. */
static void check_philox(void) {
    static const struct {
        uint32_t counter[4];
        uint64_t seed;
        uint32_t words[4];
    } known[] = {
        {{0, 0, 0, 0}, 0, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
        {{0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff},
         0xffffffffffffffff,
         {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
        {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
         0x299f31d0a4093822,
         {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
    };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        uint32_t words[4];
        fnn_philox(words, known[i].counter, known[i].seed);
        CHECK(memcmp(words, known[i].words, sizeof words) == 0, "philox: known answer %d differs", (int)i);
    }
}

/* n_values of float32, drawn with the calling thread's floating-point control at its default and flushing. */
static void report_draw(const char *name, fnn_distribution distribution, double a, double b) {
    enum { N = 4099 };
    static float values[N];
    const uint64_t saved = control();
    for (int flush = 0; flush < 2; flush++) {
        set_control(flush ? saved | FLUSH : saved);
        fnn_draw(values, N, distribution, a, b, SEED, 5);
        set_control(saved);
        report("draw", name, "any", 1, fnv1a(FNV_START, values, sizeof values));
    }
}

/* A plan's memory must do for a last batch of fewer rows too. */
static void check_work(void) {
    for (int64_t n_k = 1; n_k < 300000; n_k += 1 + n_k / 50)
        for (int64_t n_batch = 1; n_batch < 3000; n_batch += 1 + n_batch / 5)
            for (int64_t rows = 1; rows <= n_batch; rows += 1 + rows / 5)
                CHECK(fnn_product_work(rows, n_k) + fnn_turned_work(rows, n_k) <= fnn_backward_work(n_batch, n_k),
                      "no memory for %lld rows of %lld places", (long long)rows, (long long)n_k);
}

static void report_random(void) {
    report_draw("uniform", FNN_UNIFORM, -0.25, 0.5);
    report_draw("normal", FNN_NORMAL, 1, 2);
    report_draw("truncated_normal", FNN_TRUNCATED_NORMAL, 0, 0.1);
    report_draw("subnormal", FNN_NORMAL, 0, 1e-40);

    enum { N = 1001 };
    static uint32_t order[N];
    fnn_shuffle(order, N, SEED, FNN_STREAM_SHUFFLE, 3);
    report("shuffle", "shuffle", "any", 1, fnv1a(FNV_START, order, sizeof order));
    fnn_shuffle(order, N, SEED, FNN_STREAM_SPLIT, 0);
    report("shuffle", "split", "any", 1, fnv1a(FNV_START, order, sizeof order));

    static uint8_t images[50][784], labels[50];
    fnn_digits(&images[0][0], labels, 123, 50, SEED);
    report("digits", "digits", "any", 1, fnv1a(fnv1a(FNV_START, images, sizeof images), labels, sizeof labels));
}

static void check_likes(void) {
    for (int i = 0; i < N_CONFIGS; i++) {
        if (configs[i].like == NULL) continue;
        char own[64], other[64];
        snprintf(own, sizeof own, "train/%s", configs[i].name);
        snprintf(other, sizeof other, "train/%s", configs[i].like);
        CHECK(find_result(own)->hash == find_result(other)->hash, "%s and %s must train to the same bits", own, other);
    }
}

int main(int argc, char **argv) {
    static const char *const default_threads[] = {"1", "2", "3", "8"};
    const char *const *threads = argc > 1 ? (const char *const *)argv + 1 : default_threads;
    const int n_threads = argc > 1 ? argc - 1 : 4;
    static problem problems[N_CONFIGS];
    for (int i = 0; i < N_CONFIGS; i++) make_problem(&problems[i], &configs[i]);

    check_philox();
    check_work();
    report_random();
    for (int isa = 0; fnn_isa_available(isa) != NULL; isa++) {
        const fnn_kernels *kernels = fnn_isa_available(isa);
        CHECK(fnn_isa_use(kernels->name) && fnn_isa() == kernels, "%s cannot be chosen", kernels->name);
        element_wise(kernels);
        for (int t = 0; t < n_threads; t++)
            for (int i = 0; i < N_CONFIGS; i++) run(&problems[i], kernels->name, atoi(threads[t]));
        check_dense(kernels->name, 2, 1, 1);
        check_dense(kernels->name, 2, 17, 33);
        check_dense(kernels->name, 2, 784, 5);
    }
    CHECK(!fnn_isa_use("mmx"), "an unknown table was chosen");
    check_likes();

    for (int i = 0; i < N_CONFIGS; i++) destroy_problem(&problems[i]);
    fprintf(stderr, failures > 0 ? "%d checks failed\n" : "", failures);
    return failures > 0;
}
