"""Trainers as files: everything that a training needs to go on as if it had never stopped.

A file is that of the network, safetensors that ``load`` reads too, and besides holds one JSON text and more tensors:

    velocity:NAME, first_moment:NAME ...   of each variable, float32, as the optimiser keeps them
    history:NAME                           of each column, float64
    callbacks[i]:NAME                      arrays of callbacks' states
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from . import _checks
from ._files import read_safetensors, write_atomically
from .callbacks import Best, Callback, States
from .history import History
from .network import Network
from .trainer import Trainer

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Path = str | os.PathLike[str]
    Tensors = dict[str, NDArray[Any]]

__all__ = ["Checkpoint", "load_trainer"]

_FORMAT = "fastnn-trainer"
_FORMAT_VERSION = 1
_CHECKSUM = "crc32"


class Checkpoint(Callback):
    """After each epoch saves the trainer as FOLDER/checkpoint-STEP.safetensors, STEP being the updates so far.

    keep: how many to keep, the latest; None: all. monitor: a name in the history, such as "val_accuracy"; the
    checkpoint of the epoch with its best value is kept as FOLDER/best.safetensors too. None: no such file. mode: as for
    EarlyStopping. The folder is made if need be.

        trainer = fnn.load_trainer("runs/a")  # the latest; or Checkpoint.best("runs/a")
        trainer.fit(x, y, epochs=20 - trainer.epoch, callbacks=[fnn.Checkpoint("runs/a")])

    Files are complete whenever the process is killed or the machine fails: each is written beside the old ones and then
    gets its name, and only then are older ones removed.
    A folder is that of one training: ``fit`` refuses one that holds checkpoints of more steps than its trainer has
    done, since their names say that they were the latest.
    TypeError, ValueError: an argument is none of these; from ``fit``: the trainer cannot be saved, the folder is
    another training's, nothing of the monitor's name is measured. OSError: the folder cannot be made or written to.
    """

    def __init__(self, folder: Path, keep: int | None = 5, monitor: str | None = None, mode: str = "auto") -> None:
        self.folder = _folder(folder)
        self.keep = None if keep is None else _checks.integer("keep", keep, 1)
        self._best = None if monitor is None else Best(monitor, mode)

    @staticmethod
    def latest(folder: Path) -> str:
        """The path of the checkpoint with the most steps. FileNotFoundError: there is none."""
        paths = _checkpoints(_folder(folder))
        if not paths:
            raise FileNotFoundError(f"folder must hold checkpoints, got {os.fspath(folder)!r}: there are none")
        return paths[max(paths)]

    @staticmethod
    def best(folder: Path) -> str:
        """The path of the checkpoint with the best monitored value. FileNotFoundError: there is none."""
        path = os.path.join(_folder(folder), _BEST)
        if not os.path.isfile(path):
            raise FileNotFoundError(f"folder must hold {_BEST}, got {os.fspath(folder)!r}: it does not")
        return path

    def on_fit_begin(self, trainer: Trainer, epochs: int) -> None:
        to_bytes(trainer)  # refuses what cannot be saved before an epoch is spent on it
        os.makedirs(self.folder, exist_ok=True)
        _remove_leftovers(self.folder)
        best, steps = os.path.join(self.folder, _BEST), _checkpoints(self.folder)
        has_best = os.path.isfile(best)
        most = max([*steps, _read(best).step] if has_best else steps, default=0)
        if most > trainer.step:
            raise ValueError(
                f"folder must be of this training, which is at step {trainer.step}, got {self.folder!r} with "
                f"checkpoints up to step {most}: go on with load_trainer(folder), or choose another folder"
            )
        if self._best is not None:
            self._best.value = self._best.of(_read(best).logs) if has_best else None
            if steps and self._best.is_beaten_by(self._best.of(_read(steps[max(steps)]).logs)):
                with open(steps[max(steps)], "rb") as file:  # killed before it could become the best
                    write_atomically(best, file.read())
        self._remove_older()

    def on_checkpoint(self, trainer: Trainer, logs: Mapping[str, float]) -> None:
        is_best = self._best is not None and self._best.is_beaten_by(self._best.of(logs))
        contents = to_bytes(trainer)
        write_atomically(os.path.join(self.folder, f"checkpoint-{trainer.step}.safetensors"), contents)
        if is_best:
            write_atomically(os.path.join(self.folder, _BEST), contents)
        self._remove_older()

    def _remove_older(self) -> None:
        steps = _checkpoints(self.folder)
        for step in sorted(steps)[: -self.keep] if self.keep is not None else ():
            os.unlink(steps[step])


def load_trainer(
    path: Path, *, device: str = "cpu:0", precision: str = "fp32", towers: Sequence[str] | None = None
) -> Trainer:
    """The trainer that ``Trainer.save`` or a Checkpoint wrote, with its network; of a folder, its latest checkpoint.

    Going on gives the bits, and but for seconds the history, of a training that never stopped, with the same data and
    ``fit`` arguments. One that was saved within an epoch, by EveryNSteps or after Ctrl-C, goes on with the next epoch.
    Callbacks given to the next ``fit`` take the states that were saved: each that of its class and, where a class has
    several, by their order; states that none takes are left behind. Schedules and the like of your own must have been
    defined, their module imported. device: where the network is to live; the bits are the same on any. precision: as
    for Network; others than "fp32" have bits of their own. towers: as of a Trainer; a file does not say which there
    were, and only as many as before, in shares of the same rows, go on with the same bits.
    OSError: no such file, or it cannot be read. ValueError: it is damaged, or no saved trainer; or a device is missing,
    or precision none of its. RuntimeError: precision needs cuBLASLt, which cannot be loaded.
    """
    from ._network_file import from_contents
    from ._towers import check_devices

    if towers is not None:
        check_devices(towers)  # no fault of the file's
    path = Checkpoint.latest(path) if os.path.isdir(path) else path
    file = _read(path)
    network = from_contents(file.metadata, file.tensors, path, device, precision)
    try:
        return _trainer(network, file, towers)
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{os.fspath(path)!r} does not hold a whole training: {error}") from error


def to_bytes(trainer: Trainer) -> bytes:
    """The contents of the trainer's file. TypeError: a description or a callback's state is no JSON."""
    import json

    from safetensors.numpy import save

    from ._network_file import to_contents

    metadata, tensors = to_contents(trainer.network)
    for name, arrays in trainer._training.get_state().items():
        tensors |= {f"{name}:{of}": array for of, array in zip(trainer.network.variables, arrays, strict=True)}
    tensors |= {f"history:{name}": np.array(column, np.float64) for name, column in trainer.history.items()}
    text = {
        "format_version": _FORMAT_VERSION,
        "arguments": {name: _as_json(name, value) for name, value in trainer._arguments().items()},
        "step": trainer.step,
        "epoch": trainer.epoch,
        "history": list(trainer.history),
        "perf": trainer.history.perf,
        "callbacks": [_split(name, i, state, tensors) for i, (name, state) in enumerate(trainer._states())],
    }
    metadata[_FORMAT] = json.dumps(text)
    return save(tensors, metadata=metadata | {_CHECKSUM: _checksum(metadata, tensors)})


# ---- parts of the above ----------------------------------------------------------------------------------------------

_BEST = "best.safetensors"
_NAME = re.compile(r"checkpoint-(\d+)\.safetensors")
_LEFTOVER = re.compile(r"\.(checkpoint-\d+|best)\.safetensors\..+")  # of a process that was killed as it wrote


def _folder(folder: Any) -> str:
    if not isinstance(folder, (str, os.PathLike)):
        raise _checks.wrong_kind("folder", "a folder's path", folder)
    return os.fspath(folder)


def _checkpoints(folder: str) -> dict[int, str]:
    """Paths by step; none of a folder that is not there."""
    names = os.listdir(folder) if os.path.isdir(folder) else []
    found = ((name, _NAME.fullmatch(name)) for name in names)
    return {int(match[1]): os.path.join(folder, name) for name, match in found if match}


def _remove_leftovers(folder: str) -> None:
    for name in filter(_LEFTOVER.fullmatch, os.listdir(folder)):
        os.unlink(os.path.join(folder, name))


@dataclass(frozen=True)
class _File:
    """The contents of a trainer's file."""

    metadata: dict[str, str]
    text: dict[str, Any]
    tensors: Tensors

    @property
    def step(self) -> int:
        return int(self.text["step"])

    @property
    def logs(self) -> dict[str, float]:
        """What the history took of the last epoch."""
        return {name: float(self.tensors[f"history:{name}"][-1]) for name in self.text["history"]}


