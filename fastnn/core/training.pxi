# The steps of an epoch.

# Reading the clock takes some 30 ns, a dozen times a step: every step is measured where it does so much work (parameters
# times rows), else only one in so many.
cdef int64_t CLOCKED_WORK = 1_000_000
cdef int64_t CLOCKED_STEPS = 16

cdef dict UPDATES = {
    "sgd": FNN_SGD, "momentum": FNN_MOMENTUM, "nesterov": FNN_NESTEROV, "adam": FNN_ADAM, "rmsprop": FNN_RMSPROP,
}
cdef dict STATES = {  # the blocks that fnn_train keeps from step to step; RMSProp without momentum has no velocity
    "sgd": (), "momentum": ("velocity",), "nesterov": ("velocity",), "adam": ("first_moment", "second_moment"),
    "rmsprop": ("velocity", "second_moment"),
}


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
    crew: a Crew whose towers share the batches, at work while ``run_epoch`` runs; None: none do.
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
    cdef object mirrored  # the state where the network, or each tower, is mirrored, or None
    cdef bint is_behind  # that one is newer
    cdef object crew
    cdef Towers towers  # of the crew
    cdef int64_t mirrored_step, step_here  # of the epoch: what the mirror has come to, and of what the copies here are

    def __cinit__(self, Net net not None, loss, seed, *, bint is_sum=False, str update="sgd", float momentum=0.0, double beta1=0.0,
                  double beta2=0.0, float epsilon=0.0, float decay=0.0, restraints=(), float clip_value=0.0,
                  float clip_norm=0.0, crew=None):
        self.net = net
        self.criterion = Criterion(loss, is_sum)
        net.refuse_custom(self.criterion)
        self.update = UPDATES[update]
        self.momentum = momentum
        self.beta1, self.beta2, self.epsilon = beta1, beta2, epsilon
        self.decay = decay
        self.clip_value, self.clip_norm = clip_value, clip_norm
        self.seed = seed
        self.crew, self.towers = crew, None if crew is None else crew.towers
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

    def __reduce__(self):
        raise TypeError("a Trainer cannot be copied or pickled; trainer.save writes it, and load_trainer reads it")

    def get_state(self):
        """Copies of the velocity or the moments, by name: W (n_in, n_out) and b (n_out,) of each layer with its own."""
        cdef int64_t at
        own = [layer for layer in range(self.net.c.n_layers) if self.net.c.layers[<int64_t>layer].same_as == 0]
        cdef float *block
        state = {}
        with self.net.lock:
            self.pull()
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
            self.pull()
            fnn_pack(self.state + place, &view[0, 0], rows, n_out)
            self.mirrored = None

    cdef int pull(self) except -1:
        """As Net.pull, for the state; either brings the other along."""
        if self.is_behind:
            self.mirrored.download(<uintptr_t>self.state)
            self.is_behind = False
            self.net.pull()
        return 0

    def follow(self):
        """Parameters have come from the mirror: so does the state."""
        self.pull()
        self.step_here = self.mirrored_step

    def penalty(self):
        """What the restraints add to the loss, at the parameters as they are."""
        with self.net.lock:
            self.net.pull()
            return fnn_penalty(self.net.c, self.net.params, self.restraints)

    cdef int make_plan(self, int64_t n_batch, int n_threads, Data data) except -1:
        if self.towers is not None:
            self.towers.prepare(self.criterion, data, n_batch, n_threads, len(self.blocks))
            n_batch = 1  # updates need none
        if self.is_mirrored():
            return 0
        if self.plan is None or self.plan.suits != (n_batch, n_threads, isa(), data.kind()):
            self.plan = Plan(self.net, n_batch, True, n_threads, data)
        return 0

    cdef int describe(self, fnn_epoch *epoch) except -1:
        """What follows from the training alone, at the step and epoch that it has come to."""
        memset(epoch, 0, sizeof(fnn_epoch))
        epoch.loss = self.criterion.c
        epoch.update = self.update
        epoch.momentum = self.momentum
        epoch.beta1, epoch.beta2, epoch.epsilon = self.beta1, self.beta2, self.epsilon
        epoch.decay = self.decay
        epoch.clip_value, epoch.clip_norm = self.clip_value, self.clip_norm
        epoch.restraints = self.restraints
        epoch.seed = self.seed
        epoch.first_step = self.step
        return 0

    cdef uint32_t *shuffle(self, uint32_t *order, int64_t n_rows) except NULL:
        """The order, for the epoch that begins."""
        cdef uint64_t seed = self.seed
        cdef uint32_t epoch = self.epoch
        with nogil:
            fnn_shuffle(order, n_rows, seed, FNN_STREAM_SHUFFLE, epoch)
        return order

    cdef bint is_mirrored(self):
        """Whether parameters and state are updated on devices, that of the network or those of all towers."""
        return self.net.mirror is not None if self.towers is None else self.towers.exchange is not None

    cdef int begin_mirrored(self) except -1:
        """Copies of parameters and state, to go back to if a device fails."""
        if not self.is_mirrored():
            return 0
        with self.net.lock:
            self.net.pull()
            self.pull()
            self.mirrored_step = self.step_here = 0
            self.net.follower = self.follow
        return 0

    cdef fnn_status run_mirrored(self, fnn_epoch *epoch, Data data) except *:
        """As many as the budget allows, on devices."""
        with self.net.lock:
            try:
                if self.towers is not None:
                    return self.share_steps(epoch, 0)
                return FNN_OK if self.step_mirrored(epoch, data) else FNN_ERR_DIVERGED
            except Exception:
                self.net.forsake()
                self.is_behind = False
                self.mirrored = None
                if self.towers is not None:
                    self.towers.exchange = None
                epoch.step = self.step_here
                raise

    cdef bint step_mirrored(self, fnn_epoch *epoch, Data data) except *:
        """Whether the loss stayed finite."""
        self.net.reflect()
        if self.mirrored is None and self.blocks:
            self.mirrored = self.net.mirror.state(len(self.blocks))
            self.mirrored.upload(<uintptr_t>self.state)
        is_finite = self.net.mirror.train(data.copy(self.net.mirror), self.mirrored, <uintptr_t>epoch, BUDGET_NS)
        self.mirrored_step = epoch.step
        self.is_behind = self.mirrored is not None
        self.net.reflected(epoch.trainable, self.net.mirror)
        return is_finite

    cdef fnn_status run_towers(self, fnn_epoch *epoch, int n_threads) except *:
        """As many as the budget allows, of parameters and state that are updated here, on the CPU."""
        with self.net.lock:
            self.net.pull()
            try:
                return self.share_steps(epoch, n_threads)
            finally:
                self.net.is_ahead = True
                self.net.push(epoch.trainable)

    cdef fnn_status share_steps(self, fnn_epoch *epoch, int n_threads) except *:
        """As many as the budget allows, each shared by the towers."""
        cdef fnn_status status = FNN_OK
        deadline = perf_counter() + 1e-9 * BUDGET_NS
        while status == FNN_OK and epoch.step < epoch.n_steps and perf_counter() < deadline:
            if self.towers.exchange is not None:
                status = self.step_by_exchange(epoch)
            else:
                status = self.towers.step(self.plan.c, self.net.params, self.state, epoch, n_threads, self.crew.run)
        return status

    cdef fnn_status step_by_exchange(self, fnn_epoch *epoch) except *:
        """Towers have the parameters and the state already where they did the step before, and nobody has asked since."""
        cdef fnn_status status
        first = self.towers.first()
        if self.net.ties is not None or self.net.newer is not first:
            self.net.pull()
            self.towers.exchange.upload(<uintptr_t>self.net.params, <uintptr_t>self.state)
            self.mirrored = self.towers.exchange.state
        status = self.towers.step_by_exchange(epoch, self.crew.run)
        if status == FNN_OK:
            self.mirrored_step = epoch.step
            self.is_behind = self.mirrored is not None
            self.net.reflected(epoch.trainable, first)
        return status

    cdef fnn_status run_steps(self, fnn_epoch *epoch, int n_threads, Data data) except *:
        """As many as the budget allows."""
        cdef fnn_status status = FNN_OK
        if self.is_mirrored():
            return self.run_mirrored(epoch, data)
        if self.towers is not None:
            return self.run_towers(epoch, n_threads)
        with self.net.lock:
            self.net.pull()
            with nogil:
                status = fnn_train(self.plan.c, self.net.params, self.state, epoch, n_threads, BUDGET_NS)
            self.net.push(epoch.trainable)
        return status

    def run_epoch(self, Data data not None, int64_t batch_size, const float[::1] rates, const uint8_t[::1] trainable,
                  uint32_t[::1] order, int n_threads, on_progress=None, bint unfused=False, pace=None, pauses=None,
                  so_far=None):
        """One step for each of rates.  Returns sum of losses, units judged right, rows; order: scratch, or None.

        so_far: what it returned for the steps before, if this goes on with an epoch; its rows are then in order.

        on_progress(steps, rows, loss) is called every 50 ms or so.  unfused: store the gradients of a step before any
        update, for tests.  pace: a Pace that chooses, every 50 ms, how many of n_threads work.  pauses: pauses.after(step)
        is the next number of steps done at which pauses(step) is to be called.  Ctrl-C and divergence leave the network,
        step and epoch as after the last good step, a device that fails as after the last step whose values came from it.
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
        self.criterion.prepare(data, batch_size, None if order is None else np.asarray(order))
        self.describe(&epoch)
        epoch.data = &data.c
        epoch.unfused = unfused
        epoch.rates = &rates[0]
        epoch.trainable = &trainable[0]
        epoch.order = NULL if order is None else self.shuffle(&order[0], data.c.n_rows)
        epoch.batch_size = batch_size
        epoch.n_steps = n_steps
        epoch.metrics.loss, epoch.metrics.hits, epoch.metrics.rows = so_far or (0.0, 0, 0)
        epoch.losses = &losses[0]
        epoch.perf = &perf[0]
        epoch.perf_every = 1 if self.net.c.n_floats * batch_size > CLOCKED_WORK else CLOCKED_STEPS
        if so_far is None:
            self.epoch += 1
            self.perf = [0.0] * perf.shape[0]
            self.losses = np.empty(0)
            self.norms = 0.0
        self.begin_mirrored()
        try:
            while epoch.step < n_steps:
                if pauses is not None:
                    epoch.n_steps = min(n_steps, pauses.after(first + epoch.step) - first)
                step, waited, clocked = epoch.step, perf[FNN_PERF_WAIT], total(perf)
                began = perf_counter()
                if pace is not None:
                    threads = pace.threads
                status = self.run_steps(&epoch, threads, data)
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
            self.net.follower = None
            self.step = first + epoch.step
            self.losses = np.append(self.losses, losses[:epoch.step])
            self.criterion.finish()
        measured = -(-n_steps // epoch.perf_every)
        scale = 1e-9 * n_steps / measured
        self.perf = [before + scale * nanoseconds for before, nanoseconds in zip(self.perf, perf)]
        self.norms += epoch.norms
        self.gradient_norm = self.norms / len(self.losses)
        return epoch.metrics.loss, epoch.metrics.hits, epoch.metrics.rows
