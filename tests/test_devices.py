"""Devices by name, and where networks are placed."""

from __future__ import annotations

import importlib
import logging
import sys
from typing import Any

import pytest

import fastnn as fnn
from fastnn import cuda
from fastnn._devices import place

LAYERS = [fnn.Rescaling(0.5), fnn.Dense(3, "relu", name="hidden"), fnn.Dropout(0.5), fnn.Dense(2)]
MISSING = r"device must be one of cpu:0 \(no GPU: this fastnn was built without a CUDA module\), got '{}'"


@pytest.fixture
def no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if the CUDA module had not been built."""
    monkeypatch.setitem(sys.modules, "fastnn._cuda", None)


@pytest.fixture
def two_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cuda, "device_count", lambda: 2)


@pytest.mark.usefixtures("no_gpu")
def test_there_is_no_gpu() -> None:
    assert fnn.devices() == ("cpu:0",)
    assert (fnn.cuda.is_available(), fnn.cuda.device_count()) == (False, 0)
    assert fnn.cuda.why_unavailable() == "this fastnn was built without a CUDA module"
    assert fnn.runtime.config()["cuda"] == "no GPU: this fastnn was built without a CUDA module"
    with pytest.raises(ValueError, match=r"index must be the number of one of 0 GPUs \(this fastnn was built without"):
        fnn.cuda.device_name()


@pytest.mark.parametrize("error", [ImportError, ModuleNotFoundError])
def test_a_module_that_cannot_be_loaded_says_why(monkeypatch: pytest.MonkeyPatch, error: type[ImportError]) -> None:
    def fails(name: str) -> None:
        raise error("libm.so.6: version GLIBC_2.99 is missing.")

    monkeypatch.setattr(importlib, "import_module", fails)
    expected = "the CUDA module cannot be loaded: libm.so.6: version GLIBC_2.99 is missing"
    assert fnn.cuda.why_unavailable() == expected
    assert not fnn.cuda.is_available()


@pytest.mark.usefixtures("no_gpu")
@pytest.mark.parametrize("name", ["cpu:0", "/cpu:0", "cpu", "/cpu", "auto"])
def test_names_of_the_cpu(name: str) -> None:
    assert place(name) == ("cpu:0", "cpu:0")
    assert fnn.Network(4, LAYERS, device=name).device == "cpu:0"


@pytest.mark.usefixtures("two_gpus")
def test_names_where_there_are_gpus() -> None:
    assert fnn.devices() == ("cpu:0", "gpu:0", "gpu:1")
    names = ("auto", "gpu", "/gpu:1", "gpu:1", "cpu")
    assert [place(name).device for name in names] == ["gpu:0", "gpu:0", "gpu:1", "gpu:1", "cpu:0"]
    with pytest.raises(ValueError, match=r"device must be one of cpu:0, gpu:0, gpu:1, got '/gpu:2'$"):
        place("/gpu:2")


@pytest.mark.usefixtures("no_gpu")
@pytest.mark.parametrize("name", ["gpu:0", "/gpu:2", "gpu"])
def test_a_missing_device_is_an_error(name: str) -> None:
    with pytest.raises(ValueError, match=MISSING.format(name)):
        fnn.Network(4, LAYERS, device=name)


@pytest.mark.parametrize("name", ["", "cpu:", "cpu:00", "gpu:-1", "gpu:٣", "tpu:0", "/job:a/cpu:0", "cpu:0 ", "CPU:0"])
def test_other_names_are_errors_under_soft_placement_too(name: str) -> None:
    for is_soft in (False, True):
        with pytest.raises(ValueError, match="device must be 'auto' or a device such as 'cpu:0' or 'gpu:0', got "):
            fnn.Network(4, LAYERS, device=name, allow_soft_placement=is_soft)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"device": 0}, "device must be 'auto' or a device"),
        ({"device": None}, "device must be 'auto' or a device"),
        ({"allow_soft_placement": 1}, "allow_soft_placement must be True or False"),
        ({"log_device_placement": "yes"}, "log_device_placement must be True or False"),
    ],
)
def test_other_kinds_are_refused(options: dict[str, Any], expected: str) -> None:
    with pytest.raises(TypeError, match=expected):
        fnn.Network(4, LAYERS, **options)


@pytest.mark.usefixtures("no_gpu")
def test_soft_placement_says_so(caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]) -> None:
    net = fnn.Network(4, LAYERS, device="/gpu:2", allow_soft_placement=True, log_device_placement=True)
    assert net.device == "cpu:0"
    assert [(r.name, r.levelno, r.getMessage()) for r in caplog.records] == [
        ("fastnn", logging.WARNING,
         "device gpu:2 is missing (no GPU: this fastnn was built without a CUDA module): cpu:0 takes its place"),
    ]  # fmt: skip
    fnn.Trainer(net)
    assert capsys.readouterr().out.splitlines() == [
        "Rescaling, 0.5 x + 0: cpu:0 (gpu:2 is missing)",
        "hidden, Dense, relu: cpu:0 (gpu:2 is missing)",
        "Dropout, keeps 0.5: cpu:0 (gpu:2 is missing)",
        "dense_2, Dense, linear: cpu:0 (gpu:2 is missing)",
        "loss softmax_cross_entropy: cpu:0 (gpu:2 is missing)",
        "optimizer SGD: cpu:0 (gpu:2 is missing)",
    ]


def test_nothing_is_said_unless_asked_for(caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]) -> None:
    fnn.Trainer(fnn.Network(4, LAYERS, device="cpu:0", allow_soft_placement=True))
    assert not caplog.records
    assert not capsys.readouterr().out
    fnn.Network(4, LAYERS, log_device_placement=True)
    assert capsys.readouterr().out.splitlines()[1] == "hidden, Dense, relu: cpu:0"
