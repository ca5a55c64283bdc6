# Layers that several networks hold.

cdef class Shared:
    """Values of a layer that several networks hold, the latest of any of them.

    Each network works on a copy of its own: it pulls what others have changed before it works, and pushes what it has
    changed.  The lock is taken for a copy alone, last of all locks.
    """
    cdef float *values
    cdef object lock
    cdef int64_t version

    def __cinit__(self, int64_t n_floats):
        self.lock = allocate_lock()
        self.values = <float *>fnn_alloc(n_floats * sizeof(float))
        if self.values == NULL:
            check(FNN_ERR_MEMORY)

    def __dealloc__(self):
        fnn_free(self.values)


cdef class Tie:
    """A network's end of a Shared: of which layer, where in the parameter block, and which version it has."""
    cdef Shared shared
    cdef int64_t layer, start, n_bytes, version

    def __cinit__(self, Shared shared not None, int64_t layer, int64_t start, int64_t n_floats):
        self.shared, self.layer, self.start = shared, layer, start
        self.n_bytes = n_floats * sizeof(float)
        self.version = -1  # none yet

    cdef int pull(self, float *params) except -1:
        """Whether there was something new."""
        if self.version == self.shared.version:
            return 0
        with self.shared.lock:
            memcpy(params + self.start, self.shared.values, self.n_bytes)
            self.version = self.shared.version
        return 1

    cdef int push(self, const float *params) except -1:
        with self.shared.lock:
            memcpy(self.shared.values, params + self.start, self.n_bytes)
            self.shared.version += 1
            self.version = self.shared.version
        return 0
