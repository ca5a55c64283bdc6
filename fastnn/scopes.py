"""Scopes: names around the variables of networks, and a guard against sharing them by accident.

Nothing is global: a scope knows what was created in it, and in the scopes within it, and goes where it is passed.
"""

from __future__ import annotations

from . import _checks
from .layers import is_name
from .variables import Pair, Variable, Variables


class Scope:
    """A name for the variables of networks.

        scope = fnn.Scope("my_network")
        net = fnn.Network(784, [fnn.Dense(10, name="layer_1")], scope=scope)  # has my_network/layer_1/W and .../b
        twin = fnn.Network(784, [fnn.Dense(10, name="layer_1")], scope=scope.reuse())  # has the same
        other = fnn.Network(784, [fnn.Dense(10, name="layer_1")], scope=scope / "tower_1")  # my_network/tower_1/...

    A network creates its variables in its scope; a name that exists there already is an over-sharing error, unless
    ``reuse`` asks for what exists. ``scope / name`` is a scope within it. Two Scopes of one name are strangers.
    name: parts of letters, digits, "_", "-" and "." with "/" between them.
    TypeError, ValueError: name is none.
    Source: Buduma, Fundamentals of Deep Learning, chapter 3 (variable scopes and sharing variables).
    """

    def __init__(self, name: str) -> None:
        self.name = _check_name(name)
        self.is_reusing = False
        self._known: dict[str, Pair] = {}  # by the layer's whole name

    def __truediv__(self, name: str) -> Scope:
        return self._like(f"{self.name}/{_check_name(name)}", self.is_reusing)

    def reuse(self) -> Scope:
        """The same scope for networks that share the variables which exist in it: each of theirs has to."""
        return self._like(self.name, True)

    def _like(self, name: str, is_reusing: bool) -> Scope:
        scope = Scope(name)
        scope.is_reusing, scope._known = is_reusing, self._known
        return scope

    @property
    def variables(self) -> Variables:
        """Those in this scope and in the scopes within it, in the order in which they were created."""
        return Variables(
            [
                Variable(f"{layer}/{storage.which}", storage)
                for layer, pair in self._known.items()
                if layer.startswith(f"{self.name}/")
                for storage in pair
            ]
        )

    def find(self, layer: str) -> Pair | None:
        """For a network that is built: the variables of a layer to share, or None where new ones are to be created.

        ValueError: they exist, and reuse was not asked for; or it was, and they do not.
        """
        pair = self._known.get(layer)
        if pair is not None and not self.is_reusing:
            raise ValueError(
                f"Over-sharing: Variable {layer}/W already exists, disallowed. "
                f"To share it, give the network scope.reuse() of scope {self.name!r}"
            )
        if pair is None and self.is_reusing:
            raise ValueError(
                f"Under-sharing: Variable {layer}/W does not exist, so scope {self.name!r} cannot reuse it"
            )
        return pair

    def register(self, layer: str, pair: Pair) -> None:
        """For a network that is built: its layer has these variables."""
        self._known[layer] = pair

    def __repr__(self) -> str:
        return f"Scope({self.name!r})" + (".reuse()" if self.is_reusing else "")


def _check_name(name: str) -> str:
    expected = 'a name such as "my_network" or "my_network/tower_1"'
    if not isinstance(name, str):
        raise _checks.wrong_kind("name", expected, name)
    if not is_name(name):
        raise _checks.wrong_value("name", expected, name)
    return str(name)
