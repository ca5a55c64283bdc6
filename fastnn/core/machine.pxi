# Instruction sets and what the machine can do.

def available_isas():
    """Names of the kernel tables that this build has and this processor runs, best first."""
    names = []
    while fnn_isa_available(len(names)) != NULL:
        names.append(fnn_isa_available(len(names)).name.decode())
    return tuple(names)


def isa():
    """Name of the kernel table that new plans use."""
    return fnn_isa().name.decode()


def use_isa(str name not None):
    if not name or not fnn_isa_use(name.encode()):
        raise ValueError(f"isa must be one of {', '.join(available_isas())}, got {name!r}")


def team_backend():
    """What supplies threads: "openmp" or "pthread"."""
    return fnn_team_backend().decode()


def alloc_count():
    """Number of blocks that the C core has allocated so far."""
    return fnn_alloc_count()


def peak_flops(int n_threads, int64_t n):
    """Floating-point operations a second of n_threads threads that only multiply and add; n: work, in rounds of 64."""
    cdef double rate
    with nogil:
        rate = fnn_peak_flops(n_threads, n)
    return rate


def barrier_seconds(int n_threads, int64_t n):
    """Seconds of a barrier of n_threads threads, the mean of n."""
    cdef double seconds
    with nogil:
        seconds = fnn_barrier_seconds(n_threads, n)
    return seconds


if not fnn_isa_use(os.environ.get("FASTNN_ISA", "").encode()):
    raise ImportError(
        f"FASTNN_ISA must be one of {', '.join(available_isas())} on this machine, got {os.environ['FASTNN_ISA']!r}"
    )


def apply(function, const float[::1] x, str isa=None, bint slope=False):
    """An element-wise function of the kernels, or its slope at x, for tests."""
    cdef const fnn_kernels *kernels = fnn_isa()
    cdef fnn_activation which = activation_of(function)
    if isa is not None:
        kernels = fnn_isa_available(available_isas().index(isa))
    y = np.empty(x.shape[0], np.float32)
    cdef float[::1] view = y
    if x.shape[0] > 0:
        with nogil:
            if slope:
                kernels.slope(&view[0], &x[0], x.shape[0], which)
            else:
                kernels.apply(&view[0], &x[0], x.shape[0], which)
    return y
