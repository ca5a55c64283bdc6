/* product.cuh: a tile of a matrix product c = a b, one accumulator an element, k ascending: the CPU's bits.
 *
 * a is (rows, k), b (k, columns), both in panels.  Chunks of them are copied to shared memory ahead of their use, as
 * they lie in memory; thread (lane, row group) of a block has columns lane, lane + 16, ... and TM neighbouring rows. */
#ifndef FNN_CUDA_PRODUCT_CUH
#define FNN_CUDA_PRODUCT_CUH

#include "device.cuh"

/* A product's tile, by blocks of which a multiprocessor has at least BLOCKS at once: THREADS / 16 * TM rows by 16 TN columns, k in chunks of KC, STAGES of them on their way. */
template <int Threads, int Blocks, int Tm, int Tn, int Kc, int Stages_> struct tile_shape {
    static constexpr int THREADS = Threads, BLOCKS = Blocks, TM = Tm, TN = Tn, KC = Kc, STAGES = Stages_;
    static constexpr int ROWS = Threads / 16 * Tm, COLUMNS = 16 * Tn;
    static constexpr int CHUNK = Kc / 16 * 20 * (ROWS + COLUMNS); /* floats a stage */
    static constexpr int SHARED = CHUNK * Stages_ * (int)sizeof(float);
};
/* Latency counts: many small blocks, and chunks asked for long before. */
typedef tile_shape<128, 6, 2, 1, 32, 6> small_tile;
typedef tile_shape<256, 2, 4, 4, 32, 3> medium_tile;
/* Arithmetic counts: 64 accumulators a thread. */
typedef tile_shape<256, 1, 8, 8, 16, 4> large_tile;

/* How an operand lies in its panels: ALONG_K, k in the lanes: element (i, k) at [k / 16][i][k % 16]; or ACROSS, with i
 * in the lanes: [i / 16][k][i % 16]. */
enum lie { ALONG_K, ACROSS };

typedef struct operand {
    const float *at;
    int length; /* of a panel: places of 16 floats */
    int n;      /* rows of a or columns of b */
} operand;

/* In shared memory, ALONG_K: [k / 16][i][20], which keeps lanes that read neighbouring i off each other's banks;
 * ACROSS: [i / 16][k][16].  Asks for k from k0 on. */
template <class T, lie L, int N>
FNN_DEVICE void copy_chunk(float *to, const operand &from, int first, int k0, int n_k) {
    for (int piece = threadIdx.x; piece < N * T::KC / 4; piece += T::THREADS) {
        const int q = piece % 4 * 4;
        if (L == ALONG_K) {
            const int i = piece / 4 % N, kp = piece / (4 * N);
            if (first + i < from.n && k0 + 16 * kp < n_k)
                __pipeline_memcpy_async(
                    to + (kp * N + i) * 20 + q,
                    from.at + (((int64_t)(k0 / 16 + kp) * from.length + first + i) * 16 + q), 16);
        } else {
            const int k = piece / 4 % T::KC, ip = piece / (4 * T::KC);
            if (first + 16 * ip < from.n && k0 + k < n_k)
                __pipeline_memcpy_async(
                    to + (ip * T::KC + k) * 16 + q,
                    from.at + (((int64_t)(first / 16 + ip) * from.length + k0 + k) * 16 + q), 16);
        }
    }
}

/* Of one k; four neighbours at once where they are. */
template <class T, int M, int Stride>
FNN_DEVICE void load_across(float f[M], const float *from, int first, int k) {
    constexpr int wide = Stride == 1 && M % 4 == 0 ? 4 : 1;
FNN_UNROLL_GPU
    for (int m = 0; m < M; m += wide) {
        const int i = first + m * Stride;
        const float *place = from + (i / 16 * T::KC + k) * 16 + i % 16;
        if constexpr (wide == 4) {
            const float4 four = *(const float4 *)place;
            f[m] = four.x, f[m + 1] = four.y, f[m + 2] = four.z, f[m + 3] = four.w;
        } else {
            f[m] = *place;
        }
    }
}

/* The fragment of four k from `k` on of elements first, first + Stride, ... */
template <class T, lie L, int N, int M, int Stride>
FNN_DEVICE void load_four(float f[4][M], const float *from, int first, int k) {
    if constexpr (L == ALONG_K) {
FNN_UNROLL_GPU
        for (int m = 0; m < M; m++) {
            const float4 four = *(const float4 *)(from + (k / 16 * N + first + m * Stride) * 20 + k % 16);
            f[0][m] = four.x, f[1][m] = four.y, f[2][m] = four.z, f[3][m] = four.w;
        }
    } else {
FNN_UNROLL_GPU
        for (int q = 0; q < 4; q++) load_across<T, M, Stride>(f[q], from, first, k + q);
    }
}

/* acc[row][column] += sum over k < n_k. All threads of the block call it, with all shared memory free. */
template <class T, lie A, lie B>
FNN_DEVICE void product(float acc[T::TM][T::TN], const operand &a, const operand &b, int row, int column, int n_k) {
    float *stages = shared_floats();
    const int lane = fnn_lane(), first = (int)threadIdx.x / 16 * T::TM, chunks = (n_k + T::KC - 1) / T::KC;
    const int b_at = T::KC / 16 * 20 * T::ROWS;
    for (int c = 0; c < T::STAGES - 1; c++) {
        if (c < chunks) {
            copy_chunk<T, A, T::ROWS>(stages + c * T::CHUNK, a, row, c * T::KC, n_k);
            copy_chunk<T, B, T::COLUMNS>(stages + c * T::CHUNK + b_at, b, column, c * T::KC, n_k);
        }
        __pipeline_commit();
    }
    for (int c = 0; c < chunks; c++) {
        __pipeline_wait_prior(T::STAGES - 2);
        __syncthreads(); /* chunk c is there for all, and none still reads the one that is overwritten now */
        const int next = c + T::STAGES - 1;
        if (next < chunks) {
            float *to = stages + next % T::STAGES * T::CHUNK;
            copy_chunk<T, A, T::ROWS>(to, a, row, next * T::KC, n_k);
            copy_chunk<T, B, T::COLUMNS>(to + b_at, b, column, next * T::KC, n_k);
        }
        __pipeline_commit();
        const float *from = stages + c % T::STAGES * T::CHUNK;
        const int here = smaller_of(T::KC, n_k - c * T::KC);
FNN_UNROLL_BY(4)
        for (int k = 0; k < here; k += 4) {
            float fa[4][T::TM], fb[4][T::TN];
            load_four<T, A, T::ROWS, T::TM, 1>(fa, from, first, k);
            load_four<T, B, T::COLUMNS, T::TN, 16>(fb, from + b_at, lane, k);
FNN_UNROLL_GPU
            for (int q = 0; q < 4; q++) {
                if (k + q >= here) break;
FNN_UNROLL_GPU
                for (int i = 0; i < T::TM; i++)
FNN_UNROLL_GPU
                    for (int j = 0; j < T::TN; j++) acc[i][j] = __fmaf_rn(fa[q][i], fb[q][j], acc[i][j]);
            }
        }
    }
    __pipeline_wait_prior(0);
    __syncthreads(); /* shared memory is free */
}

#endif
