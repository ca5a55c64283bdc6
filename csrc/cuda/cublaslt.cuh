/* cublaslt.cuh: what is used of NVIDIA's cublasLt.h, which need not be there; the same in releases 12 and 13. */
#ifndef FNN_CUDA_CUBLASLT_CUH
#define FNN_CUDA_CUBLASLT_CUH

#include "memory.cuh"
#include "vendor.cuh"

enum { CUDA_R_32F_ = 0, CUDA_R_16BF_ = 14 };                                 /* cudaDataType */
enum { CUBLAS_COMPUTE_32F_ = 68, CUBLAS_COMPUTE_32F_FAST_TF32_ = 77 };       /* cublasComputeType_t */
enum { CUBLAS_OP_N_ = 0, CUBLAS_OP_T_ = 1 };                                 /* cublasOperation_t */
enum {
    CUBLASLT_MATMUL_DESC_TRANSA_ = 3,
    CUBLASLT_MATMUL_DESC_TRANSB_ = 4,
    CUBLASLT_MATMUL_DESC_EPILOGUE_ = 7,
    CUBLASLT_MATMUL_DESC_BIAS_POINTER_ = 8,
    CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_POINTER_ = 11,
    CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_LD_ = 12,
}; /* cublasLtMatmulDescAttributes_t */
enum {
    CUBLASLT_EPILOGUE_DEFAULT_ = 1,
    CUBLASLT_EPILOGUE_BIAS_ = 4,
    CUBLASLT_EPILOGUE_RELU_BIAS_ = 6,
    CUBLASLT_EPILOGUE_RELU_AUX_BIAS_ = 134,
    CUBLASLT_EPILOGUE_DRELU_ = 136,
    CUBLASLT_EPILOGUE_DRELU_BGRAD_ = 152,
}; /* cublasLtEpilogue_t */
enum { CUBLAS_STATUS_NOT_SUPPORTED_ = 15 }; /* cublasStatus_t */
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

/* Those that return an int return a cublasStatus_t, 0 for success. */
#define LT_CALLS(each)                                                                                                 \
    each(const char *, cublasLtGetStatusString, (int status))                                                          \
    each(int, cublasLtCreate, (void **handle))                                                                         \
    each(int, cublasLtDestroy, (void *handle))                                                                         \
    each(int, cublasLtMatmulDescCreate, (void **description, int compute_type, int scale_type))                        \
    each(int, cublasLtMatmulDescSetAttribute, (void *description, int attribute, const void *value, size_t bytes))     \
    each(int, cublasLtMatmulDescDestroy, (void *description))                                                          \
    each(int, cublasLtMatrixLayoutCreate, (void **layout, int type, uint64_t rows, uint64_t columns, int64_t stride))  \
    each(int, cublasLtMatrixLayoutDestroy, (void *layout))                                                             \
    each(int, cublasLtMatmulPreferenceCreate, (void **preference))                                                     \
    each(int, cublasLtMatmulPreferenceSetAttribute,                                                                    \
         (void *preference, int attribute, const void *value, size_t bytes))                                           \
    each(int, cublasLtMatmulPreferenceDestroy, (void *preference))                                                     \
    each(int, cublasLtMatmulAlgoGetHeuristic,                                                                          \
         (void *handle, void *description, void *a, void *b, void *c, void *d, void *preference, int wanted,           \
          lt_heuristic *results, int *found))                                                                          \
    each(int, cublasLtMatmul, (void *handle, void *description, const void *alpha, const void *a, void *a_layout,      \
                               const void *b, void *b_layout, const void *beta, const void *c, void *c_layout,         \
                               void *d, void *d_layout, const lt_algorithm *algorithm, void *workspace,                \
                               size_t workspace_bytes, cudaStream_t stream))

struct library {
    LT_CALLS(VENDOR_DECLARE)
};

/* The one that fnn_cuda_load_blas has loaded. */
extern library lt;

#define LT(call)                                                                                                       \
    do {                                                                                                               \
        const int failed_ = lt.call;                                                                                   \
        if (failed_ != 0) return device_failure(lt.cublasLtGetStatusString(failed_), #call);                           \
    } while (0)

#endif
