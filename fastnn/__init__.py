"""Feed-forward neural networks on a C core: fast on small nets, the same bits everywhere.

    import fastnn as fnn

    digits = fnn.datasets.digits()
    net = fnn.Network(784, [fnn.Rescaling(1 / 255), fnn.Dense(256, "relu"), fnn.Dense(10)], seed=0)
    trainer = fnn.Trainer(net, loss="softmax_cross_entropy", optimizer=fnn.SGD(0.1))
    trainer.fit(digits.train.x, digits.train.y, epochs=5)
    trainer.evaluate(digits.test.x, digits.test.y)
"""

import logging as _logging

try:
    from . import _core
except ModuleNotFoundError as error:
    if error.name != f"{__name__}._core":
        raise
    raise ImportError(
        "fastnn's compiled core is missing: this is the source folder, not an installed fastnn. "
        "Run Python from another folder, or install here with `pip install -e .`."
    ) from None

from . import datasets, initializers, layers, losses, optimizers, schedules
from ._version import __version__
from .callbacks import Callback
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
from .losses import SigmoidCrossEntropy, SoftmaxCrossEntropy, SquaredError
from .network import Network, Variable, load
from .optimizers import SGD
from .runtime import available_isas, isa, num_threads, set_num_threads, show_config, use_isa
from .schedules import LinearWarmup, StepDecay
from .trainer import Trainer

_logging.getLogger("fastnn").addHandler(_logging.NullHandler())
