"""What an exporter sees of a network: its arithmetic, step by step, without layers that do nothing in prediction."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

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
    """y = activation(x W + b); w (n_in, n_out), b (n_out,), float32"""

    name: str
    w: NDArray[np.float32]
    b: NDArray[np.float32]
    activation: str


@dataclass(frozen=True)
class Scale:
    """y = factor x, in float32: naive dropout in prediction"""

    factor: float


Part = Affine | Product | Scale


_ACTIVATIONS = ("linear", "sigmoid", "tanh", "relu")


def _exported(activation: str | Activation, name: str) -> str:
    if activation == "softmax":
        return "linear"
    if not isinstance(activation, str) or activation not in _ACTIVATIONS:
        raise ValueError(
            f"layer {name!r} must have an activation of {', '.join(_ACTIVATIONS)} to be exported, got {activation}"
        )
    return activation


def parts(net: Network) -> list[Part]:
    """The steps from a row of the input to the last layer's outputs. ValueError: an activation that is not exported."""
    steps: list[Part] = []
    places = iter(net._places)
    for layer in net.layers:
        if isinstance(layer, Rescaling):
            steps.append(Affine(layer.scale, layer.offset))
        elif isinstance(layer, Dropout):
            if layer.predict_scale != 1:
                steps.append(Scale(layer.predict_scale))
        elif isinstance(layer, Dense):
            name, _, _, first = next(places)
            owner = net._places[first].name
            w, b = net.variables[f"{owner}/W"].value, net.variables[f"{owner}/b"].value
            steps.append(Product(name, w, b, _exported(layer.activation, name)))
    return steps
