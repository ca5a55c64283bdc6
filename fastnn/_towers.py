"""Towers: devices that share the batches of a training, each with a thread of its own.

Every tower has the parameters of the network and computes the gradients of its share of a mini-batch; the CPU adds them
up and updates the parameters once. (Buduma, Fundamentals of Deep Learning, chapter 3, figure 3-3.) Towers that are
different GPUs send each other their gradients by NCCL, if it is there, and each does what else the CPU would do.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from queue import SimpleQueue
from threading import Thread
from typing import Any

from . import _checks, _core, cuda
from ._devices import Placement, place

__all__ = ["Crew"]


class Crew:
    """Towers and, within a ``with`` statement, a thread for each.

    updates: where gradients are added up and parameters updated, for the placement log.
    devices: a name each, as Network takes them. precision: of the GPUs' products, and allow_soft_placement: as there.
    TypeError, ValueError: devices are no sequence of names of devices that there are, or it is empty.
    """

    def __init__(
        self, net: _core.Net, devices: Any, *, precision: str = "fp32", allow_soft_placement: bool = False
    ) -> None:
        self.placements = check_devices(devices, allow_soft_placement=allow_soft_placement)
        mirrors = [_mirror(net, device, precision) for device in self.devices]
        self.updates, has_exchange = _where_updates_are(self.devices)
        self.towers = _core.Towers(net, mirrors, cuda.exchange if has_exchange else None)
        self._workers: list[_Worker] = []

    @property
    def devices(self) -> tuple[str, ...]:
        return tuple(placement.device for placement in self.placements)

    def __enter__(self) -> None:
        self._workers = [_Worker() for _ in self.placements]
        try:
            for worker in self._workers:
                worker.start()
        except BaseException:
            for worker in self._workers:
                worker.end()
            raise

    def __exit__(self, *_: object) -> None:
        """Waits, whatever happens, for what towers are at: they use memory that may then go."""
        interrupt = None
        while True:
            try:
                for worker in self._workers:
                    worker.end()
                for worker in self._workers:
                    worker.join()
                break
            except KeyboardInterrupt as another:
                interrupt = another
        if interrupt is not None:
            raise interrupt

    def run(self, functions: Sequence[Callable[[], None]]) -> None:
        """Calls up to one function for each tower at the same time; when all are done, raises what the first raised."""
        at_work = self._workers[: len(functions)]
        for worker, function in zip(at_work, functions, strict=True):
            worker.give(function)
        errors = [worker.result() for worker in at_work]
        for error in errors:
            if error is not None:
                raise error


class _Worker:
    """A thread that calls functions in the order in which it is given them."""

    def __init__(self) -> None:
        self._given: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._results: SimpleQueue[BaseException | None] = SimpleQueue()
        self._thread = Thread(target=self._work, name="fastnn-tower", daemon=True)
        self.start, self.join = self._thread.start, self._thread.join
        self.give, self.result = self._given.put, self._results.get

    def end(self) -> None:
        """After what it was given so far."""
        self._given.put(None)

    def _work(self) -> None:
        while (function := self._given.get()) is not None:
            error = None
            try:
                function()
            except BaseException as raised:
                error = raised
            self._results.put(error)


def check_devices(devices: Any, *, allow_soft_placement: bool = False) -> list[Placement]:
    """Where each tower is. Errors as for Crew."""
    if isinstance(devices, str) or not isinstance(devices, Sequence):
        raise _checks.wrong_kind("towers", "None or a sequence of names of devices", devices)
    if not devices:
        raise _checks.wrong_value("towers", "at least one name of a device", devices)
    return [
        place(device, allow_soft_placement=allow_soft_placement, argument=f"towers[{i}]")
        for i, device in enumerate(devices)
    ]


def _where_updates_are(devices: Sequence[str]) -> tuple[str, bool]:
    """In words, and whether that is on the towers themselves."""
    if len(devices) == 1 or "cpu:0" in devices or len(set(devices)) < len(devices):
        return "cpu:0", False
    if why := cuda.why_no_nccl():
        return f"cpu:0 (no NCCL: {why})", False
    return f"{', '.join(devices)} (gradients by NCCL)", True


def _mirror(net: _core.Net, device: str, precision: str) -> Any:
    return None if device == "cpu:0" else cuda.mirror(net, int(device.partition(":")[2]), precision)
