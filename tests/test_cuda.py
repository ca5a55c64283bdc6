"""Networks on a GPU: the bits of the CPU. Without a GPU the same device code runs emulated (FASTNN_CUDA=emulate)."""

from __future__ import annotations

import copy
import ctypes
import gc
import importlib
import logging
import os
import pathlib
import signal
import sys
import threading
import time
from typing import Any

import numpy as np
import pytest
import scipy.sparse

import fastnn as fnn
from fastnn import _core
from fastnn.book import logistic, mlp
from sameness import assert_same_training

needs_cuda = pytest.mark.skipif(not fnn.cuda.is_available(), reason="there is no CUDA module, or no GPU")
IS_EMULATED = fnn.cuda.is_available() and fnn.cuda.device_name(0) == "emulated on the host"

N, N_IN, N_OUT = 45, 21, 5
RANDOM = np.random.default_rng(3)
X = (RANDOM.integers(0, 4, (N, N_IN)) * (RANDOM.random((N, N_IN)) < 0.5)).astype(np.uint8)
LABELS = RANDOM.integers(0, N_OUT, N)
VALUES = RANDOM.normal(size=(N, N_OUT)).astype(np.float32)
DEVICES = ("cpu:0", "gpu:0")


def layers(*hidden: Any, last: Any = None, first: Any = None) -> list[Any]:
    return [first or fnn.Rescaling(0.25, 0.125), *hidden, last or fnn.Dense(N_OUT)]


def trained(
    device: str, stack: list[Any], x: Any = X, y: Any = LABELS, fit: dict[str, Any] | None = None, **trainer: Any
) -> tuple[fnn.Network, fnn.Trainer]:
    """After two epochs of five steps, the last of them smaller."""
    net = fnn.Network(x.shape[1], copy.deepcopy(stack), seed=7, device=device)
    assert net.device == device
    coach = fnn.Trainer(net, **({"optimizer": fnn.SGD(0.1)} | trainer))
    coach.fit(x, y, **({"epochs": 2, "batch_size": 10} | (fit or {})))
    return net, coach


def check(stack: list[Any], x: Any = X, y: Any = LABELS, fit: dict[str, Any] | None = None, **trainer: Any) -> None:
    """That both devices come to the same bits, in all that they say."""
    (a, coach_a), (b, coach_b) = (trained(device, stack, x, y, fit, **trainer) for device in DEVICES)
    assert_same_training(coach_a, coach_b)
    np.testing.assert_array_equal(a(x), b(x), strict=True)
    for name, activity in a.activities(x).items():
        np.testing.assert_array_equal(activity, b.activities(x)[name], strict=True)
    assert coach_a.evaluate(x, y) == coach_b.evaluate(x, y)
    loss = trainer.get("loss")
    for name, gradient in a.gradients(x, y, loss=loss).items():
        np.testing.assert_array_equal(gradient, b.gradients(x, y, loss=loss)[name], strict=True)


@pytest.fixture(params=["1", "32"], ids=["apart", "together"])
def head(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """The last layer and the losses of these few rows as launches of their own, and as one."""
    monkeypatch.setenv("FASTNN_EMULATE_PROCESSORS", request.param)


# ---- the same bits ----

ACTIVATIONS = ["linear", "sigmoid", "tanh", "relu", "elu", "leaky_relu", "gelu", "silu", "softplus"]


@needs_cuda
@pytest.mark.usefixtures("head")
@pytest.mark.parametrize("activation", [*ACTIVATIONS, fnn.activations.Linear(0.5, 0.25)])
def test_activations(activation: Any) -> None:
    check(layers(fnn.Dense(18, activation), fnn.Dense(16, activation)))


@needs_cuda
@pytest.mark.usefixtures("head")
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_activations_of_outputs(activation: str) -> None:
    last = fnn.Dense(N_OUT, activation)
    check(layers(fnn.Dense(18, activation), last=last), y=VALUES, loss="squared_error", optimizer=fnn.SGD(0.01))


@needs_cuda
@pytest.mark.usefixtures("head")
@pytest.mark.parametrize(
    ("loss", "y"),
    [
        ("softmax_cross_entropy", LABELS),
        ("softmax_cross_entropy", np.eye(N_OUT, dtype=np.float32)[LABELS] * 0.5 + 0.1),
        ("sigmoid_cross_entropy", (VALUES > 0).astype(np.float32)),
        ("squared_error", VALUES),
        ("absolute_error", VALUES),
        (fnn.losses.Huber(0.5), VALUES),
        ("poisson", np.abs(VALUES)),
    ],
)
@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_losses(loss: Any, y: Any, reduction: str) -> None:
    check(layers(fnn.Dense(7, "tanh")), y=y, loss=loss, reduction=reduction, optimizer=fnn.SGD(0.01))


OPTIMIZERS = [
    fnn.SGD(0.1, momentum=0.9),
    fnn.SGD(0.1, momentum=0.9, nesterov=True),
    fnn.SGD(fnn.LinearWarmup(0.2, warmup_steps=4, total_steps=10)),
    fnn.SGD(0.1, weight_decay=0.01),
    fnn.Adam(0.01),
    fnn.Adam(0.01, weight_decay=0.1),
    fnn.RMSProp(0.01),
    fnn.RMSProp(0.01, momentum=0.5),
]


@needs_cuda
@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=repr)
@pytest.mark.parametrize("extra", [{}, {"clip_norm": 0.5, "clip_value": 0.1}], ids=["fused", "clipped"])
def test_optimizers(optimizer: Any, extra: Any) -> None:
    check(layers(fnn.Dense(18, "relu")), optimizer=optimizer, **extra)


