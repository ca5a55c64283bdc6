/* cublaslt.c: stands in for NVIDIA's cuBLASLt where CUDA is emulated: the calls that fastnn makes, and no others, by a
 * plain product.  What breaks the rules of the real one, as far as they are known here, gets its error status, or ends
 * the process where the real one would read what is not there.
 *
 * Built with -shared -Wl,-soname,libcublasLt.so.13.  Work is done in a stream's turn, by the emulation's
 * cudaLaunchHostFunc, which the process must have for all to see (RTLD_GLOBAL).
 *
 * FAKE_BLAS_FAILURE: 1: there is no algorithm for any product; 2: products fail; 3: none has an epilogue or stores
 * bfloat16; 4: none sums columns up. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SUCCESS = 0, INVALID_VALUE = 7, EXECUTION_FAILED = 13, NOT_SUPPORTED = 15 };
enum { R_32F = 0, R_16BF = 14, COMPUTE_32F = 68, COMPUTE_32F_FAST_TF32 = 77 };
/* cublasLtEpilogue_t, as bits: what follows on the sums. */
enum { DEFAULT = 1, RELU = 2, BIAS = 4, DRELU = 8, BGRAD = 16, AUX = 128 };

typedef struct object {
    enum { HANDLE = 0x1e55a, DESCRIPTION, LAYOUT, PREFERENCE } kind;
    int compute_type, is_transposed[2]; /* of a description */
    uint32_t epilogue;
    void *bias, *aux;
    int64_t aux_stride; /* in bits */
    int type;                           /* of a layout */
    int64_t rows, columns, stride;
    uint64_t workspace_bytes; /* of a preference */
    uint32_t schemes;
} object;

/* As cublasLtMatmulHeuristicResult_t; data: the shape that it was chosen for. */
typedef struct algorithm {
    uint64_t data[8];
} algorithm;
typedef struct heuristic {
    algorithm algo;
    size_t workspace_bytes;
    int status;
    float waves;
    int reserved[4];
} heuristic;

typedef struct product {
    object description, a, b, c;
    const void *a_at, *b_at;
    void *c_at;
    float alpha, beta;
} product;

/* What lives, and what was done; for tests. */
int fake_blas_objects, fake_blas_products;
/* Products by their epilogue. */
int fake_blas_epilogues[256];

static void fail(const char *what) {
    fprintf(stderr, "cublaslt.c: %s\n", what);
    abort();
}

static int wished_failure(void) {
    const char *text = getenv("FAKE_BLAS_FAILURE");
    return text != NULL ? atoi(text) : 0;
}

const char *cublasLtGetStatusString(int status) {
    switch (status) {
    case SUCCESS: return "the functionality succeeded";
    case INVALID_VALUE: return "an invalid value was passed";
    case EXECUTION_FAILED: return "the product failed to execute";
    case NOT_SUPPORTED: return "the functionality is not supported";
    }
    return "unknown";
}

/* ---- objects ---- */

static int new_object(void **out, int kind) {
    if (out == NULL) return INVALID_VALUE;
    object *made = calloc(1, sizeof *made);
    made->kind = kind;
    *out = made;
    __atomic_add_fetch(&fake_blas_objects, 1, __ATOMIC_SEQ_CST);
    return SUCCESS;
}

static object *as(void *at, int kind) {
    object *it = at;
    if (it == NULL || (int)it->kind != kind) fail("an object of another kind, or destroyed before");
    return it;
}

static int destroy(void *at, int kind) {
    as(at, kind)->kind = 0;
    free(at);
    __atomic_sub_fetch(&fake_blas_objects, 1, __ATOMIC_SEQ_CST);
    return SUCCESS;
}

int cublasLtCreate(void **handle) { return new_object(handle, HANDLE); }
int cublasLtDestroy(void *handle) { return destroy(handle, HANDLE); }
int cublasLtMatmulDescDestroy(void *description) { return destroy(description, DESCRIPTION); }
int cublasLtMatrixLayoutDestroy(void *layout) { return destroy(layout, LAYOUT); }
int cublasLtMatmulPreferenceDestroy(void *preference) { return destroy(preference, PREFERENCE); }

