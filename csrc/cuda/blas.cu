/* blas.cu: cuBLASLt: loading it, and its products.  Its header need not be there: what is used is declared here. */
#include "blas.cuh"

#include <dlfcn.h>
#include <stdio.h>

#include <algorithm>
#include <mutex>
#include <string>
#include <vector>

#include "memory.cuh"

/* ---- of cublasLt.h, the same in releases 12 and 13 ---- */

enum { CUDA_R_32F_ = 0, CUDA_R_16BF_ = 14 };                                 /* cudaDataType */
enum { CUBLAS_COMPUTE_32F_ = 68, CUBLAS_COMPUTE_32F_FAST_TF32_ = 77 };       /* cublasComputeType_t */
enum { CUBLAS_OP_N_ = 0, CUBLAS_OP_T_ = 1 };                                 /* cublasOperation_t */
enum { CUBLASLT_MATMUL_DESC_TRANSA_ = 3, CUBLASLT_MATMUL_DESC_TRANSB_ = 4 }; /* cublasLtMatmulDescAttributes_t */
/* cublasLtMatmulPreferenceAttributes_t */
enum { CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES_ = 1, CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK_ = 3 };
enum { CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE_ = 2 }; /* cublasLtReductionScheme_t */

typedef struct lt_algorithm {
    uint64_t data[8];
} lt_algorithm;
typedef struct lt_heuristic {
    lt_algorithm algorithm;
    size_t workspace_bytes;
    int status;
    float waves;
    int reserved[4];
} lt_heuristic;

/* Name, arguments; each returns a cublasStatus_t, 0 for success. */
#define LT_CALLS(each)                                                                                                 \
    each(cublasLtCreate, (void **handle))                                                                              \
    each(cublasLtDestroy, (void *handle))                                                                              \
    each(cublasLtMatmulDescCreate, (void **description, int compute_type, int scale_type))                             \
    each(cublasLtMatmulDescSetAttribute, (void *description, int attribute, const void *value, size_t bytes))          \
    each(cublasLtMatmulDescDestroy, (void *description))                                                               \
    each(cublasLtMatrixLayoutCreate, (void **layout, int type, uint64_t rows, uint64_t columns, int64_t stride))       \
    each(cublasLtMatrixLayoutDestroy, (void *layout))                                                                  \
    each(cublasLtMatmulPreferenceCreate, (void **preference))                                                          \
    each(cublasLtMatmulPreferenceSetAttribute, (void *preference, int attribute, const void *value, size_t bytes))     \
    each(cublasLtMatmulPreferenceDestroy, (void *preference))                                                          \
    each(cublasLtMatmulAlgoGetHeuristic,                                                                               \
         (void *handle, void *description, void *a, void *b, void *c, void *d, void *preference, int wanted,           \
          lt_heuristic *results, int *found))                                                                          \
    each(cublasLtMatmul, (void *handle, void *description, const void *alpha, const void *a, void *a_layout,           \
                          const void *b, void *b_layout, const void *beta, const void *c, void *c_layout, void *d,     \
                          void *d_layout, const lt_algorithm *algorithm, void *workspace, size_t workspace_bytes,      \
                          cudaStream_t stream))

/* ---- the library ---- */

struct library {
    void *handle; /* NULL: not loaded */
#define LT_DECLARE(name, arguments) int(*name) arguments;
    LT_CALLS(LT_DECLARE)
#undef LT_DECLARE
    const char *(*cublasLtGetStatusString)(int status);
};
static library lt;
static std::mutex loading;