@needs_cuda
@pytest.mark.parametrize("regularizer", [fnn.L2(0.05), fnn.L1(0.02)], ids=repr)
def test_regularizers(regularizer: Any) -> None:
    check(layers(fnn.Dense(18, "relu")), regularizer=regularizer)


@needs_cuda
@pytest.mark.usefixtures("head")
@pytest.mark.parametrize("naive", [False, True])
def test_dropout(naive: bool) -> None:
    drop = fnn.Dropout(0.7, naive=naive)
    check(layers(drop, fnn.Dense(33, "gelu"), drop, fnn.Dense(8, "relu"), drop))


@needs_cuda
def test_masks_of_many_units() -> None:
    """So many that 16 random bits hit the threshold itself."""
    check(layers(fnn.Dense(900, "relu"), fnn.Dropout(0.5)), x=np.resize(X, (300, N_IN)), y=np.resize(LABELS, 300))


@needs_cuda
def test_max_norm_masks_and_a_large_norm() -> None:
    mask = (RANDOM.random((N_IN, 18)) < 0.5).astype(np.float32)
    stack = layers(fnn.Dense(18, "relu", mask=mask, constraint=fnn.MaxNorm(0.5)))
    check([*stack[:-1], fnn.Dense(N_OUT, constraint=fnn.MaxNorm(0.25))])
    check(stack, clip_norm=0.1)
    huge = layers(
        fnn.Dense(18, "relu", initializer=fnn.initializers.RandomNormal(stddev=1e25), constraint=fnn.MaxNorm(0.5))
    )
    check(huge, optimizer=fnn.SGD(1e-30))


@needs_cuda
@pytest.mark.usefixtures("head")
def test_shared_and_frozen_layers() -> None:
    shared = fnn.Dense(12, "tanh", name="shared")
    check(layers(fnn.Dense(12, "relu"), shared, shared), optimizer=fnn.SGD(0.1, momentum=0.5))
    flats = []
    for device in DEVICES:
        net = fnn.Network(N_IN, layers(fnn.Dense(18, "relu", name="first")), seed=7, device=device)
        net.variables["first/W"].trainable = False
        before = net.variables["first/W"].value
        fnn.Trainer(net).fit(X, LABELS, batch_size=10)
        np.testing.assert_array_equal(net.variables["first/W"].value, before)
        flats.append(net.get_flat())
    np.testing.assert_array_equal(*flats)


@needs_cuda
def test_a_layer_of_two_networks_on_two_devices() -> None:
    shared = fnn.Dense(12, "relu", name="shared")
    nets = [fnn.Network(N_IN, layers(shared, fnn.Dense(4, "tanh")), device=device) for device in DEVICES]
    fnn.Trainer(nets[1]).fit(X, LABELS, batch_size=10)
    np.testing.assert_array_equal(nets[0].variables["shared/W"].value, nets[1].variables["shared/W"].value)
    nets[0].variables["shared/W"] = np.full((N_IN, 12), 0.5)
    np.testing.assert_array_equal(*(net.activities(X)["shared"] for net in nets))


@needs_cuda
@pytest.mark.parametrize("kind", ["float32", "float64", "lists", "file"])
def test_inputs(kind: str, tmp_path: pathlib.Path) -> None:
    x: Any = X.astype(np.float64 if kind == "float64" else np.float32)
    first = None
    if kind == "lists":
        x, first = scipy.sparse.csr_matrix(x), fnn.Rescaling(0.25)
    if kind == "file":
        np.save(tmp_path / "x.npy", X)
        x = np.load(tmp_path / "x.npy", mmap_mode="r")
    check(layers(fnn.Dense(18, "relu"), first=first), x=x) if kind != "file" else check_file(x)


