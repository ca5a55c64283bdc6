"""Arrays that a user may bring: what works alike, and what is refused with an error that says what, why and where."""

from __future__ import annotations

import logging
import re
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fastnn as fnn
from fastnn import _arrays

N_IN, N_OUT, N = 4, 3, 6
X = np.arange(N * N_IN).reshape(N, N_IN).astype(np.float32) % 7
Y = np.arange(N) % N_OUT
LOSSES = ["softmax_cross_entropy", "sigmoid_cross_entropy", "squared_error"]


def make_net() -> fnn.Network:
    return fnn.Network(N_IN, [fnn.Dense(5, "tanh"), fnn.Dense(N_OUT)], seed=1)


def make_trainer(loss: str = "softmax_cross_entropy") -> fnn.Trainer:
    return fnn.Trainer(make_net(), loss)


class WithArray:
    def __init__(self, array: Any) -> None:
        self.array = array

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        return np.asarray(self.array, dtype=dtype)


class WithDlpack:
    def __init__(self, array: Any) -> None:
        self.array = array

    def __dlpack__(self, **options: Any) -> Any:
        return self.array.__dlpack__(**options)

    def __dlpack_device__(self) -> tuple[int, int]:
        return self.array.__dlpack_device__()


class OnAnotherDevice(WithDlpack):
    def __dlpack__(self, **options: Any) -> Any:
        raise BufferError("cannot export from this device")

    def __dlpack_device__(self) -> tuple[int, int]:
        return 2, 0


def read_only(a: np.ndarray) -> np.ndarray:
    a = a.copy()
    a.flags.writeable = False
    return a


def misaligned(a: np.ndarray) -> np.ndarray:
    memory = np.zeros(a.nbytes + 1, np.uint8)
    memory[1:] = np.frombuffer(a.tobytes(), np.uint8)
    view = np.frombuffer(memory.data, a.dtype, a.size, offset=1).reshape(a.shape)
    assert not view.flags.aligned
    return view


def wide(a: np.ndarray) -> np.ndarray:
    """Every second column and row of a larger array."""
    holder = np.full([2 * n for n in a.shape], 99, a.dtype)
    holder[tuple(slice(None, None, 2) for _ in a.shape)] = a
    return holder[tuple(slice(None, None, 2) for _ in a.shape)]


LAYOUTS: dict[str, Callable[[np.ndarray], Any]] = {
    "Fortran order": np.asfortranarray,
    "strided": wide,
    "negative strides": lambda a: a[::-1].copy()[::-1],
    "read-only": read_only,
    "other byte order": lambda a: a.astype(a.dtype.newbyteorder()),
    "misaligned": misaligned,
    "nested lists": lambda a: a.tolist(),
    "subclass": lambda a: a.view(type("Own", (np.ndarray,), {})),
    "__array__": WithArray,
    "__dlpack__": WithDlpack,
    "buffer": lambda a: memoryview(a),
    "float64": lambda a: a.astype(np.float64),
    "float16": lambda a: a.astype(np.float16),
    "int64": lambda a: a.astype(np.int64),
    "int8": lambda a: a.astype(np.int8),
    "uint8": lambda a: a.astype(np.uint8),
    "uint64": lambda a: a.astype(np.uint64),
}


# ---- what works ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("layout", LAYOUTS)
def test_inputs_of_any_layout_mean_the_same(layout: str) -> None:
    net = make_net()
    assert np.array_equal(net(LAYOUTS[layout](X)), net(X))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_labels_of_any_layout_mean_the_same(layout: str) -> None:
    trainer = make_trainer()
    assert trainer.evaluate(X, LAYOUTS[layout](Y)) == trainer.evaluate(X, Y)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_targets_of_any_layout_mean_the_same(layout: str, loss: str) -> None:
    trainer, targets = make_trainer(loss), np.eye(N_OUT, dtype=np.float32)[Y]
    assert trainer.evaluate(X, LAYOUTS[layout](targets)) == trainer.evaluate(X, targets)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_parameters_of_any_layout_mean_the_same(layout: str) -> None:
    net, w = make_net(), np.arange(20, dtype=np.float32).reshape(4, 5)
    net.variables["dense_1/W"] = LAYOUTS[layout](w)
    assert np.array_equal(net.variables["dense_1/W"], w)


def test_memory_is_aligned_before_c_reads_it() -> None:
    assert _arrays.as_rows(misaligned(X), N_IN).flags.aligned
    assert _arrays.as_targets(misaligned(Y.astype(np.int32)), N, N_OUT, LOSSES[0]).flags.aligned
    assert _arrays.as_targets(misaligned(X[:, :N_OUT]), N, N_OUT, LOSSES[2]).flags.aligned
    assert _arrays.as_parameter(misaligned(X), (N, N_IN), "w").flags.aligned


