"""A training as the graph that TensorBoard draws: input, layers, loss and optimiser, with names and shapes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from . import _checks
from .layers import Dense, Dropout

if TYPE_CHECKING:
    from .layers import Layer
    from .trainer import Trainer

_ANY = -1  # rows of a batch


def graph_of(trainer: Trainer) -> Any:
    """A GraphDef of tensorboardX. The parts of a dense layer are in a scope of its name, which the page folds."""
    net = trainer.network
    dense = iter(net._dense)
    graph = _Graph({name.partition("/")[0] for name, _ in net._dense})
    at, n = graph.add("input", "Placeholder", (), (_ANY, net.n_in)), net.n_in
    for layer in net.layers:
        if isinstance(layer, Dense):
            at, n = graph.add_dense(next(dense)[0], layer, at, n), layer.units
        else:
            at = graph.add_other(layer, at, n)
    targets = graph.add("targets", "Placeholder", (), (_ANY,) if net.link == "softmax" else (_ANY, n))
    loss = graph.add("loss", type(trainer.loss).__name__, (at, targets), ())
    graph.add("optimizer", type(trainer.optimizer).__name__, (loss,), (), **_fields(trainer.optimizer))
    return graph.proto


def _fields(description: _checks.Described) -> dict[str, Any]:
    return {name: value for name, value in description.to_config().items() if name not in ("kind", "name")}


class _Graph:
    """Collects nodes. taken: names that a node outside all scopes must not have."""

    def __init__(self, taken: set[str]) -> None:
        from tensorboardX.proto.graph_pb2 import GraphDef
        from tensorboardX.proto.types_pb2 import DT_FLOAT

        self.proto, self._float = GraphDef(), DT_FLOAT
        self._taken = set(taken)

    def add(self, name: str, operator: str, inputs: tuple[str, ...], shape: tuple[int, ...], **attributes: Any) -> str:
        """A node outside all scopes; its name, which is another if there is a scope of that one."""
        free, number = name, 1
        while free in self._taken:
            free, number = f"{name}_{number}", number + 1
        self._taken.add(free)
        return self._add(free, operator, inputs, shape, **attributes)

    def add_dense(self, scope: str, layer: Dense, x: str, n_in: int) -> str:
        held = {"regularizer": layer.regularizer, "constraint": layer.constraint, "initializer": layer.initializer}
        held = {name: value for name, value in held.items() if value is not None}
        w = self._add(f"{scope}/W", "Variable", (), (n_in, layer.units), **held)
        b = self._add(f"{scope}/b", "Variable", (), (layer.units,), initializer=layer.bias_initializer)
        y = (_ANY, layer.units)
        product = self._add(f"{scope}/matmul", "MatMul", (x, w), y)
        logits = self._add(f"{scope}/add", "Add", (product, b), y)
        if layer.activation in ("linear", "softmax"):  # softmax is the loss's
            return logits
        activation = layer.activation if isinstance(layer.activation, str) else layer.activation.name
        return self._add(f"{scope}/{activation}", activation, (logits,), y)

    def add_other(self, layer: Layer, x: str, n: int) -> str:
        name = (layer.name if isinstance(layer, Dropout) else None) or type(layer).__name__.lower()
        return self.add(name, type(layer).__name__, (x,), (_ANY, n), **_fields(layer))

    def _add(self, name: str, operator: str, inputs: tuple[str, ...], shape: tuple[int, ...], **attributes: Any) -> str:
        node = self.proto.node.add(name=name, op=operator, input=inputs)
        node.attr["T"].type = self._float
        for size in shape:
            node.attr["shape"].shape.dim.add(size=size)
        node.attr["_output_shapes"].list.shape.add().CopyFrom(node.attr["shape"].shape)
        for key, value in attributes.items():
            node.attr[key].s = str(value).encode()
        return name
