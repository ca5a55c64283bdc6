# Networks: descriptions, parameters, and the verbs that change none of them.

cdef int64_t PASS_ROWS = 256  # rows that evaluation takes at a time
pass_rows = PASS_ROWS
cdef int64_t FEW_ROWS = 16  # that a network's own predictor has memory for, until it gets more

cdef dict LINKS = {"identity": FNN_IDENTITY, "sigmoid": FNN_LOGISTIC, "softmax": FNN_SOFTMAX, "exp": FNN_EXPONENTIAL}
cdef dict FUNCTIONS = {  # and how many constants they have
    "linear": (FNN_LINEAR, 0), "sigmoid": (FNN_SIGMOID, 0), "tanh": (FNN_TANH, 0), "relu": (FNN_RELU, 0),
    "leaky_relu": (FNN_LEAKY_RELU, 1), "elu": (FNN_ELU, 1), "threshold": (FNN_THRESHOLD, 0), "gelu": (FNN_GELU, 0),
    "silu": (FNN_SILU, 0), "softplus": (FNN_SOFTPLUS, 0), "exp": (FNN_EXP, 0), "log": (FNN_LOG, 0),
    "log1p": (FNN_LOG1P, 0),
}


cdef fnn_activation activation_of(description) except *:
    """Of a name, or of a name and constants."""
    cdef fnn_activation activation
    name, *constants = (description,) if isinstance(description, str) else description
    activation.function, count = (FNN_AFFINE, 2) if name == "linear" and constants else FUNCTIONS[name]
    if len(constants) != count:
        raise ValueError(f"activation {name!r} must have {count} constants, got {len(constants)}")
    activation.a, activation.b = (*constants, 0.0, 0.0)[:2]
    activation.with_slope = False
    return activation


cdef fnn_dropout dropout_of(description):
    cdef fnn_dropout dropout
    dropout.threshold, dropout.train_scale, dropout.predict_scale = description or (65536, 1.0, 1.0)
    return dropout


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


cdef class Net:
    """A network's description and parameters.  A lock of its own lets threads share it."""
    cdef fnn_net *c
    cdef float *params
    cdef readonly object lock
    cdef list ties  # None: no layer is another network's too
    cdef Plan pass_plan
    cdef Predictor own_predictor
    cdef readonly object mirror  # what computes in its place on a GPU, or None
    cdef object newer  # a mirror, this one or a tower's, whose parameters are newer than params, or None
    cdef bint is_ahead  # params are newer than the mirror's
    cdef object follower  # called when the mirror's parameters have come back, so that a training's state comes with them

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

    def __reduce__(self):
        raise TypeError("variables cannot be copied or pickled alone; their Network can, and their values as arrays")

    @property
    def address(self):
        """Of the description, for a mirror."""
        return <uintptr_t>self.c

    def set_mirror(self, mirror):
        """From now on the mirror computes.  Once, after the masks were set."""
        self.mirror = mirror
        self.is_ahead = True

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
        if self.newer is not None:
            self.newer.download(<uintptr_t>self.params)
            self.is_ahead |= self.newer is not self.mirror
            self.newer = None
            if self.follower is not None:
                self.follower()
        if self.ties is not None:
            for tie in self.ties:
                self.is_ahead |= tie.pull(self.params)
        return 0

    cdef int reflect(self) except -1:
        """The same before the mirror uses them."""
        if self.ties is not None or self.newer is not self.mirror:
            self.pull()
        if self.is_ahead:
            self.mirror.upload(<uintptr_t>self.params)
            self.is_ahead = False
        return 0

    cdef int reflected(self, const uint8_t *changed, mirror) except -1:
        """The same after that mirror, this one or a tower's, has changed them."""
        self.newer = mirror
        if self.ties is not None:
            self.pull()
            self.push(changed)
        return 0

    cdef int forsake(self) except -1:
        """After a mirror has failed: what came back from it last counts."""
        self.newer = None
        self.is_ahead = True
        return 0

    cdef int refuse_custom(self, Criterion criterion) except -1:
        if self.mirror is not None and criterion.function is not None:
            raise ValueError("loss must be one of the library's for a network on a GPU, got a custom one")
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
            self.is_ahead = True
            for tie in self.ties or ():
                if tie.layer == layer:
                    tie.push(self.params)

    def is_finite(self):
        """Whether no parameter is infinite or NaN."""
        with self.lock:
            self.pull()
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
        if isinstance(x, Data) or is_csr(x) or self.mirror is not None:
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
                if self.mirror is not None:
                    self.reflect()
                    row = self.mirror.predict(data.copy(self.mirror), c_link, BUDGET_NS, row, <uintptr_t>&view[0, 0])
                else:
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
                    if self.mirror is not None:
                        self.reflect()
                        row = self.mirror.activities(data.copy(self.mirror), BUDGET_NS, row, <uintptr_t>outs)
                    else:
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
        self.refuse_custom(criterion)
        criterion.prepare(data, PASS_ROWS, None)
        while row < data.c.n_rows:
            with self.lock:
                if self.mirror is not None:
                    self.reflect()
                    row = self.mirror.evaluate(
                        data.copy(self.mirror), <uintptr_t>&criterion.c, BUDGET_NS, row, <uintptr_t>&metrics
                    )
                else:
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
        cdef fnn_share share
        cdef Plan plan
        cdef float *block = <float *>fnn_alloc(self.c.n_gradients * sizeof(float))
        if block == NULL:
            check(FNN_ERR_MEMORY)
        try:
            self.refuse_custom(criterion)
            memset(&share, 0, sizeof(fnn_share))
            share.n_rows = share.of = data.c.n_rows
            share.dropout = dropout is not None
            share.seed, share.step = dropout or (0, 0)
            if self.mirror is not None:
                with self.lock:
                    self.reflect()
                    self.mirror.gradients(
                        data.copy(self.mirror), <uintptr_t>&criterion.c, <uintptr_t>&share, data.c.n_rows, <uintptr_t>block,
                        <uintptr_t>&metrics, poison,
                    )
            else:
                plan = Plan(self, data.c.n_rows, True, n_threads, data)
                if poison is not None:
                    plan.poison(poison)
                criterion.prepare(data, data.c.n_rows, None)
                with self.lock:
                    self.pull()
                    with nogil:
                        fnn_gradients(plan.c, self.params, &data.c, criterion.c, &share, block, &metrics)
                criterion.finish()
            owners = [i for i in range(self.c.n_layers) if self.c.layers[<int64_t>i].same_as == 0]
            return metrics.loss, [self.unpack(block, i, which) for i in owners for which in "Wb"]
        finally:
            fnn_free(block)