int cublasLtMatmulDescCreate(void **out, int compute_type, int scale_type) {
    if (scale_type != R_32F || (compute_type != COMPUTE_32F && compute_type != COMPUTE_32F_FAST_TF32))
        return INVALID_VALUE;
    const int status = new_object(out, DESCRIPTION);
    if (status != SUCCESS) return status;
    as(*out, DESCRIPTION)->compute_type = compute_type;
    as(*out, DESCRIPTION)->epilogue = DEFAULT;
    return SUCCESS;
}

static int copy(void *to, size_t size, const void *value, size_t bytes) {
    if (bytes != size) return INVALID_VALUE;
    memcpy(to, value, bytes);
    return SUCCESS;
}

static int set_transposed(int *is_transposed, const void *value, size_t bytes) {
    int32_t wish = 0;
    if (copy(&wish, sizeof wish, value, bytes) != SUCCESS || wish < 0 || wish > 1) return INVALID_VALUE;
    *is_transposed = wish;
    return SUCCESS;
}

/* TRANSA, TRANSB, EPILOGUE, BIAS_POINTER, EPILOGUE_AUX_POINTER, EPILOGUE_AUX_LD. */
int cublasLtMatmulDescSetAttribute(void *description, int attribute, const void *value, size_t bytes) {
    object *to = as(description, DESCRIPTION);
    switch (attribute) {
    case 3:
    case 4: return set_transposed(&to->is_transposed[attribute - 3], value, bytes);
    case 7: return copy(&to->epilogue, sizeof to->epilogue, value, bytes);
    case 8: return copy(&to->bias, sizeof to->bias, value, bytes);
    case 11: return copy(&to->aux, sizeof to->aux, value, bytes);
    case 12: return copy(&to->aux_stride, sizeof to->aux_stride, value, bytes);
    }
    return INVALID_VALUE;
}

int cublasLtMatrixLayoutCreate(void **out, int type, uint64_t rows, uint64_t columns, int64_t stride) {
    if ((type != R_32F && type != R_16BF) || rows == 0 || columns == 0 || stride < (int64_t)rows) return INVALID_VALUE;
    const int status = new_object(out, LAYOUT);
    if (status != SUCCESS) return status;
    object *made = as(*out, LAYOUT);
    made->type = type, made->rows = (int64_t)rows, made->columns = (int64_t)columns, made->stride = stride;
    return SUCCESS;
}

int cublasLtMatmulPreferenceCreate(void **out) {
    const int status = new_object(out, PREFERENCE);
    if (status == SUCCESS) as(*out, PREFERENCE)->schemes = 7;
    return status;
}

/* 1: MAX_WORKSPACE_BYTES; 3: REDUCTION_SCHEME_MASK. */
int cublasLtMatmulPreferenceSetAttribute(void *preference, int attribute, const void *value, size_t bytes) {
    object *to = as(preference, PREFERENCE);
    if (attribute == 1 && bytes == sizeof to->workspace_bytes) {
        memcpy(&to->workspace_bytes, value, bytes);
        return SUCCESS;
    }
    if (attribute != 3 || bytes != sizeof to->schemes) return INVALID_VALUE;
    memcpy(&to->schemes, value, bytes);
    return SUCCESS;
}

/* ---- products ---- */

/* Whether it is one of those of the real one, less those of GELU and of gradients of factors, and has what it needs. */
static int check_epilogue(const product *p) {
    const object *d = &p->description;
    switch (d->epilogue) {
    case DEFAULT: return SUCCESS;
    case RELU:
    case BIAS:
    case BIAS | RELU:
    case AUX | RELU:
    case AUX | RELU | BIAS:
    case AUX | DRELU:
    case AUX | DRELU | BGRAD: break;
    default: return INVALID_VALUE;
    }
    if ((d->epilogue & (BIAS | BGRAD)) != 0 && (d->bias == NULL || (uintptr_t)d->bias % 16 != 0)) return INVALID_VALUE;
    if ((d->epilogue & AUX) == 0) return SUCCESS;
    if (d->aux == NULL || (uintptr_t)d->aux % 16 != 0) return INVALID_VALUE;
    return d->aux_stride % 128 == 0 && d->aux_stride >= p->c.rows ? SUCCESS : INVALID_VALUE;
}

