/* runtime.h: what device.cpp, memory.cpp, streams.cpp and graphs.cpp share: everything that lives, and the ways by which
 * work comes to streams.  Work that a stream is given is done at once, by the thread that gives it. */
#ifndef FNN_HOST_RUNTIME_H
#define FNN_HOST_RUNTIME_H

#include "block.h"

#include <chrono>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#define SHARED_BYTES (48 * 1024)
#define SHARED_OPTIN_BYTES (227 * 1024)

typedef std::function<void(fnn_emulated_stream *)> work;

struct fnn_emulated_graph {
    std::vector<work> all;
};
struct fnn_emulated_exec {
    std::vector<work> all;
};
struct fnn_emulated_event {
    bool is_recorded;
    std::chrono::steady_clock::time_point at;
};
struct fnn_emulated_stream {
    int device;
    std::mutex turn; /* its work, and what follows */
    uint64_t launches;
    cudaGraph_t captured; /* NULL: what it is given is done at once */
    bool is_invalid;      /* the capture */
    std::thread::id captor;
};

namespace emulated {

/* What lives.  Never destroyed: other threads may run until the process ends. */
struct all_that_lives {
    std::mutex lock;
    std::map<uintptr_t, size_t> blocks, pinned; /* address -> bytes */
    size_t used;
    std::set<cudaStream_t> streams;
    std::set<cudaGraph_t> graphs;
    std::set<cudaGraphExec_t> execs;
    std::set<cudaEvent_t> events;
    std::map<std::pair<int, const void *>, size_t> allowed; /* device and kernel -> shared memory */
    int recorded; /* what the graph that was instantiated last does */
    fnn_emulated_stream legacy;
    std::vector<work> late; /* of the legacy stream, not yet done */
};
all_that_lives &lives(void);
typedef std::lock_guard<std::mutex> holding;

extern thread_local int current_device;
extern thread_local std::vector<cudaStream_t> capturing; /* of captures that this thread has begun */

/* Each call returns by way of this. */
cudaError_t report(cudaError_t error);

cudaError_t check_device(int device);
/* For calls that may wait for the whole device: a thread that captures must not make them. */
cudaError_t check_no_capture(void);
/* For what cannot be captured. */
cudaError_t check_not_captured(cudaStream_t stream);

/* Whether so many bytes lie within one block of device memory, or, for the host's, outside all. */
bool lies(const void *at, size_t bytes, bool on_device);

/* NULL: there is none. */
cudaStream_t find_stream(cudaStream_t stream);
/* Does it, or records it. */
cudaError_t give(cudaStream_t stream, const work &each);

/* A cudaMemset returns before the device has done it, and so may a cudaMemcpy of the host's memory, which only has been
 * read by then; streams that do not block do not wait for them.  Here they are as late as they can be. */
void settle(void);

} /* namespace emulated */

using namespace emulated;

#endif
