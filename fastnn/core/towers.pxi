# Devices that share the batches of a training.

cdef class Tower:
    """A device's part in a step: the gradients of its share of the batch.

    mirror: of the network on a GPU, this tower's own; None: the CPU, which reads the network's parameters where they are.
    """
    cdef Net net
    cdef object mirror
    cdef Plan plan  # on the CPU
    cdef Criterion criterion
    cdef Data data
    cdef int64_t n_batch  # rows of the largest share
    cdef fnn_share share  # of the step to be done
    cdef float *gradients  # NULL: they, and the parameters, stay on the GPU
    cdef fnn_metrics metrics

    def __cinit__(self, Net net not None, mirror, bint stays):
        self.net, self.mirror = net, mirror
        if stays:
            return
        self.gradients = <float *>fnn_alloc(net.c.n_gradients * sizeof(float))
        if self.gradients == NULL:
            check(FNN_ERR_MEMORY)

    def __dealloc__(self):
        fnn_free(self.gradients)

    cdef int prepare(self, Criterion criterion, Data data, int64_t n_batch, int n_threads) except -1:
        """For the steps of an epoch."""
        self.criterion, self.data, self.n_batch = criterion, data, n_batch
        if self.mirror is None and (self.plan is None or self.plan.suits != (n_batch, n_threads, isa(), data.kind())):
            self.plan = Plan(self.net, n_batch, True, n_threads, data)
        return 0

    def compute(self):
        """In a thread of this tower's own; the network's lock is held for all of them."""
        if self.mirror is None:
            with nogil:
                fnn_gradients(
                    self.plan.c, self.net.params, &self.data.c, self.criterion.c, &self.share, self.gradients, &self.metrics
                )
        else:
            if self.gradients != NULL:
                self.mirror.upload(<uintptr_t>self.net.params)
            self.mirror.gradients(
                self.data.copy(self.mirror), <uintptr_t>&self.criterion.c, <uintptr_t>&self.share, self.n_batch,
                <uintptr_t>self.gradients, <uintptr_t>&self.metrics,
            )


cdef class Towers:
    """The towers of a training: each computes the gradients of its share of a batch, whose sum moves the parameters.

    mirrors: one a tower, as Tower says.  exchange_of: of mirrors and a number of blocks of state, by what they exchange
    gradients and keep parameters and state; None: gradients come here, where parameters and state are.
    """
    cdef list towers
    cdef object exchange_of, exchange  # None: not yet
    cdef int64_t n_batch  # rows of the largest share
    cdef int n_on_cpu
    cdef const float **gradients  # of those that have a share of the step
    cdef fnn_metrics *metrics

    def __cinit__(self, Net net not None, mirrors, exchange_of=None):
        self.towers = [Tower(net, mirror, exchange_of is not None) for mirror in mirrors]
        self.exchange_of = exchange_of
        self.n_on_cpu = mirrors.count(None)
        self.gradients = <const float **>fnn_alloc(len(mirrors) * sizeof(float *))
        self.metrics = <fnn_metrics *>fnn_alloc(len(mirrors) * sizeof(fnn_metrics))
        if self.gradients == NULL or self.metrics == NULL:
            check(FNN_ERR_MEMORY)

    def __dealloc__(self):
        fnn_free(self.gradients)
        fnn_free(self.metrics)

    cdef int prepare(self, Criterion criterion, Data data, int64_t batch_size, int n_threads, int64_t blocks) except -1:
        """n_threads: of the CPU, for its towers together, each of which has at least one.  blocks: of state."""
        cdef Tower tower
        self.n_batch = -(-batch_size // min(len(self.towers), batch_size))
        for tower in self.towers:
            tower.prepare(criterion, data, self.n_batch, max(1, n_threads // max(1, self.n_on_cpu)))
        if self.exchange_of is not None and self.exchange is None:
            self.exchange = self.exchange_of([(<Tower>tower).mirror for tower in self.towers], blocks)
        return 0

    cdef first(self):
        """The mirror of the first tower."""
        return (<Tower>self.towers[0]).mirror

    cdef list share_out(self, const fnn_epoch *epoch):
        """The towers that have a share of the next step's batch, as equal as can be; where rows are few, not all have."""
        cdef int64_t i, begin, first = epoch.step * epoch.batch_size
        cdef int64_t n_rows = min(epoch.batch_size, epoch.data.n_rows - first), n = min(len(self.towers), n_rows)
        cdef Tower tower
        for i in range(n):
            tower = self.towers[i]
            begin = n_rows * i // n
            tower.share.order = epoch.order
            tower.share.first = first + begin
            tower.share.n_rows = n_rows * (i + 1) // n - begin
            tower.share.before = begin
            tower.share.of = n_rows
            tower.share.dropout = True
            tower.share.seed = epoch.seed
            tower.share.step = epoch.first_step + epoch.step
        return self.towers[:n]

    cdef int64_t compute(self, const fnn_epoch *epoch, run) except -1:
        """What the next step takes from each share; how many there are.

        run: calls functions, each in a thread of its own, and returns when all are done.
        """
        cdef Tower tower
        cdef int64_t n = 0
        at_work = self.share_out(epoch)
        run([tower.compute for tower in at_work])
        for tower in at_work:
            self.gradients[n] = tower.gradients
            self.metrics[n] = tower.metrics
            n += 1
        return n

    cdef fnn_status step(self, fnn_plan *plan, float *params, float *state, fnn_epoch *epoch, int n_threads, run) except *:
        """One step, of parameters and state that are here."""
        cdef fnn_status status
        cdef int64_t n = self.compute(epoch, run)
        with nogil:
            status = fnn_train_by(plan, params, state, epoch, n_threads, self.gradients, self.metrics, n)
        return status

    cdef fnn_status step_by_exchange(self, fnn_epoch *epoch, run) except *:
        """The same of those that the exchange keeps."""
        cdef fnn_metrics sum
        cdef int64_t n = self.compute(epoch, run)
        cdef fnn_status status = fnn_add_up(&sum, self.metrics, n)
        if status == FNN_OK:
            self.exchange.descend(<uintptr_t>epoch, self.n_batch, n)
            fnn_count_step(epoch, sum)
        return status
