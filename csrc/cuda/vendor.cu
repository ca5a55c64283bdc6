/* vendor.cu: loading NVIDIA's libraries. */
#include "vendor.cuh"

#include <string>

/* Why not, is added to `reasons`. */
static bool load(vendor *of, const char *name, int flags, std::string *reasons) {
    void *handle = dlopen(name, flags);
    const char *missing = nullptr;
    if (handle != nullptr && of->find_calls(handle, &missing)) {
        of->handle = handle;
        return true;
    }
    const char *said = handle == nullptr ? dlerror() : nullptr;
    if ((flags & RTLD_NOLOAD) != 0) return false;
    *reasons += (reasons->empty() ? "" : "; ") + (said != nullptr ? said : std::string(name) + " lacks " + missing);
    return false;
}

const char *vendor_load(vendor *of, const char *const *names, int n_names) {
    static thread_local std::string reasons;
    const std::lock_guard<std::mutex> held(of->loading);
    reasons.clear();
    for (int i = 0; i < n_names && of->handle == nullptr; i++) load(of, names[i], RTLD_NOW | RTLD_NOLOAD, &reasons);
    for (int i = 0; i < n_names && of->handle == nullptr; i++) load(of, names[i], RTLD_NOW | RTLD_LOCAL, &reasons);
    return of->handle != nullptr ? "" : reasons.c_str();
}
