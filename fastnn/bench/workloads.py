"""What is timed: an epoch of training, inference, kernels. Each builds its inputs and verifies itself beforehand.

A ``Workload`` is what a bench or a command needs: ``verify()`` once, then ``prepare()``, untimed, before every timed
``run()``. A ``Contender`` is a library that does the work; fastnn is one, ``peers`` has the others. All start from the
same float32 parameters and see the same samples. Peers take them in order, in float32, converted and cut into batches
beforehand; fastnn is timed as it is used: it shuffles, gathers the rows and rescales their bytes within the epoch.
Beside the peers it is timed once more with the samples in order, as they have them.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar

import numpy as np

from .. import SGD, Dense, Dropout, Network, Rescaling, Trainer, _core, reference, runtime
from . import shapes
from .samples import Array, Samples, load
from .shapes import Row, Shape

__all__ = [
    "Contender",
    "Fastnn",
    "FastnnInOrder",
    "Workload",
    "WrongResult",
    "check_close",
    "check_outputs",
    "epoch_loss",
    "function",
    "inference",
    "of_row",
    "suite",
    "training",
    "why_not",
]

_EPOCH_TOLERANCE = 1e-3  # of fastnn's mean loss of an epoch, which a peer's must be
_TRUTH_STEPS = 5
# Of what training has moved, and for each layer, errors adding up as squares do. Of millions of ReLUs some few fall on
# the other side of 0 in float32; the gradients differ by the root of their share.
_TRUTH_TOLERANCE = 1e-3
_OUTPUT_TOLERANCE = 1e-5  # of the largest output or of 1
_TRUE_ROWS = 1000
_FUNCTION_TOLERANCE = 1e-6


class WrongResult(RuntimeError):
    """What should be timed does not compute what it should."""


@dataclass(frozen=True)
class Workload:
    """name: of the work, the same for all contenders. pieces: how many epochs, steps or calls a run does.

    samples, flops, bytes: of a piece; the floating-point operations of its matrix products, the bytes that it cannot do
    without (``Shape.bytes_training``); 0 where there are none.
    """

    name: str
    contender: str
    num_threads: int | None
    piece: str
    pieces: int
    samples: int
    flops: int
    bytes: int
    prepare: Callable[[], None]
    run: Callable[[], Any]
    verify: Callable[[], None]


# ---- contenders -----------------------------------------------------------------------------------------------------


class Contender(ABC):
    """A library with one network of this shape, and the threads it may use (None: as many as it likes)."""

    name: ClassVar[str]
    trains: ClassVar[bool] = True  # else it only predicts
    predicts: ClassVar[bool] = True  # else it only trains

    def __init__(self, shape: Shape, num_threads: int | None) -> None:
        self.shape = shape
        self.num_threads = num_threads

    @classmethod
    def why_not(cls, shape: Shape, num_threads: int | None) -> str | None:
        """Why it cannot do this here; None: it can."""
        return None

    @abstractmethod
    def feed(self, data: Samples) -> None:
        """Makes ready what ``epoch`` trains on."""

    @abstractmethod
    def prepare(self) -> None:
        """Untimed, before every run: sets the library's threads, puts the initial parameters back."""

    @abstractmethod
    def epoch(self) -> float:
        """Trains for one epoch, samples in order; the mean of its batches' losses, each before its update."""

    @abstractmethod
    def predictor(self, x: Array) -> Callable[[], Any]:
        """A function that gives the class probabilities of the float32 rows x; for squared error, the outputs."""


class Fastnn(Contender):
    """This library, through its public functions; bytes are rescaled by the network. options: for ``Network``."""

    name = "fastnn"
    options: ClassVar[dict[str, Any]] = {}
    shuffles: ClassVar[bool] = True  # in an epoch that is timed

    def __init__(self, shape: Shape, num_threads: int | None = None) -> None:
        super().__init__(shape, num_threads)
        self.net = build(shape, **self.options)
        self.trainer = Trainer(self.net, shape.loss, SGD(shape.learning_rate))
        self._initial = initial_parameters(shape)

    def feed(self, data: Samples) -> None:
        self._data = data

    def prepare(self) -> None:
        for variable, value in zip(self.net.variables.values(), self._initial, strict=True):
            variable.assign(value)

    def epoch(self, shuffle: bool = False) -> float:
        """On no more than num_threads, and on fewer where the work is not worth them, as a user would have it."""
        runtime.set_num_threads(self.num_threads)
        try:
            history = self.trainer.fit(
                self._data.x, self._data.y, batch_size=self.shape.batch_size, shuffle=shuffle, progress=False
            )
        finally:
            runtime.set_num_threads(None)
        return float(history["loss"][0])

    def predictor(self, x: Array) -> Callable[[], Any]:
        predict = self.net.predictor(len(x), num_threads=self.num_threads)
        out = np.empty((len(x), self.net.n_out), np.float32)
        return lambda: predict(x, out=out)


