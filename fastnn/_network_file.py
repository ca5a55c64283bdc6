"""Networks as files: safetensors of the variables by name and, as metadata, one JSON text that tells the rest."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from . import _checks, _devices, _places, cuda, losses
from .layers import Layer
from .network import Network
from .scopes import Scope

if TYPE_CHECKING:
    from numpy.typing import NDArray

_FORMAT = "fastnn-network"
_FORMAT_VERSION = 1


def to_contents(net: Network) -> tuple[dict[str, str], dict[str, NDArray[Any]]]:
    """Metadata and tensors of its file."""
    config = {
        "format_version": _FORMAT_VERSION,
        "n_in": net.n_in,
        "layers": [config | ({"mask": None} if "mask" in config else {}) for config in _places.to_config(net.layers)],
        "seed": net.seed,
        "link": net.link,
        "scope": net.scope.name if net.scope is not None else None,
        "metadata": net.metadata,
        "frozen": [name for name, variable in net.variables.items() if not variable.trainable],
    }
    tensors = {name: variable.value for name, variable in net.variables.items()}
    for i, each in enumerate(net._places):
        if each.dense.mask is not None and each.first == i:
            tensors[f"{each.name}/mask"] = np.asarray(each.dense.mask)
    return {_FORMAT: json.dumps(config)}, tensors


def from_contents(
    metadata: Mapping[str, str],
    tensors: Mapping[str, NDArray[Any]],
    path: str | os.PathLike[str],
    device: str,
    precision: str = "fp32",
) -> Network:
    """The network of a file's contents, on that device; path: for messages."""
    device = _devices.place(device).device
    precision = cuda.check_precision(precision, device)
    try:
        config = json.loads(metadata.get(_FORMAT, "null"))
    except json.JSONDecodeError as error:
        raise ValueError(f"path must name a saved network, got {os.fspath(path)!r}: {error}") from error
    if not isinstance(config, dict):
        raise ValueError(f"path must name a saved network, got {os.fspath(path)!r}: safetensors of something else")
    if config.get("format_version") != _FORMAT_VERSION:
        found = config.get("format_version")
        raise ValueError(f"{os.fspath(path)!r} has format version {found}, this fastnn reads version {_FORMAT_VERSION}")
    try:
        scope = Scope(config["scope"]) if config.get("scope") is not None else None
        layers = _with_masks(_places.from_config(config["layers"]), config["n_in"], scope, tensors)
        net = Network(config["n_in"], layers, scope=scope, seed=config["seed"], device=device, precision=precision)
        net.link = _checks.choice("link", config["link"], losses.LINKS) if config["link"] is not None else None
        net.metadata.update(config.get("metadata", {}))
        for name, variable in net.variables.items():
            variable.assign(tensors[name])
            variable.trainable = name not in config["frozen"]
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{os.fspath(path)!r} does not hold a whole network: {error}") from error
    return net


def _with_masks(
    layers: list[Layer], n_in: int, scope: Scope | None, tensors: Mapping[str, NDArray[Any]]
) -> list[Layer]:
    """The layers of a file, where masks lie beside the weights."""
    places = _places.find_places(n_in, layers, f"{scope.name}/" if scope is not None else "")
    masked = {
        id(place.dense): dataclasses.replace(place.dense, mask=tensors[f"{place.name}/mask"])
        for place in places
        if f"{place.name}/mask" in tensors
    }
    return [masked.get(id(layer), layer) for layer in layers]
