"""Towers: training shared by several devices, here the CPU several times over. With GPUs: test_cuda.py. Against the
formulas in float64: test_engine.py."""

from __future__ import annotations

import copy
import os
import re
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.sparse

import fastnn as fnn
from fastnn import _core
from sameness import MEASURED, assert_same_training

RANDOM = np.random.default_rng(11)
N, N_IN, N_OUT = 95, 21, 5  # with batches of 20 the last is of 15
X = (RANDOM.integers(0, 256, (N, N_IN)) * (RANDOM.random((N, N_IN)) < 0.3)).astype(np.uint8)  # worth skipping zeros
Y = RANDOM.integers(0, N_OUT, N)
CPU = "cpu:0"

# Of the norm of ten updates together. Measured: at most 5e-7.
TOLERANCE = 3e-6


def stack(*hidden: Any) -> list[Any]:
    return [fnn.Rescaling(1 / 255), *(hidden or (fnn.Dense(33, "tanh"), fnn.Dense(17, "relu"))), fnn.Dense(N_OUT)]


def made(towers: Any, layers: Sequence[Any] | None = None, **trainer: Any) -> fnn.Trainer:
    net = fnn.Network(N_IN, copy.deepcopy(layers or stack()), seed=7)
    places = (CPU,) * towers if isinstance(towers, int) else towers
    return fnn.Trainer(net, **({"optimizer": fnn.SGD(0.1, momentum=0.9), "towers": places} | trainer))


def trained(towers: int | None, x: Any = X, y: Any = Y, **options: Any) -> fnn.Trainer:
    fit = {"epochs": 2, "batch_size": 20} | {k: options.pop(k) for k in list(options) if k in FIT}
    trainer = made(towers, **options)
    trainer.fit(x, y, **fit)
    return trainer


FIT = {"epochs", "batch_size", "shuffle", "drop_last", "sample_weight", "class_weight", "num_threads", "callbacks"}


def assert_close(one: fnn.Trainer, other: fnn.Trainer) -> None:
    """The same training but for rounding."""
    update = np.linalg.norm(other.network.get_flat() - made(None, one.network.layers).network.get_flat())
    difference = np.linalg.norm(one.network.get_flat().astype(float) - other.network.get_flat())
    assert update > 0.1
    assert difference < TOLERANCE * update, difference / update
    for name in set(one.history) - MEASURED:
        np.testing.assert_allclose(one.history[name], other.history[name], rtol=1e-6)


def masked() -> list[Any]:
    free = (RANDOM.random((N_IN, 33)) < 0.5).astype(np.float32)
    return stack(fnn.Dense(33, "tanh", mask=free), fnn.Dense(17, "relu"))


def shared() -> list[Any]:
    twice = fnn.Dense(33, "tanh")
    return stack(fnn.Dense(33, "relu"), twice, twice)


def dropped() -> list[Any]:
    hidden = fnn.Dense(33, "relu"), fnn.Dropout(0.5), fnn.Dense(17, "gelu"), fnn.Dropout(0.7, naive=True)
    return [*stack()[:1], fnn.Dropout(0.9), *hidden, fnn.Dense(N_OUT)]


ONE_HOT = np.eye(N_OUT, dtype=np.float32)[Y]
KINDS: dict[str, dict[str, Any]] = {
    "momentum": {},
    "sgd": {"optimizer": fnn.SGD(0.2)},
    "nesterov": {"optimizer": fnn.SGD(fnn.LinearWarmup(0.1, 4, 10), momentum=0.9, nesterov=True, weight_decay=0.01)},
    "adam": {"optimizer": fnn.Adam(0.01, epsilon=1e-3)},
    "rmsprop": {"optimizer": fnn.RMSProp(0.01, momentum=0.5, epsilon=1e-3)},
    "dropout": {"layers": dropped()},
    "shared layers": {"layers": shared()},
    "masks": {"layers": masked()},
    "one layer": {"layers": stack()[:1] + stack()[-1:]},
    "clip_value": {"clip_value": 0.01},
    "clip_norm": {"clip_norm": 0.1},
    "both": {"clip_value": 0.01, "clip_norm": 0.1, "layers": shared()},
    "l2": {"regularizer": fnn.L2(0.01)},
    "l1": {"regularizer": fnn.L1(0.001)},
    "max_norm": {"layers": stack(fnn.Dense(33, "relu", constraint=fnn.MaxNorm(0.8)))},
    "sum": {"reduction": "sum", "optimizer": fnn.SGD(0.005)},
    "weights": {"sample_weight": np.linspace(0, 2, N), "class_weight": {1: 3.0}},
    "in order": {"shuffle": False},
    "drop_last": {"drop_last": True},
    "lists": {"x": scipy.sparse.csr_array(X)},
    "floats": {"x": X.astype(np.float32) + 1},
    "squared_error": {"loss": "squared_error", "y": ONE_HOT},
    "sigmoid": {"loss": "sigmoid_cross_entropy", "y": ONE_HOT},
}
kinds = pytest.mark.parametrize("kind", KINDS)


