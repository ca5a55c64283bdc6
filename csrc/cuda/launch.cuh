/* launch.cuh: phases on a stream. */
#ifndef FNN_CUDA_LAUNCH_CUH
#define FNN_CUDA_LAUNCH_CUH

#include <cuda_runtime.h>

#include "phase.cuh"

/* Which tile a phase's products have. */
typedef enum tile_size { SMALL_TILE, MEDIUM_TILE, LARGE_TILE } tile_size;

/* Rows and columns of a tile, and threads of a block. */
int tile_rows(tile_size tile);
int tile_columns(tile_size tile);
int tile_threads(tile_size tile);

/* Once a device, before anything is launched there. */
cudaError_t allow_shared_memory(void);

/* shared: bytes that operations other than products need. */
cudaError_t launch(const phase &p, tile_size tile, size_t shared, cudaStream_t stream);

#endif
