"""The classes of operations of Table 3-1 that a feed-forward library needs, each tried once through the public API.

Not needed here and so not there: control flow, convolution, pooling, inverse and determinant, mutexes.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np

import fastnn as fnn

from ._result import Result


def run(seed: int) -> Result:
    outcomes = {
        "element-wise": elementwise(),
        "array": array(seed),
        "matrix": matrix(seed),
        "neural-network building blocks": blocks(),
        "stateful": stateful(),
        "checkpointing": checkpointing(seed),
        "queue": queue(seed),
    }
    lines = [f"{name:<32}{says}" for name, (says, _) in outcomes.items()]
    works = {name: bool(works) for name, (_, works) in outcomes.items()}
    return Result(f"{sum(works.values())} of {len(works)} classes of operations work", lines, {"works": works})


def unit(activation: str) -> fnn.Network:
    """One input, one unit, weight 1."""
    return fnn.Network(1, [fnn.Dense(1, activation, initializer="ones")], seed=0)


def elementwise() -> tuple[str, bool]:
    z = np.array([[-1.0], [0.0], [2.0]], np.float32)
    doubled = fnn.Network(1, [fnn.Rescaling(2.0, 1.0), fnn.Dense(1, initializer="ones")], seed=0)
    return "rescaling and activations: 2 x + 1", np.array_equal(doubled(z), 2 * z + 1)


def array(seed: int) -> tuple[str, bool]:
    x = np.arange(20).reshape(10, 2)
    first, second = fnn.datasets.split(x, x[:, 0], [0.7, 0.3], seed=seed)
    rows = sorted([*first.x[:, 0], *second.x[:, 0]])
    return "split and shuffle: no row twice, none lost", len(first) == 7 and rows == list(x[:, 0])


def matrix(seed: int) -> tuple[str, bool]:
    net = fnn.Network(3, [fnn.Dense(2, bias_initializer="random_normal", name="layer")], seed=seed)
    x, w, b = np.eye(3, dtype=np.float32), net.variables["layer/W"], net.variables["layer/b"]
    return "x W + b", np.allclose(net(x), x @ np.asarray(w) + np.asarray(b), atol=1e-6)


def blocks() -> tuple[str, bool]:
    z = np.array([[-3.0], [0.0], [3.0]], np.float32)
    right = np.allclose(unit("sigmoid")(z), 1 / (1 + np.exp(-z))) and np.array_equal(unit("relu")(z), np.maximum(z, 0))
    softmax = fnn.Network(2, [fnn.Dense(5, "softmax")], seed=0).predict_proba(np.ones((4, 2), np.float32))
    return "softmax, sigmoid, ReLU", right and np.allclose(softmax.sum(axis=1), 1)


def stateful() -> tuple[str, bool]:
    net = unit("linear")
    net.variables["dense_1/W"] = [[5.0]]
    return "assign to a variable", net(np.ones((1, 1), np.float32))[0, 0] == 5


def checkpointing(seed: int) -> tuple[str, bool]:
    net = fnn.Network(4, [fnn.Dense(3, "tanh"), fnn.Dense(2)], seed=seed)
    with tempfile.TemporaryDirectory() as folder:
        net.save(Path(folder) / "net.safetensors")
        restored = fnn.load(Path(folder) / "net.safetensors")
    x = np.ones((1, 4), np.float32)
    return "save and restore", np.array_equal(net(x), restored(x))


def queue(seed: int) -> tuple[str, bool]:
    """Rows that stay on the disk and are read ahead train to the same bits as rows in memory."""
    x = np.random.default_rng(seed).normal(size=(500, 6)).astype(np.float32)
    y = (x[:, 0] > 0).astype(np.uint8)
    with tempfile.TemporaryDirectory() as folder:
        np.save(Path(folder) / "x.npy", x)
        mapped = np.load(Path(folder) / "x.npy", mmap_mode="r")
        is_same = np.array_equal(trained(x, y, seed), trained(mapped, y, seed))
        del mapped
    return "rows read ahead from a file", is_same


def trained(x: np.ndarray, y: np.ndarray, seed: int) -> np.ndarray:
    net = fnn.Network(6, [fnn.Dense(8, "relu"), fnn.Dense(2, name="output")], seed=seed)
    fnn.Trainer(net, optimizer=fnn.SGD(0.1)).fit(x, y, epochs=2, batch_size=20, progress=False)
    return net.variables["output/W"].value
