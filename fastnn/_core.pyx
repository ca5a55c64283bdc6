# cython: language_level=3, boundscheck=False, wraparound=False, freethreading_compatible=True
"""The border between Python and the C core: owns the C objects, releases the GIL, turns statuses into exceptions.

No arithmetic happens here.  Array arguments have been checked by ``_arrays``; calls that may run long come back from C
every 50 ms or so, at a step border, so that Ctrl-C is seen.
"""
import os
from _thread import allocate_lock
from time import perf_counter

import numpy as np

from cpython.buffer cimport (
    PyBUF_C_CONTIGUOUS, PyBUF_FORMAT, PyBUF_WRITABLE, PyBuffer_Release, PyObject_GetBuffer,
)

from ._arrays import as_csr, as_judgement, as_parameter, as_rows, as_targets, as_weights, is_csr

from libc.string cimport memcpy, memset

cdef extern from "Python.h":
    int PyErr_CheckSignals() except -1

cdef int64_t BUDGET_NS = 50_000_000
cdef int64_t PASS_ROWS = 256  # rows that evaluation takes at a time
pass_rows = PASS_ROWS
cdef int64_t FEW_ROWS = 16  # that a network's own predictor has memory for, until it gets more

# Multiply-adds, of which a thread does a million in 5 to 20 us.  A prediction of less keeps the GIL, for to release it
# and get it back takes 0.1 us; one of more looks for Ctrl-C in between.
cdef double SHORT_WORK = 2e6
cdef double LONG_WORK = 5e8

# Skipping zeros gains where at most this part of the input is not zero: a product that is found by its bit costs about
# twice a dense one.
cdef double SKIP_DENSITY = 0.4

# Reading the clock takes some 30 ns, a dozen times a step: every step is measured where it does so much work (parameters
# times rows), else only one in so many.
cdef int64_t CLOCKED_WORK = 1_000_000
cdef int64_t CLOCKED_STEPS = 16

cdef dict FUNCTIONS = {  # and how many constants they have
    "linear": (FNN_LINEAR, 0), "sigmoid": (FNN_SIGMOID, 0), "tanh": (FNN_TANH, 0), "relu": (FNN_RELU, 0),
    "leaky_relu": (FNN_LEAKY_RELU, 1), "elu": (FNN_ELU, 1), "threshold": (FNN_THRESHOLD, 0), "gelu": (FNN_GELU, 0),
    "silu": (FNN_SILU, 0), "softplus": (FNN_SOFTPLUS, 0), "exp": (FNN_EXP, 0), "log": (FNN_LOG, 0),
    "log1p": (FNN_LOG1P, 0),
}
cdef dict LINKS = {"identity": FNN_IDENTITY, "sigmoid": FNN_LOGISTIC, "softmax": FNN_SOFTMAX, "exp": FNN_EXPONENTIAL}
cdef dict LOSSES = {
    "squared_error": FNN_SQUARED_ERROR,
    "sigmoid_cross_entropy": FNN_SIGMOID_CROSS_ENTROPY,
    "softmax_cross_entropy": FNN_SOFTMAX_CROSS_ENTROPY,
    "absolute_error": FNN_ABSOLUTE_ERROR,
    "huber": FNN_HUBER,
    "poisson": FNN_POISSON,
    "custom": FNN_CUSTOM,
}
cdef dict UPDATES = {
    "sgd": FNN_SGD, "momentum": FNN_MOMENTUM, "nesterov": FNN_NESTEROV, "adam": FNN_ADAM, "rmsprop": FNN_RMSPROP,
}
cdef dict STATES = {  # the blocks that fnn_train keeps from step to step; RMSProp without momentum has no velocity
    "sgd": (), "momentum": ("velocity",), "nesterov": ("velocity",), "adam": ("first_moment", "second_moment"),
    "rmsprop": ("velocity", "second_moment"),
}
cdef dict DISTRIBUTIONS = {"uniform": FNN_UNIFORM, "normal": FNN_NORMAL, "truncated_normal": FNN_TRUNCATED_NORMAL}
cdef dict STREAMS = {"shuffle": FNN_STREAM_SHUFFLE, "split": FNN_STREAM_SPLIT}


