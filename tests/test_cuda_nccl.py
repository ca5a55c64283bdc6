"""Towers on different GPUs, which exchange gradients by NVIDIA's NCCL: the bits of towers on the CPU. Where CUDA is
emulated, tests/c/nccl.c stands in."""

from __future__ import annotations

import copy
import ctypes
import gc
import importlib
import os
import pathlib
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import scipy.sparse

import fastnn as fnn
from sameness import assert_same_state, assert_same_training

IS_EMULATED = fnn.cuda.is_available() and fnn.cuda.device_name(0) == "emulated on the host"
N_GPUS = 3 if IS_EMULATED else max(2, min(3, fnn.cuda.device_count()))


def why_not() -> str:
    """Why nothing can be exchanged here; "" if it can."""
    if not fnn.cuda.is_available():
        return "there is no CUDA module, or no GPU"
    if IS_EMULATED:  # with a stand-in
        return ""
    return fnn.cuda.why_no_nccl() if fnn.cuda.device_count() >= N_GPUS else "there is one GPU"


WHY_NOT = why_not()
needs_gpus = pytest.mark.skipif(WHY_NOT != "", reason=WHY_NOT)
needs_emulation = pytest.mark.skipif(not IS_EMULATED, reason="there is no emulated CUDA module")

RANDOM = np.random.default_rng(5)
N, N_IN, N_OUT = 45, 21, 5  # with batches of ten the last is of five
X = (RANDOM.integers(0, 4, (N, N_IN)) * (RANDOM.random((N, N_IN)) < 0.5)).astype(np.uint8)
Y = RANDOM.integers(0, N_OUT, N)
CPU, GPUS = ("cpu:0",) * N_GPUS, tuple(f"gpu:{i}" for i in range(N_GPUS))
PLACES = ", ".join(GPUS)


