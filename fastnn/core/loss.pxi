# Losses as C takes them.

cdef dict LOSSES = {
    "squared_error": FNN_SQUARED_ERROR,
    "sigmoid_cross_entropy": FNN_SIGMOID_CROSS_ENTROPY,
    "softmax_cross_entropy": FNN_SOFTMAX_CROSS_ENTROPY,
    "absolute_error": FNN_ABSOLUTE_ERROR,
    "huber": FNN_HUBER,
    "poisson": FNN_POISSON,
    "custom": FNN_CUSTOM,
}


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