class FastnnInOrder(Fastnn):
    """This library on the samples in order, as its peers take them."""

    name = "fastnn, in order"
    shuffles = False
    predicts = False  # as fastnn


def build(shape: Shape, **options: Any) -> Network:
    """The network of a shape with its initial parameters, made with these options."""
    hidden: list[Any] = []
    for units in shape.widths[1:-1]:
        hidden.append(Dense(units, shape.activation))
        if shape.keep_prob < 1:
            hidden.append(Dropout(shape.keep_prob))
    rescaling = [Rescaling(1 / 255)] if shape.samples == "bytes" else []
    return Network(shape.widths[0], [*rescaling, *hidden, Dense(shape.widths[-1])], seed=0, **options)


def parameters(net: Network) -> list[Array]:
    """W and b of each layer in turn."""
    return [np.array(variable.value) for variable in net.variables.values()]


@lru_cache(maxsize=1)  # contenders of a shape come one after the other, and drawing a large network takes seconds
def initial_parameters(shape: Shape) -> tuple[Array, ...]:
    """What every contender starts from, not to be written to."""
    values = parameters(build(shape))
    for value in values:
        value.flags.writeable = False
    return tuple(values)


# ---- training -------------------------------------------------------------------------------------------------------


def training(
    shape: Shape, num_threads: int | None = None, contender: type[Contender] = Fastnn, piece: str = "epoch"
) -> Workload:
    """One epoch of a contender, in pieces "epoch" or "step". Verified: fastnn by float64, others by fastnn's loss."""
    it = contender(shape, num_threads)
    data = load(shape)
    it.feed(data)

    def verify() -> None:
        if isinstance(it, Fastnn):
            return _verify_steps(shape, num_threads)
        it.prepare()
        check_close(f"{it.name}, {shape.name}: loss", it.epoch(), epoch_loss(shape), _EPOCH_TOLERANCE, floor=0.0)

    run = (lambda: it.epoch(shuffle=it.shuffles)) if isinstance(it, Fastnn) else it.epoch
    pieces, steps = (1, shape.steps) if piece == "epoch" else (shape.steps, 1)
    n, flops, size = steps * shape.batch_size, shape.batch_size * shape.flops_training, shape.bytes_training
    work = (piece, pieces, n, steps * flops, steps * size)
    return Workload(shape.name, it.name, num_threads, *work, it.prepare, run, verify)


@lru_cache(maxsize=16)
def epoch_loss(shape: Shape) -> float:
    """fastnn's mean loss over an epoch in order: the same for every number of threads."""
    it = Fastnn(shape)
    it.feed(load(shape))
    return it.epoch()


def _verify_steps(shape: Shape, num_threads: int | None) -> None:
    """The first steps of an epoch, parameters and loss, against the float64 specification."""
    short = shape.shortened(_TRUTH_STEPS)
    it = Fastnn(short, num_threads)
    it.feed(load(short))
    before = parameters(it.net)
    loss = it.epoch()
    truth, true_loss = _true_steps(short, it.trainer.seed, before)
    check_close(f"fastnn, {shape.name}: loss of {short.steps} steps", loss, true_loss, _TRUTH_TOLERANCE, floor=0.0)
    for name, start, found, expected in zip(it.net.variables, before, parameters(it.net), truth, strict=True):
        error, moved = np.linalg.norm(found - expected), np.linalg.norm(expected - start)
        if not error <= _TRUTH_TOLERANCE * math.sqrt(len(shape.widths) - 1) * moved:
            raise WrongResult(f"fastnn, {shape.name}: {name} moved by {moved}, and is off by {error}")


def _true_steps(shape: Shape, seed: int, before: list[Array]) -> tuple[list[Array], float]:
    data, net, size = load(shape), _described(shape), shape.batch_size
    params = [value.astype(np.float64) for value in before]
    rate, losses = float(np.float32(shape.learning_rate)), []
    for step in range(shape.steps):
        rows = slice(step * size, (step + 1) * size)
        keeps = reference.keep_masks(net, seed, step, size)
        params, _, batch_losses, _ = reference.train_step(
            net, params, params, data.x[rows], data.y[rows], shape.loss, "sgd", rate, keeps=keeps
        )
        losses.append(batch_losses.mean())
    return params, float(np.mean(losses))


def _described(shape: Shape) -> reference.Network:
    dropout = None
    if shape.keep_prob < 1:
        layer = Dropout(shape.keep_prob)
        dropout = reference.Dropout(layer.threshold, float(np.float32(layer.train_scale)), layer.predict_scale)
    layers = [reference.Layer(units, shape.activation, dropout) for units in shape.widths[1:-1]]
    layers.append(reference.Layer(shape.widths[-1], "linear"))
    return reference.Network(shape.widths[0], 1 / 255 if shape.samples == "bytes" else 1.0, 0.0, None, layers)


