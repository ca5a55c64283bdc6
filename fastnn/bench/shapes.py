"""What is timed, and what tests share: networks, batches, vectors. Plain descriptions: no arrays, no clocks."""

from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from functools import partial
from itertools import pairwise

__all__ = [
    "DENSE",
    "DROPOUT",
    "EDGES",
    "FUNCTIONS",
    "INFERENCE",
    "ROWS",
    "TRAINING",
    "VECTOR",
    "Row",
    "Shape",
    "select",
]


@dataclass(frozen=True)
class Shape:
    """A dense network and one epoch of plain SGD on it.

    widths: inputs, hidden units of each layer, outputs. activation: of the hidden layers; the outputs are linear.
    samples: "bytes", images of digits as uint8; "floats", the same as float32; "dense", float32 without zeros.
    rows: samples an epoch, a multiple of batch_size. keep_prob: of a dropout behind every hidden layer; 1: none.
    """

    name: str
    widths: tuple[int, ...]
    samples: str = "bytes"
    activation: str = "relu"
    loss: str = "softmax_cross_entropy"
    batch_size: int = 100
    rows: int = 55_000
    learning_rate: float = 0.1
    keep_prob: float = 1.0

    def __post_init__(self) -> None:
        if self.rows % self.batch_size:
            raise ValueError(f"rows must be a multiple of batch_size {self.batch_size}, got {self.rows}")

    @property
    def is_classifier(self) -> bool:
        return self.loss == "softmax_cross_entropy"

    @property
    def steps(self) -> int:
        return self.rows // self.batch_size

    @property
    def n_parameters(self) -> int:
        return sum((n_in + 1) * n_out for n_in, n_out in pairwise(self.widths))

    @property
    def flops_forward(self) -> int:
        """Floating-point operations of the matrix products for one sample, a fused multiply-add as two."""
        return sum(2 * n_in * n_out for n_in, n_out in pairwise(self.widths))

    @property
    def flops_training(self) -> int:
        """As ``flops_forward``, for outputs, weight gradients and, but for the first layer, input gradients."""
        return 3 * self.flops_forward - 2 * self.widths[0] * self.widths[1]

    def bytes_forward(self, n_batch: int) -> int:
        """Bytes that a call on n_batch rows cannot do without: input and parameters read, outputs written."""
        return self._bytes_in(n_batch) + 4 * self.n_parameters + 4 * n_batch * sum(self.widths[1:])

    @property
    def bytes_training(self) -> int:
        """As ``bytes_forward``, for a step: parameters are read and written, each layer's output written and read."""
        return self._bytes_in(self.batch_size) + 8 * self.n_parameters + 8 * self.batch_size * sum(self.widths[1:])

    def _bytes_in(self, n_batch: int) -> int:
        return n_batch * self.widths[0] * (1 if self.samples == "bytes" else 4)

    @property
    def network(self) -> str:
        widths = "-".join(map(str, self.widths))
        return f"{widths} {self.activation}" if len(self.widths) > 2 else widths

    def shortened(self, steps: int) -> "Shape":
        """The same with at most so many steps an epoch."""
        return replace(self, rows=min(self.steps, steps) * self.batch_size)


# ---- training -------------------------------------------------------------------------------------------------------

_MLP = (784, 256, 256, 10)
_regression = partial(Shape, samples="dense", activation="tanh", loss="squared_error", learning_rate=0.05)

A = Shape("A", _MLP)  # the book's MLP
A_DENSE = Shape("A_dense", _MLP, "dense", rows=20_000, learning_rate=0.01)
B = Shape("B", (784, 10))  # logistic regression
F = _regression("F_4_32_16_4", (4, 32, 16, 4), batch_size=200, rows=40_000)


def _wide(units: int, steps: int) -> Shape:
    widths = (784, *[units] * 4, 10)
    return Shape(f"C_{units}", widths, "dense", batch_size=512, rows=512 * steps)