def check_file(x: Any) -> None:
    flats = [trained(device, layers(fnn.Dense(18, "relu")), x)[0].get_flat() for device in DEVICES]
    in_memory, _ = trained("gpu:0", layers(fnn.Dense(18, "relu")))
    np.testing.assert_array_equal(flats[0], flats[1])
    np.testing.assert_array_equal(flats[0], in_memory.get_flat())
    nets = [fnn.Network(N_IN, layers(fnn.Dense(18, "relu")), seed=1, device=device) for device in DEVICES]
    assert fnn.Trainer(nets[0]).evaluate(x, LABELS) == fnn.Trainer(nets[1]).evaluate(X, LABELS)
    assert fnn.Trainer(nets[1]).evaluate(x, LABELS) == fnn.Trainer(nets[1]).evaluate(X, LABELS)
    np.testing.assert_array_equal(nets[1](x), nets[0](X))


@needs_cuda
@pytest.mark.parametrize(
    "fit", [{"shuffle": False}, {"batch_size": 1}, {"batch_size": N}, {"drop_last": True}, {"batch_size": 64}], ids=repr
)
@pytest.mark.usefixtures("head")
def test_batches(fit: Any) -> None:
    check(layers(fnn.Dense(18, "relu"), fnn.Dense(3, "sigmoid")), fit=fit)


@needs_cuda
@pytest.mark.usefixtures("head")
def test_weights_validation_and_metrics() -> None:
    weights = RANDOM.random(N)
    fit = {"sample_weight": weights, "class_weight": {1: 3.0}, "validation_data": (X[:20], LABELS[:20])}
    check(layers(fnn.Dense(18, "relu")), fit=fit | {"metrics": ["top_2_accuracy"]})


@needs_cuda
@pytest.mark.usefixtures("head")
@pytest.mark.parametrize("widths", [(), (130,), (97, 65), (16, 16, 16, 16)])
def test_shapes(widths: tuple[int, ...]) -> None:
    """Products of all sizes of tiles; one and many layers."""
    check(layers(*(fnn.Dense(n, "relu") for n in widths)))


@needs_cuda
def test_many_outputs() -> None:
    """Too many for the columns of sixteen rows to lie in shared memory."""
    labels = RANDOM.integers(0, 700, N)
    check(layers(fnn.Dense(9, "relu"), last=fnn.Dense(700)), y=labels, fit={"epochs": 1, "batch_size": 20})


@needs_cuda
def test_many_rows_of_a_pass() -> None:
    x = np.resize(X, (600, N_IN))
    y = np.resize(LABELS, 600)
    nets = [fnn.Network(N_IN, layers(fnn.Dense(18, "relu")), seed=1, device=device) for device in DEVICES]
    assert fnn.Trainer(nets[0]).evaluate(x, y) == fnn.Trainer(nets[1]).evaluate(x, y)
    np.testing.assert_array_equal(nets[0].predict_proba(x), nets[1].predict_proba(x))


@needs_cuda
@pytest.mark.parametrize("byte", [0x00, 0xFF])
def test_what_memory_held_changes_nothing(byte: int) -> None:
    net = fnn.Network(N_IN, layers(fnn.Dense(18, "gelu")), seed=1, device="gpu:0")
    data = _core.Data(net._net, X, LABELS, "softmax_cross_entropy")
    plain = net._net.gradients(data, "softmax_cross_entropy", 1)
    poisoned = net._net.gradients(data, "softmax_cross_entropy", 1, poison=byte)
    for one, other in zip(plain[1], poisoned[1], strict=True):
        np.testing.assert_array_equal(one, other)


@needs_cuda
@pytest.mark.usefixtures("head")
@pytest.mark.parametrize("n_out", [1, 16, 17, 40, 64])
@pytest.mark.parametrize("widths", [(), (38,), (5, 300), (9, 16, 16)])
def test_heads(n_out: int, widths: tuple[int, ...]) -> None:
    """Last layers of one and more panels, after inputs of any number; a batch of ten leaves a block half empty."""
    y = RANDOM.normal(size=(N, n_out))
    stack = layers(*(fnn.Dense(n, "elu") for n in widths), fnn.Dropout(0.6), last=fnn.Dense(n_out, "tanh"))
    check(stack, y=y, loss="squared_error", optimizer=fnn.SGD(0.05), fit={"epochs": 1, "batch_size": 10})


RECORDED_STEPS = 2  # of the emulation's graphs


