"""Networks on a GPU with the products of NVIDIA's cuBLASLt. Where CUDA is emulated, tests/c/cublaslt.c stands in."""

from __future__ import annotations

import copy
import ctypes
import gc
import importlib
import os
import pathlib
import pickle
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import fastnn as fnn
from fastnn import _core

IS_EMULATED = fnn.cuda.is_available() and fnn.cuda.device_name(0) == "emulated on the host"


def why_not() -> str:
    """Why nothing can be computed here; "" if it can."""
    if not fnn.cuda.is_available():
        return "there is no CUDA module, or no GPU"
    try:
        if not IS_EMULATED:  # which has a stand-in
            fnn.Network(64, [fnn.Dense(64)], device="gpu:0", precision="tf32")
    except RuntimeError as error:
        return str(error)
    return ""


WHY_NOT = why_not()
needs_cuda = pytest.mark.skipif(WHY_NOT != "", reason=WHY_NOT)
needs_emulation = pytest.mark.skipif(not IS_EMULATED, reason="there is no emulated CUDA module")

pytestmark = pytest.mark.usefixtures("blas")

OTHERS = fnn.cuda.PRECISIONS[1:]

N, N_IN, N_OUT = 45, 70, 5
RANDOM = np.random.default_rng(3)
X = RANDOM.normal(size=(N, N_IN)).astype(np.float32)
LABELS = RANDOM.integers(0, N_OUT, N)
VALUES = RANDOM.normal(size=(N, N_OUT)).astype(np.float32)


def count(blas: ctypes.CDLL | None, name: str) -> int:
    assert blas is not None
    return ctypes.c_int.in_dll(blas, f"fake_blas_{name}").value


def network(precision: str, *layers: Any, n_in: int = N_IN, device: str = "gpu:0") -> fnn.Network:
    return fnn.Network(n_in, copy.deepcopy(list(layers)), seed=7, device=device, precision=precision)


def close(one: Any, other: Any, tolerance: float) -> None:
    """Within that share of the largest value."""
    one, other = np.asarray(one, float), np.asarray(other, float)
    assert one.shape == other.shape
    np.testing.assert_allclose(one, other, rtol=0, atol=tolerance * max(1e-30, np.abs(other).max()))


def check(
    stack: list[Any], y: Any = LABELS, fit: dict[str, Any] | None = None, tolerance: float = 2e-5, **trainer: Any
) -> None:
    """That the precisions which keep nearly all digits come, after two epochs of five steps, to what fp32 comes to."""
    said = []
    for precision in ("fp32", "fp32-blas", "3xtf32"):
        net = network(precision, *stack)
        coach = fnn.Trainer(net, **({"optimizer": fnn.SGD(0.05)} | trainer))
        coach.fit(X, y, **({"epochs": 2, "batch_size": 10} | (fit or {})))
        state = [array for arrays in coach._training.get_state().values() for array in arrays]
        gradients = net.gradients(X, y, loss=trainer.get("loss"))
        evaluated = coach.evaluate(X, y)
        said.append([net.get_flat(), net(X), coach.batch_losses, *evaluated.values(), *state, *gradients.values()])
        said[-1] += net.activities(X).values()
    for others in said[1:]:
        for one, other in zip(said[0], others, strict=True):
            close(other, one, tolerance)
        assert (said[0][0] != others[0]).any()  # it was computed by another library


# ---- all that a network may have ----


@needs_cuda
@pytest.mark.parametrize(
    "activation", ["linear", "sigmoid", "tanh", "relu", "elu", "leaky_relu", "gelu", "silu", "softplus"]
)
def test_activations(activation: str) -> None:
    check([fnn.Rescaling(0.5, 0.25), fnn.Dense(66, activation), fnn.Dense(80, activation), fnn.Dense(N_OUT)])


@needs_cuda
@pytest.mark.parametrize(
    ("loss", "y"),
    [
        ("softmax_cross_entropy", LABELS),
        ("sigmoid_cross_entropy", (VALUES > 0).astype(np.float32)),
        ("squared_error", VALUES),
        ("absolute_error", VALUES),
        (fnn.losses.Huber(0.5), VALUES),
        ("poisson", np.abs(VALUES)),
    ],
)
@pytest.mark.parametrize("n_out", [N_OUT, 65])
def test_losses(loss: Any, y: Any, n_out: int) -> None:
    """By an own kernel's last layer and by the library's."""
    y = y if y.ndim == 1 else np.tile(y, (1, 13))[:, :n_out]
    check([fnn.Dense(64, "tanh"), fnn.Dense(n_out)], y=y, loss=loss, optimizer=fnn.SGD(0.01))


