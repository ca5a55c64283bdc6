"""ONNX: the network as a model that other runtimes read. Built with onnx's own helpers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .._version import __version__
from ._parts import Affine, Part, Product, Scale, parts

if TYPE_CHECKING:
    from ..network import Network

OPSET = 20
_LINKS = {"softmax": ("Softmax", {"axis": 1}), "sigmoid": ("Sigmoid", {}), "exp": ("Exp", {})}
_ACTIVATIONS: dict[str, tuple[str, dict[str, Any]]] = {
    "sigmoid": ("Sigmoid", {}),
    "tanh": ("Tanh", {}),
    "relu": ("Relu", {}),
}


def onnx_model(net: Network) -> bytes:
    """The model, serialised: input "x" (n, n_in) float32, outputs "outputs" and, for a classifier, "probabilities", or
    under the link "exp" "rates".

    ImportError: onnx is missing.
    """
    try:
        import onnx
        from onnx import helper
    except ImportError as error:
        raise ImportError("to_onnx needs onnx: pip install 'fastnn[onnx]'") from error
    graph = _Graph(helper)
    at = "x"
    for part in parts(net):
        at = graph.add_part(part, at)
    graph.add("Identity", [at], "outputs")
    results = ["outputs"]
    if net.link in _LINKS:
        operator, attributes = _LINKS[net.link]
        results.append(
            graph.add(operator, ["outputs"], "rates" if net.link == "exp" else "probabilities", **attributes)
        )

    def described(name: str, columns: int) -> Any:
        return helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, ["n", columns])

    model = helper.make_model(
        helper.make_graph(
            graph.nodes,
            "network",
            [described("x", net.n_in)],
            [described(r, net.n_out) for r in results],
            graph.tensors,
        ),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=9,  # the first with this opset, for older runtimes
        producer_name="fastnn",
        producer_version=__version__,
    )
    onnx.checker.check_model(model)
    serialised: bytes = model.SerializeToString()
    return serialised


class _Graph:
    """Nodes and constants; names of values count up."""

    def __init__(self, helper: Any) -> None:
        self._helper = helper
        self.nodes: list[Any] = []
        self.tensors: list[Any] = []

    def add(self, operator: str, inputs: list[str], output: str | None = None, **attributes: Any) -> str:
        output = output or f"value_{len(self.nodes) + 1}"
        self.nodes.append(self._helper.make_node(operator, inputs, [output], **attributes))
        return output

    def constant(self, name: str, array: Any) -> str:
        from onnx import numpy_helper

        self.tensors.append(numpy_helper.from_array(np.asarray(array), name))
        return name

    def add_part(self, part: Part, x: str) -> str:
        if isinstance(part, Affine):
            return self._add_affine(part, x)
        if isinstance(part, Scale):
            factor = self.constant(f"factor_{len(self.nodes)}", np.float32(part.factor))
            return self.add("Mul", [x, factor])
        return self._add_product(part, x)

    def _add_affine(self, part: Affine, x: str) -> str:
        """In double, as the library does."""
        from onnx import TensorProto

        scale = self.constant("scale", np.float64(part.scale))
        offset = self.constant("offset", np.float64(part.offset))
        product = self.add("Mul", [self.add("Cast", [x], to=TensorProto.DOUBLE), scale])
        return self.add("Cast", [self.add("Add", [product, offset])], to=TensorProto.FLOAT)

    def _add_product(self, part: Product, x: str) -> str:
        w, b = self.constant(f"{part.name}/W", part.w), self.constant(f"{part.name}/b", part.b)
        z = self.add("Gemm", [x, w, b])
        if part.activation == "linear":
            return z
        operator, attributes = _ACTIVATIONS[part.activation]
        return self.add(operator, [z], **attributes)
