/* gpu_latency.cu: what the boundary between two phases of a training step costs, in microseconds, as JSON.
 *
 * node: of a chain of empty kernels in a CUDA graph. node_overlapped: the same, each kernel's launch overlapping the end
 * of the one before it (programmatic dependent launch). barrier: of all blocks, within a kernel that goes on running.
 * Each is the difference between a long run and one of half its length, so that starting and ending cancel out. */
#include <cuda_runtime.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <vector>

static const int THREADS = 256, NODES = 1000, BARRIERS = 4000, TRIALS = 15;

#define CHECK(call)                                                                                                    \
    do {                                                                                                               \
        const cudaError_t error = (call);                                                                              \
        if (error != cudaSuccess) {                                                                                    \
            fprintf(stderr, "%s: %s\n", #call, cudaGetErrorString(error));                                             \
            exit(1);                                                                                                   \
        }                                                                                                              \
    } while (0)

__global__ void nothing() {
#if __CUDA_ARCH__ >= 900
    cudaGridDependencySynchronize();
    cudaTriggerProgrammaticLaunchCompletion();
#endif
}

/* count: 0 at the start. The blocks must all be running. */
__global__ void meet(unsigned *count, int times) {
    for (unsigned i = 1; i <= (unsigned)times; i++) {
        __syncthreads();
        if (threadIdx.x == 0) {
            asm volatile("red.release.gpu.global.add.u32 [%0], 1;" ::"l"(count) : "memory");
            unsigned seen;
            do {
                asm volatile("ld.acquire.gpu.global.u32 %0, [%1];" : "=r"(seen) : "l"(count) : "memory");
            } while (seen < i * gridDim.x);
        }
        __syncthreads();
    }
}

static cudaStream_t stream;

/* Of action, the median of several times. */
template <class F> static double microseconds(F action) {
    cudaEvent_t from, to;
    CHECK(cudaEventCreate(&from));
    CHECK(cudaEventCreate(&to));
    std::vector<float> times;
    for (int i = 0; i < TRIALS + 3; i++) { /* the first do not count */
        CHECK(cudaEventRecord(from, stream));
        action();
        CHECK(cudaEventRecord(to, stream));
        CHECK(cudaEventSynchronize(to));
        float ms;
        CHECK(cudaEventElapsedTime(&ms, from, to));
        if (i >= 3) times.push_back(ms);
    }
    CHECK(cudaEventDestroy(from));
    CHECK(cudaEventDestroy(to));
    std::nth_element(times.begin(), times.begin() + TRIALS / 2, times.end());
    return 1e3 * times[TRIALS / 2];
}

static double chain(int blocks, int nodes, bool overlapped) {
    cudaLaunchAttribute attribute = {};
    attribute.id = cudaLaunchAttributeProgrammaticStreamSerialization;
    attribute.val.programmaticStreamSerializationAllowed = 1;
    cudaLaunchConfig_t config = {};
    config.gridDim = dim3(blocks);
    config.blockDim = dim3(THREADS);
    config.stream = stream;
    config.attrs = &attribute;
    config.numAttrs = overlapped ? 1 : 0;
    CHECK(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal));
    for (int i = 0; i < nodes; i++) CHECK(cudaLaunchKernelEx(&config, nothing));
    cudaGraph_t graph;
    CHECK(cudaStreamEndCapture(stream, &graph));
    cudaGraphExec_t exec;
    CHECK(cudaGraphInstantiate(&exec, graph, 0));
    const double us = microseconds([&] { CHECK(cudaGraphLaunch(exec, stream)); });
    CHECK(cudaGraphExecDestroy(exec));
    CHECK(cudaGraphDestroy(graph));
    return us;
}

static double barriers(int blocks, int times) {
    unsigned *count;
    CHECK(cudaMalloc(&count, sizeof *count));
    void *args[] = {&count, &times};
    const double us = microseconds([&] {
        CHECK(cudaMemsetAsync(count, 0, sizeof *count, stream));
        CHECK(cudaLaunchCooperativeKernel((void *)meet, dim3(blocks), dim3(THREADS), args, 0, stream));
    });
    CHECK(cudaFree(count));
    return us;
}

int main() {
    cudaDeviceProp device;
    CHECK(cudaGetDeviceProperties(&device, 0));
    CHECK(cudaStreamCreate(&stream));
    const int sizes[] = {16, 64, device.multiProcessorCount};
    printf("{\"threads\": %d, \"sizes\": [", THREADS);
    for (int i = 0; i < 3; i++) {
        const int blocks = sizes[i];
        const double node = (chain(blocks, NODES, false) - chain(blocks, NODES / 2, false)) / (NODES / 2);
        const double barrier = (barriers(blocks, BARRIERS) - barriers(blocks, BARRIERS / 2)) / (BARRIERS / 2);
        printf("%s{\"blocks\": %d, \"node\": %.4f, ", i > 0 ? ", " : "", blocks, node);
        if (device.major >= 9) {
            const double overlapped = (chain(blocks, NODES, true) - chain(blocks, NODES / 2, true)) / (NODES / 2);
            printf("\"node_overlapped\": %.4f, ", overlapped);
        }
        printf("\"barrier\": %.4f}", barrier);
    }
    printf("]}\n");
    return 0;
}
