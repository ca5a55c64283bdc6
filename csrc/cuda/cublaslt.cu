/* cublaslt.cu: loading NVIDIA's cuBLASLt. */
#include "cublaslt.cuh"

library lt;

static bool find_calls(void *handle, const char **missing) {
    library found = lt;
    LT_CALLS(VENDOR_FIND)
    lt = found;
    return true;
}

static vendor cublaslt = {find_calls, nullptr, {}};

const char *fnn_cuda_load_blas(const char *const *names, int n_names) { return vendor_load(&cublaslt, names, n_names); }
