/* verbs.cuh: what verbs.cu and towers.cu do with a plan's stream. */
#ifndef FNN_CUDA_VERBS_CUH
#define FNN_CUDA_VERBS_CUH

#include "plan.cuh"

/* at: where the phases to come begin. */
fnn_status upload(const fnn_cuda_plan *plan, const progress *at);
/* What the stream was given is done; at: as it left it. */
fnn_status download(const fnn_cuda_plan *plan, progress *at);
fnn_status launch_all(const fnn_cuda_plan *plan, const program &phases, int slot);
/* Of steps [since, end) of the epoch. */
std::vector<step_constants> constants_of(const fnn_epoch *epoch, int64_t since, int64_t end);

#endif