@needs_cuda
@pytest.mark.parametrize(
    "optimizer",
    [
        fnn.SGD(0.05, momentum=0.9, nesterov=True),
        fnn.SGD(0.05, weight_decay=0.01),
        fnn.Adam(0.01, epsilon=1e-3),
        fnn.RMSProp(0.001, momentum=0.5, epsilon=1e-3),
    ],
    ids=repr,
)
@pytest.mark.parametrize("extra", [{}, {"clip_norm": 0.5, "clip_value": 0.1}], ids=["fused", "clipped"])
def test_optimizers(optimizer: Any, extra: Any) -> None:
    check([fnn.Dense(65, "gelu"), fnn.Dense(66, "tanh"), fnn.Dense(N_OUT)], optimizer=optimizer, **extra)


@needs_cuda
@pytest.mark.parametrize("naive", [False, True])
def test_dropout(naive: bool) -> None:
    drop = fnn.Dropout(0.7, naive=naive)
    check([drop, fnn.Dense(90, "gelu"), drop, fnn.Dense(67, "relu"), drop, fnn.Dense(64, "tanh")], y=LABELS)


@needs_cuda
def test_regularizers_and_constraints() -> None:
    mask = (RANDOM.random((N_IN, 80)) < 0.5).astype(np.float32)
    first = fnn.Dense(80, "gelu", mask=mask, constraint=fnn.MaxNorm(0.5))
    check([first, fnn.Dense(64, constraint=fnn.MaxNorm(0.5))], regularizer=fnn.L2(0.05))
    check([fnn.Dense(80, "tanh", mask=mask), fnn.Dense(66)])
    check([first, fnn.Dense(64)], regularizer=fnn.L1(0.001), tolerance=1e-3)  # weights near its zeros jump


@needs_cuda
def test_shared_and_frozen_layers() -> None:
    shared = fnn.Dense(72, "tanh", name="shared")
    check([fnn.Dense(72, "relu"), shared, shared, fnn.Dense(N_OUT)], optimizer=fnn.SGD(0.05, momentum=0.5))
    flats = []
    for precision in ("fp32", "fp32-blas"):
        net = network(precision, fnn.Dense(72, "tanh", name="a"), fnn.Dense(70, "tanh", name="b"), fnn.Dense(N_OUT))
        net.variables["a/W"].trainable = net.variables["b/W"].trainable = False
        before = net.variables["a/W"].value
        fnn.Trainer(net).fit(X, LABELS, batch_size=10)
        np.testing.assert_array_equal(net.variables["a/W"].value, before)
        flats.append(net.get_flat())
    close(flats[1], flats[0], 2e-5)


@needs_cuda
@pytest.mark.parametrize("fit", [{"batch_size": 1}, {"batch_size": N}, {"batch_size": 64}, {"batch_size": 9}], ids=repr)
def test_batches(fit: Any) -> None:
    """Of one row, of all, of more than there are; an odd number of steps."""
    check([fnn.Dense(66, "tanh"), fnn.Dense(N_OUT)], fit=fit | {"epochs": 1})


@needs_cuda
@pytest.mark.parametrize("widths", [(64,), (63, 64, 64), (64, 16, 64, 64), (130, 64, 200)])
def test_shapes(widths: tuple[int, ...]) -> None:
    """Own kernels and the library's before and behind each other; weights that follow the batch's rows."""
    check([*(fnn.Dense(n, "tanh") for n in widths), fnn.Dense(N_OUT)])


@needs_cuda
@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_few_units_of_many_inputs(activation: str) -> None:
    """The library's from 1024 inputs on."""
    check([fnn.Dense(1024, activation), fnn.Dense(N_OUT)])


@needs_cuda
def test_many_rows_of_a_pass() -> None:
    x = np.resize(X, (9000, N_IN))
    nets = [network(precision, fnn.Dense(64, "tanh"), fnn.Dense(66)) for precision in ("fp32", "fp32-blas")]
    close(nets[1](x), nets[0](x), 2e-6)
    y = np.resize(LABELS, 9000)
    means = [fnn.Trainer(net).evaluate(x, y)["loss"] for net in nets]
    assert means[0] == pytest.approx(means[1], rel=1e-6)


