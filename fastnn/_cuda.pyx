# cython: language_level=3, boundscheck=False, wraparound=False, freethreading_compatible=True
"""The border between ``_core`` and the CUDA module: what a network of ``_core`` has on a device.

A ``Mirror`` stands for a network, a ``Copy`` for a data set, a ``State`` for what an optimiser keeps. Pointers of the C
side come as integers from ``_core``, which owns what they point to, checks arguments and takes the locks.
"""
from libc.stdint cimport int64_t, uint32_t, uint64_t, uintptr_t
from libc.stdlib cimport calloc, free

cdef extern from "cuda/fnn_cuda.h" nogil:
    ctypedef enum fnn_status:
        FNN_OK
        FNN_ERR_MEMORY
        FNN_ERR_DIVERGED

    ctypedef enum fnn_link:
        pass
    ctypedef struct fnn_net:
        int64_t n_floats
    ctypedef struct fnn_data:
        int64_t n_rows
    ctypedef struct fnn_loss:
        pass
    ctypedef struct fnn_metrics:
        double loss
        int64_t hits, rows
    ctypedef struct fnn_share:
        pass
    ctypedef struct fnn_epoch:
        int64_t batch_size

    int fnn_cuda_device_count()
    const char *fnn_cuda_why_unavailable()
    const char *fnn_cuda_device_name(int device)
    const char *fnn_cuda_error()

    ctypedef enum fnn_precision:
        pass
    const char *fnn_cuda_load_blas(const char *const *names, int n_names)
    const char *fnn_cuda_load_nccl(const char *const *names, int n_names)

    ctypedef struct fnn_cuda_floats:
        pass
    fnn_status fnn_cuda_floats_create(fnn_cuda_floats **floats, int device, int64_t n)
    void fnn_cuda_floats_destroy(fnn_cuda_floats *floats)
    fnn_status fnn_cuda_floats_upload(fnn_cuda_floats *floats, const float *source)
    fnn_status fnn_cuda_floats_download(const fnn_cuda_floats *floats, float *to)

    ctypedef struct fnn_cuda_data:
        pass
    fnn_status fnn_cuda_data_create(fnn_cuda_data **out, int device, const fnn_net *net, const fnn_data *data)
    void fnn_cuda_data_destroy(fnn_cuda_data *data)

    ctypedef struct fnn_cuda_plan:
        pass
    fnn_status fnn_cuda_plan_create(fnn_cuda_plan **plan, int device, const fnn_net *net, int64_t n_batch, int training,
                                    fnn_precision precision)
    void fnn_cuda_plan_destroy(fnn_cuda_plan *plan)
    fnn_status fnn_cuda_plan_poison(fnn_cuda_plan *plan, int byte)

    fnn_status fnn_cuda_predict(fnn_cuda_plan *plan, const fnn_cuda_floats *params, const fnn_cuda_data *data,
                                fnn_link link, int64_t budget_ns, int64_t *row, float *out)
    fnn_status fnn_cuda_activities(fnn_cuda_plan *plan, const fnn_cuda_floats *params, const fnn_cuda_data *data,
                                   int64_t budget_ns, int64_t *row, float **outs)
    fnn_status fnn_cuda_evaluate(fnn_cuda_plan *plan, const fnn_cuda_floats *params, const fnn_cuda_data *data,
                                 fnn_loss loss, int64_t budget_ns, int64_t *row, fnn_metrics *metrics)
    fnn_status fnn_cuda_gradients(fnn_cuda_plan *plan, const fnn_cuda_floats *params, const fnn_cuda_data *data,
                                  fnn_loss loss, const fnn_share *share, float *gradients, fnn_metrics *metrics)
    fnn_status fnn_cuda_train(fnn_cuda_plan *plan, fnn_cuda_floats *params, fnn_cuda_floats *state,
                              const fnn_cuda_data *data, fnn_epoch *epoch, int64_t budget_ns)

    ctypedef struct fnn_cuda_exchange:
        pass
    fnn_status fnn_cuda_exchange_create(fnn_cuda_exchange **exchange, const int *devices, int n_devices,
                                        const fnn_net *net)
    void fnn_cuda_exchange_destroy(fnn_cuda_exchange *exchange)
    ctypedef struct fnn_cuda_tower:
        fnn_cuda_plan *plan
        fnn_cuda_floats *params
        fnn_cuda_floats *state
    fnn_status fnn_cuda_descend(fnn_cuda_exchange *exchange, const fnn_cuda_tower *towers, fnn_epoch *epoch,
                                int64_t n_shares)

cdef int64_t PASS_ROWS = 8192  # most rows of a pass at a time: a multiple of the CPU's 256, whose sums of losses it keeps


def device_count():
    return fnn_cuda_device_count()


