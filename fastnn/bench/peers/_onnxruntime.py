"""ONNX Runtime."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import numpy as np

from ..samples import Array, Samples
from ..shapes import Shape
from ._peer import Peer, fastest

_OPSET, _IR = 17, 8  # read by every release of the last years
_ACTIVATIONS = {"relu": "Relu", "tanh": "Tanh"}


class OnnxRuntime(Peer):
    """Predictions of an ONNX model with any number of rows: by run, or with input and output bound beforehand."""

    name = "onnxruntime"
    package = "onnxruntime"
    trains = False

    @classmethod
    def why_not(cls, shape: Shape, num_threads: int | None) -> str | None:
        if find_spec("onnx") is None:
            return "onnx is not installed, which makes the model"
        return super().why_not(shape, num_threads)

    def __init__(self, shape: Shape, num_threads: int | None = None) -> None:
        super().__init__(shape, num_threads)
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.inter_op_num_threads = 1
        if num_threads is not None:
            options.intra_op_num_threads = num_threads
        model = self._model().SerializeToString()
        self._session: Any = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])

    def feed(self, data: Samples) -> None:
        raise NotImplementedError("onnxruntime does not train")

    def prepare(self) -> None:
        """Parameters never change, and threads are the session's."""

    def epoch(self) -> float:
        raise NotImplementedError("onnxruntime does not train")

    def _model(self) -> Any:
        from onnx import TensorProto, helper, numpy_helper

        shape, last = self.shape, len(self.shape.widths) - 2
        nodes, value = [], "x"
        for i in range(last + 1):
            nodes.append(helper.make_node("Gemm", [value, f"w{i}", f"b{i}"], [value := f"z{i}"]))
            if i < last and shape.activation in _ACTIVATIONS:
                nodes.append(helper.make_node(_ACTIVATIONS[shape.activation], [value], [value := f"a{i}"]))
        nodes.append(helper.make_node("Softmax" if shape.is_classifier else "Identity", [value], ["y"]))
        constants = [numpy_helper.from_array(v, f"{'wb'[k % 2]}{k // 2}") for k, v in enumerate(self._initial)]
        x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["rows", shape.widths[0]])
        y = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["rows", shape.widths[-1]])
        graph = helper.make_graph(nodes, "mlp", [x], [y], constants)
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=_IR)

    def predictor(self, x: Array) -> Callable[[], Any]:
        session, out = self._session, np.empty((len(x), self.shape.widths[-1]), np.float32)
        binding = session.io_binding()
        for bind, name, array in ((binding.bind_input, "x", x), (binding.bind_output, "y", out)):
            bind(name, "cpu", 0, np.float32, array.shape, array.ctypes.data)

        def bound() -> Array:
            session.run_with_iobinding(binding)
            return out

        def plain() -> Any:
            return session.run(None, {"x": x})[0]

        return fastest(plain, bound)
