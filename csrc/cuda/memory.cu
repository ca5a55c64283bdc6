/* memory.cu: devices, blocks of floats and copies of data sets. */
#include "memory.cuh"

#include <stdio.h>
#include <stdlib.h>

/* ---- devices ---- */

static thread_local char error_text[512];

fnn_status status_of(cudaError_t error, const char *call) {
    if (error == cudaSuccess) return FNN_OK;
    snprintf(error_text, sizeof error_text, "%s (%s) in %.300s", cudaGetErrorString(error), cudaGetErrorName(error),
             call);
    cudaGetLastError(); /* forgets it, unless the device is lost */
    return error == cudaErrorMemoryAllocation ? FNN_ERR_MEMORY : FNN_ERR_DEVICE;
}

fnn_status device_failure(const char *why, const char *call) {
    snprintf(error_text, sizeof error_text, "%.180s in %.300s", why, call);
    return FNN_ERR_DEVICE;
}

const char *fnn_cuda_error(void) { return error_text; }

int fnn_cuda_device_count(void) {
    int count = 0;
    if (status_of(cudaGetDeviceCount(&count), "cudaGetDeviceCount") != FNN_OK) return 0;
    return count;
}

const char *fnn_cuda_why_unavailable(void) {
    int count = 0;
    const cudaError_t error = cudaGetDeviceCount(&count);
    cudaGetLastError();
    if (error != cudaSuccess) return cudaGetErrorString(error);
    return count > 0 ? "" : "there is no CUDA device";
}

const char *fnn_cuda_device_name(int device) {
    static thread_local cudaDeviceProp properties;
    return cudaGetDeviceProperties(&properties, device) == cudaSuccess ? properties.name : "";
}

/* ---- floats ---- */

static fnn_status fill_floats(fnn_cuda_floats *floats) {
    FNN_CUDA(cudaSetDevice(floats->device));
    FNN_TRY(device_new(&floats->at, floats->n));
    FNN_CUDA(settled(cudaMemset(floats->at, 0, (size_t)floats->n * sizeof(float))));
    return FNN_OK;
}

fnn_status fnn_cuda_floats_create(fnn_cuda_floats **out, int device, int64_t n) {
    *out = nullptr;
    fnn_cuda_floats *floats = (fnn_cuda_floats *)calloc(1, sizeof *floats);
    if (floats == nullptr) return FNN_ERR_MEMORY;
    floats->device = device;
    floats->n = n;
    const fnn_status status = fill_floats(floats);
    if (status == FNN_OK)
        *out = floats;
    else
        fnn_cuda_floats_destroy(floats);
    return status;
}

void fnn_cuda_floats_destroy(fnn_cuda_floats *floats) {
    if (floats == nullptr) return;
    cudaSetDevice(floats->device);
    device_free(floats->at);
    free(floats);
}

fnn_status fnn_cuda_floats_upload(fnn_cuda_floats *floats, const float *from) {
    FNN_CUDA(cudaSetDevice(floats->device));
    FNN_CUDA(settled(cudaMemcpy(floats->at, from, (size_t)floats->n * sizeof(float), cudaMemcpyHostToDevice)));
    return FNN_OK;
}

fnn_status fnn_cuda_floats_download(const fnn_cuda_floats *floats, float *to) {
    FNN_CUDA(cudaSetDevice(floats->device));
    FNN_CUDA(cudaMemcpy(to, floats->at, (size_t)floats->n * sizeof(float), cudaMemcpyDeviceToHost));
    return FNN_OK;
}

/* ---- data ---- */

static fnn_status copy_lists(fnn_cuda_data *data, const fnn_sparse *from) {
    const int64_t entries = from->starts[data->host.n_rows];
    data->sparse.most = from->most;
    data->host.sparse = &data->sparse;
    FNN_TRY(device_copy(&data->sparse.starts, from->starts, data->host.n_rows + 1));
    FNN_TRY(device_copy(&data->sparse.columns, from->columns, entries));
    return device_copy(&data->sparse.values, from->values, entries);
}

static fnn_status copy_data(fnn_cuda_data *data, const fnn_net *net, const fnn_data *from) {
    const int64_t n_in = net->input.n_in, n_out = net->layers[net->n_layers - 1].n_out, n_rows = from->n_rows;
    FNN_CUDA(cudaSetDevice(data->device));
    data->host.n_rows = n_rows;
    data->host.x_type = from->x_type;
    if (from->sparse != nullptr) FNN_TRY(copy_lists(data, from->sparse));
    if (from->x != nullptr) {
        const int64_t bytes = n_rows * n_in * (from->x_type == FNN_UINT8 ? 1 : (int64_t)sizeof(float));
        FNN_TRY(device_copy((const char **)&data->host.x, (const char *)from->x, bytes));
    }
    if (from->labels != nullptr) FNN_TRY(device_copy(&data->host.labels, from->labels, n_rows));
    if (from->targets != nullptr) FNN_TRY(device_copy(&data->host.targets, from->targets, n_rows * n_out));
    if (from->weights != nullptr) FNN_TRY(device_copy(&data->host.weights, from->weights, n_rows));
    return FNN_OK;
}

fnn_status fnn_cuda_data_create(fnn_cuda_data **out, int device, const fnn_net *net, const fnn_data *from) {
    *out = nullptr;
    fnn_cuda_data *data = (fnn_cuda_data *)calloc(1, sizeof *data);
    if (data == nullptr) return FNN_ERR_MEMORY;
    data->device = device;
    const fnn_status status = copy_data(data, net, from);
    if (status == FNN_OK)
        *out = data;
    else
        fnn_cuda_data_destroy(data);
    return status;
}

void fnn_cuda_data_destroy(fnn_cuda_data *data) {
    if (data == nullptr) return;
    cudaSetDevice(data->device);
    const void *const blocks[] = {data->host.x,       data->host.labels,     data->host.targets, data->host.weights,
                                  data->sparse.starts, data->sparse.columns, data->sparse.values};
    for (const void *block : blocks) device_free(block);
    free(data);
}