TRAINING = (
    A,
    A_DENSE,
    B,
    _wide(2_048, steps=2),
    _wide(4_096, steps=1),
    _regression("E", (28, *[300] * 5, 1), rows=10_000),
    F,
    _regression("F_24_8_2", (24, 8, 2), batch_size=200, rows=40_000),
    replace(F, name="F_batch_1", batch_size=1, rows=2_000),
    Shape("A_batch_1", _MLP, batch_size=1, rows=1_000, learning_rate=0.01),
    Shape("A_batch_10", _MLP, batch_size=10, rows=10_000, learning_rate=0.03),
    Shape("A_batch_1000", _MLP, batch_size=1_000, rows=20_000),
)

# ---- inference: rows a call -----------------------------------------------------------------------------------------

INFERENCE = (1, 10, 100, 1_000, 10_000)
_PREDICTED = (replace(A, name="digits", samples="floats"), replace(A, name="dense", samples="dense"))


# ---- what the command times -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Row:
    """Training of a shape, or predictions of n_batch rows a call by its network.

    unit: what a time is given in, "s/epoch" or "ms/step" or "us/call".
    """

    shape: Shape
    unit: str
    n_batch: int | None = None

    @property
    def trains(self) -> bool:
        return self.n_batch is None

    @property
    def name(self) -> str:
        return self.shape.name if self.n_batch is None else f"predict_{self.shape.name}_{self.n_batch}"

    @property
    def description(self) -> str:
        if self.n_batch is not None:
            return f"{self.shape.network}, {self.n_batch:,} rows a call"
        shape = self.shape
        loss = shape.loss.replace("_", " ")
        return f"{shape.network}, {loss}, batch {shape.batch_size}, {shape.rows:,} samples an epoch"

    def smaller(self, steps: int, n_batch: int) -> "Row":
        """The same with at most so many steps an epoch, and rows a call; wide layers are cut to an eighth."""
        shape, fewer = self.shape.shortened(steps), None if self.n_batch is None else min(self.n_batch, n_batch)
        widths = tuple(n if n <= 1_000 else n // 8 for n in shape.widths)
        return replace(self, shape=replace(shape, widths=widths), n_batch=fewer)


_UNITS = {A: "s/epoch", B: "s/epoch"}


def _unit(shape: Shape) -> str:
    is_long = shape.batch_size * shape.flops_training > 1e8
    return _UNITS.get(shape, "ms/step" if is_long else "us/step")


ROWS = (
    *(Row(shape, _unit(shape)) for shape in TRAINING),
    *(Row(shape, "us/call", n_batch) for shape in _PREDICTED for n_batch in INFERENCE),
)


def select(patterns: list[str]) -> list[Row]:
    """The rows that a pattern such as "A" or "predict_*" names; all for none. ValueError: a pattern names no row."""
    for pattern in patterns:
        if not any(fnmatchcase(row.name, pattern) for row in ROWS):
            raise ValueError(f"must be one of {', '.join(row.name for row in ROWS)}, or a pattern, got {pattern!r}")
    return [row for row in ROWS if not patterns or any(fnmatchcase(row.name, pattern) for pattern in patterns)]


# ---- kernels --------------------------------------------------------------------------------------------------------

EDGES = (1, 15, 16, 17, 35, 784)  # widths around the 16 lanes of a panel
FUNCTIONS = ("exp", "log", "log1p", "sigmoid", "tanh", "relu")
VECTOR = 1 << 16  # values an element-wise function is applied to


def _dense(name: str, *widths: int, batch_size: int = 100, steps: int = 100) -> Shape:
    return Shape(name, widths, "dense", "linear", "squared_error", batch_size, batch_size * steps, 0.001)


# A network of one layer has the forward product and the weight gradient; two layers add one input gradient.
DENSE = (
    _dense("dense_784_256", 784, 256),
    _dense("dense_256_256", 256, 256),
    _dense("dense_256_10", 256, 10),
    _dense("dense_256_256_256", 256, 256, 256),
    _dense("dense_784_256_batch_1", 784, 256, batch_size=1, steps=1_000),
    _dense("dense_784_256_batch_1000", 784, 256, batch_size=1_000, steps=10),
)

DROPOUT = (  # the difference is what masks cost
    Shape("dropout", A.widths, rows=10_000, keep_prob=0.5),
    Shape("no_dropout", A.widths, rows=10_000),
)
