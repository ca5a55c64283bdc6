# Random numbers and what is drawn with them.

cdef dict DISTRIBUTIONS = {"uniform": FNN_UNIFORM, "normal": FNN_NORMAL, "truncated_normal": FNN_TRUNCATED_NORMAL}
cdef dict STREAMS = {"shuffle": FNN_STREAM_SHUFFLE, "split": FNN_STREAM_SPLIT}


def philox(counter, uint64_t seed):
    """The four words of one Philox4x32-10 block."""
    cdef uint32_t[4] words, out
    for i in range(4):
        words[i] = counter[i]
    fnn_philox(out, words, seed)
    return out[0], out[1], out[2], out[3]


def permutation(int64_t n, uint64_t seed, uint32_t epoch=0, str stream="shuffle"):
    """A permutation of 0..n-1, uint32."""
    order = np.empty(n, np.uint32)
    cdef uint32_t[::1] view = order
    cdef fnn_stream which = STREAMS[stream]
    if n > 0:
        with nogil:
            fnn_shuffle(&view[0], n, seed, which, epoch)
    return order


def draw(str distribution, int64_t n, double a, double b, uint64_t seed, int variable):
    """n float32 values of a distribution: "uniform" on [a, b), "normal" and "truncated_normal" of mean a, deviation b."""
    values = np.empty(n, np.float32)
    cdef float[::1] view = values
    cdef fnn_distribution which = DISTRIBUTIONS[distribution]
    if n > 0:
        with nogil:
            fnn_draw(&view[0], n, which, a, b, seed, variable)
    return values


def synthetic_digits(int64_t first, int64_t n, uint64_t seed):
    """Images (n, 784) and labels (n,), both uint8, of digits first, first + 1, ... of the series of this seed."""
    images = np.empty((n, 784), np.uint8)
    labels = np.empty(n, np.uint8)
    cdef uint8_t[:, ::1] image_view = images
    cdef uint8_t[::1] label_view = labels
    cdef int64_t done = 0, count
    while done < n:  # 1,000 images take about 13 ms
        count = min(1000, n - done)
        with nogil:
            fnn_digits(&image_view[done, 0], &label_view[done], first + done, count, seed)
        done += count
        PyErr_CheckSignals()
    return images, labels
