"""Many networks trained at once, by ``fit_many``, beside one after the other on all threads: to the same bits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from .. import SGD, Trainer, fit_many, runtime
from . import shapes
from .samples import load
from .shapes import Shape
from .workloads import Workload, WrongResult, build

__all__ = ["CASES", "WAYS", "Case", "workload"]

WAYS = ("fit_many", "one after the other")


@dataclass(frozen=True)
class Case:
    """An epoch of n networks of a shape, each with a learning rate of its own."""

    shape: Shape
    n: int

    @property
    def name(self) -> str:
        return f"{self.n} x {self.shape.name}"

    def trainers(self) -> list[Trainer]:
        shape = self.shape
        rates = shape.learning_rate * np.geomspace(0.25, 1, self.n)
        return [Trainer(build(shape), shape.loss, SGD(float(rate))) for rate in rates]


_SMALL = {shape.name: shape for shape in shapes.TRAINING}["F_24_8_2"]
CASES = (Case(_SMALL, 8), Case(shapes.A.shortened(100), 8))


def workload(case: Case, num_threads: int, way: str) -> Workload:
    """Training the case one of two ways. Verified: the other way comes to the same parameters."""
    data = load(case.shape)
    trainers: list[Trainer] = []
    fit: dict[str, Any] = {"batch_size": case.shape.batch_size, "progress": False}

    def prepare() -> None:
        trainers[:] = case.trainers()

    def run(way: str = way) -> None:
        """On no more than num_threads, as a user would have it."""
        runtime.set_num_threads(num_threads)
        try:
            if way == "fit_many":
                fit_many(trainers, data.x, data.y, **fit)
            else:
                for trainer in trainers:
                    trainer.fit(data.x, data.y, **fit)
        finally:
            runtime.set_num_threads(None)

    def verify() -> None:
        results: list[bytes] = []
        for each in WAYS:
            prepare()
            run(each)
            results.append(b"".join(trainer.network.get_flat().tobytes() for trainer in trainers))
        if results[0] != results[1]:
            raise WrongResult(f"{case.name}: trained {' and '.join(WAYS)}, the parameters differ")

    shape = case.shape
    n, flops, size = shape.rows, shape.rows * shape.flops_training, shape.steps * shape.bytes_training
    return Workload(case.name, way, num_threads, "epoch", case.n, n, flops, size, prepare, run, verify)
