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

cdef int64_t BUDGET_NS = 50_000_000  # of a call of C that may run long


cdef int check(fnn_status status) except -1:
    if status == FNN_OK:
        return 0
    if status == FNN_ERR_MEMORY:
        raise MemoryError("fastnn: out of memory")
    raise RuntimeError(f"fastnn: {fnn_status_text(status).decode()}")


include "core/machine.pxi"
include "core/random.pxi"
include "core/data.pxi"
include "core/loss.pxi"
include "core/shared.pxi"
include "core/network.pxi"
include "core/predictor.pxi"
include "core/towers.pxi"
include "core/training.pxi"
