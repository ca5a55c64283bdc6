"""Feed-forward neural networks on a C core: fast on small nets, the same bits everywhere.

For example:

    import fastnn as fnn

    digits = fnn.datasets.digits()
    net = fnn.Network(784, [fnn.Rescaling(1 / 255), fnn.Dense(256, "relu"), fnn.Dense(10)], seed=0)
    trainer = fnn.Trainer(net, loss="softmax_cross_entropy", optimizer=fnn.SGD(0.1))
    trainer.fit(digits.train.x, digits.train.y, epochs=5)
    trainer.evaluate(digits.test.x, digits.test.y)
"""

from typing import TYPE_CHECKING

try:
    from ._core import Net as _  # noqa: F401 - `from . import _core` would not say that it is missing
except ModuleNotFoundError as error:
    if error.name != f"{__name__}._core":
        raise
    raise ImportError(
        "fastnn's compiled core is missing: this is the source folder, not an installed fastnn. "
        "Run Python from another folder, or install here with `pip install -e .`."
    ) from None

from . import activations, cuda, initializers, layers, losses, metrics, optimizers, regularizers, schedules
from ._devices import devices
from ._version import __version__
from .activations import ELU, GELU, LeakyReLU, Linear, ReLU, Sigmoid, SiLU, Softmax, Softplus, Tanh, Threshold
from .callbacks import Callback, EarlyStopping, EveryNSteps
from .checkpoint import Checkpoint, load_trainer
from .histogram import Histogram
from .history import History
from .initializers import (
    Constant,
    Glorot,
    He,
    Ones,
    RandomNormal,
    RandomUniform,
    TruncatedNormal,
    Zeros,
)
from .layers import Dense, Dropout, Rescaling
from .losses import (
    AbsoluteError,
    CustomLoss,
    Huber,
    Poisson,
    SigmoidCrossEntropy,
    SoftmaxCrossEntropy,
    SquaredError,
)
from .network import Network, load
from .neuron import Neuron, Perceptron
from .optimizers import SGD, Adam, RMSProp
from .regularizers import L1, L2, MaxNorm
from .runtime import available_isas, isa, num_threads, set_num_threads, show_config, use_isa
from .schedules import CosineDecay, ExponentialDecay, LinearWarmup, OneCycle, PiecewiseConstant, StepDecay, Warmup
from .scopes import Scope
from .tensorboard import TensorBoard
from .trainer import Trainer
from .variables import Variable

if TYPE_CHECKING:
    from . import datasets, plots
    from ._many import fit_many
    from ._workflow import WorkflowReport, workflow

__all__ = [
    "ELU",
    "GELU",
    "L1",
    "L2",
    "SGD",
    "AbsoluteError",
    "Adam",
    "Callback",
    "Checkpoint",
    "Constant",
    "CosineDecay",
    "CustomLoss",
    "Dense",
    "Dropout",
    "EarlyStopping",
    "EveryNSteps",
    "ExponentialDecay",
    "Glorot",
    "He",
    "Histogram",
    "History",
    "Huber",
    "LeakyReLU",
    "Linear",
    "LinearWarmup",
    "MaxNorm",
    "Network",
    "Neuron",
    "OneCycle",
    "Ones",
    "Perceptron",
    "PiecewiseConstant",
    "Poisson",
    "RMSProp",
    "RandomNormal",
    "RandomUniform",
    "ReLU",
    "Rescaling",
    "Scope",
    "SiLU",
    "Sigmoid",
    "SigmoidCrossEntropy",
    "Softmax",
    "SoftmaxCrossEntropy",
    "Softplus",
    "SquaredError",
    "StepDecay",
    "Tanh",
    "TensorBoard",
    "Threshold",
    "Trainer",
    "TruncatedNormal",
    "Variable",
    "Warmup",
    "WorkflowReport",
    "Zeros",
    "__version__",
    "activations",
    "available_isas",
    "cuda",
    "datasets",
    "devices",
    "fit_many",
    "initializers",
    "isa",
    "layers",
    "load",
    "load_trainer",
    "losses",
    "metrics",
    "num_threads",
    "optimizers",
    "plots",
    "regularizers",
    "schedules",
    "set_num_threads",
    "show_config",
    "use_isa",
    "workflow",
]


# Loaded when first named: they need much that a network does not.
_MODULES = ("datasets", "plots")
_LAZY = {"fit_many": "._many", "workflow": "._workflow", "WorkflowReport": "._workflow"}


def __getattr__(name: str) -> object:
    from importlib import import_module

    if name in _MODULES:
        return import_module(f".{name}", __name__)
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_LAZY[name], __name__), name)
