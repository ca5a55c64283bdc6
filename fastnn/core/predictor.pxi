# Predictions of rows that are ready to be read in place.

# Multiply-adds, of which a thread does a million in 5 to 20 us.  A prediction of less keeps the GIL, for to release it
# and get it back takes 0.1 us; one of more looks for Ctrl-C in between.
cdef double SHORT_WORK = 2e6
cdef double LONG_WORK = 5e8

cdef object NDARRAY = np.ndarray
cdef object EMPTY = np.empty
cdef object FLOAT32 = np.dtype(np.float32)
cdef int64_t MAX_ROWS = 2**31 - 1


cdef bint borrow(Py_buffer *view, array, int64_t n_columns, int flags) except -1:
    """Whether array is (n, n_columns), uint8 or float32, as C takes it: then view holds it."""
    if type(array) is not NDARRAY:
        return False
    try:
        PyObject_GetBuffer(array, view, PyBUF_C_CONTIGUOUS | PyBUF_FORMAT | flags)
    except (BufferError, ValueError):
        return False
    if (view.ndim == 2 and view.shape[1] == n_columns and view.shape[0] <= MAX_ROWS and view.format[1] == 0
            and (view.format[0] == b"B" or view.format[0] == b"f" and <uintptr_t>view.buf % sizeof(float) == 0)):
        return True
    PyBuffer_Release(view)
    return False


cdef int borrow_rows(Py_buffer *view, x, int64_t n_in) except -1:
    if not borrow(view, x, n_in, 0):
        borrow(view, as_rows(x, n_in, "x"), n_in, 0)
    return 0


cdef int borrow_out(Py_buffer *view, out, int64_t n_rows, int64_t n_out) except -1:
    if type(out) is not NDARRAY or out.dtype != FLOAT32:
        got = f"one of {out.dtype}" if type(out) is NDARRAY else type(out).__name__
        raise TypeError(f"out must be a float32 NumPy array, got {got}")
    if out.shape != (n_rows, n_out):
        raise ValueError(f"out must have shape ({n_rows}, {n_out}), got {out.shape}")
    if not borrow(view, out, n_out, PyBUF_WRITABLE):
        raise ValueError("out must be C-contiguous, aligned and writeable")
    return 0


cdef class Predictor:
    """A network's forward pass with its memory: what ``Network.predictor`` returns.

    ``p(x, out=None)`` gives the predictions for the rows of x, float32 (n, n_out), in out if that is given.
    """
    cdef fnn_predictor *c
    cdef Net net
    cdef fnn_link link
    cdef double work
    cdef const char *isa
    cdef object acquire, release
    cdef readonly int64_t n_batch
    cdef readonly int n_threads

    def __cinit__(self, Net net not None, int64_t n_batch, str link, int n_threads):
        self.net = net
        self.link = LINKS[link]
        self.n_batch = n_batch
        self.n_threads = n_threads
        self.isa = fnn_isa().name
        self.acquire, self.release = net.lock.acquire, net.lock.release
        self.work = 0
        for i in range(net.c.n_layers):
            self.work += <double>net.c.layers[i].n_in * net.c.layers[i].n_out
        check(fnn_predictor_create(&self.c, net.c, n_batch, n_threads))

    def __dealloc__(self):
        fnn_predictor_destroy(self.c)

    def poison(self, int byte):
        fnn_predictor_poison(self.c, byte)

    def __call__(self, x, out=None):
        cdef Py_buffer view
        borrow_rows(&view, x, self.net.c.input.n_in)
        try:
            if view.shape[0] > self.n_batch:
                raise ValueError(f"x must have at most {self.n_batch} rows, got {view.shape[0]}")
            return self.run(self.net, &view, self.link, out)
        finally:
            PyBuffer_Release(&view)

    cdef run(self, Net net, Py_buffer *x, fnn_link link, out):
        cdef Py_buffer view
        cdef int64_t n_rows = x.shape[0], n_out = net.c.layers[net.c.n_layers - 1].n_out
        if out is None:
            out = EMPTY((n_rows, n_out), FLOAT32)
        borrow_out(&view, out, n_rows, n_out)
        try:
            if <char *>view.buf < <char *>x.buf + x.len and <char *>x.buf < <char *>view.buf + view.len:
                raise ValueError("out must not share memory with x")
            self.run_rows(net, x, link, <float *>view.buf)
        finally:
            PyBuffer_Release(&view)
        return out

    cdef int run_rows(self, Net net, Py_buffer *x, fnn_link link, float *out) except -1:
        cdef fnn_data data
        cdef int64_t n_rows = x.shape[0], n_out = net.c.layers[net.c.n_layers - 1].n_out, row = 0
        cdef int64_t at_once = max(1, <int64_t>(LONG_WORK / self.work))
        memset(&data, 0, sizeof(data))
        data.x_type = FNN_UINT8 if x.format[0] == b"B" else FNN_FLOAT32
        if self.work * n_rows < SHORT_WORK:
            data.x, data.n_rows = x.buf, n_rows
            self.acquire()
            try:
                net.pull()
                fnn_predictor_run(self.c, net.params, &data, link, out)
            finally:
                self.release()
            return 0
        while row < n_rows:
            data.x, data.n_rows = <char *>x.buf + row * x.strides[0], min(at_once, n_rows - row)
            self.acquire()
            try:
                net.pull()
                with nogil:
                    fnn_predictor_run(self.c, net.params, &data, link, out + row * n_out)
            finally:
                self.release()
            row += data.n_rows
            PyErr_CheckSignals()
        return 0
