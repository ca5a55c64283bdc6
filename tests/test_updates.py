"""Update rules: a step of the engine against the formula in float64, given the engine's own gradient."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import fastnn as fnn
from fastnn import _core
from fastnn import reference as ref

Floats = NDArray[np.float64]

N, N_IN, N_OUT = 30, 37, 21
X = _core.draw("normal", N * N_IN, 0.0, 1.0, 2, 0).reshape(N, N_IN)
Y = _core.draw("normal", N * N_OUT, 0.0, 1.0, 2, 1).reshape(N, N_OUT)
U = 2.0**-24  # what one rounding to float32 errs by, relatively
RATE = float(np.float32(0.03))
OPTIMIZERS = {
    "sgd": fnn.SGD(RATE),
    "momentum": fnn.SGD(RATE, momentum=0.75, weight_decay=0.5),
    "nesterov": fnn.SGD(RATE, momentum=0.75, nesterov=True),
    "adam": fnn.Adam(RATE),
    "adamw": fnn.Adam(RATE, beta1=0.5, beta2=0.75, epsilon=0.125, weight_decay=0.5),
    "rmsprop": fnn.RMSProp(RATE),
    "rmsprop_momentum": fnn.RMSProp(RATE, decay=0.75, epsilon=0.125, momentum=0.75, weight_decay=0.5),
}
RESTRAINTS = {
    "none": {},
    "l2": {"regularizer": fnn.L2(0.5)},
    "l1": {"regularizer": fnn.L1(0.25)},
    "max_norm": {"constraint": fnn.MaxNorm(1.25)},
    "both": {"regularizer": fnn.L2(0.25), "constraint": fnn.MaxNorm(1.25)},
}


def as_restraint(regularizer: Any = None, constraint: Any = None) -> ref.Restraint:
    l2, l1 = (regularizer.l2, regularizer.l1) if regularizer is not None else (0.0, 0.0)
    return ref.Restraint(l2, l1, constraint.radius if constraint is not None else 0.0)


class Formula:
    """A variable's updates in float64, and how far float32 may be from them.

    Let u = 2^-24. A mean or sum of t gradients errs by (2 t + 3) u of that of their magnitudes: L2's sum, the
    constants, a product and t times a constant and a fused multiply-add. A mean of squares errs by (2 t + 5) u of
    itself, its root by half as much; root, scale, epsilon, sum, quotient and rate add 6 u. RMSProp's sum is of such
    quotients, and no longer than t. So a step errs by less than
    (3 t + 12) u of its magnitude. The weight is rounded twice, and decay's product and L1's threshold, all together 4 u
    of the weight and the threshold. A projection brings no two points further apart, and rounds the norm n + 2 times
    and the weight twice.
    """

    def __init__(self, optimizer: Any, restraint: ref.Restraint, decay: float, w: Floats) -> None:
        self.rule, self.restraint, self.decay, self.t = optimizer.rule, restraint, decay, 0
        self.name = self.rule["update"]
        self.has_squares = self.name in ("adam", "rmsprop")
        self.state = np.zeros((2, *w.shape) if self.has_squares else w.shape)
        self.size = np.zeros_like(w)

    def step(self, w: Floats, g: Floats) -> tuple[Floats, Floats]:
        """w after the step, and the tolerance."""
        self.t += 1
        adam = ref.Adam(*(self.rule.get(name, 0.0) for name in ("beta1", "beta2", "epsilon")), self.t)
        rule = {"momentum": self.rule.get("momentum", 0.0), "constants": adam if self.has_squares else None}
        restraint = self.restraint
        moved, self.state = ref.restrained_update(w, self.state, g, self.name, RATE, restraint, self.decay, **rule)
        step = self.magnitude(np.abs(g) + restraint.l2 * np.abs(w), adam)
        tolerance = U * ((3 * self.t + 12) * RATE * step + 4 * (np.abs(w) + RATE * restraint.l1))
        if restraint.max_norm > 0:
            tolerance = np.linalg.norm(tolerance, axis=0) + (len(w) + 4) * U * np.abs(moved)
        return moved, tolerance

    def magnitude(self, size: Floats, adam: ref.Adam) -> Floats:
        """The step if all gradients had one sign, but for the squares."""
        if self.name == "rmsprop":
            self.size = self.rule["momentum"] * self.size + size / (np.sqrt(self.state[1]) + adam.epsilon)
            return self.size
        if self.name != "adam":
            step, self.size = ref.update(0.0 * size, self.size, size, self.name, -1.0, self.rule["momentum"])
            return step
        self.size = adam.beta1 * self.size + (1.0 - adam.beta1) * size
        root = np.sqrt(self.state[1] / (1.0 - adam.beta2**self.t))
        return self.size / (1.0 - adam.beta1**self.t) / (root + adam.epsilon)


@pytest.mark.parametrize("restraint", RESTRAINTS)
@pytest.mark.parametrize("rule", OPTIMIZERS)
def test_steps_are_the_formula(isa: str, rule: str, restraint: str) -> None:
    held = RESTRAINTS[restraint]
    net = fnn.Network(N_IN, [fnn.Dense(N_OUT, bias_initializer="random_normal", **held)], seed=4)
    trainer = fnn.Trainer(net, "squared_error", OPTIMIZERS[rule])
    w, b = (np.asarray(variable, np.float64) for variable in net.variables.values())
    weights = Formula(trainer.optimizer, as_restraint(**held), trainer.optimizer.weight_decay, w)
    biases = Formula(trainer.optimizer, ref.Restraint(), 0.0, b)
    for _ in range(5):
        gradients = [g.astype(np.float64) for g in net.gradients(X, Y, loss="squared_error").values()]
        trainer.fit(X, Y, batch_size=N, shuffle=False)
        moved = [np.asarray(variable, np.float64) for variable in net.variables.values()]
        for formula, before, g, found in zip((weights, biases), (w, b), gradients, moved, strict=True):
            expected, tolerance = formula.step(before, g)
            assert (np.abs(found - expected) <= tolerance).all()
            assert np.abs(found - before).max() > 100 * tolerance.max()
        w, b = moved