# ---- the numbers ----


def rounded(x: Any, bits: int) -> NDArray[np.float64]:
    """To so many bits after the first, ties to even."""
    mantissas, exponents = np.frexp(np.asarray(x, np.float64))
    return np.ldexp(np.rint(np.ldexp(mantissas, bits + 1)), exponents - bits - 1)


BITS = {"fp32-blas": 23, "tf32": 10, "3xtf32": 23, "bf16": 7}


@needs_cuda
@pytest.mark.parametrize("precision", OTHERS)
def test_factors_are_rounded_and_sums_are_float(precision: str) -> None:
    """Forward and backward, against float64 of factors rounded to nearest; those of another precision are far off."""
    first, second = fnn.Dense(96, name="first"), fnn.Dense(66, name="second")
    net = network(precision, first, second)
    y = RANDOM.normal(size=(N, 66))
    gradients = net.gradients(X, y, loss="squared_error")
    w, v = (net.variables[name].value for name in ("first/W", "second/W"))
    h = net.activities(X)["first"]
    dy = (net(X) - y.astype(np.float32)) / np.float32(N)
    scale = np.abs(gradients["second/b"]).max() / np.abs(dy.sum(axis=0)).max()  # the loss's, of a mean of squares
    dy = np.float32(scale) * dy

    def products(bits: int) -> dict[str, NDArray[np.float64]]:
        x_, w_, h_, v_, dy_ = (rounded(each, bits) for each in (X, w, h, v, dy))
        dh = (dy_ @ v_.T).astype(np.float32)
        return {"h": x_ @ w_, "y": h_ @ v_, "second/W": h_.T @ dy_, "first/W": x_.T @ rounded(dh, bits)}

    found = {"h": h, "y": net(X), **gradients}
    off = {bits: distance(products(bits), found) for bits in sorted(set(BITS.values()))}
    own = BITS[precision]
    assert max(off[own].values()) < (3e-6 if own == 23 else 1e-4), off[own]
    for bits in set(off) - {own}:
        assert min(off[bits].values()) > 2e-4, off[bits]


def distance(products: dict[str, Any], found: dict[str, Any]) -> dict[str, float]:
    return {name: float(np.abs(found[name] - each).max() / np.abs(each).max()) for name, each in products.items()}


@needs_cuda
def test_bfloat16_from_layer_to_layer() -> None:
    """Against float64 of factors rounded to nearest; biases that have more digits than bfloat16 are rounded too."""
    net = network("bf16", fnn.Dense(96, "relu", name="a"), fnn.Dense(80, "relu", name="b"), fnn.Dense(66, name="c"))
    for name in "abc":
        net.variables[f"{name}/b"].assign(RANDOM.normal(size=net.variables[f"{name}/b"].shape).astype(np.float32))
    y = RANDOM.normal(size=(N, 66)).astype(np.float32)
    found = net.gradients(X, y, loss="squared_error")
    w, b = ({name: net.variables[f"{name}/{kind}"].value.astype(float) for name in "abc"} for kind in "Wb")
    x = {"a": rounded(X, 7)}
    x["b"] = rounded(np.maximum(x["a"] @ rounded(w["a"], 7) + rounded(b["a"], 7), 0), 7)
    x["c"] = rounded(np.maximum(x["b"] @ rounded(w["b"], 7) + rounded(b["b"], 7), 0), 7)
    close(net(X), x["c"] @ rounded(w["c"], 7) + b["c"], 1e-3)
    plain = np.maximum(np.maximum(X @ w["a"] + b["a"], 0) @ w["b"] + b["b"], 0) @ w["c"] + b["c"]
    assert np.abs(net(X) - plain).max() > 3e-3 * np.abs(plain).max()
    dy = net(X) - y
    dy *= np.abs(found["c/b"]).max() / np.abs(dy.sum(axis=0)).max()  # the loss's scale
    dy = rounded(dy, 7)
    for name, below in (("c", "b"), ("b", "a"), ("a", "")):
        close(found[f"{name}/W"], x[name].T @ dy, 1e-3)
        close(found[f"{name}/b"], dy.sum(axis=0), 2.0**-8)
        if below:
            dy = rounded((dy @ rounded(w[name], 7).T) * (x[name] > 0), 7)


