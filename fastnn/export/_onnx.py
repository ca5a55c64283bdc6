"""ONNX: the network as a model that other runtimes read. Built with onnx's own helpers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .._version import __version__
from ._parts import Affine, Part, Product, Scale, parts, shared

if TYPE_CHECKING:
    from ..network import Network

OPSET = 20
_LINKS = {"softmax": ("Softmax", {"axis": 1}), "sigmoid": ("Sigmoid", {}), "exp": ("Exp", {})}
# those that are one operator; the others are methods of _Graph
_OPERATORS = {"sigmoid": "Sigmoid", "tanh": "Tanh", "relu": "Relu", "gelu": "Gelu", "softplus": "Softplus"}
_WITH_ALPHA = {"leaky_relu": "LeakyRelu", "elu": "Elu"}


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
    graph, steps = _Graph(helper), parts(net)
    for name, product in shared(steps).items():
        graph.constant(f"{name}/W", product.w)
        graph.constant(f"{name}/b", product.b)
    at = "x"
    for part in steps:
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
        z = self.add("Gemm", [x, f"{part.name}/W", f"{part.name}/b"])
        name, *constants = part.activation
        if name in _OPERATORS:
            return self.add(_OPERATORS[name], [z])
        if name in _WITH_ALPHA:
            return self.add(_WITH_ALPHA[name], [z], alpha=constants[0])
        if name == "silu":
            return self.add("Mul", [z, self.add("Sigmoid", [z])])
        if name == "threshold":
            return self._add_threshold(z)
        return self._add_linear(z, *constants)

    def _add_linear(self, z: str, slope: float = 1.0, intercept: float = 0.0) -> str:
        if (slope, intercept) == (1.0, 0.0):
            return z
        number = len(self.nodes)
        product = self.add("Mul", [z, self.constant(f"slope_{number}", np.float32(slope))])
        return self.add("Add", [product, self.constant(f"intercept_{number}", np.float32(intercept))])

    def _add_threshold(self, z: str) -> str:
        number = len(self.nodes)
        zero, low, high = (
            self.constant(f"{name}_{number}", np.float32(value))
            for name, value in (("zero", 0), ("low", -1), ("high", 1))
        )
        return self.add("Where", [self.add("Less", [z, zero]), low, high])
