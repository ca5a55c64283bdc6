"""Rows of the comparison on a GPU, each in a process of its own: ``bench/gpu.py`` calls it, and makes the table.

    python -m fastnn.bench.gpu ROW --json FILE     ROW: A, B, C, predict, many; or facts, check

Contenders take turns in rounds. Times are those of work that follows on work: data lie on the device already, but for
predictions, and its clock has risen.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

import fastnn as fnn

from .. import machine, shapes
from ..peers import _cuda
from ..samples import load
from ..shapes import Shape
from ..workloads import Contender, Fastnn, WrongResult, build, check_close, check_outputs
from .contenders import DEVICE, FastnnOnGpu, check_bits, entries_of, why_not_offered
from .rounds import Entry, Limits, Report, repeated, rounds

_EPOCHS_OF_THE_BOOK = 300
_PRODUCTS_AT_ONCE = 10  # so that waiting for the device is no part of their time

_WIDE = next(shape for shape in shapes.TRAINING if shape.name == "C_4096")
C = replace(_WIDE, name="C", batch_size=8192, rows=2 * 8192)


def small(report: Report, limits: Limits, shape: Shape) -> None:
    shape = _smaller(shape, limits)
    report.description = f"{shape.network}, batch {shape.batch_size}, {load(shape, 1).source}"
    everyone: dict[type[Contender], str] = {FastnnOnGpu: "fp32", **dict.fromkeys(_cuda.GPU_PEERS, "fp32")}
    entries = entries_of(report, limits, shape, everyone)
    rounds(report, entries, limits)
    if shape.name == "A" and "fastnn" in report.seconds:
        report.attempt("fastnn", _whole_training, report, shape, 2 if limits.is_smoke else _EPOCHS_OF_THE_BOOK)


def _whole_training(report: Report, shape: Shape, epochs: int) -> None:
    it = FastnnOnGpu(shape)
    it.feed(load(shape))
    began = time.perf_counter()
    it.marks(epochs)
    report.extra["whole_training"] = {"epochs": epochs, "seconds": time.perf_counter() - began}


def wide(report: Report, limits: Limits) -> None:
    """Products of its size alone, then training in every precision; PyTorch in those that fastnn offers."""
    shape = _smaller(C, limits)
    report.description = f"{shape.network}, batch {shape.batch_size}, {load(shape, 1).source}"
    entries = []
    for precision in ("fp32", "tf32", "bf16"):
        name = f"cuBLAS product {precision}"
        if (reason := limits.why_not(name) or _cuda.OnGpu.why_not(shape, None)) is not None:
            report.skip(name, reason)
        elif (entry := report.attempt(name, _product, name, shape, precision)) is not None:
            entries.append(entry)
    contenders: dict[type[Contender], str] = {}
    for precision in ("fp32", "fp32-blas", "3xtf32", "tf32", "bf16"):
        ours = _fastnn_with(precision)
        contenders[ours] = precision
        if precision in ("fp32", "tf32", "bf16") and why_not_offered(ours.options) is None:
            contenders[_cuda.with_precision(_cuda.TorchCompiledOnGpu, precision)] = precision
    entries += entries_of(report, limits, shape, contenders)
    rounds(report, entries, limits)


def _fastnn_with(precision: str) -> type[FastnnOnGpu]:
    """fp32, the default, is not asked for."""
    options = {"device": DEVICE} if precision == "fp32" else {"device": DEVICE, "precision": precision}
    return type("FastnnWithPrecision", (FastnnOnGpu,), {"name": f"fastnn {precision}", "options": options})


def _product(name: str, shape: Shape, precision: str) -> Entry:
    """Of a batch with the weights of a hidden layer, by PyTorch, as cuBLAS computes it."""
    import torch

    rows, units = shape.batch_size, shape.widths[1]
    dtype, device = torch.bfloat16 if precision == "bf16" else torch.float32, _cuda.OnGpu.device
    generator = torch.Generator(device).manual_seed(0)
    a, b = (torch.randn(n, units, generator=generator, device=device).to(dtype) for n in (rows, units))
    out = torch.empty(rows, units, dtype=dtype, device=device)

    def prepare() -> None:
        torch.set_float32_matmul_precision("high" if precision == "tf32" else "highest")

    def several() -> None:
        for _ in range(_PRODUCTS_AT_ONCE):
            torch.matmul(a, b, out=out)
        float(out[0, 0])  # waits

    prepare()
    several()
    truth = (a[0].double() @ b.double()).cpu().numpy()
    tolerance = {"fp32": 1e-4, "tf32": 1e-2, "bf16": 3e-2}[precision]
    check_close(name, out[0].double().cpu().numpy(), truth, tolerance, floor=float(np.abs(truth).max()))
    return Entry(name, prepare, repeated(several), _PRODUCTS_AT_ONCE, 2 * rows * units * units)


def predict(report: Report, limits: Limits) -> None:
    """From rows in host memory to probabilities there: bytes, and the same as float32."""
    n_batch = 20 if limits.is_smoke else 10_000
    report.description = f"{_smaller(shapes.A, limits).network}, {n_batch:,} rows a call, host to host"
    entries = []
    for samples in ("bytes", "floats"):
        shape = _smaller(replace(shapes.A, samples=samples), limits)
        for contender in (FastnnOnGpu, _cuda.TorchEagerOnGpu, _cuda.TorchCompiledOnGpu):
            name = f"{contender.name}, {samples}"
            if (reason := limits.why_not(name) or contender.why_not(shape, None)) is not None:
                report.skip(name, reason)
            elif (entry := report.attempt(name, _predicted, name, shape, contender, n_batch)) is not None:
                entries.append(entry)
    rounds(report, entries, limits)


def _predicted(name: str, shape: Shape, contender: type[Contender], n_batch: int) -> Entry:
    it, x = contender(shape, None), load(shape, n_batch).x
    it.prepare()
    run = it.predictor(x)
    check_outputs(f"{name}: output", shape, x, run())
    if isinstance(it, FastnnOnGpu) and not np.array_equal(run(), Fastnn(shape).net.predict_proba(x)):
        raise WrongResult(f"{name}: the output is not the CPU's")
    return Entry(name, it.prepare, repeated(run))


def many(report: Report, limits: Limits) -> None:
    """Many of the book's MLPs trained together, beside one after the other in PyTorch; seconds of a step of a model."""
    n_models, epochs = (3, 1) if limits.is_smoke else (128, 5)
    shape = _smaller(shapes.A.shortened(100), limits)
    report.description = f"{n_models} of {shape.network}, batch {shape.batch_size}, {load(shape, 1).source}"
    report.extra["models"] = n_models
    entries = []
    name = "fastnn together"
    if not hasattr(fnn, "fit_many"):
        report.skip(name, "not offered by this build: there is no fastnn.fit_many")
    elif (reason := limits.why_not(name)) is not None:
        report.skip(name, reason)
    elif (entry := report.attempt(name, _together, name, shape, n_models, epochs)) is not None:
        entries.append(entry)
    peers = (FastnnOnGpu, _cuda.TorchEagerOnGpu, _cuda.TorchCompiledOnGpu, _cuda.TorchEagerGraphed)
    entries += entries_of(report, limits, shape, dict.fromkeys(peers, "fp32"))
    rounds(report, entries, limits)


