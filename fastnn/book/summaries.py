"""Summaries (section "Logging with TensorBoard"): what a training writes for TensorBoard, read back from its files.

The book's listing writes the cost of the last mini-batch once an epoch, at x = global_step, as here; its text speaks of
every mini-batch, which is ``TensorBoard(folder, every="batch")``. Besides: the validation error, a histogram of each
variable, and the graph of the network. With --logdir DIR the files stay there, for tensorboard --logdir DIR. Needs
tensorboardX.
"""

from __future__ import annotations

import struct
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import fastnn as fnn

from . import _draw
from ._result import Result

if TYPE_CHECKING:
    from matplotlib.figure import Figure

EPOCHS, BATCH = 5, 100
TIMES = ("seconds", "samples_per_second")  # scalars that differ from run to run
Series = dict[str, list[tuple[int, Any]]]  # (step, value) by tag


def run(seed: int, logdir: str | None = None) -> Result:
    """ImportError: no tensorboardX."""
    if logdir is not None:
        return written(seed, logdir)
    with tempfile.TemporaryDirectory() as folder:
        return written(seed, folder)


def written(seed: int, folder: str) -> Result:
    board = fnn.TensorBoard(folder)
    digits = fnn.datasets.digits(n_train=2000, n_validation=500, n_test=1)
    layers = [fnn.Rescaling(1 / 255), fnn.Dense(30, "relu", name="hidden"), fnn.Dense(10, name="output")]
    trainer = fnn.Trainer(fnn.Network(784, layers, seed=seed), optimizer=fnn.SGD(0.1))
    validation = (digits.validation.x, digits.validation.y)
    trainer.fit(
        digits.train.x,
        digits.train.y,
        epochs=EPOCHS,
        batch_size=BATCH,
        validation_data=validation,
        callbacks=[board],
        progress=False,
    )
    scalars, histograms, nodes = contents(newest(folder))
    lines = [f"scalars at steps {[step for step, _ in scalars['cost']]}:"]
    for tag, points in scalars.items():
        values = ", ".join(f"{value:.4g}" for _, value in points) if tag not in TIMES else f"{len(points)} values"
        lines.append(f"  {tag:<20}{values}")
    lines.append(f"histograms, from step 0 on: {', '.join(f'{len(h)} of {tag}' for tag, h in histograms.items())}")
    lines.append(f"graph: {', '.join(nodes)}")
    numbers = {
        "steps": [step for step, _ in scalars["cost"]],
        "cost": [value for _, value in scalars["cost"]],
        "validation_error": [value for _, value in scalars["validation_error"]],
        "scalars": sorted(scalars),
        "histograms": {tag: [step for step, _ in points] for tag, points in histograms.items()},
        "graph": nodes,
    }
    shown = f"{len(scalars)} scalars, {len(histograms)} histograms and a graph of {len(nodes)} nodes"
    return Result(shown, lines, numbers, (scalars, histograms))


def newest(folder: str) -> Path:
    """The event file written last: a folder that is given may have others."""
    return max(Path(folder).glob("events.out.tfevents.*"), key=lambda path: path.stat().st_mtime_ns)


def contents(path: Path) -> tuple[Series, Series, list[str]]:
    """Scalars, histograms and the names of the graph's nodes."""
    from tensorboardX.proto.graph_pb2 import GraphDef

    scalars: Series = {}
    histograms: Series = {}
    nodes: list[str] = []
    for event in events(path):
        if event.graph_def:
            nodes = [node.name for node in GraphDef.FromString(event.graph_def).node]
        for value in event.summary.value:
            if value.HasField("simple_value"):
                scalars.setdefault(value.tag, []).append((event.step, value.simple_value))
            elif value.HasField("histo"):
                histograms.setdefault(value.tag, []).append((event.step, value.histo))
    return scalars, histograms, nodes


def events(path: Path) -> Iterator[Any]:
    """A record is its length (8 bytes), a checksum (4), an Event, and a checksum (4)."""
    from tensorboardX.proto.event_pb2 import Event

    data, at = path.read_bytes(), 0
    while at < len(data):
        (length,) = struct.unpack_from("<Q", data, at)
        yield Event.FromString(data[at + 12 : at + 12 + length])
        at += 16 + length


def plot(result: Result) -> Figure:
    figure, (scalars, weights) = _draw.panels(2)
    series, histograms = result.scene
    for tag in ("cost", "validation_error"):
        scalars.plot(*zip(*series[tag], strict=True), marker="o", label=tag)
    scalars.set(xlabel="step", title="Scalars")
    grid = np.linspace(-0.2, 0.2, 41)
    for i, (step, histogram) in enumerate(histograms["hidden/W"]):  # fine bins near 0, coarse ones elsewhere: made even
        below = np.interp(grid, histogram.bucket_limit, np.cumsum(histogram.bucket))
        weights.stairs(np.diff(below), grid, color=str(0.8 - 0.16 * i), label=f"step {step}")
    weights.set(xlabel="weight", ylabel="weights in a bin", title="Histograms of hidden/W")
    for ax in (scalars, weights):
        _draw.legend(ax)
    return figure
