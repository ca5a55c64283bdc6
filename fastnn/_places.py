"""Places of a network's Dense layers: what they are called, and which are places of one and the same layer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from . import _checks
from . import layers as _layers
from .layers import Dense, Layer


class Place(NamedTuple):
    """Where a Dense layer stands.

    name: the layer's, or for further places of the same object "name:2", "name:3". n_in: values that it reads here.
    first: the number of its first place, which is this one's unless the layer came before.
    """

    name: str
    dense: Dense
    n_in: int
    first: int


def find_places(n_in: int, layers: Sequence[Layer], prefix: str = "") -> list[Place]:
    """The Dense layers in order. prefix: of all names.

    ValueError: two layers have the same name, or one in two places would read different numbers of values.
    """
    dense = [layer for layer in layers if isinstance(layer, Dense)]
    taken = {layer.name for layer in dense}
    places: list[Place] = []
    for layer in dense:
        earlier = [place for place in places if place.dense is layer]
        if earlier:
            name, first = f"{earlier[0].name}:{len(earlier) + 1}", earlier[0].first
            if earlier[0].n_in != n_in:
                raise ValueError(
                    f"a layer in two places must read as many values in both, got {earlier[0].n_in} and {n_in} for "
                    f"{earlier[0].name}, {layer!r}"
                )
        else:
            name, first = prefix + _name(layer, len(places) + 1, taken), len(places)
            if any(place.name == name for place in places):
                raise ValueError(f"name must be unique, got {layer.name!r} for two layers")
        places.append(Place(name, layer, n_in, first))
        n_in = layer.units
    return places


def _name(layer: Dense, number: int, taken: set[str | None]) -> str:
    """The layer's own, or "dense_" and the first number from this on that gives a name which is not taken."""
    if layer.name is not None:
        return layer.name
    while f"dense_{number}" in taken:
        number += 1
    taken.add(f"dense_{number}")
    return f"dense_{number}"


def to_config(layers: Sequence[Layer]) -> list[dict[str, Any]]:
    """Descriptions of layers; of a Dense layer that came before, where in the list that was."""
    firsts = [next(i for i, other in enumerate(layers) if other is layer) for layer in layers]
    return [
        {"same_as": first} if first < i and isinstance(layer, Dense) else layer.to_config()
        for i, (first, layer) in enumerate(zip(firsts, layers, strict=True))
    ]


def from_config(configs: Sequence[Any]) -> list[Layer]:
    """The layers that ``to_config`` described."""
    layers: list[Layer] = []
    for config in configs:
        if isinstance(config, Mapping) and "same_as" in config:
            layers.append(layers[_checks.integer("same_as", config["same_as"], 0, len(layers) - 1)])
        else:
            layers.append(_layers.from_config(config))
    return layers
