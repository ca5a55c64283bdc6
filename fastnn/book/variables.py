"""Variables (section "Creating and manipulating TensorFlow variables"): a network's parameters, by name.

The book's example is "weights", 300 x 200, normal with a standard deviation of 0.5, trainable or not. Here it is the W
of a layer. One that was given no initialiser must be assigned before it is used.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np

import fastnn as fnn

from ._result import Result


def run(seed: int) -> Result:
    net = network(fnn.RandomNormal(0.0, 0.5), seed)
    weights = net.variables["layer/W"]
    lines = [f"{name:<12}{variable.shape}" for name, variable in net.variables.items()]
    lines.append(f"layer/W: mean {np.mean(weights.value):+.4f}, standard deviation {np.std(weights.value):.4f}")

    trained, frozen = moved_by_training(net, seed, trainable=True), moved_by_training(net, seed, trainable=False)
    lines.append(f"a training moves the weights by at most {trained:.3g}, and by {frozen:g} where trainable=False")
    net.variables["layer/b"] = np.arange(200)
    restored = save_and_load(net).variables["layer/b"].value
    is_restored = np.array_equal(restored, np.arange(200))
    lines.append(f"layer/b, assigned 0 to 199, comes back from a file: {'yes' if is_restored else 'no'}")

    error = use(network(None, seed))
    lines += ["used before it has values:", f"  {error}"]
    numbers = {
        "deviation": float(np.std(weights.value)),
        "moved": {"trainable": trained, "frozen": frozen},
        "restored": is_restored,
        "error": error,
    }
    return Result("variables are listed, read, assigned, frozen, saved and restored by name", lines, numbers)


def network(initializer: fnn.initializers.Initializer | None, seed: int) -> fnn.Network:
    return fnn.Network(300, [fnn.Dense(200, "tanh", initializer=initializer, name="layer"), fnn.Dense(2)], seed=seed)


def moved_by_training(net: fnn.Network, seed: int, *, trainable: bool) -> float:
    random = np.random.default_rng(seed)
    x, y = random.normal(size=(50, 300)).astype(np.float32), random.integers(0, 2, 50)
    weights = net.variables["layer/W"]
    before, weights.trainable = weights.value, trainable
    fnn.Trainer(net, optimizer=fnn.SGD(0.1)).fit(x, y, epochs=2, batch_size=10, progress=False)
    return float(np.max(np.abs(weights.value - before)))


def save_and_load(net: fnn.Network) -> fnn.Network:
    with tempfile.TemporaryDirectory() as folder:
        net.save(Path(folder) / "net.safetensors")
        return fnn.load(Path(folder) / "net.safetensors")


def use(net: fnn.Network) -> str:
    """What the library says."""
    try:
        net(np.zeros((1, 300), np.float32))
    except RuntimeError as error:
        return str(error)
    return "nothing"
