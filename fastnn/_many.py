"""Many small networks at once on one data set: sweeps of learning rates and widths, seeds, ensembles.

One network after the other on all cores is a waste where a step is short: its threads wait for each other at every
layer. Here each core has a network of its own, and a GPU several, whose kernels run side by side.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from queue import SimpleQueue
from threading import Event
from typing import TYPE_CHECKING, Any, NamedTuple

from . import _checks, runtime
from ._fit import Sets, Settings, Work, check_callbacks, check_settings, kind_of_data, sets_of, work_of
from ._progress import as_progress, bar
from .callbacks import Callback
from .history import History
from .trainer import Trainer

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from ._progress import Progress
    from .metrics import Metrics

__all__ = ["fit_many"]

_AT_ONCE = 16  # networks on a GPU: each needs memory and a thread that launches its kernels


def fit_many(
    trainers: Sequence[Trainer],
    x: ArrayLike,
    y: ArrayLike,
    *,
    epochs: int = 1,
    batch_size: int = 100,
    validation_data: tuple[ArrayLike, ArrayLike] | None = None,
    sample_weight: ArrayLike | None = None,
    class_weight: Mapping[int, float] | ArrayLike | None = None,
    shuffle: bool = True,
    drop_last: bool = False,
    metrics: Metrics = (),
    callbacks: Sequence[Sequence[Callback]] | None = None,
    max_seconds: float | None = None,
    target_accuracy: float | None = None,
    num_threads: int | None = None,
    progress: Progress = "auto",
) -> list[History]:
    """Trains many networks on one data set, several at a time, each to the bits of ``trainer.fit`` alone.

    trainers: they may differ in all but what the data must suit: widths, losses, optimisers, rates, seeds, devices.
    None may share variables with another. x, y and the rest: as for ``Trainer.fit``, for each of them. The data is
    checked, converted and, for GPUs, copied once for all networks that have the same numbers of inputs and outputs, the
    same Rescaling, device and loss; the file of a np.memmap is read by each training for itself.
    callbacks: a sequence of Callbacks for each trainer. Callbacks, functions as metrics and a CustomLoss run in the
    thread that trains the network, so those of several networks may run at the same time.
    max_seconds: of each training, from when its turn comes. target_accuracy: ends the trainings that reach it.
    num_threads: how many networks of the CPU are trained at a time, each on one thread; None: ``fnn.num_threads()``.
    Where there are fewer networks than that, each has up to num_threads // networks threads, as its size is worth.
    On each GPU up to 16 are trained at a time, each in a stream of its own. Turns come in the order of trainers.
    progress: a bar on stderr over the epochs of all; "auto": if that is a terminal.

    Returns the history of each trainer's new epochs, in their order; each ``trainer.history`` accumulates. If a
    training ends with an exception, the others go on to their end; then it is raised: a FloatingPointError that names
    the trainers whose loss was no longer finite; any other as it is, with a note that names the trainer; several in an
    ExceptionGroup. What was trained is in the trainers and their ``history``. Ctrl-C stops each training between two
    updates, or after a validation in progress, and leaves networks and trainers usable.
    TypeError, ValueError: an argument is none of these; where it is for one of the trainers, the message begins with
    "trainers[i]". RuntimeError: as for ``Trainer.fit``.
    """
    trainers = _check_trainers(trainers)
    settings = check_settings(
        epochs, batch_size, shuffle, drop_last, metrics, max_seconds, target_accuracy, num_threads,
        has_validation=validation_data is not None,
    )  # fmt: skip
    listed, progress = _check_callbacks(callbacks, len(trainers)), as_progress(progress)
    threads = runtime.num_threads() if settings.num_threads is None else settings.num_threads
    n_cpu = sum(trainer.network.device == "cpu:0" for trainer in trainers)
    settings = settings._replace(num_threads=None, limit=max(1, threads // max(1, n_cpu)))
    works = _works(trainers, settings, x, y, validation_data, sample_weight, class_weight)
    trainings = [_Training(*each, History()) for each in zip(trainers, works, listed, strict=True)]
    total = settings.epochs * len(trainers)
    with bar(progress, total=total, unit=" epochs", dynamic_ncols=True) as shown:
        failed = _run(trainings, threads, shown)
    _raise(failed)
    return [training.history for training in trainings]


# ---- arguments -------------------------------------------------------------------------------------------------------


def _check_trainers(trainers: Any) -> Sequence[Trainer]:
    if not isinstance(trainers, Sequence):
        raise _checks.wrong_kind("trainers", "a sequence of Trainers", trainers)
    if not trainers:
        raise _checks.wrong_value("trainers", "at least one Trainer", trainers)
    owners: dict[int, int] = {}
    for i, trainer in enumerate(trainers):
        if not isinstance(trainer, Trainer):
            raise _checks.wrong_kind(f"trainers[{i}]", "a Trainer", trainer)
        for name, variable in trainer.network.variables.items():
            owner = owners.setdefault(id(variable._storage), i)
            if owner != i:
                raise ValueError(
                    f"trainers[{i}] must have a network and layers of its own, got {name!r}, which is a variable of "
                    f"trainers[{owner}] too"
                )
    return trainers


def _check_callbacks(callbacks: Any, n: int) -> Sequence[Sequence[Callback]]:
    if callbacks is None:
        return [()] * n
    expected = f"None or a sequence of Callbacks for each of the {n} trainers"
    if not isinstance(callbacks, Sequence):
        raise _checks.wrong_kind("callbacks", expected, callbacks)
    if len(callbacks) != n:
        raise ValueError(f"callbacks must be {expected}, got {len(callbacks)} of them")
    owners: dict[int, int] = {}
    for i, each in enumerate(callbacks):
        for callback in check_callbacks(each, f"callbacks[{i}]"):
            owner = owners.setdefault(id(callback), i)
            if owner != i:
                raise ValueError(f"callbacks[{i}] must have objects of its own, got one of callbacks[{owner}]")
    return callbacks


def _works(trainers: Sequence[Trainer], settings: Settings, *data: Any) -> list[Work]:
    """For each trainer, with one data set for all that can share it. data: what follows the loss for ``sets_of``."""
    works: list[Work] = []
    known: dict[tuple[object, ...], Sets] = {}
    for i, trainer in enumerate(trainers):
        net, loss = trainer.network, trainer.loss
        kind = kind_of_data(net, loss)
        with _naming(i):
            net._require_values()
            if kind not in known:
                known[kind] = sets_of(net, loss, *data)
            works.append(work_of(loss, settings, known[kind].of(net)))
    return works


@contextmanager
def _naming(i: int) -> Iterator[None]:
    try:
        yield
    except (TypeError, ValueError, RuntimeError) as error:
        kind = next(kind for kind in (TypeError, ValueError, RuntimeError) if isinstance(error, kind))
        raise kind(f"trainers[{i}]: {error}") from error


# ---- training --------------------------------------------------------------------------------------------------------


class _Training(NamedTuple):
    trainer: Trainer
    work: Work
    callbacks: Sequence[Callback]
    history: History


_Said = tuple[int, BaseException | None] | None  # how a training ended; None: an epoch is over


class _Watch:
    """What a training says to the thread that waits for all, and hears from it: whether it is to end."""

    def __init__(self, said: SimpleQueue[_Said], is_over: Event) -> None:
        self._said, self._is_over = said, is_over

    def begin_epoch(self) -> Callable[[int, int, float], None]:
        self._listen()
        return self._listen

    def end_epoch(self, logs: Mapping[str, float]) -> None:
        self._said.put(None)

    def _listen(self, *_: float) -> None:
        if self._is_over.is_set():
            raise KeyboardInterrupt


def _run(trainings: Sequence[_Training], threads: int, shown: Any) -> dict[int, Exception]:
    """Trains all, and tells which ended with an exception. threads: of the CPU."""
    said: SimpleQueue[_Said] = SimpleQueue()
    is_over = Event()

    def train(i: int) -> None:
        each, error = trainings[i], None
        if is_over.is_set():
            return
        try:
            each.trainer._train(each.work, each.callbacks, each.history, _Watch(said, is_over), time.monotonic())
        except BaseException as raised:
            error = raised
        said.put((i, error))

    by_device: dict[str, list[int]] = {}
    for i, each in enumerate(trainings):
        by_device.setdefault(each.trainer.network.device, []).append(i)
    with ExitStack() as pools:
        try:
            for device, members in by_device.items():
                most = min(len(members), threads if device == "cpu:0" else _AT_ONCE)
                pool = pools.enter_context(ThreadPoolExecutor(most, f"fastnn-{device}"))
                for i in members:
                    pool.submit(train, i)
            return _wait(said, len(trainings), shown)
        finally:
            is_over.set()  # Ctrl-C comes to this thread alone; the pools wait for theirs


def _wait(said: SimpleQueue[_Said], n: int, shown: Any) -> dict[int, Exception]:
    """Until n trainings have ended."""
    ended, failed = 0, {}
    while ended < n:
        event = said.get()
        if event is None:
            shown.update(1)
            continue
        ended += 1
        shown.set_postfix({"trained": f"{ended}/{n}"}, refresh=False)
        i, error = event
        if isinstance(error, Exception):
            failed[i] = error
        elif error is not None:  # a callback wants the process to end
            raise error
    return failed


def _raise(failed: Mapping[int, Exception]) -> None:
    """What the trainings of these trainers ended with, if any did."""
    errors = [failed[i] for i in sorted(failed)]
    if not errors:
        return
    for i, error in failed.items():
        error.add_note(f"in the fit of trainers[{i}]")
    if all(isinstance(error, FloatingPointError) for error in errors):
        raise FloatingPointError("\n".join(f"trainers[{i}]: {failed[i]}" for i in sorted(failed))) from errors[0]
    if len(errors) == 1:
        raise errors[0]
    raise ExceptionGroup(f"{len(errors)} trainings ended with exceptions", errors)