# ---- results ---------------------------------------------------------------------------------------------------------


@kinds
def test_one_tower_has_the_bits_of_none(kind: str) -> None:
    assert_same_training(trained(1, **KINDS[kind]), trained(None, **KINDS[kind]))


@kinds
@pytest.mark.parametrize("n", [2, 3, 4])
def test_towers_differ_from_one_device_by_rounding(kind: str, n: int) -> None:
    many = trained(n, **KINDS[kind])
    assert_close(many, trained(None, **KINDS[kind]))
    assert_same_training(many, trained(n, **KINDS[kind]))


def test_the_number_of_towers_is_part_of_the_bits() -> None:
    """As what they say of bits would mean nothing otherwise."""
    assert len({trained(n).network.get_flat().tobytes() for n in (1, 2, 3, 4)}) == 4


@pytest.mark.parametrize("n", [1, 3])
def test_threads_and_instruction_sets_do_not_matter(isa: str, n: int) -> None:
    found = [trained(n, num_threads=threads, **KINDS["both"]) for threads in (1, 2, 3, 8)]
    _core.use_isa(_core.available_isas()[-1])
    for trainer in found:
        assert_same_training(trainer, trained(n, **KINDS["both"]))


@pytest.mark.parametrize("batch_size", [1, 2, 3])
def test_a_batch_of_fewer_rows_than_towers_uses_fewer(batch_size: int) -> None:
    few = {"batch_size": batch_size, "layers": dropped(), "epochs": 1}
    assert_same_training(trained(4, **few), trained(batch_size, **few))


def test_a_batch_is_more_rows_than_there_are() -> None:
    assert_same_training(trained(3, batch_size=10**6), trained(3, batch_size=N))


def test_shares_are_contiguous_and_as_equal_as_can_be() -> None:
    """Three towers and a step of plain descent on eight rows: two, three and three."""
    alone = made(None, optimizer=fnn.SGD(1.0)).network
    three = trained(3, X[:8], Y[:8], optimizer=fnn.SGD(1.0), epochs=1, shuffle=False).network
    shares = slice(0, 2), slice(2, 5), slice(5, 8)
    parts = [(np.float32((rows.stop - rows.start) / 8), alone.gradients(X[rows], Y[rows])) for rows in shares]
    for name, variable in three.variables.items():
        expected = alone.variables[name].value - sum(weight * part[name] for weight, part in parts)
        np.testing.assert_allclose(variable.value, expected, rtol=0, atol=3e-7)


def test_gradients_are_added_in_the_order_of_the_towers() -> None:
    """To the bit: with shares of four rows a sum's gradient is four times a mean's."""
    alone = made(None).network
    three = trained(3, X[:12], Y[:12], optimizer=fnn.SGD(1.0), reduction="sum", epochs=1, shuffle=False).network
    first, second, third = (alone.gradients(X[i : i + 4], Y[i : i + 4]) for i in (0, 4, 8))
    for name, variable in three.variables.items():
        total = (4 * first[name] + 4 * second[name]) + 4 * third[name]
        assert total.dtype == np.float32
        np.testing.assert_array_equal(variable.value, alone.variables[name].value - total, strict=True)


def test_frozen_variables_stay() -> None:
    found = []
    for n in (None, 1, 3):
        trainer = made(n, clip_norm=0.1)
        trainer.network.variables["dense_1/W"].trainable = False
        before = trainer.network.variables["dense_1/W"].value
        trainer.fit(X, Y, batch_size=20)
        np.testing.assert_array_equal(trainer.network.variables["dense_1/W"], before)
        found.append(trainer)
    assert_same_training(found[0], found[1])
    assert_close(found[2], found[0])


def test_a_layer_of_another_network_too() -> None:
    found = []
    for n in (None, 1):
        common = fnn.Dense(33, "tanh")
        one = fnn.Network(N_IN, [common, fnn.Dense(N_OUT)], seed=1)
        other = fnn.Network(N_IN, [common, fnn.Dense(2)], seed=2)
        trainers = [fnn.Trainer(net, towers=None if n is None else [CPU] * n) for net in (one, other)]
        for trainer, y in zip(trainers * 2, (Y, Y % 2) * 2, strict=True):
            trainer.fit(X / 255, y, batch_size=20)
        np.testing.assert_array_equal(one.variables["dense_1/W"], other.variables["dense_1/W"])
        found.append((one.get_flat(), other.get_flat()))
    for one_flat, other_flat in zip(*found, strict=True):
        np.testing.assert_array_equal(one_flat, other_flat)