# ---- inference ------------------------------------------------------------------------------------------------------


def inference(
    shape: Shape, n_batch: int, num_threads: int | None = None, contender: type[Contender] = Fastnn
) -> Workload:
    """Probabilities (for squared error: outputs) of n_batch rows, initial parameters. Verified against float64."""
    it = contender(shape, num_threads)
    data = load(shape, n_batch)
    run = it.predictor(data.x if isinstance(it, Fastnn) else data.floats)

    def verify() -> None:
        it.prepare()
        check_outputs(f"{it.name}, {shape.name}, {n_batch} rows: output", shape, data.x, run())

    name = Row(shape, "us/call", n_batch).name
    work = ("call", 1, n_batch, n_batch * shape.flops_forward, shape.bytes_forward(n_batch))
    return Workload(name, it.name, num_threads, *work, it.prepare, run, verify)


def check_outputs(what: str, shape: Shape, x: Array, found: Any) -> None:
    """Of the first rows, against float64. WrongResult: they differ."""
    params = [value.astype(np.float64) for value in initial_parameters(shape)]
    outs, _ = reference.forward(_described(shape), params, x[:_TRUE_ROWS])
    truth = reference.output(outs[-1], "softmax" if shape.is_classifier else "identity")
    floor = max(1.0, np.abs(truth).max())
    check_close(what, np.asarray(found)[:_TRUE_ROWS], truth, _OUTPUT_TOLERANCE, floor)


# ---- element-wise functions -----------------------------------------------------------------------------------------

_NUMPY: dict[str, Callable[[Array], Array]] = {"exp": np.exp, "log": np.log, "log1p": np.log1p, "tanh": np.tanh}


def function(name: str, n: int = shapes.VECTOR, contender: str = "fastnn") -> Workload:
    """A function of n float32 values, by fastnn's kernels or by NumPy. ValueError: NumPy has no such function."""
    if contender != "fastnn" and name not in _NUMPY:
        raise ValueError(f"name must be one of {', '.join(_NUMPY)} for NumPy, got {name!r}")
    x = np.random.default_rng(0).standard_normal(n, np.float32)
    if name in ("log", "log1p"):  # what the losses ask for: sums of exponentials, and exp(-|z|) for log1p
        x = np.exp(np.abs(x) if name == "log" else -np.abs(x))

    def run() -> Array:
        result: Array = _core.apply(name, x) if contender == "fastnn" else _NUMPY[name](x)
        return result

    def verify() -> None:
        check_close(f"{contender}, {name}", run(), reference.apply(x, name), _FUNCTION_TOLERANCE)

    return Workload(name, contender, 1, "call", 1, n, 0, 8 * n, lambda: None, run, verify)


# ---- all of it ------------------------------------------------------------------------------------------------------


def why_not(contender: type[Contender], row: Row, num_threads: int | None) -> str | None:
    """Why a contender cannot do this here; None: it can."""
    if row.trains and not contender.trains:
        return f"{contender.name} does not train"
    if not row.trains and not contender.predicts:
        return f"{contender.name} only trains"
    return contender.why_not(row.shape, num_threads)


def of_row(row: Row, num_threads: int | None = None, contender: type[Contender] = Fastnn) -> Workload:
    if row.n_batch is None:
        return training(row.shape, num_threads, contender, row.unit.split("/")[1])
    return inference(row.shape, row.n_batch, num_threads, contender)


def suite(num_threads: int | None = None, smoke: bool = False) -> Iterator[Workload]:
    """Every workload on fastnn, one after the other, each built when it is its turn. smoke: with few rows."""
    steps = 2 if smoke else 10**9
    for row in shapes.ROWS:
        yield of_row(row.smaller(steps, 100) if smoke else row, num_threads)
    for shape in (*shapes.DENSE, *shapes.DROPOUT):
        yield training(shape.shortened(steps), num_threads)
    for shape in shapes.DENSE:
        yield inference(shape, shape.batch_size, num_threads)
    for name in shapes.FUNCTIONS:
        yield function(name)


def check_close(what: str, found: Any, expected: Any, tolerance: float, floor: float = 1.0) -> None:
    """|found - expected| <= tolerance max(|expected|, floor) for every value."""
    found, expected = np.asarray(found, np.float64), np.asarray(expected, np.float64)
    if found.shape != expected.shape:
        raise WrongResult(f"{what} must have shape {expected.shape}, got {found.shape}")
    excess = np.abs(found - expected) - tolerance * np.maximum(np.abs(expected), floor)
    if not excess.max() <= 0:  # NaN as well
        at = np.unravel_index(int(excess.argmax()), excess.shape)
        raise WrongResult(f"{what} must be {expected[at]} within {tolerance:g}, got {found[at]}")