def launches_a_step(build: Any, batch_size: int = 100) -> int:
    """Of a training on one batch."""
    coach: fnn.Trainer = build("gpu:0")
    x = np.resize(X, (batch_size, coach.network.n_in))
    coach.fit(x, np.arange(batch_size) % coach.network.n_out, batch_size=batch_size)
    library = ctypes.CDLL(str(importlib.import_module("fastnn._cuda").__file__))
    steps, advance = divmod(library.fnn_emulated_recorded(), RECORDED_STEPS)
    assert advance == 1
    return steps


def dense(*widths: int) -> Any:
    return lambda device: fnn.Trainer(fnn.Network(N_IN, layers(*map(fnn.Dense, widths)), device=device))


@pytest.mark.skipif(not IS_EMULATED, reason="there is no emulated CUDA module")
@pytest.mark.parametrize(
    ("build", "expected"),
    [
        (lambda device: logistic.listing(0.1, 10, 0, device), 2),
        (lambda device: mlp.fast(0.1, 10, 0, device), 5),
        (dense(6), 3),
        (dense(6, 6, 6), 7),
        (dense(990), 3),
        (dense(1000), 5),  # whose weights shared memory has no room for
        (dense(6, 1000), 7),
    ],
)
def test_launches_of_a_step(build: Any, expected: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FASTNN_EMULATE_PROCESSORS", "132")
    assert launches_a_step(build) == expected


@pytest.mark.skipif(not IS_EMULATED, reason="there is no emulated CUDA module")
def test_more_rows_than_blocks_that_run_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FASTNN_EMULATE_PROCESSORS", "3")
    assert [launches_a_step(dense(6), rows) for rows in (24, 25)] == [3, 5]


@pytest.mark.skipif(not IS_EMULATED, reason="there is no emulated CUDA module")
def test_gradients_keep_their_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    nets = [fnn.Network(N_IN, layers(fnn.Dense(18, "gelu")), seed=1, device=device) for device in DEVICES]
    data = [_core.Data(net._net, X, LABELS, "softmax_cross_entropy") for net in nets]
    for net, rows in zip(nets, data, strict=True):
        net._net.gradients(rows, "softmax_cross_entropy", 1)
        fnn.Trainer(net).fit(X, LABELS, batch_size=10)
    monkeypatch.setenv("FASTNN_EMULATE_MEMORY", "0")
    found = [net._net.gradients(rows, "softmax_cross_entropy", 1)[1] for net, rows in zip(nets, data, strict=True)]
    for one, other in zip(*found, strict=True):
        np.testing.assert_array_equal(one, other)


# ---- as a user meets it ----


@needs_cuda
@pytest.mark.parametrize("way", [DEVICES, DEVICES[::-1]])
def test_a_checkpoint_moves_between_devices(way: tuple[str, str], tmp_path: pathlib.Path) -> None:
    stack = layers(fnn.Dropout(0.8), fnn.Dense(18, "relu"))
    options: dict[str, Any] = {"optimizer": fnn.Adam(0.01), "fit": {"epochs": 1, "batch_size": 10}}
    straight, coach = trained(way[0], stack, **options)
    coach.save(tmp_path / "half.safetensors")
    coach.fit(X, LABELS, batch_size=10)
    again = fnn.load_trainer(tmp_path / "half.safetensors", device=way[1])
    assert again.network.device == way[1]
    again.fit(X, LABELS, batch_size=10)
    np.testing.assert_array_equal(again.network.get_flat(), straight.get_flat())
    straight.save(tmp_path / "net.safetensors")
    other = fnn.load(tmp_path / "net.safetensors", device=way[1])
    assert other.device == way[1]
    np.testing.assert_array_equal(other(X), straight(X))


@needs_cuda
def test_variables_and_histograms_follow() -> None:
    net, _ = trained("gpu:0", layers(fnn.Dense(18, "relu", name="first")))
    values = np.full((N_IN, 18), 0.5, np.float32)
    net.variables["first/W"] = values
    np.testing.assert_array_equal(net.variables["first/W"].value, values)
    np.testing.assert_array_equal(copy.deepcopy(net)(X), net(X))
    net.set_flat(np.zeros(net.get_flat().size))
    assert (net(X) == 0).all()


@needs_cuda
def test_a_training_that_diverges_keeps_what_was_good() -> None:
    flats = []
    for device in DEVICES:
        net = fnn.Network(N_IN, layers(fnn.Dense(18, "relu"), first=fnn.Rescaling(1e15)), seed=1, device=device)
        coach = fnn.Trainer(net, loss="squared_error", optimizer=fnn.SGD(1.0))
        with pytest.raises(FloatingPointError, match="the loss is not finite in epoch 1, step"):
            coach.fit(X, VALUES, batch_size=10, epochs=3)
        flats.append((coach.step, net.get_flat()))
    assert flats[0][0] == flats[1][0]
    np.testing.assert_array_equal(flats[0][1], flats[1][1])


@needs_cuda
def test_a_second_trainer_of_a_network() -> None:
    """It finds a plan that recorded the steps of the first."""
    flats = []
    for device in DEVICES:
        net, _ = trained(device, layers(fnn.Dense(6, "relu")))
        fnn.Trainer(net, optimizer=fnn.SGD(0.1, momentum=0.9, nesterov=True)).fit(X, LABELS, batch_size=10)
        flats.append(net.get_flat())
    np.testing.assert_array_equal(*flats)


@needs_cuda
def test_hooks_within_an_epoch() -> None:
    everything, norms = [], []
    for device in DEVICES:
        seen: list[Any] = []
        watch = fnn.EveryNSteps(2, lambda coach, step, to=seen: to.append((step, coach.network.get_flat())))  # type: ignore[misc]
        _, coach = trained(device, layers(fnn.Dense(6, "relu")), fit={"callbacks": [watch]}, clip_norm=0.5)
        everything.append(seen)
        norms.append(coach.history["gradient_norm"])
    assert norms[0] == norms[1]
    assert [step for step, _ in everything[0]] == [step for step, _ in everything[1]] != []
    for (_, one), (_, other) in zip(*everything, strict=True):
        np.testing.assert_array_equal(one, other)


@needs_cuda
def test_the_best_parameters_come_back() -> None:
    flats = []
    for device in DEVICES:
        best = fnn.EarlyStopping(patience=2)
        fit = {"epochs": 12, "callbacks": [best], "validation_data": (X[:9], LABELS[::-1][:9]), "batch_size": 5}
        net, coach = trained(device, layers(fnn.Dense(18, "relu")), fit=fit, optimizer=fnn.SGD(0.5))
        assert best.best_epoch < coach.epoch
        flats.append((best.best_epoch, best.best_value, net.get_flat()))
    assert flats[0][:2] == flats[1][:2]
    np.testing.assert_array_equal(flats[0][2], flats[1][2])


@needs_cuda
def test_scopes_share_variables_across_devices() -> None:
    scope = fnn.Scope("both")
    stacks = [layers(fnn.Dense(6, "relu", name="first"), last=fnn.Dense(N_OUT, name="last")) for _ in DEVICES]
    scopes = (scope, scope.reuse())
    nets = [
        fnn.Network(N_IN, *each[:1], scope=each[1], device=each[2])
        for each in zip(stacks, scopes, DEVICES, strict=True)
    ]
    for net in nets:
        fnn.Trainer(net, optimizer=fnn.Adam(0.01)).fit(X, LABELS, batch_size=10)
    np.testing.assert_array_equal(nets[0](X), nets[1](X))


@needs_cuda
def test_gradients_of_towers_by_hand() -> None:
    from fastnn.book import _points, towers

    x, y = _points.rings(60, 0)
    found = []
    for places in (("cpu:0", "cpu:0", "cpu:0"), ("gpu:0", "cpu:0", "gpu:0")):
        nets = [towers.network(place, 1) for place in places]
        assert tuple(net.device for net in nets) == places
        found.append(towers.gradients(nets, x, y))
    for name, gradient in found[0].items():
        np.testing.assert_array_equal(gradient, found[1][name])


PLACES = [("gpu:0",), ("gpu:0", "gpu:0"), ("gpu:0", "cpu:0", "gpu:0"), ("cpu:0", "gpu:0", "gpu:0", "gpu:0")]


def check_towers(places: Any, stack: list[Any], home: str = "cpu:0", **options: Any) -> None:
    """That a tower has the bits of one on the CPU, wherever it is, and one alone those of none."""
    coach_a, coach_b = (
        trained(device, stack, towers=towers, **options)[1]
        for device, towers in ((home, places), ("cpu:0", ("cpu:0",) * len(places) if len(places) > 1 else None))
    )
    assert coach_a.towers == places
    assert_same_training(coach_a, coach_b)


@needs_cuda
@pytest.mark.usefixtures("head")
@pytest.mark.parametrize("places", PLACES, ids=repr)
def test_towers(places: Any) -> None:
    hidden = fnn.Dense(40, "relu"), fnn.Dropout(0.5), fnn.Dense(18, "gelu", constraint=fnn.MaxNorm(0.5))
    stack = [*layers()[:1], fnn.Dropout(0.9), *hidden, fnn.Dense(N_OUT)]
    check_towers(places, stack, optimizer=fnn.Adam(0.01), clip_value=0.02, clip_norm=0.1, regularizer=fnn.L2(0.01))


@needs_cuda
@pytest.mark.parametrize("places", PLACES, ids=repr)
@pytest.mark.parametrize(
    "fit", [{"shuffle": False}, {"batch_size": 2}, {"drop_last": True}, {"batch_size": 64}], ids=repr
)
def test_batches_of_towers(places: Any, fit: Any) -> None:
    stack = layers(fnn.Dense(18, "relu"), fnn.Dropout(0.5))
    check_towers(places, stack, fit=fit | {"sample_weight": np.linspace(0, 2, N)})


@needs_cuda
@pytest.mark.parametrize("home", DEVICES)
def test_towers_of_a_network_anywhere(home: str) -> None:
    """With validation on the network's own device, callbacks that read and set parameters, and what came before."""

    def halve(trainer: fnn.Trainer, step: int) -> None:
        trainer.network.set_flat(trainer.network.get_flat() / 2)

    twice = fnn.Dense(18, "tanh")
    fit = {"validation_data": (X[:20], LABELS[:20]), "callbacks": [fnn.EveryNSteps(3, halve)]}
    options: Any = {"fit": fit, "reduction": "sum", "optimizer": fnn.SGD(0.01, momentum=0.9)}
    check_towers(("gpu:0", "cpu:0"), layers(fnn.Dense(18, "relu"), twice, twice), home, **options)


@needs_cuda
def test_towers_take_turns_with_one_device() -> None:
    found = []
    for device in DEVICES:
        net = fnn.Network(N_IN, layers(fnn.Dense(18, "relu")), seed=1, device=device)
        for towers in (None, (device,), None):
            fnn.Trainer(net, optimizer=fnn.Adam(0.01), towers=towers).fit(X, LABELS, batch_size=10)
        found.append((net.get_flat(), net(X)))
    for one, other in zip(*found, strict=True):
        np.testing.assert_array_equal(one, other)


@needs_cuda
def test_a_training_goes_on_with_towers(tmp_path: pathlib.Path) -> None:
    net, coach = trained("gpu:0", layers(fnn.Dense(18, "relu")), optimizer=fnn.Adam(0.01))
    coach.save(tmp_path / "a.safetensors")
    coach.fit(X, LABELS, batch_size=10)
    again = fnn.load_trainer(tmp_path / "a.safetensors", device="gpu:0", towers=("gpu:0",))
    again.fit(X, LABELS, batch_size=10)
    np.testing.assert_array_equal(net.get_flat(), again.network.get_flat())
    np.testing.assert_array_equal(net(X), again.network(X))


@needs_cuda
@pytest.mark.parametrize("kind", ["lists", "file"])
def test_inputs_of_towers(kind: str, tmp_path: pathlib.Path) -> None:
    x: Any = scipy.sparse.csr_matrix(X)
    if kind == "file":
        np.save(tmp_path / "x.npy", X)
        x = np.load(tmp_path / "x.npy", mmap_mode="r")
    check_towers(("gpu:0", "cpu:0"), layers(fnn.Dense(18, "relu"), first=fnn.Rescaling(0.25)), x=x)


@pytest.mark.skipif(not IS_EMULATED, reason="there is no emulated CUDA module")
def test_memory_that_a_tower_lacks_says_where(monkeypatch: pytest.MonkeyPatch) -> None:
    coach = fnn.Trainer(fnn.Network(N_IN, layers(), seed=1), towers=("cpu:0", "gpu:0"))
    before = coach.network.get_flat()
    with monkeypatch.context() as patch:
        patch.setenv("FASTNN_EMULATE_MEMORY", "20000")
        with pytest.raises(MemoryError, match="gpu:0: out of memory"):
            coach.fit(np.resize(X, (2000, N_IN)), np.resize(LABELS, 2000))
    np.testing.assert_array_equal(coach.network.get_flat(), before)
    coach.fit(X, LABELS)


def made(device: str, i: int) -> fnn.Trainer:
    net = fnn.Network(N_IN, layers(fnn.Dense(5 + 8 * i, "relu"), fnn.Dropout(0.7)), seed=i, device=device)
    return fnn.Trainer(net, optimizer=[fnn.SGD(0.1, momentum=0.9), fnn.Adam(0.01)][i % 2])


@needs_cuda
def test_many_networks_at_once() -> None:
    fit: dict[str, Any] = {"epochs": 2, "batch_size": 10, "validation_data": (X[:20], LABELS[:20])}
    alone = [made("cpu:0", i) for i in range(6)]
    many = [made(DEVICES[i % 3 > 0], i) for i in range(6)]
    assert {trainer.network.device for trainer in many} == set(DEVICES)
    histories = fnn.fit_many(many, X, LABELS, num_threads=2, **fit)
    for one, other, history in zip(many, alone, histories, strict=True):
        expected = other.fit(X, LABELS, **fit)
        np.testing.assert_array_equal(one.network.get_flat(), other.network.get_flat(), strict=True)
        for name in set(expected) - {"seconds", "samples_per_second"}:
            assert history[name] == expected[name], name


@needs_cuda
def test_sixteen_networks_at_a_time() -> None:
    class Counted(fnn.Callback):
        lock, all_there, now, most = threading.Lock(), threading.Event(), 0, 0

        def on_fit_begin(self, trainer: fnn.Trainer, epochs: int) -> None:
            with Counted.lock:
                Counted.now += 1
                Counted.most = max(Counted.most, Counted.now)
            if Counted.most == 16:
                Counted.all_there.set()
            assert Counted.all_there.wait(60)

        def on_fit_end(self, trainer: fnn.Trainer) -> None:
            with Counted.lock:
                Counted.now -= 1

    trainers = [made("gpu:0", i % 4) for i in range(20)]
    fnn.fit_many(trainers, X, LABELS, callbacks=[[Counted()] for _ in trainers], num_threads=1)
    assert Counted.most == 16


@pytest.mark.skipif(not IS_EMULATED, reason="there is no emulated CUDA module")
def test_many_networks_have_one_copy_of_the_data(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 8 MB, where there are 16."""
    x, y = np.ones((2000, 1000), np.float32), np.resize(LABELS, 2000)
    trainers = [fnn.Trainer(fnn.Network(1000, [fnn.Dense(N_OUT)], seed=i, device="gpu:0")) for i in range(4)]
    gc.collect()  # what earlier tests left on the device
    with monkeypatch.context() as patch:
        patch.setenv("FASTNN_EMULATE_MEMORY", "16000000")
        fnn.fit_many(trainers, x, y)
        patch.setenv("FASTNN_EMULATE_MEMORY", "8000000")
        with pytest.raises(ExceptionGroup, match=r"^4 trainings ended") as raised:
            fnn.fit_many(trainers, x, y)
    assert all(isinstance(error, MemoryError) for error in raised.value.exceptions)
    fnn.fit_many(trainers, x, y)
    assert [trainer.step for trainer in trainers] == [40] * 4


@pytest.mark.skipif(not IS_EMULATED, reason="there is no emulated CUDA module")
@pytest.mark.parametrize("what", ["outputs", "activities", "evaluate", "fit"])
def test_an_interrupt_does_not_wait_for_the_end(what: str) -> None:
    net = fnn.Network(N_IN, layers(fnn.Dense(32, "relu")), seed=1, device="gpu:0")
    coach = fnn.Trainer(net)
    x, y = np.resize(X, (60_000, N_IN)), np.resize(LABELS, 60_000)
    run: Any = {
        "outputs": lambda: net(x),
        "activities": lambda: net.activities(x),
        "evaluate": lambda: coach.evaluate(x, y),
        "fit": lambda: coach.fit(x, y, progress=False),
    }[what]
    began = time.perf_counter()
    run()
    whole = time.perf_counter() - began
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # else a background job would not hear it
    try:
        threading.Timer(0.1 * whole, os.kill, (os.getpid(), signal.SIGINT)).start()
        began = time.perf_counter()
        with pytest.raises(KeyboardInterrupt):
            run()
        assert time.perf_counter() - began < 0.7 * whole
    finally:
        signal.signal(signal.SIGINT, before)
    assert np.isfinite(net(X)).all()


@pytest.mark.skipif(not IS_EMULATED, reason="there is no emulated CUDA module")
def test_memory_that_a_gpu_lacks_says_where(monkeypatch: pytest.MonkeyPatch) -> None:
    net = fnn.Network(N_IN, layers(), seed=1, device="gpu:0")
    before = net(X)
    with monkeypatch.context() as patch:
        patch.setenv("FASTNN_EMULATE_MEMORY", "20000")
        with pytest.raises(MemoryError, match="gpu:0: out of memory"):
            fnn.Network(N_IN, layers(fnn.Dense(1000)), device="gpu:0")
        with pytest.raises(MemoryError, match="gpu:0: out of memory"):
            fnn.Trainer(net).fit(np.resize(X, (2000, N_IN)), np.resize(LABELS, 2000))
        with pytest.raises(MemoryError, match="gpu:0: out of memory"):
            net(np.resize(X, (2000, N_IN)))
    np.testing.assert_array_equal(net(X), before)


def stopped(device: str, at: int, reads: bool, stop: Any) -> fnn.Trainer:
    """A trainer whose second epoch of five steps `stop` ends, at a step of the training."""
    net = fnn.Network(N_IN, layers(fnn.Dense(18, "relu")), seed=1, device=device)
    coach = fnn.Trainer(net, optimizer=fnn.Adam(0.01))
    coach.fit(X, LABELS, batch_size=10)

    def pause(coach: fnn.Trainer, step: int) -> None:
        if step == at:
            if reads:
                net.get_flat()
            stop()

    with pytest.raises((RuntimeError, KeyboardInterrupt)) as caught:
        coach.fit(X, LABELS, batch_size=10, callbacks=[fnn.EveryNSteps(1, pause)])
    if caught.type is RuntimeError:
        said = "gpu:0: unspecified launch failure (cudaErrorLaunchFailure) in cudaGraphLaunch"
        assert str(caught.value).startswith(said)
    return coach


def interrupt() -> None:
    raise KeyboardInterrupt


@pytest.mark.skipif(not IS_EMULATED, reason="there is no emulated CUDA module")
@pytest.mark.parametrize(("reads", "step"), [(False, 5), (True, 8)])
def test_a_device_that_fails(reads: bool, step: int, monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path) -> None:
    """Parameters, moments and step are those of one moment, also after steps of which nothing is known."""
    with monkeypatch.context() as patch:
        coach = stopped("gpu:0", 8, reads, lambda: patch.setenv("FASTNN_EMULATE_FAILURE", "1"))
        net = coach.network
        assert coach.step == step
        assert len(coach.batch_losses) == step - 5
        coach.save(tmp_path / "a.safetensors")  # needs no device
    twin = stopped("cpu:0", 8, reads=False, stop=interrupt) if reads else None
    if twin is not None:
        assert twin.step == step
        np.testing.assert_array_equal(net.get_flat(), twin.network.get_flat())
    again = fnn.load_trainer(tmp_path / "a.safetensors", device="cpu:0")
    np.testing.assert_array_equal(net(X), again.network(X))
    for trainer in (coach, again):
        trainer.fit(X, LABELS, batch_size=10)
    np.testing.assert_array_equal(net.get_flat(), again.network.get_flat())


@needs_cuda
def test_what_a_gpu_lacks_says_so() -> None:
    net = fnn.Network(N_IN, layers(), device="gpu:0")
    custom = fnn.losses.CustomLoss(lambda outputs, y: (outputs[:, 0], outputs))
    with pytest.raises(ValueError, match="loss must be one of the library's for a network on a GPU, got a custom one"):
        fnn.Trainer(net, loss=custom)
    with pytest.raises(ValueError, match=r"device must be 'cpu:0' for a predictor, got 'gpu:0'"):
        net.predictor(1)
    with pytest.raises(ValueError, match=r"device must be one of cpu:0, gpu:0.*, got 'gpu:99'"):
        fnn.Network(N_IN, layers(), device="gpu:99")


@needs_cuda
@pytest.mark.parametrize("build", [mlp.fast, mlp.best, mlp.listing, logistic.listing])
def test_the_book_on_a_gpu(build: Any) -> None:
    assert build(0.1, 10, 0, "gpu:0").network.device == "gpu:0"


@needs_cuda
def test_soft_placement_takes_a_gpu_that_there_is(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "fastnn"):
        assert fnn.Network(N_IN, layers(), device="gpu", allow_soft_placement=True).device == "gpu:0"
    assert not caplog.records


# ---- without a GPU ----


def test_a_network_of_the_cpu_asks_no_driver() -> None:
    import subprocess

    code = "import sys, fastnn as f; f.Network(2, [f.Dense(1)]); sys.exit('fastnn._cuda' in sys.modules)"
    assert subprocess.run([sys.executable, "-P", "-c", code]).returncode == 0


@pytest.mark.skipif(not IS_EMULATED, reason="there is no emulated CUDA module")
def test_no_device(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FASTNN_EMULATE_DEVICES", "0")
    assert not fnn.cuda.is_available()
    assert fnn.cuda.why_unavailable() == "no CUDA-capable device is detected"
    with pytest.raises(ValueError, match=r"\(no GPU: no CUDA-capable device is detected\), got 'gpu:0'"):
        fnn.Network(N_IN, layers(), device="gpu:0")