@needs_cuda
def test_three_products_make_up_for_what_one_drops() -> None:
    errors = {}
    x = RANDOM.normal(size=(200, 256)).astype(np.float32)
    for precision in ("fp32", "tf32", "3xtf32"):
        net = network(precision, fnn.Dense(64, name="only"), n_in=256)
        exact = x.astype(float) @ net.variables["only/W"].value.astype(float)
        errors[precision] = float(np.sqrt(np.mean((net(x) - exact) ** 2)))
    assert errors["3xtf32"] < 4 * errors["fp32"]
    assert errors["tf32"] > 100 * errors["3xtf32"]


@needs_cuda
@pytest.mark.parametrize("precision", OTHERS)
def test_values_that_are_not_finite_stay_so(precision: str) -> None:
    x = X.copy()
    x[3, 5], x[4, 6], x[5, 7] = np.inf, np.nan, 3.4e38
    outputs = network(precision, fnn.Dense(64))(x)
    assert not np.isfinite(outputs[3:5]).any()
    assert np.isfinite(np.delete(outputs, (3, 4, 5), axis=0)).all()


@needs_cuda
@pytest.mark.parametrize("precision", OTHERS)
def test_a_training_repeats_its_bits(precision: str) -> None:
    flats = []
    for _ in range(2):
        net = network(precision, fnn.Dense(66, "relu"), fnn.Dropout(0.5), fnn.Dense(N_OUT))
        fnn.Trainer(net).fit(X, LABELS, epochs=2, batch_size=10)
        flats.append(net.get_flat())
    np.testing.assert_array_equal(*flats)


@needs_cuda
@pytest.mark.parametrize("precision", OTHERS)
@pytest.mark.parametrize("byte", [0x00, 0xFF])
def test_what_memory_held_changes_nothing(precision: str, byte: int) -> None:
    net = network(precision, fnn.Dense(67, "gelu"), fnn.Dense(66, "gelu"), fnn.Dense(N_OUT))
    data = _core.Data(net._net, X, LABELS, "softmax_cross_entropy")
    plain = net._net.gradients(data, "softmax_cross_entropy", 1)
    poisoned = net._net.gradients(data, "softmax_cross_entropy", 1, poison=byte)
    for one, other in zip(plain[1], poisoned[1], strict=True):
        np.testing.assert_array_equal(one, other)


# ---- whose products they are ----


@needs_emulation
@pytest.mark.parametrize("widths", [(64,), (63, 64), (65, 63, 64)])
def test_narrow_layers_keep_their_kernels(widths: tuple[int, ...], blas: ctypes.CDLL | None) -> None:
    before = count(blas, "products")
    nets = [network(each, *(fnn.Dense(n) for n in widths), n_in=63) for each in ("fp32", "tf32")]
    for net in nets:
        fnn.Trainer(net).fit(X[:, :63], LABELS, batch_size=10)
    np.testing.assert_array_equal(nets[0].get_flat(), nets[1].get_flat())
    assert count(blas, "products") == before


@needs_emulation
@pytest.mark.parametrize(("precision", "of_each"), [("fp32-blas", 1), ("tf32", 1), ("3xtf32", 3), ("bf16", 1)])
@pytest.mark.parametrize("n_steps", [4, 5])
def test_no_product_is_computed_in_vain(precision: str, of_each: int, n_steps: int, blas: ctypes.CDLL | None) -> None:
    """Of two layers: five a step, and again for each step of a graph before it is recorded."""
    coach = fnn.Trainer(network(precision, fnn.Dense(64, "relu"), fnn.Dense(66)))
    for recorded in (2, 0):
        before = count(blas, "products")
        coach.fit(X[: 9 * n_steps], LABELS[: 9 * n_steps], batch_size=9)
        assert count(blas, "products") - before == 5 * (n_steps + recorded) * of_each


@needs_emulation
def test_nothing_is_left_behind(blas: ctypes.CDLL | None) -> None:
    gc.collect()
    live = ctypes.CDLL(str(importlib.import_module("fastnn._cuda").__file__)).fnn_emulated_live
    before = count(blas, "objects"), live()
    net = network("tf32", fnn.Dense(64), fnn.Dense(66))
    fnn.Trainer(net).fit(X, LABELS, batch_size=10)
    net(X)
    assert count(blas, "objects") > before[0]
    del net
    gc.collect()
    assert (count(blas, "objects"), live()) == before


# ---- the argument ----