/* c (m, n) = op(a) (m, k) op(b) (k, n): whether the shapes and types go together. */
static int check(const product *p) {
    const object *d = &p->description;
    const int64_t m = d->is_transposed[0] ? p->a.columns : p->a.rows;
    const int64_t n = d->is_transposed[1] ? p->b.rows : p->b.columns;
    const int64_t k = d->is_transposed[0] ? p->a.rows : p->a.columns;
    const int64_t k_of_b = d->is_transposed[1] ? p->b.columns : p->b.rows;
    if (m != p->c.rows || n != p->c.columns || k != k_of_b) return INVALID_VALUE;
    if (p->a.type != p->b.type || (p->c.type != R_32F && p->c.type != p->a.type)) return NOT_SUPPORTED;
    if (p->a.type == R_16BF && d->compute_type != COMPUTE_32F) return NOT_SUPPORTED;
    if (wished_failure() == 3 && (d->epilogue != DEFAULT || p->c.type != R_32F)) return NOT_SUPPORTED;
    return check_epilogue(p);
}

static algorithm algorithm_of(const product *p) {
    const object *d = &p->description;
    const algorithm found = {{(uint64_t)p->c.rows, (uint64_t)p->c.columns, (uint64_t)p->a.rows, (uint64_t)p->b.rows,
                              (uint64_t)d->compute_type, (uint64_t)d->is_transposed[0], (uint64_t)d->is_transposed[1],
                              (uint64_t)(p->a.type | p->c.type << 8) | (uint64_t)d->epilogue << 16}};
    return found;
}

static product product_of(void *description, void *a, void *b, void *c, void *d) {
    product p = {0};
    p.description = *as(description, DESCRIPTION);
    p.a = *as(a, LAYOUT), p.b = *as(b, LAYOUT), p.c = *as(c, LAYOUT);
    if (d != c) fail("c and d have one layout here");
    return p;
}

int cublasLtMatmulAlgoGetHeuristic(void *handle, void *description, void *a, void *b, void *c, void *d,
                                   void *preference, int wanted, heuristic *results, int *found) {
    as(handle, HANDLE);
    const object *wish = as(preference, PREFERENCE);
    const product p = product_of(description, a, b, c, d);
    if (wanted < 1 || wish->schemes == 7) return INVALID_VALUE; /* 7: sums that may come in any order of types */
    if (check(&p) != SUCCESS) return check(&p);
    *found = wished_failure() == 1 || (wished_failure() == 4 && (p.description.epilogue & BGRAD) != 0) ? 0 : 1;
    if (*found == 0) return SUCCESS;
    memset(results, 0, sizeof *results);
    results->algo = algorithm_of(&p);
    results->workspace_bytes = (size_t)wish->workspace_bytes;
    return SUCCESS;
}

