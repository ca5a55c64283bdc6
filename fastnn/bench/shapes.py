"""The shapes that are timed, and that tests share. Plain descriptions: no arrays, no clocks."""

from dataclasses import dataclass, replace
from itertools import pairwise

__all__ = ["COMPARED", "DENSE", "DROPOUT", "EDGES", "FUNCTIONS", "INFERENCE", "TRAINING", "VECTOR", "Shape"]


@dataclass(frozen=True)
class Shape:
    """A dense network and one epoch of plain SGD on it.

    widths: inputs, hidden units of each layer, outputs. activation: of the hidden layers; the outputs are linear.
    rows: samples an epoch, a multiple of batch_size. keep_prob: of a dropout behind every hidden layer; 1: none.
    """

    name: str
    widths: tuple[int, ...]
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
    def is_of_digits(self) -> bool:
        """Images of digits, pixels as bytes; otherwise made-up float32 values."""
        return self.widths[0] == 784 and self.widths[-1] == 10 and self.loss == "softmax_cross_entropy"

    @property
    def steps(self) -> int:
        return self.rows // self.batch_size

    @property
    def flops_forward(self) -> int:
        """Floating-point operations of the matrix products for one sample, a fused multiply-add as two."""
        return sum(2 * n_in * n_out for n_in, n_out in pairwise(self.widths))

    @property
    def flops_training(self) -> int:
        """As ``flops_forward``, for outputs, weight gradients and, but for the first layer, input gradients."""
        return 3 * self.flops_forward - 2 * self.widths[0] * self.widths[1]

    @property
    def description(self) -> str:
        widths = "-".join(map(str, self.widths))
        activation = f" {self.activation}" if len(self.widths) > 2 else ""
        return f"{widths}{activation}, {self.loss.replace('_', ' ')}, batch {self.batch_size}, {self.rows:,} samples"

    def shortened(self, steps: int) -> "Shape":
        """The same with at most so many steps an epoch."""
        return replace(self, rows=min(self.steps, steps) * self.batch_size)


# ---- training: one epoch --------------------------------------------------------------------------------------------

A = Shape("A", (784, 256, 256, 10))  # the book's MLP
B = Shape("B", (784, 10))  # logistic regression

TRAINING = (
    A,
    B,
    Shape("A_batch_1", A.widths, batch_size=1, rows=2_000, learning_rate=0.01),
    Shape("A_batch_10", A.widths, batch_size=10, rows=10_000, learning_rate=0.03),
    Shape("A_batch_1000", A.widths, batch_size=1_000, rows=20_000),
    Shape("F_4_32_16_4", (4, 32, 16, 4), "tanh", "squared_error", 200, 10_000, 0.05),
    Shape("F_24_8_2", (24, 8, 2), "tanh", "squared_error", 200, 10_000, 0.05),
)
COMPARED = (A, B)

# ---- inference: rows a call -----------------------------------------------------------------------------------------

INFERENCE = (1, 10, 100, 1_000, 10_000)

# ---- kernels --------------------------------------------------------------------------------------------------------

EDGES = (1, 15, 16, 17, 35, 784)  # widths around the 16 lanes of a panel
FUNCTIONS = ("exp", "log", "log1p", "sigmoid", "tanh", "relu")
VECTOR = 1 << 16  # values an element-wise function is applied to


def _dense(name: str, *widths: int, batch_size: int = 100, steps: int = 100) -> Shape:
    return Shape(name, widths, "linear", "squared_error", batch_size, batch_size * steps, 0.001)


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