def _read(path: Path) -> _File:
    import json

    metadata, tensors = read_safetensors(path, "trainer")
    expected = f"path must name a saved trainer, got {os.fspath(path)!r}"
    if _FORMAT not in metadata:
        found = "a network alone, which load reads" if "fastnn-network" in metadata else "safetensors of something else"
        raise ValueError(f"{expected}: {found}")
    checksum = metadata.pop(_CHECKSUM, None)
    try:
        text = json.loads(metadata[_FORMAT])
        version = text["format_version"]
    except (KeyError, TypeError, json.JSONDecodeError) as error:
        raise ValueError(f"{expected}: {error}") from error
    if version != _FORMAT_VERSION:
        name = os.fspath(path)
        raise ValueError(f"{name!r} has format version {version}, this fastnn reads version {_FORMAT_VERSION}")
    if checksum != _checksum(metadata, tensors):
        raise ValueError(f"{expected}: it is damaged, its checksum is not that of its contents")
    return _File(metadata, text, tensors)


def _trainer(network: Network, file: _File, towers: Sequence[str] | None) -> Trainer:
    text, tensors = file.text, file.tensors
    arguments = {name: _from_json(value) for name, value in text["arguments"].items()}
    trainer = Trainer(network, **arguments, towers=towers)
    training = trainer._training
    places = [(i, which) for i, place in enumerate(network._places) if place.first == i for which in "Wb"]
    for name in training.get_state():
        for (i, which), of in zip(places, network.variables, strict=True):
            training.set_state(name, i, which, tensors[f"{name}:{of}"])
    training.step, training.epoch = text["step"], text["epoch"]
    columns = {name: tensors[f"history:{name}"].tolist() for name in text["history"]}
    trainer.history = History(columns, text["perf"])
    trainer._saved_states = _joined(text["callbacks"], tensors)
    return trainer


