"""Networks as C99 and as ONNX: the same numbers outside the library."""

from __future__ import annotations

import ctypes
import platform
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

import fastnn as fnn

COMPILER = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
FLAGS = ["-std=c99", "-O2", "-ffp-contract=off", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-shared", "-fPIC"]


def network(activation: str, loss: str | None, *, n_in: int = 19) -> fnn.Network:
    layers = [
        fnn.Rescaling(1 / 255, -0.1),
        fnn.Dense(21, activation, bias_initializer=fnn.RandomNormal(0.0, 0.3), name="scope/first"),
        fnn.Dropout(0.7, naive=True),
        fnn.Dense(5, bias_initializer=fnn.RandomNormal(0.0, 0.3)),
    ]
    net = fnn.Network(n_in, layers, seed=3)
    if loss is not None:
        fnn.Trainer(net, loss)
    return net


def rows(n: int, n_in: int) -> np.ndarray:
    x = np.random.default_rng(1).integers(0, 256, (n, n_in)).astype(np.float32)
    x[:, ::3] = 0
    return x


def compiled(source: Path, compiler: str | None = COMPILER, *flags: str) -> ctypes.CDLL:
    assert compiler is not None, "a C compiler built the library, so there is one"
    library = source.with_name(f"{source.stem}{Path(compiler).name}{''.join(flags)}.so")
    subprocess.run([compiler, *FLAGS, *flags, str(source), "-o", str(library), "-lm"], check=True)
    return ctypes.CDLL(str(library))


def ways() -> list[tuple[str | None, ...]]:
    """Compilers and flags."""
    fused = ("-O3", "-mfma") if platform.machine() == "x86_64" else ("-O3",)
    clang = shutil.which("clang")
    return [(COMPILER,), (COMPILER, *fused), *([(clang, *fused)] if clang is not None else [])]


def floats(n_in: int) -> np.ndarray:
    """Every exponent, both signs, zeros and subnormals among them, and the numbers about 1 in more detail."""
    rng = np.random.default_rng(0)
    bits = rng.integers(0, 2**32, 16000, dtype=np.uint32).view(np.float32)
    zeros = np.array([0.0, -0.0, 1e-45, -1e-45, 1e-39, -1e-39, 3.4e38, -3.4e38], np.float32)
    near = np.concatenate([rng.normal(0, scale, 8000) for scale in (0.1, 3, 60)]).astype(np.float32)
    return np.concatenate([zeros, bits[np.isfinite(bits)], near])[: 39000 // n_in * n_in].reshape(-1, n_in)


def alone(activation: str | fnn.Activation) -> fnn.Network:
    """y = f(x), sixteen numbers at once."""
    net = fnn.Network(16, [fnn.Dense(16, activation, name="f")], seed=0)
    net.variables["f/W"] = np.eye(16, dtype=np.float32)
    return net


def called(function: object, x: np.ndarray, n_out: int) -> np.ndarray:
    y = np.empty((len(x), n_out), np.float32)
    for row, result in zip(np.ascontiguousarray(x), y, strict=True):
        function(row.ctypes.data_as(ctypes.c_void_p), result.ctypes.data_as(ctypes.c_void_p))  # type: ignore[operator]
    return y


ONNX_TOLERANCE = 2e-6  # x up to 20, and the sigmoid of onnxruntime is off by 6e-8

CASES = [
    ("relu", "softmax_cross_entropy"),
    ("tanh", "sigmoid_cross_entropy"),
    ("sigmoid", "squared_error"),
    ("linear", None),
    ("tanh", "poisson"),
]


@pytest.mark.parametrize(("activation", "loss"), CASES)
def test_c_has_the_bits_of_the_library(tmp_path: Path, activation: str, loss: str | None) -> None:
    net = network(activation, loss)
    net.to_c(tmp_path / "net_1.c")
    library = compiled(tmp_path / "net_1.c")
    x = rows(40, net.n_in)
    x[0] *= 1e4  # saturates
    assert np.array_equal(called(library.net_1_outputs, x, 5).view(np.int32), net(x).view(np.int32))
    expected = net._predict(x, net.link or "identity", None)
    assert np.array_equal(called(library.net_1_predict, x, 5).view(np.int32), expected.view(np.int32))
    library.net_1_self_check.restype = ctypes.c_float
    assert library.net_1_self_check() == 0


ACTIVATIONS = [
    *(name for name in fnn.activations.NAMES if name != "softmax"),
    fnn.LeakyReLU(0.3),
    fnn.ELU(1.7),
    fnn.Linear(-0.7, 0.3),
]


@pytest.mark.parametrize("activation", ACTIVATIONS, ids=str)
def test_c_has_the_bits_of_every_activation(tmp_path: Path, activation: str | fnn.Activation) -> None:
    net, x = alone(activation), floats(16)
    net.to_c(tmp_path / "f.c")
    expected = net(x).view(np.int32)
    for way in ways():
        given = called(compiled(tmp_path / "f.c", *way).f_outputs, x, 16).view(np.int32)
        different = np.flatnonzero(given != expected)
        assert different.size == 0, (way, x.flat[different[:5]])


@pytest.mark.parametrize("activation", ACTIVATIONS, ids=str)
def test_onnx_has_every_activation(tmp_path: Path, activation: str | fnn.Activation) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    net = alone(activation)
    x = np.linspace(-20, 20, 1601, dtype=np.float32)[:1600].reshape(-1, 16)
    net.to_onnx(tmp_path / "f.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "f.onnx", providers=["CPUExecutionProvider"])
    np.testing.assert_allclose(session.run(["outputs"], {"x": x})[0], net(x), rtol=1e-6, atol=ONNX_TOLERANCE)


def test_shared_and_masked_layers_leave_too(tmp_path: Path) -> None:
    onnx, onnxruntime = pytest.importorskip("onnx"), pytest.importorskip("onnxruntime")
    shared = fnn.Dense(6, "gelu", name="shared")
    masked = fnn.Dense(5, "tanh", name="masked", mask=np.arange(30).reshape(6, 5) % 3 > 0)
    net = fnn.Network(6, [shared, shared, masked, fnn.Dense(2, "softmax", name="last")], seed=1)
    x = np.random.default_rng(0).normal(size=(20, 6)).astype(np.float32)
    net.to_c(tmp_path / "n.c")
    text = (tmp_path / "n.c").read_text()
    assert [line for line in text.splitlines() if "static const float w" in line] == [
        f"static const float w{i}[{n} * {m}] = {{" for i, n, m in ((1, 6, 6), (2, 6, 5), (3, 5, 2))
    ]
    expected = net.predict_proba(x)
    assert np.array_equal(called(compiled(tmp_path / "n.c").n_predict, x, 2).view(np.int32), expected.view(np.int32))
    net.to_onnx(tmp_path / "n.onnx")
    weights = [tensor.name for tensor in onnx.load(tmp_path / "n.onnx").graph.initializer]
    assert weights == [f"{layer}/{v}" for layer in ("shared", "masked", "last") for v in "Wb"]
    session = onnxruntime.InferenceSession(tmp_path / "n.onnx", providers=["CPUExecutionProvider"])
    np.testing.assert_allclose(session.run(["probabilities"], {"x": x})[0], expected, rtol=1e-5, atol=1e-6)


def test_the_self_check_sees_a_changed_weight(tmp_path: Path) -> None:
    net = network("tanh", None)
    net.to_c(tmp_path / "a.c", name="mine")
    text = (tmp_path / "a.c").read_text()
    first = text.index("b2[5] = {\n") + len("b2[5] = {\n")
    (tmp_path / "b.c").write_text(text[:first] + "1.5f +" + text[first:])
    library = compiled(tmp_path / "b.c")
    library.mine_self_check.restype = ctypes.c_float
    assert library.mine_self_check() == pytest.approx(1.5)


@pytest.mark.parametrize(("activation", "loss"), CASES)
def test_onnx_runtime_predicts_the_same(tmp_path: Path, activation: str, loss: str | None) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    net = network(activation, loss)
    net.to_onnx(tmp_path / "net.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "net.onnx", providers=["CPUExecutionProvider"])
    x = rows(40, net.n_in)
    given = session.run(None, {"x": x})
    # a few dozen products of size one, summed in another order, through functions a few units off
    np.testing.assert_allclose(given[0], net(x), rtol=1e-5, atol=4e-6)
    if net.link in ("softmax", "sigmoid", "exp"):
        second = "rates" if net.link == "exp" else "probabilities"
        assert [output.name for output in session.get_outputs()] == ["outputs", second]
        np.testing.assert_allclose(given[1], net._predict(x, net.link, None), rtol=1e-5, atol=4e-6)
    else:
        assert len(given) == 1


@pytest.mark.parametrize("name", ["", "2nd", "a b", "_x", "a-b"])
def test_a_name_must_be_an_identifier(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="name must be a C identifier, got"):
        network("relu", None).to_c(tmp_path / "x.c", name=name)
    with pytest.raises(TypeError, match="name must be a C identifier or None, got 3"):
        network("relu", None).to_c(tmp_path / "x.c", name=3)  # type: ignore[arg-type]
    assert not list(tmp_path.iterdir())
