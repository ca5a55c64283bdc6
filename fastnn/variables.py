"""Variables: the named parameters of networks, and which networks have them in common."""

from __future__ import annotations

from _thread import RLock
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from . import _checks, _core
from ._arrays import as_parameter
from .histogram import Histogram, as_edges
from .layers import Mask

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from ._places import Place
    from .scopes import Scope


class Storage:
    """Where the values of a variable are: in the first network that had it, which others follow."""

    def __init__(
        self, net: _core.Net, layer: int, which: str, shape: tuple[int, ...], mask: Mask | None = None
    ) -> None:
        self.net, self.layer, self.which, self.shape, self.mask = net, layer, which, shape, mask
        self.is_trainable = True
        self.is_set = False


class Variable:
    """One named parameter of a network: "hidden_1/W" (n_in, n_out) or "hidden_1/b" (n_out,), float32.

    Networks with a layer in common have its variables in common, though each may call them otherwise.
    """

    def __init__(self, name: str, storage: Storage) -> None:
        self.name = name
        self._storage = storage

    @property
    def shape(self) -> tuple[int, ...]:
        """(n_in, n_out) or (n_out,)."""
        return self._storage.shape

    @property
    def trainable(self) -> bool:
        """False freezes it, from the next epoch on, in every network that has it."""
        return self._storage.is_trainable

    @trainable.setter
    def trainable(self, value: bool) -> None:
        self._storage.is_trainable = _checks.flag("trainable", value)

    @property
    def size(self) -> int:
        """Number of values."""
        return int(np.prod(self.shape))

    @property
    def n_parameters(self) -> int:
        """Number of values that are not masked: of a matrix with a mask those of its connections."""
        mask = self._storage.mask
        return self.size if mask is None else mask.n_connections

    @property
    def value(self) -> NDArray[np.float32]:
        """A read-only copy of the values. RuntimeError: it has none yet."""
        self._require()
        storage = self._storage
        array: NDArray[np.float32] = storage.net.matrix(storage.layer, storage.which)
        array.flags.writeable = False
        return array

    def assign(self, value: ArrayLike) -> None:
        """Sets all values.

        TypeError: not numbers. ValueError: another shape, a value that is not finite, or one that is not 0 where the
        layer's mask is.
        """
        storage = self._storage
        storage.net.assign(storage.layer, storage.which, self._checked(value), self.name)
        storage.is_set = True

    def _checked(self, value: ArrayLike) -> NDArray[np.float32]:
        """As it can be assigned."""
        value = as_parameter(value, self.shape, self.name)
        if self._storage.mask is None:
            return value
        is_free = np.asarray(self._storage.mask, bool)
        wrong = np.argwhere((value != 0) & ~is_free)
        if len(wrong) > 0:
            at = tuple(int(i) for i in wrong[0])
            raise ValueError(f"{self.name} must be 0 where its mask is, got {value[at]} at {at}")
        return np.where(is_free, value, np.float32(0))

    def _require(self) -> None:
        if not self._storage.is_set:
            raise RuntimeError(
                f"variable {self.name!r} must be initialised before it is used: its layer has no initializer; assign "
                f"it, as in net.variables[{self.name!r}] = array"
            )

    def histogram(self, edges: ArrayLike | None = None) -> Histogram:
        """How the values are distributed, counted where they lie: see ``Histogram``.

        edges: (n_bins + 1,) finite and ascending; None: those of TensorBoard, between which all values lie.
        TypeError, ValueError: edges are none of these.
        """
        self._require()
        checked, storage = as_edges(edges), self._storage
        counts, n_finite, *moments = storage.net.histogram(storage.layer, storage.which, checked)
        return Histogram(counts, checked, self.size, n_finite, *moments)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        if copy is False:
            raise ValueError(f"{self.name} cannot be had without a copy: the engine stores it in panels")
        return self.value if dtype is None else self.value.astype(dtype, copy=False)

    def __repr__(self) -> str:
        state = ("" if self.trainable else ", trainable=False") + ("" if self._storage.is_set else ", without values")
        return f"Variable({self.name!r}, shape={self.shape}{state})"