def _as_json(name: str, value: Any) -> Any:
    import json

    try:
        config = value.to_config() if isinstance(value, _checks.Described) else value
        json.dumps(config)
    except TypeError as error:
        kind = type(value).__name__
        raise TypeError(f"{name} must be a description of JSON values for a trainer to be saved, got {kind}") from error
    return config


def _from_json(value: Any) -> Any:
    return _checks.Described.from_config(value) if isinstance(value, Mapping) else value


def _split(name: str, i: int, state: Mapping[str, Any], tensors: Tensors) -> dict[str, Any]:
    """A callback's state as JSON; its arrays go to the tensors."""
    import json

    plain = {key: value for key, value in state.items() if not isinstance(value, np.ndarray)}
    arrays = {key: value for key, value in state.items() if isinstance(value, np.ndarray)}
    try:
        json.dumps(plain)
    except TypeError as error:
        raise TypeError(f"state() of {name} must give JSON values and NumPy arrays: {error}") from error
    tensors |= {f"callbacks[{i}]:{key}": np.asarray(value, order="C") for key, value in arrays.items()}
    return {"name": name, "state": plain, "arrays": list(arrays)}


def _joined(callbacks: list[dict[str, Any]], tensors: Tensors) -> States:
    return [
        (each["name"], each["state"] | {key: tensors[f"callbacks[{i}]:{key}"] for key in each["arrays"]})
        for i, each in enumerate(callbacks)
    ]


def _checksum(metadata: Mapping[str, str], tensors: Tensors) -> str:
    import zlib

    crc = 0
    for key in sorted(metadata):
        crc = zlib.crc32(f"{key}={metadata[key]}\n".encode(), crc)
    for name in sorted(tensors):
        tensor = tensors[name]
        crc = zlib.crc32(f"{name} {tensor.dtype} {tensor.shape}\n".encode(), crc)
        crc = zlib.crc32(np.ascontiguousarray(tensor).data, crc)
    return f"{crc:08x}"