def test_precisions_are_checked() -> None:
    names = "'fp32', 'fp32-blas', 'tf32', '3xtf32', 'bf16'"
    with pytest.raises(ValueError, match=f"precision must be one of {names}, got 'fp16'"):
        fnn.Network(1, [fnn.Dense(1)], precision="fp16")
    with pytest.raises(TypeError, match=f"precision must be one of {names}, got 3"):
        fnn.Network(1, [fnn.Dense(1)], precision=3)  # type: ignore[arg-type]
    assert fnn.Network(1, [fnn.Dense(1)]).precision == "fp32"


@pytest.mark.parametrize("precision", OTHERS)
def test_the_cpu_has_one_precision(precision: str, tmp_path: pathlib.Path) -> None:
    expected = f"precision must be 'fp32' on 'cpu:0' .*, got '{precision}'"
    with pytest.raises(ValueError, match=expected):
        fnn.Network(1, [fnn.Dense(1)], precision=precision)
    with pytest.raises(ValueError, match=expected):
        fnn.Network(1, [fnn.Dense(1)], precision=precision, device="gpu:99", allow_soft_placement=True)
    net = fnn.Network(1, [fnn.Dense(1, "sigmoid")])
    net.save(tmp_path / "net.safetensors")
    with pytest.raises(ValueError, match=expected):
        fnn.load(tmp_path / "net.safetensors", precision=precision)
    fnn.Trainer(net).save(tmp_path / "trainer.safetensors")
    with pytest.raises(ValueError, match=expected):
        fnn.load_trainer(tmp_path / "trainer.safetensors", precision=precision)


