/* nccl.cu: NVIDIA's NCCL, which carries gradients from device to device, and what of it is used. */
#include "nccl.cuh"

#include "memory.cuh"
#include "vendor.cuh"

/* ---- of nccl.h, the same in all releases 2.x since 2.4; communicators are pointers ---- */

enum { NCCL_FLOAT32_ = 7 }; /* ncclDataType_t */

/* Those that return an int return an ncclResult_t, 0 for success. */
#define NCCL_CALLS(each)                                                                                               \
    each(const char *, ncclGetErrorString, (int result))                                                               \
    each(int, ncclCommInitAll, (void **communicators, int n_devices, const int *devices))                              \
    each(int, ncclCommDestroy, (void *communicator))                                                                   \
    each(int, ncclCommAbort, (void *communicator))                                                                     \
    each(int, ncclGroupStart, (void))                                                                                  \
    each(int, ncclGroupEnd, (void))                                                                                    \
    each(int, ncclAllGather, (const void *from, void *to, size_t count, int type, void *communicator,                  \
                              cudaStream_t stream))

/* ---- the library ---- */

static struct {
    NCCL_CALLS(VENDOR_DECLARE)
} nccl;

static bool find_calls(void *handle, const char **missing) {
    auto found = nccl;
    NCCL_CALLS(VENDOR_FIND)
    nccl = found;
    return true;
}

static vendor library = {find_calls, nullptr, {}};

const char *fnn_cuda_load_nccl(const char *const *names, int n_names) { return vendor_load(&library, names, n_names); }

static fnn_status nccl_status(int result, const char *call) {
    return result == 0 ? FNN_OK : device_failure(nccl.ncclGetErrorString(result), call);
}

/* ---- communicators ---- */

std::mutex nccl_turn;

static fnn_status connect(fnn_cuda_exchange *e) {
    const std::lock_guard<std::mutex> held(nccl_turn);
    for (size_t i = 0; i < e->devices.size(); i++) {
        FNN_CUDA(cudaSetDevice(e->devices[i]));
        FNN_TRY(device_new(&e->gathered[i], (int64_t)e->devices.size() * e->n_floats));
    }
    const int result = nccl.ncclCommInitAll(e->communicators.data(), (int)e->devices.size(), e->devices.data());
    if (result != 0) e->communicators.assign(e->devices.size(), nullptr); /* whether any are left is not documented */
    return nccl_status(result, "ncclCommInitAll");
}

fnn_status fnn_cuda_exchange_create(fnn_cuda_exchange **out, const int *devices, int n_devices, const fnn_net *net) {
    *out = nullptr;
    fnn_cuda_exchange *e = new fnn_cuda_exchange();
    e->n_floats = net->n_floats;
    e->devices.assign(devices, devices + n_devices);
    e->communicators.resize((size_t)n_devices);
    e->gathered.resize((size_t)n_devices);
    const fnn_status status = connect(e);
    if (status == FNN_OK)
        *out = e;
    else
        fnn_cuda_exchange_destroy(e);
    return status;
}

void fnn_cuda_exchange_destroy(fnn_cuda_exchange *e) {
    if (e == nullptr) return;
    const std::lock_guard<std::mutex> held(nccl_turn);
    const auto end = e->has_failed ? nccl.ncclCommAbort : nccl.ncclCommDestroy;
    for (void *communicator : e->communicators)
        if (communicator != nullptr) end(communicator);
    for (size_t i = 0; i < e->devices.size(); i++) {
        cudaSetDevice(e->devices[i]);
        device_free(e->gathered[i]);
    }
    delete e;
}

fnn_status gather(const fnn_cuda_exchange *e, const fnn_cuda_tower *towers) {
    FNN_TRY(nccl_status(nccl.ncclGroupStart(), "ncclGroupStart"));
    int result = 0;
    for (size_t i = 0; i < e->devices.size() && result == 0; i++) {
        const fnn_cuda_plan *plan = towers[i].plan;
        result = nccl.ncclAllGather(plan->gradients, e->gathered[i], (size_t)e->n_floats, NCCL_FLOAT32_,
                                    e->communicators[i], plan->stream);
    }
    const int ended = nccl.ncclGroupEnd(); /* also if one has failed: this thread's group must not stay open */
    FNN_TRY(nccl_status(result, "ncclAllGather"));
    return nccl_status(ended, "ncclGroupEnd");
}
