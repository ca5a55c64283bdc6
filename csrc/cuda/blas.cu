/* blas.cu: products of cuBLASLt. */
#include "blas.cuh"

#include <vector>

#include "cublaslt.cuh"

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

#define SET(attribute, value) LT(cublasLtMatmulDescSetAttribute(to->description, attribute, &(value), sizeof(value)))

/* Its leading dimension is in bits, a multiple of 128. */
static int64_t mask_stride(int64_t columns) { return (columns + 127) / 128 * 128; }

size_t blas_mask_bytes(int64_t rows, int64_t columns) { return (size_t)(rows * mask_stride(columns) / 8); }

static bool has_mask(blas_epilogue epilogue) { return epilogue >= BLAS_BIAS_RELU_MASK; }

static uint32_t lt_epilogue(blas_epilogue epilogue) {
    switch (epilogue) {
    case BLAS_BIAS: return CUBLASLT_EPILOGUE_BIAS_;
    case BLAS_BIAS_RELU: return CUBLASLT_EPILOGUE_RELU_BIAS_;
    case BLAS_BIAS_RELU_MASK: return CUBLASLT_EPILOGUE_RELU_AUX_BIAS_;
    case BLAS_MASKED: return CUBLASLT_EPILOGUE_DRELU_;
    case BLAS_MASKED_BIAS: return CUBLASLT_EPILOGUE_DRELU_BGRAD_;
    default: return CUBLASLT_EPILOGUE_DEFAULT_;
    }
}

/* They are part of the description, but not of what it was chosen for, except for their alignment. */
static fnn_status set_pointers(const chosen *to, void *row, void *mask) {
    const blas_epilogue epilogue = to->shape.epilogue;
    if (epilogue != BLAS_SUMS && epilogue != BLAS_MASKED) SET(CUBLASLT_MATMUL_DESC_BIAS_POINTER_, row);
    if (has_mask(epilogue)) SET(CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_POINTER_, mask);
    return FNN_OK;
}

static fnn_status describe_epilogue(const chosen *to) {
    const uint32_t epilogue = lt_epilogue(to->shape.epilogue);
    const int64_t stride = mask_stride(to->shape.columns);
    if (epilogue == CUBLASLT_EPILOGUE_DEFAULT_) return FNN_OK;
    SET(CUBLASLT_MATMUL_DESC_EPILOGUE_, epilogue);
    if (has_mask(to->shape.epilogue)) SET(CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_LD_, stride);
    void *const aligned = (void *)(FNN_LANES * sizeof(float)); /* as parameters are; it is not read */
    return set_pointers(to, aligned, aligned);
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
    SET(CUBLASLT_MATMUL_DESC_TRANSA_, a_is);
    SET(CUBLASLT_MATMUL_DESC_TRANSB_, b_is);
    LT(cublasLtMatrixLayoutCreate(&to->a, type, (uint64_t)a_rows, (uint64_t)a_columns, a_rows));
    LT(cublasLtMatrixLayoutCreate(&to->b, type, (uint64_t)b_rows, (uint64_t)b_columns, b_rows));
    LT(cublasLtMatrixLayoutCreate(&to->c, p.c_is_factor ? type : CUDA_R_32F_, (uint64_t)p.columns, (uint64_t)p.rows,
                                  p.columns));
    return describe_epilogue(to);
}

/* Where a product is split along its depth, its parts are summed in float, in a separate step, in a fixed order.
 * is_offered: whether there is an algorithm. */
static fnn_status ask(const blas *b, chosen *to, void *preference, bool *is_offered) {
    const uint64_t bytes = WORKSPACE_BYTES;
    const uint32_t schemes = CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE_;
    lt_heuristic first = {};
    int found = 0;
    LT(cublasLtMatmulPreferenceSetAttribute(preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES_, &bytes,
                                            sizeof bytes));
    LT(cublasLtMatmulPreferenceSetAttribute(preference, CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK_, &schemes,
                                            sizeof schemes));
    const int status = lt.cublasLtMatmulAlgoGetHeuristic(b->handle, to->description, to->a, to->b, to->c, to->c,
                                                         preference, 1, &first, &found);
    *is_offered = status == 0 && found > 0 && first.status == 0;
    to->algorithm = first.algorithm;
    if (status == 0 || status == CUBLAS_STATUS_NOT_SUPPORTED_) return FNN_OK;
    return device_failure(lt.cublasLtGetStatusString(status), "cublasLtMatmulAlgoGetHeuristic");
}

static fnn_status choose(const blas *b, chosen *to, bool *is_offered) {
    FNN_TRY(describe(b, to));
    void *preference = nullptr;
    LT(cublasLtMatmulPreferenceCreate(&preference));
    const fnn_status status = ask(b, to, preference, is_offered);
    lt.cublasLtMatmulPreferenceDestroy(preference);
    return status;
}

static bool is_of_shape(const chosen &each, const blas_product &p) {
    const blas_product &q = each.shape;
    return q.rows == p.rows && q.columns == p.columns && q.depth == p.depth &&
           q.a_is_transposed == p.a_is_transposed && q.b_is_transposed == p.b_is_transposed &&
           q.c_is_factor == p.c_is_factor && q.epilogue == p.epilogue;
}

/* NULL: the library has none. */
static fnn_status find(blas *b, const blas_product &p, const chosen **out) {
    *out = nullptr;
    for (const chosen &each : b->all)
        if (is_of_shape(each, p)) *out = &each;
    if (*out != nullptr) return FNN_OK;
    chosen next = {};
    next.shape = p;
    bool is_offered = false;
    const fnn_status status = choose(b, &next, &is_offered);
    if (!is_offered) {
        destroy(next);
        return status;
    }
    b->all.push_back(next);
    *out = &b->all.back();
    return FNN_OK;
}

fnn_status blas_offers(blas *b, const blas_product &p, bool *is_offered) {
    const chosen *found = nullptr;
    const fnn_status status = find(b, p, &found);
    *is_offered = found != nullptr;
    return status;
}

fnn_status blas_multiply(blas *b, const blas_product &p, cudaStream_t stream) {
    const chosen *to = nullptr;
    FNN_TRY(find(b, p, &to));
    if (to == nullptr) return device_failure("no algorithm for this shape", "cublasLtMatmulAlgoGetHeuristic");
    FNN_TRY(set_pointers(to, p.row, p.mask));
    const float alpha = 1.0f, beta = p.adds ? 1.0f : 0.0f;
    LT(cublasLtMatmul(b->handle, to->description, &alpha, p.b, to->a, p.a, to->b, &beta, p.c, to->c, p.c, to->c,
                      &to->algorithm, b->workspace, WORKSPACE_BYTES, stream));
    return FNN_OK;
}
