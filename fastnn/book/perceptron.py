"""A linear perceptron that predicts exams (section "Linear perceptrons as neurons", Fig. 1-4), and where it fails.

The book gives the answer, w = [3, 4] and b = -24 for hours of sleep and of study; the perceptron rule finds another
line from examples. In the engine it is a layer of one unit with a threshold, which predicts and does not train. Of data
that "cannot be described well" by a line (Fig. 1-5) XOR and rings are two kinds: the rule never comes to rest there, a
hidden layer solves them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

import fastnn as fnn

from . import _draw, _points
from ._result import Result

if TYPE_CHECKING:
    from matplotlib.figure import Figure

EPOCHS = 1000
STUDENTS = 60


def run(seed: int) -> Result:
    book = fnn.Perceptron([3, 4], bias=-24)
    hours, passed = students(book, seed)
    learned = fnn.Perceptron([0, 0])
    mistakes = learned.fit(hours, passed, epochs=EPOCHS)
    agree = float(np.mean(learned.forward(hours) == passed))

    lines = [
        f"{sleep} h of sleep, {study} h of study: {book.forward([sleep, study]):+d}"
        for sleep, study in ((4, 5), (5, 1))
    ]
    w1, w2 = learned.weights
    lines.append(f"rule: w = [{w1:.2f}, {w2:.2f}], b = {learned.bias:g} after {sum(mistakes)} mistakes")
    in_layer = float(np.mean(layer(book)(hours)[:, 0] == passed))
    lines.append(f"the book's weights in a layer of one threshold unit: {in_layer:.0%} of {len(hours)} judged the same")
    numbers = {"mistakes": sum(mistakes), "epochs": len(mistakes), "accuracy": agree, "in_layer": in_layer}
    scene: dict[str, tuple[Any, ...]] = {"exam": (book, learned, hours, passed)}
    for name, (x, y) in {"xor": _points.xor(200, seed), "rings": _points.rings(200, seed)}.items():
        line, net = fnn.Perceptron([0, 0]), hidden_layer(x, y, seed)
        restless = min(line.fit(x, 2 * y - 1, epochs=100)) > 0
        by_line, by_net = float(np.mean((line.forward(x) > 0) == y)), float(np.mean(net.predict(x) == y))
        numbers |= {f"{name}_line": by_line, f"{name}_hidden_layer": by_net, f"{name}_separated": not restless}
        lines.append(f"{name}: a line {by_line:.1%} right, a hidden layer {by_net:.1%}")
        scene[name] = (line, net, x, y)
    kinds = {"a line": "line", "a hidden layer": "hidden_layer"}
    rights = (f"{says} {numbers[f'xor_{name}']:.0%} and {numbers[f'rings_{name}']:.0%}" for says, name in kinds.items())
    shown = f"a line has {agree:.0%} of the students right; of XOR and rings {', '.join(rights)}"
    return Result(shown, lines, numbers, scene)


def students(teacher: fnn.Perceptron, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Hours (n, 2) and -1 or +1 (n,): those whom the teacher judges clearly."""
    hours = np.random.default_rng(seed).uniform(0, (8, 6), (4 * STUDENTS, 2))
    hours = hours[abs(teacher.logit(hours)) > 3][:STUDENTS]
    return hours, teacher.forward(hours)


def layer(perceptron: fnn.Perceptron) -> fnn.Network:
    """The same in the engine."""
    net = fnn.Network(len(perceptron.weights), [fnn.Dense(1, fnn.Threshold(), name="perceptron")])
    net.variables["perceptron/W"] = perceptron.weights[:, None]
    net.variables["perceptron/b"] = [perceptron.bias]
    return net


def hidden_layer(x: np.ndarray, y: np.ndarray, seed: int) -> fnn.Network:
    net = fnn.Network(2, [fnn.Dense(16, "tanh"), fnn.Dense(2)], seed=seed)
    fnn.Trainer(net, "softmax_cross_entropy", fnn.Adam(0.01)).fit(x, y, epochs=100, batch_size=10)
    return net


def plot(result: Result) -> Figure:
    figure, (exam, *others) = _draw.panels(3)
    book, learned, hours, passed = result.scene["exam"]
    fnn.plots.decision_regions(book.forward, hours, passed, names=("fails", "passes"), ax=exam)
    _draw.line(exam, book.weights, book.bias, color="black", label="the book's line")
    _draw.line(exam, learned.weights, learned.bias, color="black", linestyle="--", label="the rule's line")
    exam.set(xlabel="hours of sleep", ylabel="hours of study", title="Exams (Fig. 1-4)")
    for ax, name in zip(others, ("xor", "rings"), strict=True):
        line, net, x, y = result.scene[name]
        fnn.plots.decision_regions(net, x, y, ax=ax)
        _draw.line(ax, line.weights, line.bias, color="black", linestyle="--", label="perceptron")
        ax.set_title(f"{'XOR' if name == 'xor' else 'Rings'}: regions of a hidden layer")
    for ax in (exam, *others):
        _draw.legend(ax)
    return figure