# ---- all else of a fit -----------------------------------------------------------------------------------------------


def test_validation_and_early_stopping() -> None:
    found = []
    for n in (None, 1):
        trainer, best = made(n), fnn.EarlyStopping(patience=1)
        validation = X[:40], Y[40:80]  # nothing to learn
        trainer.fit(X, Y, epochs=99, validation_data=validation, callbacks=[best], metrics=["top_2_accuracy"])
        assert trainer.epoch < 99
        found.append(trainer)
    assert_same_training(*found)


def test_callbacks_between_steps_see_the_parameters() -> None:
    seen: list[Any] = []
    trainers = [trained(n, callbacks=[fnn.EveryNSteps(3, reader(seen))]) for n in (None, 1)]
    assert_same_training(*trainers)
    half = len(seen) // 2
    assert half == 3
    for (step, flat), (expected_step, expected) in zip(seen[half:], seen[:half], strict=True):
        assert step == expected_step
        np.testing.assert_array_equal(flat, expected)


def reader(seen: list[Any]) -> Callable[[fnn.Trainer, int], None]:
    return lambda trainer, step: seen.append((step, trainer.network.get_flat()))


def test_a_file_larger_than_memory(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", X)
    x = np.load(tmp_path / "x.npy", mmap_mode="r")
    assert_same_training(trained(3, x, layers=dropped()), trained(3, layers=dropped()))


def test_a_training_goes_on_from_a_file(tmp_path: Path) -> None:
    whole, half = trained(3, epochs=4, **KINDS["dropout"]), trained(3, epochs=2, **KINDS["dropout"])
    half.save(tmp_path / "half.safetensors")
    on = fnn.load_trainer(tmp_path / "half.safetensors", towers=[CPU] * 3)
    assert on.towers == (CPU,) * 3
    on.fit(X, Y, epochs=2, batch_size=20)
    assert_same_training(on, whole)
    assert fnn.load_trainer(tmp_path / "half.safetensors").towers is None
    with pytest.raises(TypeError, match="towers must be None or a sequence of names of devices, got 'cpu:0'"):
        fnn.load_trainer(tmp_path / "half.safetensors", towers="cpu:0")


def test_many_networks_with_towers() -> None:
    many = [made(n, seed=n) for n in (1, 2, 3)]
    fnn.fit_many(many, X, Y, epochs=2, batch_size=20, num_threads=2)
    for n, trainer in zip((1, 2, 3), many, strict=True):
        assert_same_training(trainer, trained(n, seed=n))


def wait_for_no_towers() -> None:
    """A thread that Ctrl-C met as it was started ends by itself."""
    deadline = time.monotonic() + 60
    while [thread for thread in threading.enumerate() if thread.name.startswith("fastnn-tower")]:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_fits_go_on_and_leave_no_threads() -> None:
    trainer = made(3)
    trainer.fit(X, Y, batch_size=20)
    trainer.fit(X, Y, batch_size=20)
    assert_same_training(trainer, trained(3, epochs=2))
    wait_for_no_towers()


def test_progress_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    made(2).fit(X, Y, batch_size=20, progress=True)
    assert "5/5" in capsys.readouterr().err


# ---- what ends a training --------------------------------------------------------------------------------------------


def stopped(n: int, at: int, error: BaseException) -> fnn.Trainer:
    """A trainer in whose step `at` an exception comes up while towers compute."""
    trainer = made(n, **KINDS["adam"])
    crew: Any = trainer._crew
    run, steps = crew.run, []

    def run_or_raise(functions: Sequence[Callable[[], None]]) -> None:
        steps.append(len(functions))
        if len(steps) == at:
            for worker, function in zip(crew._workers, functions, strict=True):
                worker.give(function)
            raise error
        run(functions)

    crew.run = run_or_raise
    with pytest.raises(type(error)):
        trainer.fit(X, Y, epochs=2, batch_size=20)
    crew.run = run
    return trainer


@pytest.mark.parametrize("error", [KeyboardInterrupt(), RuntimeError("gpu:0: it fell off")], ids=repr)
def test_what_a_step_does_not_finish_changes_nothing(error: BaseException) -> None:
    trainer, twin = stopped(3, 8, error), made(3, **KINDS["adam"])

    def end(trainer: fnn.Trainer, step: int) -> None:
        if step == 7:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        twin.fit(X, Y, epochs=2, batch_size=20, callbacks=[fnn.EveryNSteps(1, end)])
    assert (trainer.step, len(trainer.batch_losses)) == (7, 2)
    assert_same_training(trainer, twin)
    for each in (trainer, twin):
        each.fit(X, Y, batch_size=20)
    assert_same_training(trainer, twin)


def test_a_fit_that_ends_waits_for_its_towers() -> None:
    """However often it is interrupted."""
    trainer = made(2)
    crew: Any = trainer._crew
    done = []

    def slow() -> None:
        time.sleep(0.2)
        done.append(True)

    def run_and_fail(functions: Sequence[Callable[[], None]]) -> None:
        worker = crew._workers[0]
        join = worker.join

        def interrupted() -> None:
            worker.join = join
            raise KeyboardInterrupt

        worker.join = interrupted
        worker.give(slow)
        raise RuntimeError("a step failed")

    crew.run = run_and_fail
    with pytest.raises(KeyboardInterrupt) as caught:
        trainer.fit(X, Y)
    assert isinstance(caught.value.__context__, RuntimeError)
    assert done == [True]


def test_an_exception_in_a_tower_comes_out() -> None:
    trainer = made(2)
    crew: Any = trainer._crew

    def fail() -> None:
        raise MemoryError("gpu:0: out of memory")

    run = crew.run
    crew.run = lambda functions: run([*functions[:-1], fail])
    with pytest.raises(MemoryError, match="gpu:0: out of memory"):
        trainer.fit(X, Y)
    assert trainer.step == 0
    crew.run = run
    trainer.fit(X, Y)


@pytest.mark.skipif(sys.platform == "win32", reason="there are no POSIX signals")
def test_interruption() -> None:
    trainer = made(2, stack(fnn.Dense(300, "relu")))
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # else a background job would not hear it
    interrupt = threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT))
    try:
        with pytest.raises(KeyboardInterrupt):  # noqa: PT012 the signal may come as soon as its timer runs
            interrupt.start()
            trainer.fit(X, Y, epochs=10**9, batch_size=20)
    finally:
        interrupt.join()
        signal.signal(signal.SIGINT, before)
    step = trainer.step
    assert np.isfinite(trainer.network.get_flat()).all()
    wait_for_no_towers()
    trainer.fit(X, Y, batch_size=20)
    assert trainer.step == step + 5


