/* nccl.cuh: gradients from device to device. */
#ifndef FNN_CUDA_NCCL_CUH
#define FNN_CUDA_NCCL_CUH

#include <mutex>
#include <vector>

#include "plan.cuh"

struct fnn_cuda_exchange {
    int64_t n_floats; /* of a tower's gradients */
    std::vector<int> devices;
    std::vector<void *> communicators;
    std::vector<float *> gathered; /* on each device: those of each tower in turn */
    bool has_failed;               /* what NCCL was given may not end */
};

/* Whoever has NCCL work holds it until that is done: two communicators that are at work on the same devices at the same
 * time may wait for each other for ever. */
extern std::mutex nccl_turn;

/* On the towers' streams: the gradients in their plans go to all. */
fnn_status gather(const fnn_cuda_exchange *exchange, const fnn_cuda_tower *towers);

#endif
