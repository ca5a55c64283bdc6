"""Checkpoints (section "Logistic regression in TensorFlow", the Saver): one an epoch, named with the global step.

The latest five are kept and restored. Beyond the book: a training that was killed within an epoch goes on from them to
the same bits as one that never stopped, and an early stopping goes on waiting where it waited.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

import fastnn as fnn
from fastnn.datasets import Split

from . import _draw, _points
from ._result import Result

if TYPE_CHECKING:
    from matplotlib.figure import Figure

EPOCHS, PATIENCE = 100, 6
BATCH = 10
CODE = "import sys; from fastnn.book import checkpoints; checkpoints.killed(sys.argv[1], *map(int, sys.argv[2:]))"


def run(seed: int) -> Result:
    train, validation = data(seed)
    with tempfile.TemporaryDirectory() as folder:
        straight, resumed = os.path.join(folder, "straight"), os.path.join(folder, "resumed")
        never_stopped = new_trainer(seed)
        best_of_one = fit(never_stopped, straight, train, validation)
        kept = sorted((path.name for path in Path(straight).iterdir()), key=lambda name: (len(name), name))
        restored = fnn.load_trainer(straight)
        loss = restored.evaluate(validation.x, validation.y)["loss"]
        is_restored = (restored.step, loss) == (never_stopped.step, never_stopped.history["val_loss"][-1])

        step = never_stopped.step - 5 * len(train) // (2 * BATCH)  # two and a half epochs before the end
        done = subprocess.run([sys.executable, "-P", "-c", CODE, resumed, str(seed), str(step)], check=False)
        trainer = fnn.load_trainer(resumed)
        found = trainer.epoch
        best_of_two = fit(trainer, resumed, train, validation)
    same = bits(trainer) == bits(never_stopped)
    lines = [
        f"ended by itself after epoch {never_stopped.epoch}, the best being {best_of_one}; in the folder:",
        *(f"  {name}" for name in kept),
        f"restored: step {restored.step}, validation loss {loss:.6f}, that of the last epoch: {is_restored}",
        f"killed (exit status {done.returncode}) after step {step}; its latest checkpoint is of epoch {found}",
        f"gone on: it ends after epoch {trainer.epoch}, the best being {best_of_two}; the same bits: {same}",
    ]
    numbers = {
        "kept": kept,
        "restored": is_restored,
        "status": done.returncode,
        "epochs": {"never stopped": never_stopped.epoch, "found": found, "gone on": trainer.epoch},
        "best_epochs": [best_of_one, best_of_two],
        "same_bits": same,
    }
    shown = f"{len(kept)} checkpoints kept; killed and gone on, a training ends at the same epoch with the same bits"
    return Result(shown, lines, numbers, (never_stopped.history, trainer.history, found, best_of_one))


def data(seed: int) -> Sequence[Split]:
    """Few examples, so that validation soon stops improving."""
    x, y = _points.board(400, seed, spread=0.5)
    return fnn.datasets.split(x, y, [100, 300], seed=seed)


def new_trainer(seed: int) -> fnn.Trainer:
    layers = [fnn.Dense(50, "relu"), fnn.Dropout(0.8), fnn.Dense(50, "relu"), fnn.Dense(2)]
    return fnn.Trainer(fnn.Network(2, layers, seed=seed), optimizer=fnn.Adam(0.01))


def fit(
    trainer: fnn.Trainer, folder: str, train: Split, validation: Split, callbacks: Sequence[fnn.Callback] = ()
) -> int:
    """Trains up to EPOCHS, those before included, unless validation stops it; its best epoch."""
    stopping = fnn.EarlyStopping("val_loss", patience=PATIENCE)
    trainer.fit(
        train.x,
        train.y,
        epochs=EPOCHS - trainer.epoch,
        batch_size=BATCH,
        validation_data=(validation.x, validation.y),
        callbacks=[stopping, fnn.Checkpoint(folder), *callbacks],
        progress=False,
    )
    return stopping.best_epoch


def killed(folder: str, seed: int, step: int) -> None:
    """For a process of its own: trains, and after that step is no more."""
    at_step = fnn.EveryNSteps(step, lambda trainer, step: os.kill(os.getpid(), signal.SIGKILL))
    train, validation = data(seed)
    fit(new_trainer(seed), folder, train, validation, callbacks=[at_step])


def bits(trainer: fnn.Trainer) -> list[bytes]:
    """Of the parameters and of the history, but for its seconds."""
    losses = np.array([trainer.history[name] for name in ("loss", "val_loss")])
    return [trainer.network.get_flat().tobytes(), losses.tobytes()]


def plot(result: Result) -> Figure:
    one, two, found, best = result.scene
    figure, (ax,) = _draw.panels(1)
    ax.plot(range(1, one.epochs + 1), one["val_loss"], linewidth=5, alpha=0.4, label="never stopped")
    ax.plot(range(1, found + 1), two["val_loss"][:found], color="C1", label="until killed")
    ax.plot(range(found, two.epochs + 1), two["val_loss"][found - 1 :], color="C1", linestyle=":", label="gone on")
    ax.axvline(best, color="gray", linestyle="--", label="best epoch, restored in the end")
    ax.set(xlabel="epoch", ylabel="validation loss", title=f"Stopped after {PATIENCE} epochs without a better one")
    _draw.legend(ax)
    return figure