# ---- instruction sets and the machine ----------------------------------------------------------------------------

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


# ---- random numbers ----------------------------------------------------------------------------------------------

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


cdef fnn_activation activation_of(description) except *:
    """Of a name, or of a name and constants."""
    cdef fnn_activation activation
    name, *constants = (description,) if isinstance(description, str) else description
    activation.function, count = (FNN_AFFINE, 2) if name == "linear" and constants else FUNCTIONS[name]
    if len(constants) != count:
        raise ValueError(f"activation {name!r} must have {count} constants, got {len(constants)}")
    activation.a, activation.b = (*constants, 0.0, 0.0)[:2]
    return activation


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


# ---- files -------------------------------------------------------------------------------------------------------

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


# ---- networks ----------------------------------------------------------------------------------------------------

cdef int check(fnn_status status) except -1:
    if status == FNN_OK:
        return 0
    if status == FNN_ERR_MEMORY:
        raise MemoryError("fastnn: out of memory")
    raise RuntimeError(f"fastnn: {fnn_status_text(status).decode()}")


cdef fnn_dropout dropout_of(description):
    cdef fnn_dropout dropout
    dropout.threshold, dropout.train_scale, dropout.predict_scale = description or (65536, 1.0, 1.0)
    return dropout


cdef class Data:
    """Rows and, unless the data is for prediction, targets; keeps the arrays alive that the C side points to.

    loss: what the targets must suit, as for Criterion.  weights: of the rows, or None.
    """
    cdef fnn_data c
    cdef fnn_sparse sparse
    cdef uint64_t *bits
    cdef bint is_searched
    cdef Net net
    cdef readonly object x, y  # x: rows, or (starts, columns, values) of a sparse matrix
    cdef readonly object weights

    def __cinit__(self, Net net not None, x, y=None, loss=None, str x_name="x", str y_name="y", weights=None):
        self.net = net
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

    def __dealloc__(self):
        fnn_free(self.bits)

    def __len__(self):
        return self.c.n_rows

    @property
    def skips_zeros(self):
        """Whether find_zeros found enough of them."""
        return self.bits != NULL

    cdef tuple kind(self):
        """What a plan has to suit."""
        return self.c.x_type, self.bits != NULL, self.sparse.most

    def find_zeros(self, int n_threads=1):
        """Finds, once, where x is not zero, if the first layer gains by skipping the rest."""
        cdef fnn_status status
        if self.is_searched or self.c.n_rows == 0:
            return
        with nogil:
            status = fnn_bits_create(&self.bits, &self.c, &self.net.c.input, SKIP_DENSITY, n_threads)
        check(status)
        self.is_searched = True
        self.c.bits = self.bits


cdef void call_custom(void *context, float *losses, int64_t first, int64_t n_rows) noexcept nogil:
    with gil:
        (<Criterion>context).judge(losses, first, n_rows)


