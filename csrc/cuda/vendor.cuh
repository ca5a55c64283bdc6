/* vendor.cuh: NVIDIA's libraries, loaded when they are first asked for.  Their headers need not be there: who uses one
 * declares its calls. */
#ifndef FNN_CUDA_VENDOR_CUH
#define FNN_CUDA_VENDOR_CUH

#include <dlfcn.h>

#include <mutex>

struct vendor {
    /* Takes its calls from there; false: it lacks what `missing` says then. */
    bool (*find_calls)(void *handle, const char **missing);
    void *handle; /* NULL: not loaded */
    std::mutex loading;
};

/* Loads it, once: the first of these files or names that is loaded already or else can be loaded.  "" or why it cannot
 * be, in this thread's buffer. */
const char *vendor_load(vendor *of, const char *const *names, int n_names);

/* For a list of calls, each with its type, name and arguments: a member of a structure, and how find_calls fills that
 * of `found`. */
#define VENDOR_DECLARE(type, name, arguments) type(*name) arguments;
#define VENDOR_FIND(type, name, arguments)                                                                             \
    *missing = #name;                                                                                                  \
    found.name = (type(*) arguments)dlsym(handle, #name);                                                              \
    if (found.name == nullptr) return false;

#endif