@pytest.mark.parametrize("n", [1, 3])
def test_divergence_leaves_the_parameters_before_that_step(n: int) -> None:
    seen: list[Any] = []
    keep = fnn.EveryNSteps(1, lambda trainer, step: seen.append((trainer, trainer.network.get_flat())))
    with pytest.raises(FloatingPointError, match=r"training diverged: the loss is not finite in epoch 1, step [1-4]; "):
        trained(n, optimizer=fnn.SGD(1e30), loss="squared_error", y=ONE_HOT, callbacks=[keep])
    trainer, flat = seen[-1]
    assert trainer.step == len(seen)
    np.testing.assert_array_equal(trainer.network.get_flat(), flat)


# ---- arguments -------------------------------------------------------------------------------------------------------


def test_the_names_of_towers() -> None:
    assert made(None).towers is None
    assert made(["cpu", "/cpu:0"]).towers == (CPU, CPU)


@pytest.mark.parametrize(
    ("towers", "error", "message"),
    [
        (CPU, TypeError, "towers must be None or a sequence of names of devices, got 'cpu:0' (str)"),
        ({CPU}, TypeError, "towers must be None or a sequence of names of devices, got {'cpu:0'} (set)"),
        ((), ValueError, "towers must be at least one name of a device, got ()"),
        ((CPU, 1), TypeError, "towers[1] must be 'auto' or a device such as 'cpu:0' or 'gpu:0', got 1 (int)"),
        ((CPU, "tpu:0"), ValueError, "towers[1] must be 'auto' or a device such as 'cpu:0' or 'gpu:0', got 'tpu:0'"),
        (("gpu:999", CPU), ValueError, "towers[0] must be one of cpu:0"),
    ],
)
def test_what_towers_cannot_be(towers: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=re.escape(message)):
        made(towers)


def test_a_loss_of_ones_own_is_refused() -> None:
    custom = fnn.losses.CustomLoss(lambda outputs, y: (outputs[:, 0], outputs))
    with pytest.raises(ValueError, match="loss must be one of the library's for towers, got a custom one"):
        made(2, loss=custom)


def test_placement_is_soft_where_the_network_has_it_so(
    caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    net = fnn.Network(N_IN, stack(), allow_soft_placement=True, log_device_placement=True)
    capsys.readouterr()
    trainer = fnn.Trainer(net, towers=("gpu:999", CPU))
    assert trainer.towers == (CPU, CPU)
    assert [record.getMessage().partition(" is missing")[0] for record in caplog.records] == ["device gpu:999"]
    assert capsys.readouterr().out.splitlines() == [
        "tower 0, loss softmax_cross_entropy: cpu:0 (gpu:999 is missing)",
        "tower 1, loss softmax_cross_entropy: cpu:0",
        "optimizer SGD: cpu:0",
    ]
