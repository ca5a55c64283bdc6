/* device.cpp: the emulation's errors and devices, and how much of everything lives. */
#include "runtime.h"

#include <stdio.h>

#define VERSION 13000
#define NAME "emulated on the host"

all_that_lives &emulated::lives(void) {
    static all_that_lives *const all = new all_that_lives();
    return *all;
}

thread_local int emulated::current_device;
thread_local std::vector<cudaStream_t> emulated::capturing;
static thread_local cudaError_t last_error;

extern "C" __attribute__((visibility("default"))) int fnn_emulated_live(void) {
    const holding held(lives().lock);
    return (int)(lives().blocks.size() + lives().pinned.size() + lives().streams.size() + lives().graphs.size() +
                 lives().execs.size() + lives().events.size());
}

extern "C" __attribute__((visibility("default"))) int fnn_emulated_recorded(void) {
    const holding held(lives().lock);
    return lives().recorded;
}

/* ---- errors ---- */

cudaError_t emulated::report(cudaError_t error) {
    if (error != cudaSuccess) last_error = error;
    return error;
}

const char *cudaGetErrorName(cudaError_t error) {
    switch (error) {
#define FNN_EMULATED_ERROR(name, value, text)                                                                          \
    case name: return #name;
        FNN_EMULATED_ERRORS(FNN_EMULATED_ERROR)
#undef FNN_EMULATED_ERROR
    }
    return "unrecognized error code";
}

const char *cudaGetErrorString(cudaError_t error) {
    switch (error) {
#define FNN_EMULATED_ERROR(name, value, text)                                                                          \
    case name: return text;
        FNN_EMULATED_ERRORS(FNN_EMULATED_ERROR)
#undef FNN_EMULATED_ERROR
    }
    return "unrecognized error code";
}

cudaError_t cudaPeekAtLastError(void) { return last_error; }
cudaError_t cudaGetLastError(void) { return std::exchange(last_error, cudaSuccess); }

/* ---- devices ---- */

static int device_count(void) { return (int)fnn_emulated_setting("FASTNN_EMULATE_DEVICES", 1); }

cudaError_t emulated::check_device(int device) {
    if (device_count() == 0) return cudaErrorNoDevice;
    return device < 0 || device >= device_count() ? cudaErrorInvalidDevice : cudaSuccess;
}

cudaError_t emulated::check_no_capture(void) {
    for (cudaStream_t stream : capturing) {
        const holding held(stream->turn);
        stream->is_invalid = true;
    }
    return capturing.empty() ? check_device(current_device) : cudaErrorStreamCaptureUnsupported;
}

static cudaError_t give_version(int *version) {
    *version = VERSION;
    return cudaSuccess;
}
cudaError_t cudaDriverGetVersion(int *version) { return give_version(version); }
cudaError_t cudaRuntimeGetVersion(int *version) { return give_version(version); }

cudaError_t cudaGetDeviceCount(int *count) {
    *count = device_count();
    return report(*count > 0 ? cudaSuccess : cudaErrorNoDevice);
}

cudaError_t cudaSetDevice(int device) {
    const cudaError_t error = check_device(device);
    if (error == cudaSuccess) current_device = device;
    return report(error);
}

cudaError_t cudaGetDevice(int *device) {
    *device = current_device;
    return report(check_device(current_device));
}

cudaError_t cudaGetDeviceProperties(cudaDeviceProp *properties, int device) {
    const cudaError_t error = check_device(device);
    if (error != cudaSuccess) return report(error);
    *properties = {};
    snprintf(properties->name, sizeof properties->name, "%s", NAME);
    properties->totalGlobalMem = (size_t)fnn_emulated_setting("FASTNN_EMULATE_MEMORY", (uint64_t)4 << 30);
    properties->sharedMemPerBlock = SHARED_BYTES;
    properties->sharedMemPerBlockOptin = SHARED_OPTIN_BYTES;
    properties->warpSize = 32;
    properties->maxThreadsPerBlock = 1024;
    properties->major = 9;
    properties->multiProcessorCount = (int)fnn_emulated_setting("FASTNN_EMULATE_PROCESSORS", 4);
    return cudaSuccess;
}

cudaError_t cudaDeviceGetAttribute(int *value, cudaDeviceAttr attribute, int device) {
    cudaDeviceProp properties;
    const cudaError_t error = cudaGetDeviceProperties(&properties, device);
    if (error != cudaSuccess) return error;
    switch (attribute) {
    case cudaDevAttrMaxThreadsPerBlock: *value = properties.maxThreadsPerBlock; return cudaSuccess;
    case cudaDevAttrMaxSharedMemoryPerBlock: *value = (int)properties.sharedMemPerBlock; return cudaSuccess;
    case cudaDevAttrWarpSize: *value = properties.warpSize; return cudaSuccess;
    case cudaDevAttrMultiProcessorCount: *value = properties.multiProcessorCount; return cudaSuccess;
    case cudaDevAttrComputeCapabilityMajor: *value = properties.major; return cudaSuccess;
    case cudaDevAttrComputeCapabilityMinor: *value = properties.minor; return cudaSuccess;
    case cudaDevAttrMaxSharedMemoryPerBlockOptin: *value = (int)properties.sharedMemPerBlockOptin; return cudaSuccess;
    }
    return report(cudaErrorInvalidValue);
}

cudaError_t cudaDeviceSynchronize(void) {
    const cudaError_t error = check_no_capture();
    if (error == cudaSuccess) settle();
    return report(error);
}