cdef class Criterion:
    """A loss as C takes it.

    loss: a name, ("huber", delta), or ("custom", function): then it is also what C calls for each batch, and one job at a
    time may use it, between ``prepare`` and ``finish``.  is_sum: gradients are not divided by the rows of a batch.
    """
    cdef fnn_loss c
    cdef fnn_custom custom
    cdef object function, outputs, gradients, order, error
    cdef Data data

    def __cinit__(self, loss, bint is_sum=False):
        name, *constants = (loss,) if isinstance(loss, str) else loss
        self.c.kind = LOSSES[name]
        self.c.is_sum = is_sum
        if self.c.kind == FNN_HUBER:
            self.c.delta, = constants
        if self.c.kind == FNN_CUSTOM:
            self.function, = constants
            self.custom.run = call_custom
            self.custom.context = <void *>self
            self.c.custom = &self.custom

    cdef int prepare(self, Data data, int64_t n_batch, order) except -1:
        cdef float[:, ::1] outputs, gradients
        if self.function is None:
            return 0
        self.data, self.order, self.error = data, order, None
        self.outputs, self.gradients = np.empty((2, n_batch, data.net.n_out), np.float32)
        outputs, gradients = self.outputs, self.gradients
        self.custom.outputs, self.custom.gradients = &outputs[0, 0], &gradients[0, 0]
        return 0

    cdef int finish(self) except -1:
        """Raises what the function raised."""
        error, self.error, self.data = self.error, None, None
        if error is not None:
            raise error
        return 0

    cdef void judge(self, float *losses, int64_t first, int64_t n_rows) noexcept:
        cdef float[::1] view = <float[:n_rows]>losses
        rows = slice(first, first + n_rows) if self.order is None else self.order[first:first + n_rows]
        try:
            if self.error is not None:
                return
            values, gradients = as_judgement(
                self.function(self.outputs[:n_rows].copy(), self.data.y[rows]), n_rows, self.data.net.n_out
            )
            if self.c.is_sum:
                gradients = gradients * np.float32(n_rows)
            if self.data.weights is not None:
                weights = self.data.weights[rows]
                values, gradients = values * weights, gradients * weights[:, None]
            self.gradients[:n_rows] = gradients
            np.asarray(view)[:] = values
        except BaseException as error:
            self.error = error
        finally:
            if self.error is not None:
                np.asarray(view)[:] = np.nan


cdef class Plan:
    """Memory for one kind of work on one network."""
    cdef fnn_plan *c
    cdef Net net
    cdef readonly tuple suits  # batches of so many rows, threads, instruction set, kind of data

    def __cinit__(self, Net net not None, int64_t n_batch, bint training, int n_threads, Data like not None):
        self.net = net
        self.suits = n_batch, n_threads, isa(), like.kind()
        check(fnn_plan_create(&self.c, net.c, n_batch, training, n_threads, &like.c))

    def __dealloc__(self):
        fnn_plan_destroy(self.c)

    def poison(self, int byte):
        fnn_plan_poison(self.c, byte)


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
        if self.version != self.shared.version:
            with self.shared.lock:
                memcpy(params + self.start, self.shared.values, self.n_bytes)
                self.version = self.shared.version
        return 0

    cdef int push(self, const float *params) except -1:
        with self.shared.lock:
            memcpy(self.shared.values, params + self.start, self.n_bytes)
            self.shared.version += 1
            self.version = self.shared.version
        return 0


