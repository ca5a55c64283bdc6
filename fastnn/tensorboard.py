"""TensorBoard: what a training does, as event files that ``tensorboard --logdir`` shows.

The files are tensorboardX's, written by its EventsWriter and not its SummaryWriter: the latter hands events to a queue
that its flush does not wait for, and to a thread whose errors nobody sees.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from . import _checks
from .callbacks import Callback

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .histogram import Histogram
    from .trainer import Trainer

__all__ = ["TensorBoard"]

_EVERY = ("epoch", "batch")


class TensorBoard(Callback):
    """Writes event files into a folder while a Trainer trains; ``tensorboard --logdir FOLDER`` shows them.

    Scalars, at x = ``trainer.step``, the updates so far:

        cost              the mean loss of the epoch's last mini-batch before its update; with every="batch" of each
        loss, ...         all that the history takes, under its names: val_loss, accuracy, learning_rate, penalty, ...
        validation_error  1 - val_accuracy

    They are float32 in the file, and drawn without loss of points if there are at most 1,000 of a name; more need
    ``tensorboard --samples_per_plugin scalars=0``.
    The page "custom scalars" has loss and val_loss, accuracy and val_accuracy in a chart each.
    histograms: of each variable after each epoch, and before the first step, counted by the engine.
    graph: the network's layers with their shapes, its loss and its optimiser.

    The folder is made if need be, and files are on disk after every epoch. A training that goes on (trainer.step > 0)
    goes on in the same folder: steps beyond it that are there already, as after a crash, are hidden; a new training
    hides an old one's. Trainings to be compared need a folder each, in a common one.

    Making one imports tensorboardX, which itself imports PyTorch where that is installed.
    TypeError, ValueError: an argument is none of these. ImportError: tensorboardX is missing. OSError, from ``fit``:
    the folder cannot be made or written to.
    Source: Buduma, Fundamentals of Deep Learning, chapter 3: the text writes summaries with every mini-batch, the
    listing once an epoch, of the last mini-batch, whose cost it computes anew after its update.
    """

    def __init__(
        self, logdir: str | os.PathLike[str], *, every: str = "epoch", histograms: bool = True, graph: bool = True
    ) -> None:
        if not isinstance(logdir, (str, os.PathLike)):
            raise _checks.wrong_kind("logdir", "a folder's path", logdir)
        self.logdir = os.fspath(logdir)
        self.every = _checks.choice("every", every, _EVERY)
        self.histograms = _checks.flag("histograms", histograms)
        self.graph = _checks.flag("graph", graph)
        try:
            import tensorboardX  # noqa: F401 - not at the first epoch, which may be late
        except ImportError as error:
            raise ImportError("TensorBoard needs tensorboardX: pip install 'fastnn[tensorboard]'") from error
        self._events: _Events | None = None
        self._step = 0  # up to which costs are written

    def on_fit_begin(self, trainer: Trainer, epochs: int) -> None:
        self._close()
        is_begun = trainer.step > 0
        goes_on = is_begun and _has_events(self.logdir)
        self._step = trainer.step
        self._events = _Events(self.logdir, trainer.step + 1 if is_begun else 0)
        if not goes_on:
            self._events.add_charts(["loss", "accuracy"] if trainer.loss.has_accuracy else ["loss"])
            if self.graph:
                from ._graph import graph_of

                self._events.add_graph(graph_of(trainer))
        if self.histograms and not is_begun:
            self._events.add(0, {}, _histograms(trainer))
        self._events.flush()

    def on_epoch_end(self, trainer: Trainer, epoch: int, logs: Mapping[str, float]) -> None:
        assert self._events is not None
        self._add_costs(trainer)
        scalars = dict(logs)
        if "val_accuracy" in logs:
            scalars["validation_error"] = 1 - logs["val_accuracy"]
        self._events.add(trainer.step, scalars, _histograms(trainer) if self.histograms else {})
        self._events.flush()

    def on_fit_end(self, trainer: Trainer) -> None:
        if self._events is not None:
            self._add_costs(trainer)  # of an epoch that was cut short
            self._close()

    def _add_costs(self, trainer: Trainer) -> None:
        """Costs of the steps since the last call, the latest alone with every="epoch"."""
        assert self._events is not None
        losses = trainer.batch_losses[len(trainer.batch_losses) - (trainer.step - self._step) :]
        if self.every == "epoch":
            losses = losses[-1:]
        self._step = trainer.step
        self._events.add_series("cost", trainer.step, losses)

    def _close(self) -> None:
        events, self._events = self._events, None
        if events is not None:
            events.close()


def _has_events(folder: str) -> bool:
    return os.path.isdir(folder) and any(name.startswith("events.out.tfevents.") for name in os.listdir(folder))


def _histograms(trainer: Trainer) -> dict[str, Histogram]:
    return {name: variable.histogram() for name, variable in trainer.network.variables.items()}


class _Events:
    """One event file. first_step: of what it will hold; what older files of the folder have from there on is hidden."""

    _opened = 0

    def __init__(self, logdir: str, first_step: int) -> None:
        from tensorboardX.event_file_writer import EventsWriter
        from tensorboardX.proto.event_pb2 import Event, SessionLog
        from tensorboardX.record_writer import directory_check
        from tensorboardX.summary import custom_scalars, histogram_raw

        _Events._opened += 1
        # tensorboardX's names differ by the second alone, and it would write over a file of the same name
        suffix = f".{_Events._opened:06d}.{os.getpid()}"
        try:
            directory_check(logdir)
            self._writer = EventsWriter(os.path.join(logdir, "events"), suffix)
        except OSError as error:
            expected = "a folder that can be made and written to"
            raise type(error)(f"logdir must be {expected}, got {logdir!r}: {error.strerror or error}") from error
        self._event, self._histogram_raw, self._custom_scalars = Event, histogram_raw, custom_scalars
        self._time = time.time()
        self._write(step=first_step, session_log=SessionLog(status=SessionLog.START))

    def add_graph(self, graph: Any) -> None:
        self._write(graph_def=graph.SerializeToString())

    def add_charts(self, names: Sequence[str]) -> None:
        """A chart each, of the training's and the validation's values, on the page of custom scalars."""
        charts = {name: ["Multiline", [f"^{name}$", f"^val_{name}$"]] for name in names}
        self._write(summary=self._custom_scalars({"training and validation": charts}))

    def add(self, step: int, scalars: Mapping[str, float], histograms: Mapping[str, Histogram]) -> None:
        event = self._event(step=step, wall_time=time.time())
        for name, value in scalars.items():
            event.summary.value.add(tag=name, simple_value=value)
        for name, histogram in histograms.items():
            event.summary.MergeFrom(self._histogram_raw(name, *_raw(histogram)))
        self._writer.write_event(event)

    def add_series(self, name: str, last_step: int, values: NDArray[np.float64]) -> None:
        """A value a step, as if they had come evenly since the last series. One event is filled anew for each."""
        event = self._event(step=last_step - len(values))
        value = event.summary.value.add(tag=name)
        began, self._time = self._time, time.time()
        times = np.linspace(began, self._time, len(values) + 1)[1:]
        for value.simple_value, event.wall_time in zip(values.tolist(), times.tolist(), strict=True):
            event.step += 1
            self._writer.write_event(event)

    def _write(self, **fields: Any) -> None:
        self._writer.write_event(self._event(wall_time=time.time(), **fields))

    def flush(self) -> None:
        self._writer.flush()

    def close(self) -> None:
        self._writer.close()


def _raw(histogram: Histogram) -> tuple[float, float, int, float, float, list[float], list[int]]:
    """As TensorBoard wants it: min, max, number, sum, sum of squares, right edges and counts.

    Of a run of empty bins the last alone is kept, for it has the next one's left edge.
    """
    is_filled = histogram.counts > 0
    is_kept = is_filled.copy()
    is_kept[:-1] |= is_filled[1:]
    limits, counts = histogram.edges[1:][is_kept].tolist(), histogram.counts[is_kept].tolist()
    return (
        histogram.min, histogram.max, histogram.n_finite, histogram.sum, histogram.sum_of_squares, limits, counts
    )  # fmt: skip