def why_unavailable():
    """Why there is no device, in the driver's words; "" if there is one."""
    return fnn_cuda_why_unavailable().decode()


def device_name(int device):
    return fnn_cuda_device_name(device).decode()


ctypedef const char *(*loader)(const char *const *names, int n_names) noexcept nogil


cdef load(loader by, list names):
    cdef const char **c = <const char **>calloc(len(names) + 1, sizeof(char *))
    if c == NULL:
        raise MemoryError
    cdef list encoded = [name.encode() for name in names]
    for i in range(len(encoded)):
        c[i] = encoded[i]
    try:
        return by(c, <int>len(encoded)).decode(errors="replace")
    finally:
        free(c)


def load_blas(list names not None):
    """Loads cuBLASLt, once, by the first of these names and paths that can be: "" or why none can."""
    return load(fnn_cuda_load_blas, names)


def load_nccl(list names not None):
    """The same of NCCL."""
    return load(fnn_cuda_load_nccl, names)


cdef int check(fnn_status status, int device) except -1:
    if status == FNN_OK or status == FNN_ERR_DIVERGED:
        return status
    raise error_of(status, f"gpu:{device}")


cdef error_of(fnn_status status, str place):
    said = f"{place}: {fnn_cuda_error().decode()}"
    return MemoryError(said) if status == FNN_ERR_MEMORY else RuntimeError(said)


cdef class Floats:
    """A block of floats: zeros, until some are uploaded."""
    cdef fnn_cuda_floats *c
    cdef int device

    def __cinit__(self, int device, int64_t n):
        self.device = device
        check(fnn_cuda_floats_create(&self.c, device, n), device)

    def __dealloc__(self):
        fnn_cuda_floats_destroy(self.c)

    def upload(self, uintptr_t source):
        cdef fnn_status status
        with nogil:
            status = fnn_cuda_floats_upload(self.c, <const float *>source)
        check(status, self.device)

    def download(self, uintptr_t to):
        check(fnn_cuda_floats_download(self.c, <float *>to), self.device)


cdef class Copy:
    """A data set on a device."""
    cdef fnn_cuda_data *c
    cdef readonly int device
    cdef int64_t n_rows

    def __cinit__(self, int device, uintptr_t net, uintptr_t data):
        self.device = device
        self.n_rows = (<const fnn_data *>data).n_rows
        check(fnn_cuda_data_create(&self.c, device, <const fnn_net *>net, <const fnn_data *>data), device)

    def __dealloc__(self):
        fnn_cuda_data_destroy(self.c)


cdef class Plan:
    cdef fnn_cuda_plan *c
    cdef readonly int64_t n_batch

    def __cinit__(self, int device, uintptr_t net, int64_t n_batch, bint training, int precision):
        self.n_batch = n_batch
        cdef fnn_status status
        status = fnn_cuda_plan_create(&self.c, device, <const fnn_net *>net, n_batch, training, <fnn_precision>precision)
        check(status, device)

    def __dealloc__(self):
        fnn_cuda_plan_destroy(self.c)


