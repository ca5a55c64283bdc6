/* cublaslt.cu: loading NVIDIA's cuBLASLt. */
#include "cublaslt.cuh"

#include <dlfcn.h>

#include <mutex>
#include <string>

library lt;
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