def test_bools_are_zeros_and_ones() -> None:
    net = make_net()
    assert np.array_equal(net(X > 3), net((X > 3).astype(np.float32)))
    two = fnn.Trainer(fnn.Network(N_IN, [fnn.Dense(2)], seed=1))
    assert two.evaluate(X, Y > 0) == two.evaluate(X, (Y > 0).astype(int))


def test_mapped_files(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", X)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    assert isinstance(mapped, np.memmap)
    assert np.array_equal(make_net()(mapped), make_net()(X))


def test_a_caller_may_change_the_arrays_it_gave() -> None:
    """Nothing of a call's arrays is kept, and nothing is written to them."""
    trainer, x, y = make_trainer(), X.copy(), Y.copy()
    trainer.fit(x, y, epochs=2)
    assert np.array_equal(x, X)
    assert np.array_equal(y, Y)
    is_alive = weakref.ref(x)
    del x
    assert is_alive() is None


@pytest.mark.parametrize("loss", LOSSES[1:])
def test_one_output_takes_a_vector(loss: str) -> None:
    trainer = fnn.Trainer(fnn.Network(N_IN, [fnn.Dense(1)], seed=1), loss)
    assert trainer.evaluate(X, Y % 2) == trainer.evaluate(X, (Y % 2)[:, None])


def test_conversions_are_logged_and_not_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "fastnn")
    trainer = make_trainer("squared_error")
    trainer.evaluate(X, np.zeros((N, N_OUT), np.float32))
    trainer.network(X.astype(np.uint8))
    assert not caplog.records
    trainer.evaluate(X.astype(np.float64), np.zeros((N, N_OUT), int))
    messages = ["x: converted from float64 to float32", "y: converted from int64 to float32"]
    assert [(r.levelname, r.getMessage()) for r in caplog.records] == [("INFO", message) for message in messages]
    trainer.network(np.full((1, N_IN), 1e300))  # becomes infinite without a warning


def test_no_rows() -> None:
    net = make_net()
    assert net(X[:0]).shape == (0, N_OUT)
    net.link = "softmax"
    assert net.predict(X[:0]).shape == (0,)
    assert net.predict(X[:0]).dtype == np.int64
    assert net.predict_proba(X[:0]).shape == (0, N_OUT)


# ---- what does not ---------------------------------------------------------------------------------------------------

HUGE = np.broadcast_to(np.uint8(0), (2**31, N_IN))

BAD_X: list[tuple[str, Any, type[Exception], list[str]]] = [
    ("objects", X.astype(object), TypeError, ["x must hold real numbers", "dtype object"]),
    ("None", None, TypeError, ["x must hold real numbers", "NoneType"]),
    ("a string", "1 2 3 4", TypeError, ["x must hold real numbers", "from str"]),
    ("strings", [["a"] * N_IN] * N, TypeError, ["x must hold real numbers", "from list"]),
    ("bytes", np.full((N, N_IN), b"a"), TypeError, ["x must hold real numbers", "dtype |S1"]),
    ("complex", X.astype(complex), TypeError, ["x must hold real numbers", "complex128"]),
    ("dates", X.astype("M8[s]"), TypeError, ["x must hold real numbers", "datetime64"]),
    ("records", np.zeros(N, "f4,f4"), TypeError, ["x must hold real numbers"]),
    ("ragged", [[1, 2, 3, 4], [1, 2]], ValueError, ["x must be a rectangular array of numbers", "list"]),
    ("too few features", X[:, 1:], ValueError, [f"x must have shape (n, {N_IN})", "(6, 3)", "3 features"]),
    ("too many features", np.ones((N, 5)), ValueError, [f"x must have shape (n, {N_IN})", "(6, 5)", "5 features"]),
    ("no features", X[:, :0], ValueError, [f"x must have shape (n, {N_IN})", "(6, 0)"]),
    ("one row", X[0], ValueError, [f"x must have shape (n, {N_IN})", "1 dimension", "(4,)", "x[None, :]"]),
    ("a vector", X[:3, 0], ValueError, [f"x must have shape (n, {N_IN})", "(3,)"]),
    ("a number", 1.0, ValueError, [f"x must have shape (n, {N_IN})", "0 dimension"]),
    ("images", np.ones((2, 2, 2)), ValueError, [f"x must have shape (n, {N_IN})", "3 dimension", "(2, 2, 2)"]),
    ("too many rows", HUGE, ValueError, ["x must have fewer than 2**31 rows", "2147483648"]),
    ("another device", OnAnotherDevice(X), TypeError, ["x must be an array on the CPU", "this device"]),
]