@pytest.fixture(scope="module")
def nccl(
    stand_in: Callable[..., pathlib.Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ctypes.CDLL | None]:
    """The stand-in, loaded already when fastnn looks for NCCL; None: there is the real one."""
    if not IS_EMULATED:
        yield None
        return
    ctypes.CDLL(str(importlib.import_module("fastnn._cuda").__file__), mode=ctypes.RTLD_GLOBAL)
    yield ctypes.CDLL(str(stand_in("nccl", tmp_path_factory.mktemp("nccl") / "libnccl.so.2")))


@pytest.fixture(autouse=True)
def gpus(nccl: ctypes.CDLL | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FASTNN_EMULATE_DEVICES", str(N_GPUS))
    if nccl is not None:  # or another file's towers have looked for it before
        importlib.import_module("fastnn._cuda").load_nccl(["libnccl.so.2"])


def count(nccl: ctypes.CDLL | None, name: str) -> int:
    assert nccl is not None
    return ctypes.c_int.in_dll(nccl, f"fake_nccl_{name}").value


def stack(*hidden: Any) -> list[Any]:
    return [fnn.Rescaling(0.25, 0.125), *(hidden or (fnn.Dense(18, "relu"),)), fnn.Dense(N_OUT)]


def made(
    towers: Any = GPUS, layers: Any = None, device: str = "cpu:0", has_nccl: bool = True, **trainer: Any
) -> fnn.Trainer:
    net = fnn.Network(N_IN, copy.deepcopy(layers or stack()), seed=7, device=device)
    coach = fnn.Trainer(net, **({"optimizer": fnn.SGD(0.1, momentum=0.9), "towers": towers} | trainer))
    assert coach._crew is not None
    assert coach._crew.updates.endswith("(gradients by NCCL)") == (towers != CPU and has_nccl)
    return coach


def fitted(towers: Any = GPUS, fit: Any = None, x: Any = X, y: Any = Y, **options: Any) -> fnn.Trainer:
    coach = made(towers, **options)
    coach.fit(x, y, **({"epochs": 2, "batch_size": 10} | (fit or {})))
    return coach


# ---- the bits of towers on the CPU ----

TWICE = fnn.Dense(18, "tanh")
MASK = (RANDOM.random((N_IN, 18)) < 0.5).astype(np.float32)
KINDS: dict[str, dict[str, Any]] = {
    "sgd": {"optimizer": fnn.SGD(0.1)},
    "momentum": {},
    "nesterov": {"optimizer": fnn.SGD(fnn.LinearWarmup(0.1, 4, 10), momentum=0.9, nesterov=True, weight_decay=0.01)},
    "adam": {"optimizer": fnn.Adam(0.01)},
    "rmsprop": {"optimizer": fnn.RMSProp(0.01, momentum=0.5)},
    "dropout": {"layers": [*stack()[:1], fnn.Dropout(0.9), fnn.Dense(40, "gelu"), fnn.Dropout(0.5), fnn.Dense(N_OUT)]},
    "shared layers": {"layers": stack(fnn.Dense(18, "relu"), TWICE, TWICE), "clip_norm": 0.1},
    "bounds": {"clip_value": 0.02, "clip_norm": 0.1, "regularizer": fnn.L2(0.01)},
    "l1": {"regularizer": fnn.L1(0.001)},
    "constraints": {"layers": stack(fnn.Dense(18, "relu", mask=MASK, constraint=fnn.MaxNorm(0.5)))},
    "sum": {"reduction": "sum", "optimizer": fnn.SGD(0.005)},
    "lists": {"x": scipy.sparse.csr_array(X), "layers": [fnn.Dense(18, "relu"), fnn.Dense(N_OUT)]},
    "weights": {"fit": {"sample_weight": np.linspace(0, 2, N)}},
    "in order": {"fit": {"shuffle": False, "drop_last": True}},
    "few rows": {"fit": {"batch_size": 2}},  # one of the towers has none
    "one row": {"fit": {"batch_size": 1, "epochs": 1}},
    "one more": {"fit": {"batch_size": 11}},  # and the last batch is of one row
    "one batch": {"fit": {"batch_size": 64}},
}


@needs_gpus
@pytest.mark.parametrize("kind", KINDS)
def test_the_bits_are_those_of_the_cpu(kind: str) -> None:
    assert_same_training(fitted(GPUS, **KINDS[kind]), fitted(CPU, **KINDS[kind]))


@needs_gpus
def test_the_bits_are_those_without_nccl(monkeypatch: pytest.MonkeyPatch) -> None:
    one = fitted(**KINDS["dropout"])
    monkeypatch.setenv("FASTNN_NCCL", "0")
    assert_same_training(one, fitted(has_nccl=False, **KINDS["dropout"]))


@needs_gpus
def test_frozen_variables_stay() -> None:
    found = []
    for towers in (GPUS, CPU):
        coach = made(towers, clip_norm=0.1)
        coach.network.variables["dense_1/W"].trainable = False
        coach.fit(X, Y, batch_size=10)
        found.append(coach)
    assert_same_training(*found)
    np.testing.assert_array_equal(found[0].network.variables["dense_1/W"], made().network.variables["dense_1/W"])


@needs_gpus
@pytest.mark.parametrize("home", ["cpu:0", "gpu:0", f"gpu:{N_GPUS - 1}"])
def test_who_reads_and_sets_parameters_meanwhile(home: str) -> None:
    """Callbacks between steps, validation and predictions, on the network's own device."""
    seen: list[Any] = []

    def halve(coach: fnn.Trainer, step: int) -> None:
        seen.append((step, coach.network(X), coach.network.get_flat()))
        if step != 6:
            coach.network.set_flat(coach.network.get_flat() / 2)

    fit = {"validation_data": (X[:20], Y[:20]), "callbacks": [fnn.EveryNSteps(3, halve)], "epochs": 3}
    coaches = [fitted(towers, fit, device=home, optimizer=fnn.Adam(0.01)) for towers in (GPUS, CPU)]
    assert_same_training(*coaches)
    np.testing.assert_array_equal(coaches[0].network(X), coaches[1].network(X))
    half = len(seen) // 2
    for one, other in zip(seen[:half], seen[half:], strict=True):
        for a, b in zip(one, other, strict=True):
            np.testing.assert_array_equal(a, b)


@needs_gpus
def test_trainers_take_turns() -> None:
    """With towers that exchange gradients, with others, without; with a layer that another network has too."""
    found = []
    for mine in (GPUS, CPU):
        common = fnn.Dense(18, "tanh")
        nets = [fnn.Network(N_IN, [common, fnn.Dense(n)], seed=n, device="gpu:0") for n in (N_OUT, 6)]
        coaches = [fnn.Trainer(net, optimizer=fnn.Adam(0.01), towers=mine) for net in nets]
        coaches += [fnn.Trainer(nets[0], towers=towers) for towers in (None, CPU, mine)]
        for i in (0, 1, 2, 0, 3, 0, 0, 4, 0, 4, 2):
            coaches[i].fit(X / 4, Y, batch_size=15)
        found.append([net.get_flat() for net in nets] + [net(X) for net in nets])
    for one, other in zip(*found, strict=True):
        np.testing.assert_array_equal(one, other)


@needs_gpus
def test_a_layer_that_another_network_changes_meanwhile() -> None:
    found = []
    for towers in (GPUS, CPU):
        common = fnn.Dense(18, "tanh")
        net, other = (fnn.Network(N_IN, [common, fnn.Dense(n)], seed=n) for n in (N_OUT, 6))

        def halve(coach: fnn.Trainer, step: int, other: fnn.Network = other) -> None:
            other.set_flat(other.get_flat() / 2)

        coach = fnn.Trainer(net, optimizer=fnn.Adam(0.01), towers=towers)
        coach.fit(X / 4, Y, batch_size=10, callbacks=[fnn.EveryNSteps(2, halve)])
        found.append((net.get_flat(), other.get_flat()))
    for one, changed in zip(*found, strict=True):
        np.testing.assert_array_equal(one, changed)


@needs_gpus
def test_a_training_goes_on_from_a_file(tmp_path: pathlib.Path) -> None:
    coach = fitted(optimizer=fnn.Adam(0.01))
    coach.save(tmp_path / "half.safetensors")
    found = [fnn.load_trainer(tmp_path / "half.safetensors", towers=towers) for towers in (GPUS, CPU)]
    for each in (*found, coach):
        each.fit(X, Y, batch_size=10)
    assert_same_training(*found)
    assert_same_training(coach, found[0])


@needs_gpus
def test_a_file_larger_than_memory(tmp_path: pathlib.Path) -> None:
    np.save(tmp_path / "x.npy", X)
    x = np.load(tmp_path / "x.npy", mmap_mode="r")
    assert_same_training(fitted(GPUS, x=x), fitted(CPU))


@needs_gpus
def test_many_trainings_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """One at a time is at its gathers."""
    monkeypatch.setenv("FAKE_NCCL_MICROSECONDS", "1000")
    many = [made(GPUS, seed=seed) for seed in range(4)]
    fnn.fit_many(many, X, Y, epochs=2, batch_size=10, num_threads=2)
    for seed, coach in enumerate(many):
        assert_same_training(coach, fitted(CPU, seed=seed))


# ---- what is done for that ----


@needs_emulation
def test_communicators_are_made_once_a_training(nccl: ctypes.CDLL | None) -> None:
    live = ctypes.CDLL(str(importlib.import_module("fastnn._cuda").__file__)).fnn_emulated_live
    gc.collect()
    before = live(), count(nccl, "live"), count(nccl, "cliques"), count(nccl, "gathers"), count(nccl, "aborted")
    coach = made()
    assert count(nccl, "cliques") == before[2]
    coach.fit(X, Y, epochs=2, batch_size=10)
    coach.fit(X, Y, batch_size=10)
    assert (count(nccl, "live"), count(nccl, "cliques")) == (before[1] + N_GPUS, before[2] + 1)
    assert count(nccl, "gathers") == before[3] + coach.step
    del coach
    gc.collect()
    assert (live(), count(nccl, "live"), count(nccl, "aborted")) == (*before[:2], before[4])


@needs_gpus
def test_parameters_stay_on_the_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    """They go there once an epoch, and after somebody asked for them."""
    calls: list[str] = []

    class Watched:
        def __init__(self, *arguments: Any) -> None:
            self.real: Any = importlib.import_module("fastnn._cuda").Exchange(*arguments)

        def __getattr__(self, name: str) -> Any:
            calls.append(name)
            return getattr(self.real, name)

    monkeypatch.setattr(fnn.cuda, "exchange", Watched)
    read = fnn.EveryNSteps(7, lambda coach, step: coach.network.get_flat() * 0)
    fitted(fit={"callbacks": [read]})
    begin, step = ["upload", "state"], ["descend"]
    assert calls == begin + 5 * step + begin + 2 * step + begin + 3 * step


@needs_gpus
@pytest.mark.parametrize(
    ("towers", "said"),
    [
        (GPUS, f"{PLACES} (gradients by NCCL)"),
        (GPUS[:1], "cpu:0"),
        (GPUS[:1] * 2, "cpu:0"),
        ((*GPUS, GPUS[0]), "cpu:0"),
        ((*GPUS, "cpu:0"), "cpu:0"),
    ],
)
def test_the_placement_log_tells(towers: Any, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    net = fnn.Network(N_IN, stack(), log_device_placement=True)
    fnn.Trainer(net, optimizer=fnn.Adam(), towers=towers)
    assert capsys.readouterr().out.splitlines()[-1] == f"optimizer Adam: {said}"


# ---- what ends a training ----


@needs_emulation
@pytest.mark.parametrize(
    ("failure", "said"),
    [
        ("2", "unhandled cuda error (run with NCCL_DEBUG=INFO for details) in ncclAllGather"),
        ("3", "unhandled cuda error (run with NCCL_DEBUG=INFO for details) in ncclGroupEnd"),
    ],
)
def test_gathers_that_fail(failure: str, said: str, nccl: ctypes.CDLL | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Network and trainer are as when a callback last read parameters, and go on from there."""
    coach, other = made(optimizer=fnn.Adam(0.01)), made(CPU, optimizer=fnn.Adam(0.01))
    seen: list[Any] = []
    read = fnn.EveryNSteps(3, lambda coach, step: seen.append((step, coach.network.get_flat())))
    live, aborted = count(nccl, "live"), count(nccl, "aborted")
    with monkeypatch.context() as patch:
        patch.setenv("FAKE_NCCL_FAILURE", failure)
        patch.setenv("FAKE_NCCL_AFTER", str(count(nccl, "gathers") + 4))
        with pytest.raises(RuntimeError) as caught:
            coach.fit(X, Y, batch_size=10, callbacks=[read])
    assert str(caught.value) == f"{PLACES}: {said}"
    assert coach.step == seen[-1][0] == 3
    np.testing.assert_array_equal(coach.network.get_flat(), seen[-1][1])
    del caught
    gc.collect()
    assert (count(nccl, "live"), count(nccl, "aborted")) == (live, aborted + N_GPUS)
    stop_after(other, 3)
    assert_same_state(coach, other)
    for each in (coach, other):
        each.fit(X, Y, batch_size=10)
    assert_same_state(coach, other)


def stop_after(coach: fnn.Trainer, steps: int, error: Any = RuntimeError) -> None:
    """By an error of a tower in the step after so many."""
    crew: Any = coach._crew
    run, calls = crew.run, []

    def run_some(functions: Any) -> None:
        calls.append(1)
        if len(calls) > steps:
            raise error("that is enough")
        run(functions)

    crew.run = run_some
    with pytest.raises(error, match="that is enough"):
        coach.fit(X, Y, batch_size=10)
    crew.run = run


@needs_emulation
def test_communicators_that_cannot_be_made(nccl: ctypes.CDLL | None, monkeypatch: pytest.MonkeyPatch) -> None:
    coach, live = made(), count(nccl, "live")
    before = coach.network.get_flat()
    with monkeypatch.context() as patch:
        patch.setenv("FAKE_NCCL_FAILURE", "1")
        with pytest.raises(RuntimeError, match=f"{PLACES}: unhandled system error .* in ncclCommInitAll"):
            coach.fit(X, Y)
    np.testing.assert_array_equal(coach.network.get_flat(), before)
    assert (coach.step, count(nccl, "live")) == (0, live)
    coach.fit(X, Y, batch_size=10)
    assert coach.step == 5


@needs_emulation
@pytest.mark.parametrize("n_bytes", [20_000, 100_000])
def test_memory_that_they_lack(n_bytes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    coach = made(layers=stack(fnn.Dense(300)))
    before = coach.network.get_flat()
    gc.collect()
    with monkeypatch.context() as patch:
        patch.setenv("FASTNN_EMULATE_MEMORY", str(n_bytes))
        with pytest.raises(MemoryError, match=r"gpu:\d: out of memory"):
            coach.fit(np.resize(X, (2000, N_IN)), np.resize(Y, 2000))
    np.testing.assert_array_equal(coach.network.get_flat(), before)
    coach.fit(X, Y)


@needs_emulation
def test_parameters_that_do_not_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever asks for them hears of it, and others may ask again."""
    coach = made(GPUS[::-1])
    predictor = coach.network.predictor(N)
    found = []

    def ask(coach: fnn.Trainer, step: int) -> None:
        monkeypatch.setenv("FASTNN_EMULATE_DEVICES", str(N_GPUS - 1))
        for call in (lambda: predictor(X), lambda: predictor(X[:1]), coach.network.get_flat):
            with pytest.raises(RuntimeError, match=f"{GPUS[-1]}: invalid device ordinal"):
                call()
        monkeypatch.setenv("FASTNN_EMULATE_DEVICES", str(N_GPUS))
        found.append(predictor(X))

    coach.fit(X, Y, batch_size=10, callbacks=[fnn.EveryNSteps(2, ask)])
    assert len(found) == 2
    np.testing.assert_array_equal(coach.network.get_flat(), fitted(CPU, {"epochs": 1}).network.get_flat())


@needs_gpus
def test_a_tower_that_fails() -> None:
    coach, other = made(), made(CPU)
    for each in (coach, other):
        each.fit(X, Y, batch_size=10)
    stop_after(coach, 3)
    assert_same_state(coach, other)
    coach.fit(X, Y, batch_size=10)
    assert coach.step == 10


@needs_gpus
def test_an_interrupt_keeps_the_steps_that_were_done() -> None:
    coach, other = made(), made(CPU)
    for each in (coach, other):
        stop_after(each, 3, KeyboardInterrupt)
        assert each.step == 3
    assert_same_state(coach, other)
    for each in (coach, other):
        each.fit(X, Y, batch_size=10)
    assert_same_state(coach, other)


@needs_gpus
def test_divergence_leaves_the_parameters_before_that_step() -> None:
    found = []
    for towers in (GPUS, CPU):
        coach = made(towers, optimizer=fnn.SGD(1e30), loss="squared_error")
        with pytest.raises(FloatingPointError, match="the loss is not finite in epoch 1"):
            coach.fit(X, np.eye(N_OUT)[Y], batch_size=10)
        found.append(coach)
    assert_same_state(*found)


# ---- the library ----

TRAIN = """
import ctypes, hashlib, importlib, sys
{before}
import fastnn as fnn, numpy as np
if fnn.cuda.is_available():
    ctypes.CDLL(importlib.import_module("fastnn._cuda").__file__, mode=ctypes.RTLD_GLOBAL)
net = fnn.Network(2, [fnn.Dense(3)], seed=1, log_device_placement=True)
coach = fnn.Trainer(net, towers={towers})
coach.fit(np.ones((6, 2)), [0, 1, 2] * 2, batch_size=3)
print(hashlib.sha256(net.get_flat()).hexdigest())
with open("/proc/self/maps") as maps:
    print({{line.split()[-1] for line in maps if "libnccl" in line}} or "none")
"""


def alone(before: str = "", towers: Any = GPUS, **environment: str) -> list[str]:
    """What a process of its own says: where parameters are updated, their hash, and which NCCL it has loaded."""
    clean = {name: value for name, value in os.environ.items() if name not in ("CUDA_HOME", "LD_LIBRARY_PATH")}
    command = [sys.executable, "-P", "-c", TRAIN.format(before=before, towers=towers)]
    done = subprocess.run(command, env=clean | environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()[-3:]


@needs_emulation
def test_without_it_gradients_go_through_the_cpu(stand_in: Callable[..., pathlib.Path], tmp_path: pathlib.Path) -> None:
    path = tmp_path / "lib64" / "libnccl.so.2"
    environment = {"CUDA_HOME": str(tmp_path)}
    missing = alone(**environment)
    assert missing[0].startswith("optimizer SGD: cpu:0 (no NCCL: libnccl.so.2: cannot open shared object file")
    assert f"{path}: cannot open shared object file" in missing[0]
    stand_in("nccl", path, "-DncclAllGather=another")
    assert alone(**environment)[0].endswith(f"{path} lacks ncclAllGather)")
    stand_in("nccl", path)
    there = alone(**environment)
    assert there[0] == f"optimizer SGD: {PLACES} (gradients by NCCL)"
    assert there[1] == missing[1]
    assert alone(FASTNN_NCCL="0", **environment) == ["optimizer SGD: cpu:0 (no NCCL: FASTNN_NCCL=0)", there[1], "none"]


@needs_emulation
def test_where_it_is_looked_for(stand_in: Callable[..., pathlib.Path], tmp_path: pathlib.Path) -> None:
    """Of several, that which is loaded already, then a wheel's, then what the system finds, then the toolkit's."""
    folders = ("cuda/lib64", "system", "site/nvidia/nccl/lib", "loaded")
    toolkit, system, wheel, loaded = (stand_in("nccl", tmp_path / each / "libnccl.so.2") for each in folders)
    environment = {"CUDA_HOME": str(tmp_path / "cuda")}
    assert alone(**environment)[2] == f"{{{str(toolkit)!r}}}"
    environment["LD_LIBRARY_PATH"] = str(system.parent)
    assert alone(**environment)[2] == f"{{{str(system)!r}}}"
    site = f"sys.path.append({str(tmp_path / 'site')!r})"
    assert alone(site, **environment)[2] == f"{{{str(wheel)!r}}}"
    assert alone(f"{site}; ctypes.CDLL({str(loaded)!r})", **environment)[2] == f"{{{str(loaded)!r}}}"
    for towers in (("cpu:0", "cpu:0"), ("gpu:0", "gpu:0"), ("gpu:0",), ("gpu:0", "cpu:0")):
        assert alone(site, towers, **environment)[2] == "none"
