"""Callbacks: what is done between epochs. Subclass ``Callback`` and override what is needed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .trainer import Trainer


class Callback:
    """Does nothing. Methods run in Python, between epochs; an exception ends the training with the network usable."""

    def on_fit_begin(self, trainer: Trainer, epochs: int) -> None:
        """Before the first epoch of a ``fit`` of so many epochs."""

    def on_epoch_end(self, trainer: Trainer, epoch: int, logs: Mapping[str, float]) -> None:
        """After each epoch. epoch: 1, 2, ... over all ``fit`` calls; logs: what the history took. ``trainer.stop()``
        ends the training here."""

    def on_fit_end(self, trainer: Trainer) -> None:
        """After the last epoch, also when an exception or Ctrl-C ended it."""