cdef class Mirror:
    """A network on a device: a copy of its parameters, and memory to compute in."""
    cdef const fnn_net *net
    cdef readonly int device
    cdef int precision  # fnn_precision: its place in cuda.PRECISIONS
    cdef Floats params
    cdef dict plans  # by what they are for

    def __cinit__(self, uintptr_t net, int device, int precision):
        self.net = <const fnn_net *>net
        self.device = device
        self.precision = precision
        self.params = Floats(device, self.net.n_floats)
        self.plans = {}

    cdef Plan plan_for(self, str purpose, int64_t n_batch):
        cdef Plan plan = self.plans.get(purpose)
        if plan is None or plan.n_batch != n_batch:
            plan = None
            self.plans.pop(purpose, None)
            plan = Plan(self.device, <uintptr_t>self.net, n_batch, purpose != "pass", self.precision)
            self.plans[purpose] = plan
        return plan

    cdef Plan plan_for_pass(self, Copy data):
        return self.plan_for("pass", min(PASS_ROWS, -(-data.n_rows // 256) * 256))

    def upload(self, uintptr_t params):
        self.params.upload(params)

    def download(self, uintptr_t params):
        self.params.download(params)

    def state(self, int64_t blocks):
        """What an optimiser keeps: so many blocks like the parameters."""
        return Floats(self.device, blocks * self.net.n_floats)

    def copy(self, uintptr_t data):
        return Copy(self.device, <uintptr_t>self.net, data)

    def predict(self, Copy data not None, int link, int64_t budget_ns, int64_t row, uintptr_t out):
        """The row that it has come to."""
        cdef Plan plan = self.plan_for_pass(data)
        cdef fnn_status status
        with nogil:
            status = fnn_cuda_predict(plan.c, self.params.c, data.c, <fnn_link>link, budget_ns, &row, <float *>out)
        check(status, self.device)
        return row

    def activities(self, Copy data not None, int64_t budget_ns, int64_t row, uintptr_t outs):
        cdef Plan plan = self.plan_for_pass(data)
        cdef fnn_status status
        with nogil:
            status = fnn_cuda_activities(plan.c, self.params.c, data.c, budget_ns, &row, <float **>outs)
        check(status, self.device)
        return row

    def evaluate(self, Copy data not None, uintptr_t loss, int64_t budget_ns, int64_t row, uintptr_t metrics):
        cdef Plan plan = self.plan_for_pass(data)
        cdef fnn_status status
        with nogil:
            status = fnn_cuda_evaluate(plan.c, self.params.c, data.c, (<fnn_loss *>loss)[0], budget_ns, &row,
                                       <fnn_metrics *>metrics)
        check(status, self.device)
        return row

    def gradients(self, Copy data not None, uintptr_t loss, uintptr_t share, int64_t n_batch, uintptr_t gradients,
                  uintptr_t metrics, poison=None):
        """Of a share of at most n_batch rows.  gradients: 0 leaves them on the device, for an Exchange."""
        cdef Plan plan = self.plan_for("gradients", n_batch)
        cdef fnn_status status
        if poison is not None:
            check(fnn_cuda_plan_poison(plan.c, poison), self.device)
        with nogil:
            status = fnn_cuda_gradients(plan.c, self.params.c, data.c, (<fnn_loss *>loss)[0],
                                        <const fnn_share *>share, <float *>gradients, <fnn_metrics *>metrics)
        check(status, self.device)

    def train(self, Copy data not None, Floats state, uintptr_t epoch, int64_t budget_ns):
        """Whether the loss stayed finite."""
        cdef fnn_epoch *c_epoch = <fnn_epoch *>epoch
        cdef Plan plan = self.plan_for("train", c_epoch.batch_size)
        cdef fnn_cuda_floats *blocks = NULL if state is None else state.c
        cdef fnn_status status
        with nogil:
            status = fnn_cuda_train(plan.c, self.params.c, blocks, data.c, c_epoch, budget_ns)
        return check(status, self.device) != FNN_ERR_DIVERGED


cdef class Exchange:
    """What GPUs share the steps of a training by: NCCL takes the gradients of each to all, and each keeps up its own
    parameters, those of its mirror, and its own state.

    mirrors: of one network, on different devices.  blocks: of state, as for Mirror.state.
    """
    cdef fnn_cuda_exchange *c
    cdef fnn_cuda_tower *towers
    cdef list mirrors
    cdef list states  # [] without blocks
    cdef str place  # for errors

    def __cinit__(self, list mirrors not None, int64_t blocks):
        cdef int i, n = len(mirrors)
        cdef Mirror mirror
        cdef int *devices = <int *>calloc(n, sizeof(int))
        self.towers = <fnn_cuda_tower *>calloc(n, sizeof(fnn_cuda_tower))
        if devices == NULL or self.towers == NULL:
            free(devices)
            raise MemoryError
        self.mirrors = mirrors
        self.place = ", ".join([f"gpu:{(<Mirror>each).device}" for each in mirrors])
        cdef fnn_status status
        try:
            self.states = [(<Mirror>each).state(blocks) for each in mirrors] if blocks else []
            for i in range(n):
                mirror = mirrors[i]
                devices[i] = mirror.device
                self.towers[i].params = mirror.params.c
                self.towers[i].state = (<Floats>self.states[i]).c if blocks else NULL
            mirror = mirrors[0]
            with nogil:
                status = fnn_cuda_exchange_create(&self.c, devices, n, mirror.net)
        finally:
            free(devices)
        if status != FNN_OK:
            raise error_of(status, self.place)

    def __dealloc__(self):
        with nogil:
            fnn_cuda_exchange_destroy(self.c)
        free(self.towers)

    @property
    def state(self):
        """That of the first, with which all others agree, or None."""
        return self.states[0] if self.states else None

    def upload(self, uintptr_t params, uintptr_t state):
        """To all."""
        for mirror in self.mirrors:
            (<Mirror>mirror).upload(params)
        for floats in self.states:
            (<Floats>floats).upload(state)

    def descend(self, uintptr_t epoch, int64_t n_batch, int64_t n_shares):
        """After gradients of the first n_shares, of at most n_batch rows each; a step that fails leaves anything."""
        cdef fnn_status status
        cdef int64_t i
        for i in range(len(self.mirrors)):
            self.towers[i].plan = (<Mirror>self.mirrors[i]).plan_for("gradients", n_batch).c
        with nogil:
            status = fnn_cuda_descend(self.c, self.towers, <fnn_epoch *>epoch, n_shares)
        if status != FNN_OK:
            raise error_of(status, self.place)
