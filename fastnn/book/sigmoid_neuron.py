"""The gradient of a sigmoidal neuron: dE/dw_k = - sum x_k y (1 - y) (t - y), E = 1/2 sum (t - y)^2.

What the engine gives is compared with this closed form, computed in float64; then the neuron learns. The factor
y (1 - y) is small where the neuron is sure of itself: it then learns slowly, right or wrong.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

import fastnn as fnn

from . import _draw
from ._result import Result

if TYPE_CHECKING:
    from matplotlib.figure import Figure

N, N_IN = 200, 6


def run(seed: int) -> Result:
    random = np.random.default_rng(seed)
    x = random.normal(size=(N, N_IN)).astype(np.float32)
    teacher = fnn.Neuron(random.normal(size=N_IN), 0.5, sigmoid)
    t = teacher.forward(x)
    net = fnn.Network(N_IN, [fnn.Dense(1, "sigmoid", name="neuron")], seed=seed)
    engine = net.gradients(x, t, loss="squared_error")["neuron/W"][:, 0] * N  # ours is of the mean
    formula = closed_form(net, x, t)
    difference = float(abs(engine - formula).max() / abs(formula).max())
    lines = [
        f"dE/dw_{k}: engine {a:+.6f}, closed form {b:+.6f}"
        for k, (a, b) in enumerate(zip(engine, formula, strict=True))
    ]

    trainer = fnn.Trainer(net, "squared_error", fnn.SGD(5.0))
    losses = trainer.fit(x, t, epochs=200, batch_size=20)["loss"]
    found = float(abs(net.variables["neuron/W"].value[:, 0] - teacher.weights).max())
    lines.append(f"trained: error {losses[0]:.4f} -> {losses[-1]:.1e}, the teacher's weights found to {found:.1e}")
    shown = f"the engine's gradient is the closed form's within {difference:.1e} of the largest component"
    return Result(shown, lines, {"difference": difference, "weights_found_to": found}, (engine, formula, losses))


def sigmoid(z: Any) -> Any:
    return 1 / (1 + np.exp(-z))


def closed_form(net: fnn.Network, x: np.ndarray, t: np.ndarray) -> np.ndarray:
    w, b = (np.asarray(net.variables[f"neuron/{name}"], np.float64) for name in "Wb")
    y = sigmoid(x @ w[:, 0] + b)
    gradient: np.ndarray = -(x * (y * (1 - y) * (t - y))[:, None]).sum(axis=0)
    return gradient


def plot(result: Result) -> Figure:
    figure, (compared, slope, learned) = _draw.panels(3)
    engine, formula, losses = result.scene
    ends = [min(formula), max(formula)]
    compared.plot(ends, ends, color="gray", label="equal")
    compared.plot(formula, engine, "o", label="$\\partial E / \\partial w_k$")
    compared.set(xlabel="closed form", ylabel="engine", title="The gradient")
    z = np.linspace(-8, 8, 200)
    y = sigmoid(z)
    slope.plot(z, y, label="y")
    slope.plot(z, y * (1 - y), label="y (1 - y)")
    slope.set(xlabel="logit z", title="Sure neurons learn slowly")
    learned.semilogy(range(1, len(losses) + 1), losses, label="training")
    learned.set(xlabel="epoch", ylabel="mean squared error / 2", title="The neuron learns from a teacher")
    for ax in (compared, slope, learned):
        _draw.legend(ax)
    return figure
