"""The session of the book (section "Sessions"): build, initialise, run, and fetch any result in between.

output = x W + b with W uniform(-1, 1), (784, 10), and b zeros, for any number of rows: [None, 784]. The number of
features is checked.
"""

from __future__ import annotations

import numpy as np

import fastnn as fnn

from ._result import Result


def run(seed: int) -> Result:
    uniform = fnn.RandomUniform(-1.0, 1.0)
    net = fnn.Network(784, [fnn.Dense(10, initializer=uniform, name="output")], seed=seed)
    images = fnn.datasets.synthetic_digits(1000, seed).x.astype(np.float32) / 255
    w, b = net.variables["output/W"].value, net.variables["output/b"].value
    lines, off = [], 0.0
    for n in (0, 1, 3, 1000):
        output = net(images[:n])
        off = max(off, float(np.max(np.abs(output - (images[:n] @ w + b)), initial=0.0)))
        lines.append(f"{n} rows: output {output.shape}")
    lines.append(f"x W + b by NumPy differs by at most {off:.1e}, by rounding")

    deep = fnn.Network(784, [fnn.Dense(30, "relu", name="hidden"), fnn.Dense(10, name="output")], seed=seed)
    fetched = deep.activities(images[:3], names=["hidden"])
    both = deep.activities(images[:3])
    lines.append(f"fetched one: {shapes(fetched)}; fetched all: {shapes(both)}")
    error = wrong_features(net)
    lines.append(f"783 features: {error}")
    numbers = {"off": off, "fetched": list(fetched), "all": list(both), "error": error}
    return Result("one network takes any number of rows, and gives any result in between", lines, numbers)


def shapes(arrays: dict[str, np.ndarray]) -> str:
    return ", ".join(f"{name} {array.shape}" for name, array in arrays.items())


def wrong_features(net: fnn.Network) -> str:
    try:
        net(np.zeros((1, 783), np.float32))
    except ValueError as error:
        return str(error)
    return "nothing"