cdef class Net:
    """A network's description and parameters.  A lock of its own lets threads share it."""
    cdef fnn_net *c
    cdef float *params
    cdef readonly object lock
    cdef list ties  # None: no layer is another network's too
    cdef Plan pass_plan
    cdef Predictor own_predictor

    def __cinit__(self, int64_t n_in, double scale, double offset, input_dropout, layers, same_as=()):
        """same_as: of each layer, 0 or 1 + the earlier layer whose parameters it uses; (): all have their own."""
        cdef fnn_input c_input
        cdef fnn_layer *c_layers
        c_input.n_in = n_in
        c_input.scale = scale
        c_input.offset = offset
        c_input.dropout = dropout_of(input_dropout)
        self.lock = allocate_lock()
        c_layers = <fnn_layer *>fnn_alloc(len(layers) * sizeof(fnn_layer))
        if c_layers == NULL:
            check(FNN_ERR_MEMORY)
        try:
            for i, (n_out, activation, dropout) in enumerate(layers):
                c_layers[i].n_out = n_out
                c_layers[i].activation = activation_of(activation)
                c_layers[i].dropout = dropout_of(dropout)
            for i, owner in enumerate(same_as):
                c_layers[i].same_as = owner
            self.c = fnn_net_create(&c_input, c_layers, len(layers))
        finally:
            fnn_free(c_layers)
        if self.c == NULL:
            check(FNN_ERR_MEMORY)
        self.params = <float *>fnn_alloc(self.c.n_floats * sizeof(float))
        if self.params == NULL:
            check(FNN_ERR_MEMORY)

    def __dealloc__(self):
        if self.c != NULL:
            for i in range(self.c.n_layers):
                fnn_free(<void *>self.c.layers[i].mask)
        fnn_free(self.params)
        fnn_free(self.c)

    @property
    def n_in(self):
        return self.c.input.n_in

    @property
    def n_out(self):
        return self.c.layers[self.c.n_layers - 1].n_out

    def share(self, int64_t layer):
        """The values of a layer that has its own, for other networks to join."""
        cdef Tie tie
        with self.lock:
            for tie in self.ties or ():
                if tie.layer == layer:
                    return tie.shared
            tie = self.add_tie(layer, Shared(fnn_layer_floats(&self.c.layers[layer])))
            tie.push(self.params)
            return tie.shared

    def join(self, int64_t layer, Shared shared not None):
        """From now on this layer's values are those.  Its shape must be the same."""
        with self.lock:
            self.add_tie(layer, shared)

    cdef Tie add_tie(self, int64_t layer, Shared shared):
        cdef fnn_layer *c = &self.c.layers[layer]
        cdef Tie tie = Tie(shared, layer, c.w, fnn_layer_floats(c))
        self.ties = [*(self.ties or ()), tie]
        return tie

    cdef int pull(self) except -1:
        """Called with the lock held, before parameters are used."""
        cdef Tie tie
        if self.ties is not None:
            for tie in self.ties:
                tie.pull(self.params)
        return 0

    cdef int push(self, const uint8_t *changed) except -1:
        """The same after they were changed; changed: a flag for W and b of each layer."""
        cdef Tie tie
        if self.ties is not None:
            for tie in self.ties:
                if changed[2 * tie.layer] or changed[2 * tie.layer + 1]:
                    tie.push(self.params)
        return 0

    cdef int64_t place(self, int layer, str which, int64_t *rows) except -1:
        """Where a variable starts in a parameter block, and as a matrix of how many rows."""
        rows[0] = self.c.layers[layer].n_in if which == "W" else 1
        return self.c.layers[layer].w if which == "W" else self.c.layers[layer].b

    cdef unpack(self, const float *block, int layer, str which):
        cdef int64_t rows, place = self.place(layer, which, &rows), n_out = self.c.layers[layer].n_out
        matrix = np.empty((rows, n_out), np.float32)
        cdef float[:, ::1] view = matrix
        fnn_unpack(&view[0, 0], block + place, rows, n_out)
        return matrix if which == "W" else matrix[0]

    def set_mask(self, int layer, const float[:, ::1] mask):
        """Weights of a layer stay +0 where mask (n_in, n_out) is 0, else it is 1; once, before any are assigned."""
        cdef fnn_layer *described = &self.c.layers[layer]
        cdef float *packed = <float *>fnn_alloc((described.b - described.w) * sizeof(float))
        if packed == NULL:
            check(FNN_ERR_MEMORY)
        fnn_pack(packed, &mask[0, 0], described.n_in, described.n_out)
        described.mask = packed

    def matrix(self, int layer, str which):
        """A copy of a layer's "W" (n_in, n_out) or "b" (n_out,)."""
        with self.lock:
            self.pull()
            return self.unpack(self.params, layer, which)

    def assign(self, int layer, str which, value, str name):
        cdef int64_t rows, place = self.place(layer, which, &rows), n_out = self.c.layers[layer].n_out
        cdef object shape = (rows, n_out)
        cdef Tie tie
        matrix = as_parameter(value, shape if which == "W" else shape[1:], name)
        cdef const float[:, ::1] view = matrix.reshape(shape)
        with self.lock:
            self.pull()
            fnn_pack(self.params + place, &view[0, 0], rows, n_out)
            for tie in self.ties or ():
                if tie.layer == layer:
                    tie.push(self.params)

    def is_finite(self):
        """Whether no parameter is infinite or NaN."""
        with self.lock:
            return bool(fnn_is_finite(self.params, self.c.n_floats))

    def histogram(self, int layer, str which, const double[::1] edges):
        """Counts between ascending edges, int64, how many values are finite, and their min, max, sum, sum of squares."""
        cdef int64_t rows, place = self.place(layer, which, &rows), n_out = self.c.layers[layer].n_out
        cdef fnn_moments moments
        counts = np.empty(edges.shape[0] - 1, np.int64)
        cdef int64_t[::1] view = counts
        with self.lock:
            self.pull()
            with nogil:
                moments = fnn_histogram(&view[0], self.params + place, rows, n_out, &edges[0], view.shape[0])
        return counts, moments.finite, moments.min, moments.max, moments.sum, moments.squares

    def threads_worth(self, int64_t n_batch, int limit):
        """How many threads, of up to limit, batches of n_batch rows are worth."""
        return fnn_threads_worth(self.c, n_batch, limit)

    cdef Plan plan_for_pass(self, int n_threads, Data data):
        """Called with the lock held."""
        cdef Plan plan = self.pass_plan
        if plan is None or plan.suits != (PASS_ROWS, n_threads, isa(), data.kind()):
            plan = self.pass_plan = Plan(self, PASS_ROWS, False, n_threads, data)
            plan.net = None  # else the two would keep each other alive
        return plan

    cdef Predictor predictor_for(self, int64_t n_rows, int n_threads):
        cdef Predictor predictor = self.own_predictor
        if (predictor is None or n_rows > predictor.n_batch or predictor.n_threads != n_threads
                or predictor.isa != fnn_isa().name):
            predictor = Predictor(self, FEW_ROWS if n_rows <= FEW_ROWS else MAX_ROWS, "identity", n_threads)
            predictor.net = None  # else the two would keep each other alive
            self.own_predictor = predictor
        return predictor

    def predict(self, x, str link, int n_threads):
        """link(network(x)), float32 (n, n_out), in prediction mode, on up to n_threads threads."""
        cdef Py_buffer view
        cdef Predictor predictor
        if isinstance(x, Data) or is_csr(x):
            return self.predict_data(x if isinstance(x, Data) else Data(self, x), link, n_threads)
        borrow_rows(&view, x, self.c.input.n_in)
        try:
            with self.lock:
                predictor = self.predictor_for(view.shape[0], n_threads)
            return predictor.run(self, &view, LINKS[link], None)
        finally:
            PyBuffer_Release(&view)

    cdef predict_data(self, Data data, str link, int n_threads):
        """The same for rows that have been checked."""
        cdef fnn_link c_link = LINKS[link]
        cdef int64_t row = 0
        cdef Plan plan
        out = np.empty((data.c.n_rows, self.n_out), np.float32)
        cdef float[:, ::1] view = out
        n_threads = fnn_threads_worth(self.c, min(data.c.n_rows, PASS_ROWS), n_threads)
        while row < data.c.n_rows:
            with self.lock:
                plan = self.plan_for_pass(n_threads, data)
                self.pull()
                with nogil:
                    fnn_predict(plan.c, self.params, &data.c, c_link, BUDGET_NS, &row, &view[0, 0])
            PyErr_CheckSignals()
        return out

    def activities(self, Data data not None, layers, int n_threads):
        """What each of these layers puts out, in prediction mode: float32 (n, n_out) by the layer's number."""
        cdef float **outs = <float **>fnn_alloc(self.c.n_layers * sizeof(float *))
        cdef float[:, ::1] view
        cdef int64_t row = 0
        cdef Plan plan
        if outs == NULL:
            check(FNN_ERR_MEMORY)
        found = {}
        try:
            for layer in layers:
                found[layer] = np.empty((data.c.n_rows, self.c.layers[<int64_t>layer].n_out), np.float32)
                view = found[layer]
                outs[<int64_t>layer] = &view[0, 0] if data.c.n_rows > 0 else NULL
            while row < data.c.n_rows:
                with self.lock:
                    plan = self.plan_for_pass(n_threads, data)
                    self.pull()
                    with nogil:
                        fnn_activities(plan.c, self.params, &data.c, BUDGET_NS, &row, outs)
                PyErr_CheckSignals()
        finally:
            fnn_free(outs)
        return found

    def evaluate(self, Data data not None, loss, int n_threads, so_far=(0.0, 0, 0)):
        """Sum of the rows' losses, number of units judged right, number of rows.

        so_far: what it returned for the rows before; theirs must be a multiple of pass_rows for the sums of one pass.
        """
        cdef Criterion criterion = Criterion(loss)
        cdef fnn_metrics metrics
        cdef int64_t row = 0
        cdef Plan plan
        metrics.loss, metrics.hits, metrics.rows = so_far
        criterion.prepare(data, PASS_ROWS, None)
        while row < data.c.n_rows:
            with self.lock:
                plan = self.plan_for_pass(n_threads, data)
                self.pull()
                with nogil:
                    fnn_evaluate(plan.c, self.params, &data.c, criterion.c, BUDGET_NS, &row, &metrics)
            if criterion.error is not None:
                break
            PyErr_CheckSignals()
        criterion.finish()
        return metrics.loss, metrics.hits, metrics.rows

    def gradients(self, Data data not None, loss, int n_threads, dropout=None, poison=None):
        """Sum of the rows' losses, and the gradients of the mean loss: W and b of each layer in turn that has its own.

        dropout: None for none, or (seed, step) for the masks of that training step.
        """
        cdef Criterion criterion = Criterion(loss)
        cdef fnn_metrics metrics
        cdef bint is_drawn = dropout is not None
        cdef uint64_t seed
        cdef uint32_t step
        cdef Plan plan = Plan(self, data.c.n_rows, True, n_threads, data)
        cdef float *block = <float *>fnn_alloc(self.c.n_gradients * sizeof(float))
        if block == NULL:
            check(FNN_ERR_MEMORY)
        try:
            if poison is not None:
                plan.poison(poison)
            seed, step = dropout or (0, 0)
            criterion.prepare(data, data.c.n_rows, None)
            with self.lock:
                self.pull()
                with nogil:
                    fnn_gradients(plan.c, self.params, &data.c, criterion.c, is_drawn, seed, step, block, &metrics)
            criterion.finish()
            owners = [i for i in range(self.c.n_layers) if self.c.layers[<int64_t>i].same_as == 0]
            return metrics.loss, [self.unpack(block, i, which) for i in owners for which in "Wb"]
        finally:
            fnn_free(block)


