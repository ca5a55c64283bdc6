/* memory.cpp: the emulation's memory, between guards and poisoned, and copies of it. */
#include "runtime.h"

#include <stdlib.h>

#define ALIGNMENT 256

/* ---- blocks ---- */

static void *new_block(size_t bytes) {
    const size_t room = bytes + 2 * FNN_EMULATED_GUARD_BYTES;
    char *base = (char *)aligned_alloc(ALIGNMENT, (room + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT);
    if (base == nullptr) return nullptr;
    char *block = base + FNN_EMULATED_GUARD_BYTES;
    fnn_emulated_set_guard(base);
    memset(block, FNN_EMULATED_POISON, bytes);
    fnn_emulated_set_guard(block + bytes);
    return block;
}

static void free_block(char *block, size_t bytes) {
    char *base = block - FNN_EMULATED_GUARD_BYTES;
    if (!fnn_emulated_guard_holds(base)) fnn_emulated_fail("written before a block of %zu bytes", bytes);
    if (!fnn_emulated_guard_holds(block + bytes)) fnn_emulated_fail("written beyond a block of %zu bytes", bytes);
    free(base);
}

cudaError_t cudaMalloc(void **block, size_t bytes) {
    const cudaError_t error = check_no_capture();
    *block = nullptr;
    if (error != cudaSuccess || bytes == 0) return report(error);
    const size_t most = (size_t)fnn_emulated_setting("FASTNN_EMULATE_MEMORY", (uint64_t)4 << 30);
    const holding held(lives().lock);
    if (bytes > most || lives().used > most - bytes) return report(cudaErrorMemoryAllocation);
    *block = new_block(bytes);
    if (*block == nullptr) return report(cudaErrorMemoryAllocation);
    lives().blocks[(uintptr_t)*block] = bytes;
    lives().used += bytes;
    return cudaSuccess;
}

/* Waits for all that the device has to do. */
cudaError_t cudaFree(void *block) {
    const cudaError_t error = check_no_capture();
    if (error != cudaSuccess || block == nullptr) return report(error);
    settle();
    const holding held(lives().lock);
    const auto found = lives().blocks.find((uintptr_t)block);
    if (found == lives().blocks.end()) return report(cudaErrorInvalidValue);
    free_block((char *)block, found->second);
    lives().used -= found->second;
    lives().blocks.erase(found);
    return cudaSuccess;
}

cudaError_t cudaMallocHost(void **block, size_t bytes) {
    const cudaError_t error = check_no_capture();
    *block = nullptr;
    if (error != cudaSuccess || bytes == 0) return report(error);
    *block = new_block(bytes);
    if (*block == nullptr) return report(cudaErrorMemoryAllocation);
    const holding held(lives().lock);
    lives().pinned[(uintptr_t)*block] = bytes;
    return cudaSuccess;
}

cudaError_t cudaFreeHost(void *block) {
    const cudaError_t error = check_no_capture();
    if (error != cudaSuccess || block == nullptr) return report(error);
    const holding held(lives().lock);
    const auto found = lives().pinned.find((uintptr_t)block);
    if (found == lives().pinned.end()) return report(cudaErrorInvalidValue);
    free_block((char *)block, found->second);
    lives().pinned.erase(found);
    return cudaSuccess;
}

bool emulated::lies(const void *at, size_t bytes, bool on_device) {
    const uintptr_t first = (uintptr_t)at;
    const holding held(lives().lock);
    auto after = lives().blocks.upper_bound(first);
    const bool reaches_next = after != lives().blocks.end() && after->first < first + bytes;
    if (after == lives().blocks.begin()) return !on_device && !reaches_next;
    const auto block = std::prev(after);
    const uintptr_t end = block->first + block->second;
    return on_device ? first + bytes <= end : first >= end && !reaches_next;
}

static cudaError_t check_copy(const void *to, size_t to_bytes, const void *from, size_t from_bytes,
                              cudaMemcpyKind kind) {
    const cudaError_t error = check_device(current_device);
    if (error != cudaSuccess || to_bytes == 0) return error;
    if (kind == cudaMemcpyDefault) {
        const bool to_fits = lies(to, to_bytes, true) || lies(to, to_bytes, false);
        return to_fits && (lies(from, from_bytes, true) || lies(from, from_bytes, false)) ? cudaSuccess
                                                                                          : cudaErrorInvalidValue;
    }
    const bool to_device = kind == cudaMemcpyHostToDevice || kind == cudaMemcpyDeviceToDevice;
    const bool from_device = kind == cudaMemcpyDeviceToHost || kind == cudaMemcpyDeviceToDevice;
    return lies(to, to_bytes, to_device) && lies(from, from_bytes, from_device) ? cudaSuccess : cudaErrorInvalidValue;
}

/* ---- copies ---- */

cudaError_t cudaMemsetAsync(void *to, int byte, size_t bytes, cudaStream_t stream) {
    const cudaError_t error = check_device(current_device);
    if (error != cudaSuccess) return report(error);
    if (bytes != 0 && !lies(to, bytes, true)) return report(cudaErrorInvalidValue);
    return report(give(stream, [=](cudaStream_t) {
        if (bytes != 0) memset(to, byte, bytes);
    }));
}

cudaError_t cudaMemcpy2DAsync(void *to, size_t to_pitch, const void *from, size_t from_pitch, size_t width,
                              size_t height, cudaMemcpyKind kind, cudaStream_t stream) {
    if (width > to_pitch || width > from_pitch) return report(cudaErrorInvalidPitchValue);
    const bool is_empty = width == 0 || height == 0;
    const size_t to_bytes = is_empty ? 0 : (height - 1) * to_pitch + width;
    const size_t from_bytes = is_empty ? 0 : (height - 1) * from_pitch + width;
    const cudaError_t error = check_copy(to, to_bytes, from, from_bytes, kind);
    if (error != cudaSuccess) return report(error);
    return report(give(stream, [=](cudaStream_t) {
        for (size_t i = 0; i < height && !is_empty; i++)
            memmove((char *)to + i * to_pitch, (const char *)from + i * from_pitch, width);
    }));
}

cudaError_t cudaMemcpyAsync(void *to, const void *from, size_t bytes, cudaMemcpyKind kind, cudaStream_t stream) {
    return cudaMemcpy2DAsync(to, bytes, from, bytes, bytes, 1, kind, stream);
}

static void do_late(const work &each) {
    const holding held(lives().lock);
    lives().late.push_back(each);
}

cudaError_t cudaMemset(void *to, int byte, size_t bytes) {
    cudaError_t error = check_no_capture();
    if (error == cudaSuccess && bytes != 0 && !lies(to, bytes, true)) error = cudaErrorInvalidValue;
    if (error != cudaSuccess || bytes == 0) return report(error);
    do_late([=](cudaStream_t) { memset(to, byte, bytes); });
    return cudaSuccess;
}

cudaError_t cudaMemcpy(void *to, const void *from, size_t bytes, cudaMemcpyKind kind) {
    cudaError_t error = check_no_capture();
    if (error != cudaSuccess) return report(error);
    if (kind != cudaMemcpyHostToDevice || bytes == 0) return cudaMemcpyAsync(to, from, bytes, kind, nullptr);
    error = check_copy(to, bytes, from, bytes, kind);
    if (error != cudaSuccess) return report(error);
    const std::string read((const char *)from, bytes);
    do_late([=](cudaStream_t) { memcpy(to, read.data(), bytes); });
    return cudaSuccess;
}
