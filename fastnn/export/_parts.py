"""What an exporter sees of a network: its arithmetic, step by step, without layers that do nothing in prediction."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import activations
from ..layers import Dense, Dropout, Rescaling

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..activations import Activation
    from ..network import Network


@dataclass(frozen=True)
class Affine:
    """x' = float32(float64(x) * scale + offset)"""

    scale: float
    offset: float


@dataclass(frozen=True)
class Product:
    """y = activation(x W + b); w (n_in, n_out), b (n_out,), float32.

    name: whose variables they are, the same where layers share them. activation: its name and its constants.
    """

    name: str
    w: NDArray[np.float32]
    b: NDArray[np.float32]
    activation: tuple[Any, ...]


@dataclass(frozen=True)
class Scale:
    """y = factor x, in float32: naive dropout in prediction"""

    factor: float


Part = Affine | Product | Scale


def parts(net: Network) -> list[Part]:
    """The steps from a row of the input to the last layer's outputs."""
    steps: list[Part] = []
    places = iter(net._places)
    for layer in net.layers:
        if isinstance(layer, Rescaling):
            steps.append(Affine(layer.scale, layer.offset))
        elif isinstance(layer, Dropout):
            if layer.predict_scale != 1:
                steps.append(Scale(layer.predict_scale))
        elif isinstance(layer, Dense):
            owner = net._places[next(places).first].name
            w, b = net.variables[f"{owner}/W"].value, net.variables[f"{owner}/b"].value
            steps.append(Product(owner, w, b, _rule(layer.activation)))
    return steps


def shared(steps: list[Part]) -> dict[str, Product]:
    """The products by name, each once: the variables to write."""
    return {step.name: step for step in steps if isinstance(step, Product)}


def _rule(activation: str | Activation) -> tuple[Any, ...]:
    """A softmax is the link's."""
    return ("linear",) if activation == "softmax" else activations.get(activation).rule
