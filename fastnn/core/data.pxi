# Rows and targets as C takes them.

# Skipping zeros gains where at most this part of the input is not zero: a product that is found by its bit costs about
# twice a dense one.
cdef double SKIP_DENSITY = 0.4


cdef class Data:
    """Rows and, unless the data is for prediction, targets; keeps the arrays alive that the C side points to.

    loss: what the targets must suit, as for Criterion.  weights: of the rows, or None.
    Other networks may use it too, from threads of their own, if they have as many inputs and outputs, the same rescaling
    and device, and a loss of the same name.
    """
    cdef fnn_data c
    cdef fnn_sparse sparse
    cdef bint is_searched
    cdef Net net
    cdef readonly object x, y  # x: rows, or (starts, columns, values) of a sparse matrix
    cdef readonly object weights
    cdef dict copies  # by the device that they are on
    cdef object lock  # of what is found or copied once, last of all locks

    def __cinit__(self, Net net not None, x, y=None, loss=None, str x_name="x", str y_name="y", weights=None):
        self.net = net
        self.lock = allocate_lock()
        self.copies = {}
        if is_csr(x):
            self.set_lists(x, x_name)
        else:
            self.set_rows(as_rows(x, net.n_in, x_name))
        if loss is not None:
            name = loss if isinstance(loss, str) else loss[0]
            self.set_targets(as_targets(y, self.c.n_rows, net.n_out, name, y_name))
        if weights is not None:
            self.set_weights(as_weights(weights, self.c.n_rows))

    cdef int set_rows(self, x) except -1:
        cdef const uint8_t[:, ::1] bytes_view
        cdef const float[:, ::1] float_view
        self.x = x
        self.c.n_rows = x.shape[0]
        if self.c.n_rows == 0:
            return 0
        if x.dtype == np.uint8:
            bytes_view = x
            self.c.x_type = FNN_UINT8
            self.c.x = &bytes_view[0, 0]
        else:
            float_view = x
            self.c.x_type = FNN_FLOAT32
            self.c.x = &float_view[0, 0]
        return 0

    cdef int set_lists(self, x, str name) except -1:
        cdef const int64_t[::1] starts
        cdef const int32_t[::1] columns
        cdef const float[::1] values
        if not fnn_zero_stays_zero(&self.net.c.input):
            raise ValueError(f"{name} must be dense for a Rescaling that does not leave zero at zero, got a sparse matrix")
        self.x = as_csr(x, self.net.n_in, self.net.c.input.scale, self.net.c.input.offset, name)
        starts, columns, values = self.x
        self.c.n_rows = starts.shape[0] - 1
        self.c.x_type = FNN_FLOAT32
        self.sparse.starts = &starts[0]
        self.sparse.columns = &columns[0]
        self.sparse.values = &values[0]
        self.sparse.most = np.diff(self.x[0]).max(initial=1)
        self.c.sparse = &self.sparse
        return 0

    cdef int set_targets(self, y) except -1:
        cdef const int32_t[::1] label_view
        cdef const float[:, ::1] target_view
        self.y = y
        if self.c.n_rows == 0:
            return 0
        if y.ndim == 1:
            label_view = y
            self.c.labels = &label_view[0]
        else:
            target_view = y
            self.c.targets = &target_view[0, 0]
        return 0

    cdef int set_weights(self, weights) except -1:
        cdef const float[::1] view = weights
        self.weights = weights
        if self.c.n_rows > 0:
            self.c.weights = &view[0]
        return 0

    def __len__(self):
        return self.c.n_rows

    @property
    def skips_zeros(self):
        """Whether find_zeros found enough of them."""
        return bool(self.c.skips_zeros)

    cdef copy(self, mirror):
        """On the device of a network's mirror; made once."""
        with self.lock:
            if mirror.device not in self.copies:
                self.copies[mirror.device] = mirror.copy(<uintptr_t>&self.c)
            return self.copies[mirror.device]

    cdef tuple kind(self):
        """What a plan has to suit."""
        return self.c.x_type, self.c.skips_zeros, self.sparse.most

    def find_zeros(self):
        """Finds, once, whether x has so many of them that the first layer gains by skipping them."""
        if self.c.n_rows == 0 or self.net.mirror is not None:
            return
        with self.lock:
            if not self.is_searched:
                self.c.skips_zeros = fnn_worth_skipping(&self.c, &self.net.c.input, SKIP_DENSITY)
            self.is_searched = True


def read_rows(int descriptor, int64_t start, int64_t stride, const uint32_t[::1] rows, const int64_t[::1] places, out):
    """out[places[i]] = row rows[i] of a file, whose row r begins at start + r * stride.

    out: C-contiguous, as wide as a row in the file.  Returns 0, an errno, or -1 where the file ends too early.
    """
    cdef fnn_file_rows file
    cdef uint8_t[::1] view = out.reshape(-1).view(np.uint8)
    cdef int status
    if rows.shape[0] == 0:
        return 0
    file.descriptor, file.start, file.stride, file.row_bytes = descriptor, start, stride, out[0].nbytes
    with nogil:
        status = fnn_file_read(&view[0], &file, &rows[0], &places[0], rows.shape[0])
    return status
