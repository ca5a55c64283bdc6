"""Towers (section "Managing models over the CPU and GPU"): each device does a share, the CPU puts the shares together.

The book's sample: each of two devices multiplies [[1, 2], [3, 4]] by [[1], [2]], and the CPU adds the results. Extended
to training: every tower has the same network and computes the gradients of its share of a mini-batch; their mean,
weighted by rows, moves them all. Here that mean is first taken by hand, then ``Trainer(towers=...)`` trains with it. It
is added up in another order than one network adds its own: the same numbers but for rounding, not the same bits, though
the same bits again with the same towers.

Devices that are missing are replaced by the CPU (soft placement), with a warning; what is computed is the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np

import fastnn as fnn

from . import _points
from ._result import Result

SAMPLE_DEVICES = ("/gpu:0", "/gpu:1")
TRAINING_DEVICES = ("cpu:0", "cpu:0", "cpu:0")
EPOCHS, BATCH_SIZE, RATE = 60, 20, 0.3

Gradients = dict[str, np.ndarray]


def run(seed: int) -> Result:
    total, places = added_products(SAMPLE_DEVICES)
    x, y = _points.rings(400, seed)
    towers = [network(device, seed) for device in TRAINING_DEVICES]
    alone = network("cpu:0", seed)
    together, single = gradients(towers, x, y), alone.gradients(x, y, loss="softmax_cross_entropy")
    error = max(float(abs(together[name] - single[name]).max()) for name in single)
    trainer = trained(TRAINING_DEVICES, x, y, seed)
    accuracy = trainer.evaluate(x, y)["accuracy"]
    lines = [
        f"[[1, 2], [3, 4]] [[1], [2]] on each of {', '.join(SAMPLE_DEVICES)}, added: {total.tolist()}",
        f"in fact on {', '.join(places)}",
        f"gradients of {len(towers)} towers and of one network differ by at most {error:.1g}",
    ]
    numbers = {"sum": total.tolist(), "devices": places, "gradient_error": error, "accuracy": accuracy}
    return Result(f"{len(towers)} towers learn the rings together: {accuracy:.1%} right", lines, numbers)


def added_products(devices: Sequence[str]) -> tuple[np.ndarray, list[str]]:
    """The sum over the devices of [[1, 2], [3, 4]] [[1], [2]], (2, 1), and where the products were computed. A linear
    layer whose bias is zero is a product of matrices."""
    towers = [
        fnn.Network(2, [fnn.Dense(1, name="b", initializer="zeros")], device=device, allow_soft_placement=True)
        for device in devices
    ]
    for tower in towers:
        tower.variables["b/W"] = [[1], [2]]
    with ThreadPoolExecutor(len(towers)) as pool:
        products = list(pool.map(lambda tower: tower([[1, 2], [3, 4]]), towers))
    return np.sum(products, axis=0), [tower.device for tower in towers]


def network(device: str, seed: int) -> fnn.Network:
    layers = [fnn.Dense(16, "tanh", name="hidden"), fnn.Dense(2, name="output")]
    return fnn.Network(2, layers, seed=seed, device=device, allow_soft_placement=True)


def gradients(towers: Sequence[fnn.Network], x: np.ndarray, y: np.ndarray) -> Gradients:
    """Of the mean loss over x (n, n_in) and y (n,): sum over the towers, in their order, of rows / n times the gradient
    at their rows. n may be less than the towers."""
    shares = [rows for rows in np.array_split(np.arange(len(x)), len(towers)) if len(rows)]
    with ThreadPoolExecutor(len(shares)) as pool:
        parts = pool.map(
            lambda tower, rows: tower.gradients(x[rows], y[rows], loss="softmax_cross_entropy"), towers, shares
        )
        total: Gradients = {}
        for rows, part in zip(shares, parts, strict=True):
            for name, gradient in part.items():
                total[name] = total.get(name, np.float32(0)) + np.float32(len(rows) / len(x)) * gradient
    return total


def trained(towers: Sequence[str] | None, x: np.ndarray, y: np.ndarray, seed: int) -> fnn.Trainer:
    """After gradient descent on mini-batches that these devices share; None: on the network's own."""
    trainer = fnn.Trainer(network("cpu:0", seed), optimizer=fnn.SGD(RATE), towers=towers)
    trainer.fit(x, y, epochs=EPOCHS, batch_size=BATCH_SIZE, progress=False)
    return trainer
