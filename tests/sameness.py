"""Whether two trainings have come to the same bits."""

from __future__ import annotations

import numpy as np

import fastnn as fnn

MEASURED = {"seconds", "samples_per_second"}


def assert_same_state(one: fnn.Trainer, other: fnn.Trainer) -> None:
    """Parameters, steps and what the optimizers remember."""
    assert one.step == other.step
    np.testing.assert_array_equal(one.network.get_flat(), other.network.get_flat(), strict=True)
    variables, states = one.network.variables.values(), other._training.get_state()
    for name, arrays in one._training.get_state().items():
        for variable, array, expected in zip(variables, arrays, states[name], strict=True):
            free = np.asarray(1 if variable._storage.mask is None else variable._storage.mask, bool)  # else undefined
            np.testing.assert_array_equal(array * free, expected * free, strict=True)


def assert_same_history(one: fnn.History, other: fnn.History) -> None:
    assert (one.epochs, list(one)) == (other.epochs, list(other))
    for name in set(one) - MEASURED:
        assert one[name] == other[name], name


def assert_same_training(one: fnn.Trainer, other: fnn.Trainer) -> None:
    """The state, the history and the losses of the last epoch's batches."""
    assert_same_state(one, other)
    assert one.epoch == other.epoch
    assert_same_history(one.history, other.history)
    np.testing.assert_array_equal(one.batch_losses, other.batch_losses)