@pytest.mark.parametrize("call", ["net", "predict", "fit", "evaluate", "gradients", "validation_data"])
@pytest.mark.parametrize(("x", "kind", "parts"), [pytest.param(*bad[1:], id=bad[0]) for bad in BAD_X])
def test_bad_inputs(call: str, x: Any, kind: type[Exception], parts: list[str]) -> None:
    trainer = make_trainer()
    net, before = trainer.network, bytes(np.asarray(trainer.network.variables["dense_1/W"]))
    calls: dict[str, Callable[[], Any]] = {
        "net": lambda: net(x),
        "predict": lambda: net.predict(x),
        "fit": lambda: trainer.fit(x, Y),
        "evaluate": lambda: trainer.evaluate(x, Y),
        "gradients": lambda: net.gradients(x, Y),
        "validation_data": lambda: trainer.fit(X, Y, validation_data=(x, Y)),
    }
    with pytest.raises(kind) as caught:
        calls[call]()
    for part in parts:
        assert part in str(caught.value)
    assert str(caught.value).startswith("validation_data x" if call == "validation_data" else "x must")
    assert bytes(np.asarray(net.variables["dense_1/W"])) == before


def changed(array: Any, at: Any, value: Any) -> Any:
    array = np.array(array, np.float64)
    array[at] = value
    return array


SOFT = np.full((N, N_OUT), 1 / N_OUT)
SOFTMAX, SIGMOID, SQUARED = LOSSES
BAD_Y: list[tuple[str, str, Any, type[Exception], list[str]]] = [
    ("strings", SOFTMAX, ["a"] * N, TypeError, ["must hold real numbers"]),
    ("objects", SQUARED, [None] * N, TypeError, ["must hold real numbers", "object"]),
    ("complex", SQUARED, SOFT * 1j, TypeError, ["must hold real numbers", "complex128"]),
    ("a number", SOFTMAX, 1, ValueError, ["one entry for each of the 6 rows", "()"]),
    ("too few", SOFTMAX, Y[:5], ValueError, ["one entry for each of the 6 rows", "(5,)"]),
    ("too many rows", SQUARED, np.ones((7, 3)), ValueError, ["one entry for each of the 6 rows", "(7, 3)"]),
    ("label too large", SOFTMAX, changed(Y, 4, 3).astype(int), ValueError, ["class indices in [0, 2]", "3 in row 4"]),
    ("label negative", SOFTMAX, changed(Y, 2, -1).astype(int), ValueError, ["class indices in [0, 2]", "-1 in row 2"]),
    ("label huge", SOFTMAX, np.array([0, 2**40, 0, 0, 0, 0]), ValueError, ["[0, 2]", "1099511627776 in row 1"]),
    ("label fractional", SOFTMAX, changed(Y, 3, 0.5), ValueError, ["whole numbers in [0, 2]", "0.5 in row 3"]),
    ("label NaN", SOFTMAX, changed(Y, 5, np.nan), ValueError, ["whole numbers in [0, 2]", "nan in row 5"]),
    ("label infinite", SOFTMAX, changed(Y, 0, np.inf), ValueError, ["whole numbers in [0, 2]", "inf in row 0"]),
    ("float label too large", SOFTMAX, changed(Y, 0, 1e30), ValueError, ["[0, 2]", "1e+30 in row 0"]),
    ("column of labels", SOFTMAX, Y[:, None], ValueError, ["(n, 3)", "class indices of shape (n,)", "(6, 1)"]),
    ("classes too many", SOFTMAX, np.ones((N, 4)) / 4, ValueError, ["(n, 3)", "(6, 4)"]),
    ("sum not 1", SOFTMAX, changed(SOFT, (2, 1), 0.5), ValueError, ["rows that sum to 1", "0.5", "in row 2"]),
    ("sum 0", SOFTMAX, np.zeros((N, N_OUT)), ValueError, ["rows that sum to 1", "in row 0"]),
    ("negative", SOFTMAX, changed(SOFT, (1,), [-0.5, 1.0, 0.5]), ValueError, ["non-negative", "-0.5", "in row 1"]),
    ("NaN", SOFTMAX, changed(SOFT, (4, 0), np.nan), ValueError, ["finite", "nan at index (4, 0)"]),
    ("labels", SIGMOID, Y, ValueError, ["(n, 3)", "sigmoid_cross_entropy", "(6,)"]),
    ("above 1", SIGMOID, changed(SOFT, (1, 2), 1.5), ValueError, ["in [0, 1]", "1.5", "in row 1"]),
    ("below 0", SIGMOID, changed(SOFT, (3, 0), -0.1), ValueError, ["in [0, 1]", "-0.1", "in row 3"]),
    ("NaN", SIGMOID, changed(SOFT, (4, 0), np.nan), ValueError, ["finite", "(4, 0)"]),
    ("a vector", SQUARED, Y, ValueError, ["(n, 3)", "squared_error", "(6,)"]),
    ("width", SQUARED, SOFT[:, :2], ValueError, ["(n, 3)", "(6, 2)"]),
    ("cube", SQUARED, SOFT[:, :, None], ValueError, ["(n, 3)", "(6, 3, 1)"]),
    ("infinite", SQUARED, changed(SOFT, (0, 1), -np.inf), ValueError, ["finite", "-inf at index (0, 1)"]),
    ("beyond float32", SQUARED, changed(SOFT, (0, 1), 1e39), ValueError, ["finite", "inf at index (0, 1)"]),
]


