"""Networks as C99 and as ONNX: the same numbers outside the library."""

from __future__ import annotations

import ctypes
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


def compiled(source: Path) -> ctypes.CDLL:
    assert COMPILER is not None, "a C compiler built the library, so there is one"
    library = source.with_suffix(".so")
    subprocess.run([COMPILER, *FLAGS, str(source), "-o", str(library), "-lm"], check=True)
    return ctypes.CDLL(str(library))


def called(function: object, x: np.ndarray, n_out: int) -> np.ndarray:
    y = np.empty((len(x), n_out), np.float32)
    for row, result in zip(np.ascontiguousarray(x), y, strict=True):
        function(row.ctypes.data_as(ctypes.c_void_p), result.ctypes.data_as(ctypes.c_void_p))  # type: ignore[operator]
    return y


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


@pytest.mark.parametrize("activation", ["gelu", fnn.LeakyReLU(0.2)])
def test_other_activations_are_refused(tmp_path: Path, activation: str | fnn.LeakyReLU) -> None:
    net = fnn.Network(3, [fnn.Dense(4, activation, name="a"), fnn.Dense(2)])
    with pytest.raises(ValueError, match=r"^layer 'a' must have an activation of linear, .* to be exported, got "):
        net.to_c(tmp_path / "a.c")
    assert not (tmp_path / "a.c").exists()


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
