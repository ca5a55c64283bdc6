"""From a list of layers to the engine's description of a network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from . import _checks, _core, activations
from ._places import Place
from .layers import Dense, Dropout, Layer, Mask, Rescaling

_MAX_PARAMETERS = 2**40  # 4 TiB; keeps the C side's sizes, padded to panels, far inside 64 bits


def check_layers(layers: Any) -> tuple[Layer, ...]:
    expected = "a sequence of Dense, Dropout and Rescaling layers"
    if isinstance(layers, str) or not isinstance(layers, Sequence):
        raise _checks.wrong_kind("layers", expected, layers)
    for i, layer in enumerate(layers):
        if not isinstance(layer, (Dense, Dropout, Rescaling)):
            raise _checks.wrong_kind(f"layers[{i}]", "a Dense, Dropout or Rescaling layer", layer)
        if isinstance(layer, Rescaling) and i > 0:
            raise ValueError(f"layers[{i}] must not be a Rescaling: it can only be the first layer")
        if isinstance(layer, Dropout) and i > 0 and isinstance(layers[i - 1], Dropout):
            raise ValueError(f"layers[{i}] must not be a Dropout: the layer before it is one already")
    dense = [i for i, layer in enumerate(layers) if isinstance(layer, Dense)]
    if not dense:
        raise ValueError(f"layers must hold at least one Dense layer, got {list(layers)}")
    if dense[-1] != len(layers) - 1:
        raise ValueError("layers must end with a Dense layer: the outputs have no dropout")
    for i in dense[:-1]:
        if layers[i].activation == "softmax":
            raise ValueError(f"layers[{i}] must not have activation 'softmax': only the last layer can")
    return tuple(layers)


def build(n_in: int, layers: tuple[Layer, ...], places: list[Place]) -> _core.Net:
    """The engine's network, with its masks and with parameters of zero."""
    _check_size(n_in, [place.dense.units for place in places])
    scale, offset = 1.0, 0.0
    dropouts: dict[int, tuple[int, float, float]] = {}  # by how many Dense layers stand before
    dense: list[Dense] = []
    for layer in layers:
        if isinstance(layer, Rescaling):
            scale, offset = layer.scale, layer.offset
        elif isinstance(layer, Dropout):
            dropouts[len(dense)] = (layer.threshold, layer.train_scale, layer.predict_scale)
        elif isinstance(layer, Dense):
            dense.append(layer)
    descriptions = [(layer.units, _engines(layer.activation), dropouts.get(i + 1)) for i, layer in enumerate(dense)]
    same_as = [place.first + 1 if place.first < i else 0 for i, place in enumerate(places)]
    net = _core.Net(n_in, scale, offset, dropouts.get(0), descriptions, same_as)
    for i, place in enumerate(places):
        _set_mask(net, i, place)
    return net


def _check_size(n_in: int, units: Sequence[int]) -> None:
    n = sum((above + 1) * below for above, below in zip([n_in, *units], units, strict=False))
    if max(n, n_in) > _MAX_PARAMETERS:
        raise ValueError(f"layers must have at most {_MAX_PARAMETERS:,} parameters and inputs, got {n:,} and {n_in:,}")


def _engines(activation: str | activations.Activation) -> tuple[Any, ...]:
    """What the engine takes: a softmax is its loss's, or its link's."""
    return ("linear",) if activation == "softmax" else activations.get(activation).rule


def _set_mask(net: _core.Net, i: int, place: Place) -> None:
    mask = place.dense.mask
    if isinstance(mask, Mask) and place.first == i:
        if mask.shape[0] != place.n_in:
            expected = f"a row for each of {place.n_in} inputs"
            raise ValueError(f"mask of {place.name!r} must have {expected}, got {mask!r}")
        net.set_mask(i, np.asarray(mask, np.float32))