class Variables(Mapping[str, Variable]):
    """A network's variables by name, in the order of its layers; ``variables[name] = array`` assigns."""

    def __init__(self, variables: Sequence[Variable]) -> None:
        self._by_name = {variable.name: variable for variable in variables}

    def __getitem__(self, name: str) -> Variable:
        try:
            return self._by_name[name]
        except KeyError:
            raise KeyError(f"no variable {name!r}; there are {', '.join(self._by_name)}") from None

    def __setitem__(self, name: str, value: ArrayLike) -> None:
        self[name].assign(value)

    def __iter__(self) -> Iterator[str]:
        return iter(self._by_name)

    def __len__(self) -> int:
        return len(self._by_name)

    def __repr__(self) -> str:
        return f"Variables({', '.join(map(repr, self.values()))})"


# ---- variables of a network's layers ---------------------------------------------------------------------------------

Pair = tuple[Storage, Storage]  # W and b of a layer; a Dense object holds its own, a scope those of its names

_lock = RLock()  # of what layers and scopes hold; an initialiser of the user's own may build networks


def take_variables(
    net: _core.Net, places: Sequence[Place], scope: Scope | None, seed: int, is_seed_given: bool
) -> list[Variable]:
    """Variables of a network: those that its layers or its scope hold already, others new and with first values.

    ValueError: the scope objects, a shape does not fit, or a seed is given though nothing is new.
    """
    owners = {i: place for i, place in enumerate(places) if place.first == i}
    with _lock:
        held = {i: _held(place, scope) for i, place in owners.items()}
        _check_held(list(held.values()), is_seed_given)
        pairs = {i: held[i] or _new_pair(net, i, place) for i, place in owners.items()}
        variables = [Variable(f"{owners[i].name}/{each.which}", each) for i, pair in pairs.items() for each in pair]
        draw_values(variables, places, seed, only_of=net)
        for i, place in owners.items():
            if held[i] is not None:
                first = pairs[i][0]
                net.join(i, first.net.share(first.layer))
            place.dense.__dict__["_variables"] = pairs[i]
            if scope is not None:
                scope.register(place.name, pairs[i])
    return variables


def draw_values(variables: Sequence[Variable], places: Sequence[Place], seed: int, only_of: _core.Net | None) -> None:
    """First values, as initialisers have them, for a network's variables; only_of: for those that are kept there."""
    layers = [place.dense for i, place in enumerate(places) if place.first == i]
    for i, variable in enumerate(variables):
        initializer = layers[i // 2].initializer if i % 2 == 0 else layers[i // 2].bias_initializer
        if initializer is not None and only_of in (None, variable._storage.net):
            value, mask = initializer(variable.shape, seed=seed, variable=i), variable._storage.mask  # type: ignore[operator]
            variable.assign(value if mask is None else value * np.asarray(mask))


def _new_pair(net: _core.Net, layer: int, place: Place) -> Pair:
    n_in, units, mask = place.n_in, place.dense.units, place.dense.mask
    assert mask is None or isinstance(mask, Mask)
    return Storage(net, layer, "W", (n_in, units), mask), Storage(net, layer, "b", (units,))


def _held(place: Place, scope: Scope | None) -> Pair | None:
    """The variables that a layer has before it comes into this network, or None."""
    own: Pair | None = place.dense.__dict__.get("_variables")
    pair = own if scope is None else scope.find(place.name) or own
    if own is not None and pair is not own:
        raise ValueError(f"{place.name} must be a new layer to share the scope's variables, got one that has its own")
    shape = (place.n_in, place.dense.units)
    if pair is not None and pair[0].shape != shape:
        raise ValueError(f"{place.name}/W must have shape {shape} here, got a layer that has {pair[0].shape} already")
    if pair is not None and pair[0].mask != place.dense.mask:
        raise ValueError(f"mask of {place.name!r} must be its variables', {pair[0].mask}, got {place.dense.mask}")
    return pair


def _check_held(pairs: Sequence[Pair | None], is_seed_given: bool) -> None:
    if is_seed_given and None not in pairs:
        raise ValueError(
            "seed must be left out where nothing is to be initialised: all layers have variables already, those of an "
            "earlier network, and share them; copy.deepcopy(layers) makes new ones"
        )
    known = [id(pair) for pair in pairs if pair is not None]
    if len(set(known)) < len(known):
        raise ValueError("layers must have variables of their own, or be the same object, got two that share them")
