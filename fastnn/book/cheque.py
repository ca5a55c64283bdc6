"""What an accuracy means (section "Logistic regression in TensorFlow"): cheques of $1000 to $9999, four digits each.

A cheque is read right only if all its digits are: with accuracy a for a digit, 1 - a^4 of them are read wrong. The book
has 28.7 %, "nearly 30 %", for its logistic regression; here both of its models are trained and judged so.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from . import _data, _draw, logistic, mlp
from ._result import Result
from ._run import Recipe, misread_cheques, train

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BOOK = {"the book's logistic regression": 0.919, "the book's multilayer perceptron": 0.982}


def run(seed: int) -> Result:
    data = _data.at_hand()
    recipes: dict[str, Recipe] = {
        "logistic regression, measured": logistic.RECIPES[logistic.DEFAULT],
        "multilayer perceptron, measured": mlp.RECIPES[mlp.DEFAULT],
    }
    measured = {
        name: train(recipe, data, seed=seed, num_threads=None, say=lambda _: None).test_accuracy
        for name, recipe in recipes.items()
    }
    accuracies = BOOK | measured
    lines = [f"digits: {data.name}"]
    lines += [f"{name:<34}{a:.2%} a digit, {misread_cheques(a):5.1%} of cheques" for name, a in accuracies.items()]
    before, after = (misread_cheques(a) for a in measured.values())
    shown = f"of {data.name}'s digits the two models would misread {before:.1%} and {after:.1%} of cheques"
    numbers = {"dataset": data.name, "accuracy": accuracies}
    return Result(
        shown, lines, numbers | {"misread": {n: misread_cheques(a) for n, a in accuracies.items()}}, accuracies
    )


def plot(result: Result) -> Figure:
    figure, (ax,) = _draw.panels(1)
    accuracy = np.linspace(0.85, 1.0, 200)
    ax.plot(accuracy, 1 - accuracy**4, color="black", label="$1 - a^4$")
    for i, (name, a) in enumerate(result.scene.items()):
        ax.plot(a, misread_cheques(a), "osDv"[i], color=f"C{i}", label=name)
    ax.set(xlabel="accuracy a of a digit", ylabel="cheques misread", title="Cheques of four digits")
    ax.grid(alpha=0.3)
    ax.legend(frameon=False, fontsize="small")
    figure.set_size_inches(6.0, 4.0)
    return figure