# ---- prediction --------------------------------------------------------------------------------------------------

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
            net.pull()
            fnn_predictor_run(self.c, net.params, &data, link, out)
            self.release()
            return 0
        while row < n_rows:
            data.x, data.n_rows = <char *>x.buf + row * x.strides[0], min(at_once, n_rows - row)
            self.acquire()
            net.pull()
            with nogil:
                fnn_predictor_run(self.c, net.params, &data, link, out + row * n_out)
            self.release()
            row += data.n_rows
            PyErr_CheckSignals()
        return 0


# ---- training ----------------------------------------------------------------------------------------------------

cdef int64_t total(int64_t[::1] values):
    cdef int64_t i, sum = 0
    for i in range(values.shape[0]):
        sum += values[i]
    return sum


class Diverged(Exception):
    """Training met a loss that is not finite; args: the step of the epoch."""


cdef class Training:
    """What training adds to a network: velocity or moments, and how many steps and epochs have begun.

    restraints: strengths of L2 and L1 of each layer's weights, and the largest norm of a unit's, 0 for any; () for none.
    clip_value, clip_norm: bounds of gradients and then of the norm of all, 0 for none.
    """
    cdef Net net
    cdef float *state
    cdef fnn_restraint *restraints
    cdef Criterion criterion
    cdef fnn_update update
    cdef float momentum, epsilon, decay, clip_value, clip_norm
    cdef double beta1, beta2
    cdef Plan plan
    cdef readonly object seed, perf, losses, gradient_norm
    cdef double norms
    cdef public object step, epoch
    cdef tuple blocks

    def __cinit__(self, Net net not None, loss, seed, *, bint is_sum=False, str update="sgd", float momentum=0.0, double beta1=0.0,
                  double beta2=0.0, float epsilon=0.0, float decay=0.0, restraints=(), float clip_value=0.0,
                  float clip_norm=0.0):
        self.net = net
        self.criterion = Criterion(loss, is_sum)
        self.update = UPDATES[update]
        self.momentum = momentum
        self.beta1, self.beta2, self.epsilon = beta1, beta2, epsilon
        self.decay = decay
        self.clip_value, self.clip_norm = clip_value, clip_norm
        self.seed = seed
        self.step = self.epoch = 0
        self.losses = np.empty(0)
        self.blocks = STATES[update][-fnn_state_blocks(self.update, momentum):]
        if self.blocks:
            self.state = <float *>fnn_alloc(len(self.blocks) * net.c.n_floats * sizeof(float))
            if self.state == NULL:
                check(FNN_ERR_MEMORY)
        self.restraints = <fnn_restraint *>fnn_alloc(net.c.n_layers * sizeof(fnn_restraint))
        if self.restraints == NULL:
            check(FNN_ERR_MEMORY)
        for i, (l2, l1, max_norm) in enumerate(restraints):
            self.restraints[i].l2 = l2
            self.restraints[i].l1 = l1
            self.restraints[i].max_norm = max_norm

    def __dealloc__(self):
        fnn_free(self.state)
        fnn_free(self.restraints)

    def get_state(self):
        """Copies of the velocity or the moments, by name: W (n_in, n_out) and b (n_out,) of each layer with its own."""
        cdef int64_t at
        own = [layer for layer in range(self.net.c.n_layers) if self.net.c.layers[<int64_t>layer].same_as == 0]
        cdef float *block
        state = {}
        with self.net.lock:
            for at, name in enumerate(self.blocks):
                block = self.state + at * self.net.c.n_floats
                state[name] = [self.net.unpack(block, layer, which) for layer in own for which in "Wb"]
        return state

    def set_state(self, str name, int layer, str which, value):
        """One array of ``get_state``, float32 and of the variable's shape."""
        cdef int64_t rows, place = self.net.place(layer, which, &rows), n_out = self.net.c.layers[layer].n_out
        cdef object shape = (rows, n_out)
        shape = shape if which == "W" else shape[1:]
        if value.dtype != FLOAT32 or value.shape != shape:
            raise ValueError(f"{name} must be float32 of shape {shape}, got {value.dtype} of shape {value.shape}")
        cdef const float[:, ::1] view = np.ascontiguousarray(value).reshape(rows, n_out)
        place += self.blocks.index(name) * self.net.c.n_floats
        with self.net.lock:
            fnn_pack(self.state + place, &view[0, 0], rows, n_out)

    def penalty(self):
        """What the restraints add to the loss, at the parameters as they are."""
        with self.net.lock:
            self.net.pull()
            return fnn_penalty(self.net.c, self.net.params, self.restraints)

    cdef int make_plan(self, int64_t n_batch, int n_threads, Data data) except -1:
        if self.plan is None or self.plan.suits != (n_batch, n_threads, isa(), data.kind()):
            self.plan = Plan(self.net, n_batch, True, n_threads, data)
        return 0

    def run_epoch(self, Data data not None, int64_t batch_size, const float[::1] rates, const uint8_t[::1] trainable,
                  uint32_t[::1] order, int n_threads, on_progress=None, bint unfused=False, pace=None, pauses=None,
                  so_far=None):
        """One step for each of rates.  Returns sum of losses, units judged right, rows; order: scratch, or None.

        so_far: what it returned for the steps before, if this goes on with an epoch; its rows are then in order.

        on_progress(steps, rows, loss) is called every 50 ms or so.  unfused: store the gradients of a step before any
        update, for tests.  pace: a Pace that chooses, every 50 ms, how many of n_threads work.  pauses: pauses.after(step)
        is the next number of steps done at which pauses(step) is to be called.  Ctrl-C and divergence leave the network,
        step and epoch as after the last good step.
        self.losses: afterwards, also then, the mean loss of each step's batch before its update.
        self.gradient_norm: afterwards, the mean over the steps of the norm before clip_norm bounds it; 0 without it.
        self.perf: afterwards, where the epoch's seconds went, in the order of fnn_perf_place; of a team, the mean.
        """
        cdef fnn_epoch epoch
        cdef fnn_status status = FNN_OK
        cdef int64_t[::1] perf = np.zeros(FNN_PERF(self.net.c.n_layers), np.int64)
        cdef double[::1] losses = np.empty(rates.shape[0])
        cdef int threads = n_threads
        cdef int64_t step, waited, clocked, n_steps = rates.shape[0], first = self.step
        if rates.shape[0] == 0:
            return so_far or (0.0, 0, 0)
        self.make_plan(batch_size, n_threads, data)
        epoch.data = &data.c
        epoch.loss = self.criterion.c
        self.criterion.prepare(data, batch_size, None if order is None else np.asarray(order))
        epoch.update = self.update
        epoch.unfused = unfused
        epoch.momentum = self.momentum
        epoch.beta1, epoch.beta2, epoch.epsilon = self.beta1, self.beta2, self.epsilon
        epoch.decay = self.decay
        epoch.clip_value, epoch.clip_norm = self.clip_value, self.clip_norm
        epoch.restraints = self.restraints
        epoch.rates = &rates[0]
        epoch.trainable = &trainable[0]
        epoch.order = NULL if order is None else &order[0]
        epoch.seed = self.seed
        epoch.epoch = self.epoch
        epoch.first_step = first
        epoch.batch_size = batch_size
        epoch.n_steps = n_steps
        epoch.step = 0
        epoch.metrics.loss, epoch.metrics.hits, epoch.metrics.rows = so_far or (0.0, 0, 0)
        epoch.losses = &losses[0]
        epoch.norms = 0.0
        epoch.perf = &perf[0]
        epoch.perf_every = 1 if self.net.c.n_floats * batch_size > CLOCKED_WORK else CLOCKED_STEPS
        if so_far is None:
            self.epoch += 1
            self.perf = [0.0] * perf.shape[0]
            self.losses = np.empty(0)
            self.norms = 0.0
        try:
            while epoch.step < n_steps:
                if pauses is not None:
                    epoch.n_steps = min(n_steps, pauses.after(first + epoch.step) - first)
                step, waited, clocked = epoch.step, perf[FNN_PERF_WAIT], total(perf)
                began = perf_counter()
                if pace is not None:
                    threads = pace.threads
                with self.net.lock:
                    self.net.pull()
                    with nogil:
                        status = fnn_train(self.plan.c, self.net.params, self.state, &epoch, threads, BUDGET_NS)
                    self.net.push(&trainable[0])
                if self.criterion.error is not None:
                    break
                if status == FNN_ERR_DIVERGED:
                    raise Diverged(epoch.step)
                check(status)
                PyErr_CheckSignals()
                if on_progress is not None:
                    on_progress(epoch.step, epoch.metrics.rows, epoch.metrics.loss)
                if pace is not None and total(perf) > clocked:
                    waiting = (perf[FNN_PERF_WAIT] - waited) / (total(perf) - clocked)
                    pace.report((epoch.step - step) / (perf_counter() - began), waiting)
                if pauses is not None and epoch.step == epoch.n_steps:
                    self.step = first + epoch.step
                    pauses(self.step)
        finally:
            self.step = first + epoch.step
            self.losses = np.append(self.losses, losses[:epoch.step])
            self.criterion.finish()
        measured = -(-n_steps // epoch.perf_every)
        scale = 1e-9 * n_steps / measured
        self.perf = [before + scale * nanoseconds for before, nanoseconds in zip(self.perf, perf)]
        self.norms += epoch.norms
        self.gradient_norm = self.norms / len(self.losses)
        return epoch.metrics.loss, epoch.metrics.hits, epoch.metrics.rows