def _together(name: str, shape: Shape, n_models: int, epochs: int) -> Entry:
    """Each with its own seed and learning rate. The first and the last must have the bits of a training alone."""
    fit_many: Any = fnn.fit_many  # type: ignore[attr-defined, unused-ignore]

    def trainer(i: int, device: str) -> fnn.Trainer:
        net = build(shape, device=device)
        net.initialize(seed=i)
        return fnn.Trainer(net, shape.loss, fnn.SGD(shape.learning_rate * (1 + i / n_models)), seed=i)

    data = load(shape)
    fit: dict[str, Any] = {"batch_size": shape.batch_size, "progress": False}
    trainers = [trainer(i, DEVICE) for i in range(n_models)]
    fit_many(trainers, data.x, data.y, epochs=1, **fit)
    for i in (0, n_models - 1):
        alone = trainer(i, "cpu:0")
        alone.fit(data.x, data.y, epochs=1, **fit)
        if not np.array_equal(alone.network.get_flat(), trainers[i].network.get_flat()):
            raise WrongResult(f"{name}: model {i} is not the one that is trained alone")
    piece = repeated(lambda: fit_many(trainers, data.x, data.y, epochs=epochs, **fit))
    return Entry(name, lambda: None, piece, n_models * epochs * shape.steps)


def check(report: Report, limits: Limits) -> None:
    """The small-net engine for a few steps, as tools that look for faults in device code run it."""
    dropout = _smaller(replace(shapes.A.shortened(3), keep_prob=0.5), limits)
    for shape in (dropout, shapes.F.shortened(3)):
        check_bits(shape)
    report.description = "a few steps have the CPU's bits"


def facts(report: Report, limits: Limits) -> None:
    if not fnn.cuda.is_available():
        raise RuntimeError(f"fastnn sees no GPU: {fnn.cuda.why_unavailable()}")
    report.extra = machine.facts(["torch", "jax", "triton"])
    report.extra["gpu"] = fnn.cuda.device_name(0)
    report.extra["file"] = fnn.__file__
    report.description = machine.line_of(report.extra)


def _smaller(shape: Shape, limits: Limits) -> Shape:
    """For a smoke run: narrow, with three steps of ten."""
    if not limits.is_smoke:
        return shape
    return replace(shape, widths=tuple(n if n == 784 else min(n, 16) for n in shape.widths), batch_size=10, rows=30)


ROWS: dict[str, Callable[[Report, Limits], None]] = {
    "facts": facts,
    "check": check,
    "A": lambda report, limits: small(report, limits, shapes.A),
    "B": lambda report, limits: small(report, limits, shapes.B),
    "C": wide,
    "predict": predict,
    "many": many,
}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m fastnn.bench.gpu", description="One row of bench/gpu.py.")
    parser.add_argument("row", choices=ROWS)
    parser.add_argument("--json", type=Path, required=True, help="where to write what was measured")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=600.0, help="no round begins after so many")
    parser.add_argument("--without", nargs=2, action="append", default=[], metavar=("CONTENDER", "WHY"))
    parser.add_argument("--smoke", action="store_true", help="tiny sizes; other libraries on the CPU")
    args = parser.parse_args()
    limits = Limits(args.rounds, time.perf_counter() + args.seconds, args.smoke, dict(args.without))
    if args.smoke:
        _cuda.rehearse()
    report = Report(args.json, args.row)
    ROWS[args.row](report, limits)
    report.save()
    return 0


if __name__ == "__main__":
    sys.exit(main())
