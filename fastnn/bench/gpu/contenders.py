"""fastnn on a GPU beside its peers, each verified before it is timed: fastnn by the CPU's bits, others by its loss."""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import numpy as np

import fastnn as fnn

from ..samples import Array, load
from ..shapes import Shape
from ..workloads import Contender, Fastnn, WrongResult, check_close, epoch_loss, parameters
from .rounds import Entry, Limits, Report, repeated

__all__ = ["DEVICE", "FastnnOnGpu", "check_bits", "entries_of", "why_not_offered"]

DEVICE = "gpu:0"
# Of a peer's loss, and of fastnn's own where it is not the CPU's to the bit.
_LOSS_TOLERANCE = {"fp32": 1e-3, "fp32-blas": 1e-3, "3xtf32": 1e-3, "tf32": 1e-2, "bf16": 3e-2}
_CHECKED_STEPS = 5


class _Clock(fnn.Callback):
    def __init__(self) -> None:
        self.marks: list[float] = []

    def on_epoch_end(self, trainer: Any, epoch: int, logs: Any) -> None:
        self.marks.append(time.perf_counter())


class FastnnOnGpu(Fastnn):
    """This library. Its data are copied within the first epoch of a fit."""

    options: ClassVar[dict[str, Any]] = {"device": DEVICE}

    def marks(self, n: int) -> list[float]:
        clock, data = _Clock(), self._data
        size = self.shape.batch_size
        self.trainer.fit(data.x, data.y, epochs=n, batch_size=size, callbacks=[clock], progress=False)
        return clock.marks

    def predictor(self, x: Array) -> Callable[[], Any]:
        return lambda: self.net.predict_proba(x)


def why_not_offered(options: Mapping[str, Any]) -> str | None:
    """Why a network cannot be made with these options; None: it can."""
    if missing := set(options) - set(inspect.signature(fnn.Network).parameters):
        return f"not offered by this build: fastnn.Network has no argument {', '.join(missing)}"
    try:
        fnn.Network(1, [fnn.Dense(1)], **options)
    except (ValueError, RuntimeError) as error:
        return f"not offered by this build: {error}"
    return None


def check_bits(shape: Shape) -> None:
    """A few steps in order, then shuffled ones: loss and parameters on the GPU. WrongResult: they are not the CPU's."""
    nets: list[Fastnn] = [FastnnOnGpu(shape), Fastnn(shape)]
    for shuffle in (False, True):
        losses = []
        for it in nets:
            it.feed(load(shape))
            losses.append(it.epoch(shuffle))
        if losses[0] != losses[1]:
            raise WrongResult(f"{shape.name}: the loss must be the CPU's, {losses[1]!r}, got {losses[0]!r}")
        for name, found, expected in zip(nets[0].net.variables, *(parameters(it.net) for it in nets), strict=True):
            if not np.array_equal(found, expected):
                n = np.count_nonzero(found != expected)
                raise WrongResult(f"{shape.name}: {name} must be the CPU's, {n} of {found.size} values differ")


def trained(shape: Shape, contender: type[Contender], precision: str = "fp32") -> Entry:
    """Its training, an epoch a piece. WrongResult: it is not what it should be."""
    it = contender(shape, None)
    it.feed(load(shape))
    if isinstance(it, FastnnOnGpu) and precision == "fp32":
        check_bits(shape.shortened(_CHECKED_STEPS))
    else:
        it.prepare()
        what = f"{it.name}, {shape.name}: loss"
        check_close(what, it.epoch(), epoch_loss(shape), _LOSS_TOLERANCE[precision], floor=0.0)
    marks = it.marks if isinstance(it, FastnnOnGpu) else repeated(it.epoch)
    return Entry(it.name, it.prepare, marks, shape.steps, shape.batch_size * shape.flops_training)


def entries_of(report: Report, limits: Limits, shape: Shape, contenders: Mapping[type[Contender], str]) -> list[Entry]:
    """Those that can do it and do it right; contenders: with their precision."""
    entries = []
    for contender, precision in contenders.items():
        reason = limits.why_not(contender.name)
        if reason is None and issubclass(contender, FastnnOnGpu):
            reason = why_not_offered(contender.options)
        if (reason := reason or contender.why_not(shape, None)) is not None:
            report.skip(contender.name, reason)
            continue
        if (entry := report.attempt(contender.name, trained, shape, contender, precision)) is not None:
            entries.append(entry)
    return entries