static float load(int type, const void *at, int64_t i) {
    if (type == R_32F) return ((const float *)at)[i];
    const uint32_t bits = (uint32_t)((const uint16_t *)at)[i] << 16;
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* To the nearest, ties to even. */
static void store(int type, void *at, int64_t i, float value) {
    if (type == R_32F) {
        ((float *)at)[i] = value;
        return;
    }
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    if (isfinite(value)) bits += 0x7fff + (bits >> 16 & 1);
    ((uint16_t *)at)[i] = (uint16_t)(bits >> 16 | (isnan(value) ? 0x40 : 0));
}

/* A factor as the product has it: TF32 units leave out the last 13 bits. */
static float element(const object *layout, const void *at, int64_t row, int64_t column, int compute_type) {
    float value = load(layout->type, at, column * layout->stride + row);
    if (compute_type != COMPUTE_32F_FAST_TF32) return value;
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    bits &= ~0x1fffu;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* A factor's column of c, or row of it, of floats one after the other. */
static float *line(const object *layout, const void *at, int is_across, int64_t which, int64_t k, int compute_type) {
    float *values = malloc((size_t)k * sizeof *values);
    for (int64_t i = 0; i < k; i++)
        values[i] = element(layout, at, is_across ? which : i, is_across ? i : which, compute_type);
    return values;
}

/* What is stored, of an element (i, j) whose sum is that. */
static float epilogue(const object *d, int type, int64_t i, int64_t j, float value) {
    const uint8_t bit = (uint8_t)(1 << i % 8);
    uint8_t *mask = (d->epilogue & AUX) != 0 ? (uint8_t *)d->aux + (j * d->aux_stride + i) / 8 : NULL;
    if ((d->epilogue & BIAS) != 0) value += load(type, d->bias, i);
    if ((d->epilogue & RELU) != 0) {
        const int is_positive = !(value <= 0);
        if (mask != NULL) *mask = is_positive ? *mask | bit : *mask & (uint8_t)~bit;
        return is_positive ? value : 0;
    }
    return (d->epilogue & DRELU) != 0 && (*mask & bit) == 0 ? 0 : value;
}

static void compute(void *data) {
    const product *p = data;
    const object *d = &p->description;
    const int type = p->description.compute_type, *is_transposed = p->description.is_transposed;
    const int64_t m = p->c.rows, n = p->c.columns, k = is_transposed[0] ? p->a.rows : p->a.columns;
    float **rows = malloc((size_t)m * sizeof *rows);
    float *totals = calloc((size_t)m, sizeof *totals);
    for (int64_t i = 0; i < m; i++) rows[i] = line(&p->a, p->a_at, !is_transposed[0], i, k, type);
    for (int64_t j = 0; j < n; j++) {
        float *column = line(&p->b, p->b_at, is_transposed[1], j, k, type);
        for (int64_t i = 0; i < m; i++) {
            const int64_t at = j * p->c.stride + i;
            float sum = 0;
            for (int64_t l = 0; l < k; l++) sum += rows[i][l] * column[l];
            sum *= p->alpha;
            if (p->beta != 0) sum += p->beta * load(p->c.type, p->c_at, at); /* else c may be NaN */
            sum = epilogue(d, p->c.type, i, j, sum);
            store(p->c.type, p->c_at, at, sum);
            totals[i] += sum;
        }
        free(column);
    }
    for (int64_t i = 0; i < m; i++) {
        if ((d->epilogue & BGRAD) != 0) store(p->c.type, d->bias, i, totals[i]);
        free(rows[i]);
    }
    free(rows);
    free(totals);
    __atomic_add_fetch(&fake_blas_epilogues[d->epilogue], 1, __ATOMIC_SEQ_CST);
    __atomic_add_fetch(&fake_blas_products, 1, __ATOMIC_SEQ_CST);
}

int cublasLtMatmul(void *handle, void *description, const void *alpha, const void *a, void *a_layout, const void *b,
                   void *b_layout, const void *beta, const void *c, void *c_layout, void *d, void *d_layout,
                   const algorithm *chosen, void *workspace, size_t workspace_bytes, void *stream) {
    as(handle, HANDLE);
    product p = product_of(description, a_layout, b_layout, c_layout, d_layout);
    const algorithm right = algorithm_of(&p);
    if (check(&p) != SUCCESS) return check(&p);
    if (chosen == NULL || memcmp(chosen, &right, sizeof right) != 0) return INVALID_VALUE;
    if (c != d || workspace_bytes == 0) return INVALID_VALUE;
    const void *const all[] = {a, b, d, workspace};
    for (int i = 0; i < 4; i++) /* the preference leaves alignments at 256 bytes */
        if (all[i] == NULL || (uintptr_t)all[i] % 256 != 0) return INVALID_VALUE;
    if (wished_failure() == 2) return EXECUTION_FAILED;
    p.a_at = a, p.b_at = b, p.c_at = d;
    memcpy(&p.alpha, alpha, sizeof p.alpha);
    memcpy(&p.beta, beta, sizeof p.beta);
    int (*give)(void *, void (*)(void *), void *);
    *(void **)&give = dlsym(RTLD_DEFAULT, "cudaLaunchHostFunc");
    if (give == NULL) fail("no emulation of CUDA is there for all to see");
    product *kept = malloc(sizeof *kept); /* for good: a graph may repeat it */
    *kept = p;
    return give(stream, compute, kept) == 0 ? SUCCESS : EXECUTION_FAILED;
}