@pytest.mark.parametrize("call", ["fit", "evaluate", "gradients", "validation_data"])
@pytest.mark.parametrize(
    ("loss", "y", "kind", "parts"), [pytest.param(*bad[1:], id=f"{bad[1]}-{bad[0]}") for bad in BAD_Y]
)
def test_bad_targets(call: str, loss: str, y: Any, kind: type[Exception], parts: list[str]) -> None:
    trainer = make_trainer(loss)
    good = {SOFTMAX: Y}.get(loss, SOFT)
    calls: dict[str, Callable[[], Any]] = {
        "fit": lambda: trainer.fit(X, y),
        "evaluate": lambda: trainer.evaluate(X, y),
        "gradients": lambda: trainer.network.gradients(X, y),
        "validation_data": lambda: trainer.fit(X, good, validation_data=(X, y)),
    }
    with pytest.raises(kind) as caught:
        calls[call]()
    for part in parts:
        assert part in str(caught.value)
    assert str(caught.value).startswith("validation_data y must" if call == "validation_data" else "y must")
    assert trainer.step == trainer.epoch == 0


def test_probabilities_may_be_rounded() -> None:
    rounded = np.round(np.full((N, N_OUT), 1 / N_OUT), 5)  # rows sum to 0.99999
    assert make_trainer().evaluate(X, rounded)["loss"] > 0


@pytest.mark.parametrize("call", ["fit", "evaluate", "gradients"])
def test_no_rows_are_not_enough_to_learn_from(call: str) -> None:
    trainer = make_trainer()
    verb = trainer.network.gradients if call == "gradients" else getattr(trainer, call)
    with pytest.raises(ValueError, match="x must have at least one row, got none"):
        verb(X[:0], Y[:0])
    with pytest.raises(ValueError, match="validation_data x must have at least one row"):
        trainer.fit(X, Y, validation_data=(X[:0], Y[:0]))


def test_inputs_that_are_not_finite_pass() -> None:
    """Checking would cost a pass over the data; NaN shows in the result, and in training as divergence."""
    x = X.copy()
    x[3, 1] = np.nan
    outputs = make_net()(x)
    assert np.isnan(outputs[3]).all()
    assert np.isfinite(np.delete(outputs, 3, axis=0)).all()
    with pytest.raises(FloatingPointError, match="epoch 1, step 0"):
        make_trainer().fit(x, Y)


def test_errors_of_array_pass() -> None:
    class Broken:
        def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
            raise RuntimeError("no data today")

    with pytest.raises(RuntimeError, match="no data today"):
        make_net()(Broken())


@pytest.mark.parametrize(
    ("value", "kind", "message"),
    [
        (np.ones((5, 4)), ValueError, "w must have shape (4, 5), got (5, 4)"),
        (np.ones(20), ValueError, "w must have shape (4, 5), got (20,)"),
        (1.0, ValueError, "w must have shape (4, 5), got ()"),
        (changed(np.ones((4, 5)), (1, 2), np.nan), ValueError, "w must be finite, got nan at index (1, 2)"),
        (np.full((4, 5), "a"), TypeError, "w must hold real numbers"),
    ],
)
def test_bad_parameters(value: Any, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=re.escape(message)):
        _arrays.as_parameter(value, (4, 5), "w")
    with pytest.raises(ValueError, match="b must be finite, got inf at index 1"):
        _arrays.as_parameter([0.0, np.inf], (2,), "b")