@needs_cuda
def test_files_tell_no_precision_and_copies_keep_it(tmp_path: pathlib.Path) -> None:
    net = network("bf16", fnn.Dense(64, "relu"), fnn.Dense(66))
    for other in (copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        assert (other.device, other.precision) == ("gpu:0", "bf16")
        np.testing.assert_array_equal(other(X), net(X))
    net.save(tmp_path / "bf16.safetensors")
    network("fp32", fnn.Dense(64, "relu"), fnn.Dense(66)).save(tmp_path / "fp32.safetensors")
    assert (tmp_path / "bf16.safetensors").read_bytes() == (tmp_path / "fp32.safetensors").read_bytes()
    assert fnn.load(tmp_path / "bf16.safetensors", device="gpu:0").precision == "fp32"
    loaded = fnn.load(tmp_path / "bf16.safetensors", device="gpu:0", precision="bf16")
    np.testing.assert_array_equal(loaded(X), net(X))


@needs_cuda
def test_a_training_goes_on_from_a_file(tmp_path: pathlib.Path) -> None:
    coaches = [fnn.Trainer(network("tf32", fnn.Dense(64, "relu"), fnn.Dense(66))) for _ in range(2)]
    coaches[0].fit(X, LABELS, epochs=2, batch_size=10)
    coaches[1].fit(X, LABELS, epochs=1, batch_size=10)
    coaches[1].save(tmp_path / "trainer.safetensors")
    again = fnn.load_trainer(tmp_path / "trainer.safetensors", device="gpu:0", precision="tf32")
    assert again.network.precision == "tf32"
    again.fit(X, LABELS, epochs=1, batch_size=10)
    np.testing.assert_array_equal(again.network.get_flat(), coaches[0].network.get_flat())


# ---- failures ----


@needs_emulation
@pytest.mark.parametrize(
    ("failure", "said"),
    [("1", "no algorithm for this shape"), ("2", "the product failed to execute in cublasLtMatmul")],
)
def test_products_that_fail(failure: str, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    net = network("tf32", fnn.Dense(64), fnn.Dense(66))
    before, coach = net.get_flat(), fnn.Trainer(net)
    monkeypatch.setenv("FAKE_BLAS_FAILURE", failure)
    for call in (lambda: net(X), lambda: coach.fit(X, LABELS, batch_size=10), lambda: net.gradients(X, LABELS)):
        with pytest.raises(RuntimeError, match=f"gpu:0: {said}"):
            call()
    monkeypatch.delenv("FAKE_BLAS_FAILURE")
    np.testing.assert_array_equal(net.get_flat(), before)
    coach.fit(X, LABELS, batch_size=10)
    assert np.isfinite(net(X)).all()


MAKE_ONE = """
import sys
{before}
import fastnn as fnn
try:
    fnn.Network(64, [fnn.Dense(64)], device="gpu:0", precision="tf32")
except Exception as error:
    sys.exit(f"{{type(error).__name__}}: {{error}}")
with open("/proc/self/maps") as maps:
    print({{line.split()[-1] for line in maps if "libcublasLt" in line}})
"""


def made(before: str = "", **environment: str) -> tuple[str, str]:
    """What a process of its own says that makes one network: to stdout and to stderr."""
    clean = {name: value for name, value in os.environ.items() if name not in ("CUDA_HOME", "LD_LIBRARY_PATH")}
    code = MAKE_ONE.format(before=before)
    done = subprocess.run(
        [sys.executable, "-P", "-c", code], env=clean | environment, capture_output=True, text=True, timeout=60
    )
    return done.stdout, done.stderr


HAS_REAL_ONE = not made()[1] if IS_EMULATED else False


@needs_emulation
@pytest.mark.skipif(HAS_REAL_ONE, reason="cuBLASLt is installed")
def test_a_missing_library_is_told(tmp_path: pathlib.Path, build_blas: Callable[..., pathlib.Path]) -> None:
    said = made(CUDA_HOME=str(tmp_path))[1]
    assert said.startswith("RuntimeError: precision 'tf32' needs NVIDIA's cuBLASLt (pip install nvidia-cublas), which")
    for name in ("libcublasLt.so.13", "libcublasLt.so.12", f"{tmp_path}/lib64/libcublasLt.so.13"):
        assert f"{name}: cannot open shared object file" in said
    path = build_blas(tmp_path / "lib64", "-DcublasLtMatmul=another")
    assert f"{path} lacks cublasLtMatmul" in made(CUDA_HOME=str(tmp_path))[1]
    path.write_text("no library")
    assert f"{path}: file too short" in made(CUDA_HOME=str(tmp_path))[1]


@needs_emulation
@pytest.mark.skipif(HAS_REAL_ONE, reason="cuBLASLt is installed")
def test_where_it_is_looked_for(tmp_path: pathlib.Path, build_blas: Callable[..., pathlib.Path]) -> None:
    """Of several, that which is loaded already, then a wheel's, then what the system finds, then the toolkit's."""
    toolkit, system, loaded = (build_blas(tmp_path / name) for name in ("cuda/lib64", "system", "loaded"))
    wheel = build_blas(tmp_path / "site" / "nvidia" / "cu13" / "lib")
    older = wheel.rename(wheel.with_suffix(".12")) and build_blas(wheel.parent)
    environment = {"CUDA_HOME": str(tmp_path / "cuda")}
    assert made(**environment)[0] == f"{{{str(toolkit)!r}}}\n"
    environment["LD_LIBRARY_PATH"] = str(system.parent)
    assert made(**environment)[0] == f"{{{str(system)!r}}}\n"
    assert made(f"sys.path.append({str(tmp_path / 'site')!r})", **environment)[0] == f"{{{str(older)!r}}}\n"
    before = f"import ctypes; ctypes.CDLL({str(loaded)!r}); sys.path.append({str(tmp_path / 'site')!r})"
    assert made(before, **environment)[0] == f"{{{str(loaded)!r}}}\n"


@pytest.mark.skipif(not os.path.exists("/proc/self/maps"), reason="there is no /proc")
def test_fp32_looks_for_nothing() -> None:
    code = (
        "import fastnn as fnn, sys; fnn.Network(64, [fnn.Dense(64)], device='auto')(__import__('numpy').ones((1, 64)))"
    )
    code += "; sys.exit('libcublasLt' in open('/proc/self/maps').read())"
    subprocess.run([sys.executable, "-P", "-c", code], check=True, timeout=60)


@needs_cuda
def test_towers_have_the_precision_of_the_network() -> None:
    """One tower has the bits of none, and those differ from fp32's."""

    def trained(precision: str, towers: tuple[str, ...] | None) -> NDArray[np.float32]:
        net = fnn.Network(N_IN, [fnn.Dense(64, "tanh"), fnn.Dense(N_OUT)], seed=1, device="gpu:0", precision=precision)
        fnn.Trainer(net, optimizer=fnn.SGD(0.1), towers=towers).fit(X, LABELS, batch_size=15)
        return net.get_flat()

    np.testing.assert_array_equal(trained("bf16", ("gpu:0",)), trained("bf16", None))
    assert (trained("bf16", ("gpu:0",)) != trained("fp32", ("gpu:0",))).any()