/* False: it lacks what `missing` says then. */
static bool find_calls(library *found, const char **missing) {
#define LT_FIND(name, arguments)                                                                                       \
    *missing = #name;                                                                                                  \
    found->name = (int(*) arguments)dlsym(found->handle, #name);                                                       \
    if (found->name == nullptr) return false;
    LT_CALLS(LT_FIND)
#undef LT_FIND
    *missing = "cublasLtGetStatusString";
    found->cublasLtGetStatusString = (const char *(*)(int))dlsym(found->handle, *missing);
    return found->cublasLtGetStatusString != nullptr;
}

/* Why not, is added to `reasons`. */
static bool load(const char *name, int flags, std::string *reasons) {
    library found = {};
    found.handle = dlopen(name, flags);
    const char *missing = nullptr;
    if (found.handle != nullptr && find_calls(&found, &missing)) {
        lt = found;
        return true;
    }
    const char *said = found.handle == nullptr ? dlerror() : nullptr;
    if ((flags & RTLD_NOLOAD) != 0) return false;
    *reasons += (reasons->empty() ? "" : "; ") + (said != nullptr ? said : std::string(name) + " lacks " + missing);
    return false;
}

const char *fnn_cuda_load_blas(const char *const *names, int n_names) {
    static thread_local std::string reasons;
    const std::lock_guard<std::mutex> held(loading);
    reasons.clear();
    for (int i = 0; i < n_names && lt.handle == nullptr; i++) load(names[i], RTLD_NOW | RTLD_NOLOAD, &reasons);
    for (int i = 0; i < n_names && lt.handle == nullptr; i++) load(names[i], RTLD_NOW | RTLD_LOCAL, &reasons);
    return lt.handle != nullptr ? "" : reasons.c_str();
}

#define LT(call)                                                                                                       \
    do {                                                                                                               \
        const int failed_ = lt.call;                                                                                   \
        if (failed_ != 0) return device_failure(lt.cublasLtGetStatusString(failed_), #call);                           \
    } while (0)

/* ---- products ---- */

/* What NVIDIA recommends for its larger GPUs. */
#define WORKSPACE_BYTES ((size_t)32 << 20)

/* A shape whose algorithm is chosen; its descriptions are the library's. */
struct chosen {
    blas_product shape;
    void *description, *a, *b, *c;
    lt_algorithm algorithm;
};

struct blas {
    fnn_precision precision;
    void *handle;
    char *workspace;
    std::vector<chosen> all;
};

static fnn_status fill(blas *b) {
    LT(cublasLtCreate(&b->handle));
    return device_new(&b->workspace, (int64_t)WORKSPACE_BYTES);
}

fnn_status blas_create(blas **out, fnn_precision precision) {
    blas *b = new blas();
    b->precision = precision;
    const fnn_status status = fill(b);
    if (status == FNN_OK)
        *out = b;
    else
        blas_destroy(b);
    return status;
}

static void destroy(const chosen &each) {
    for (void *layout : {each.a, each.b, each.c})
        if (layout != nullptr) lt.cublasLtMatrixLayoutDestroy(layout);
    if (each.description != nullptr) lt.cublasLtMatmulDescDestroy(each.description);
}

void blas_destroy(blas *b) {
    if (b == nullptr) return;
    for (const chosen &each : b->all) destroy(each);
    if (b->handle != nullptr) lt.cublasLtDestroy(b->handle);
    device_free(b->workspace);
    delete b;
}

/* The library's matrices are stored column by column, so that it sees the transpose of each of ours, and computes the
 * transpose of c: that of b times that of a. */
static fnn_status describe(const blas *b, chosen *to) {
    const blas_product &p = to->shape;
    const bool is_tf32 = b->precision == FNN_TF32 || b->precision == FNN_3XTF32;
    const int type = b->precision == FNN_BF16 ? CUDA_R_16BF_ : CUDA_R_32F_;
    const int a_is = p.b_is_transposed ? CUBLAS_OP_T_ : CUBLAS_OP_N_;
    const int b_is = p.a_is_transposed ? CUBLAS_OP_T_ : CUBLAS_OP_N_;
    const int a_rows = p.b_is_transposed ? p.depth : p.columns, a_columns = p.b_is_transposed ? p.columns : p.depth;
    const int b_rows = p.a_is_transposed ? p.rows : p.depth, b_columns = p.a_is_transposed ? p.depth : p.rows;
    LT(cublasLtMatmulDescCreate(&to->description, is_tf32 ? CUBLAS_COMPUTE_32F_FAST_TF32_ : CUBLAS_COMPUTE_32F_,
                                CUDA_R_32F_));
    LT(cublasLtMatmulDescSetAttribute(to->description, CUBLASLT_MATMUL_DESC_TRANSA_, &a_is, sizeof a_is));
    LT(cublasLtMatmulDescSetAttribute(to->description, CUBLASLT_MATMUL_DESC_TRANSB_, &b_is, sizeof b_is));
    LT(cublasLtMatrixLayoutCreate(&to->a, type, (uint64_t)a_rows, (uint64_t)a_columns, a_rows));
    LT(cublasLtMatrixLayoutCreate(&to->b, type, (uint64_t)b_rows, (uint64_t)b_columns, b_rows));
    LT(cublasLtMatrixLayoutCreate(&to->c, CUDA_R_32F_, (uint64_t)p.columns, (uint64_t)p.rows, p.columns));
    return FNN_OK;
}

/* Where a product is split along its depth, its parts are summed in float, in a separate step, in a fixed order. */
static fnn_status ask(const blas *b, chosen *to, void *preference) {
    const uint64_t bytes = WORKSPACE_BYTES;
    const uint32_t schemes = CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE_;
    lt_heuristic first = {};
    int found = 0;
    LT(cublasLtMatmulPreferenceSetAttribute(preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES_, &bytes,
                                            sizeof bytes));
    LT(cublasLtMatmulPreferenceSetAttribute(preference, CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK_, &schemes,
                                            sizeof schemes));
    LT(cublasLtMatmulAlgoGetHeuristic(b->handle, to->description, to->a, to->b, to->c, to->c, preference, 1, &first,
                                      &found));
    if (found < 1) return device_failure("no algorithm for this shape", "cublasLtMatmulAlgoGetHeuristic");
    if (first.status != 0) return device_failure(lt.cublasLtGetStatusString(first.status), "a matrix product");
    to->algorithm = first.algorithm;
    return FNN_OK;
}

static fnn_status choose(const blas *b, chosen *to) {
    FNN_TRY(describe(b, to));
    void *preference = nullptr;
    LT(cublasLtMatmulPreferenceCreate(&preference));
    const fnn_status status = ask(b, to, preference);
    lt.cublasLtMatmulPreferenceDestroy(preference);
    return status;
}

static bool is_of_shape(const chosen &each, const blas_product &p) {
    const blas_product &q = each.shape;
    return q.rows == p.rows && q.columns == p.columns && q.depth == p.depth &&
           q.a_is_transposed == p.a_is_transposed && q.b_is_transposed == p.b_is_transposed;
}

fnn_status blas_multiply(blas *b, const blas_product &p, cudaStream_t stream) {
    auto found = std::find_if(b->all.begin(), b->all.end(), [&](const chosen &each) { return is_of_shape(each, p); });
    if (found == b->all.end()) {
        chosen next = {};
        next.shape = p;
        const fnn_status status = choose(b, &next);
        if (status != FNN_OK) {
            destroy(next);
            return status;
        }
        found = b->all.insert(found, next);
    }
    const float alpha = 1.0f, beta = p.adds ? 1.0f : 0.0f;
    LT(cublasLtMatmul(b->handle, found->description, &alpha, p.b, found->a, p.a, found->b, &beta, p.c, found->c, p.c,
                      found->c, &found->algorithm, b->workspace, WORKSPACE_BYTES, stream));
    return FNN_OK;
}
