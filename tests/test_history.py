"""History: a mapping of per-epoch lists, its JSON form and its plot."""

import json
import math
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fastnn.history import History


def make(epochs: int = 3, *names: str) -> History:
    history = History()
    for epoch in range(epochs):
        history.append(dict.fromkeys(names or ("loss", "accuracy", "val_loss", "val_accuracy"), (epoch + 1) / 10))
    return history


def test_it_is_a_mapping_of_lists() -> None:
    history = make(2, "loss", "seconds")
    assert isinstance(history, Mapping)
    assert history.epochs == 2
    assert len(history) == 2
    assert list(history) == ["loss", "seconds"]
    assert dict(history) == {"loss": [0.1, 0.2], "seconds": [0.1, 0.2]}
    assert "loss" in history
    assert "val_loss" not in history
    assert history.get("val_loss") is None


def test_an_empty_history() -> None:
    history = History()
    assert (history.epochs, len(history), dict(history), history.to_dict()) == (0, 0, {}, {})


def test_lists_are_copies() -> None:
    history = make(2, "loss")
    history["loss"].append(9.0)
    history.to_dict()["loss"].append(9.0)
    assert history["loss"] == [0.1, 0.2]


def test_values_become_floats() -> None:
    history = History()
    history.append({"loss": np.float32(0.5), "seconds": 2})
    assert [type(column[0]) for column in history.values()] == [float, float]


def test_lists_stay_aligned_when_epochs_measure_different_things() -> None:
    history = History()
    history.append({"loss": 0.3})
    history.append({"loss": 0.2, "val_loss": 0.4})
    history.append({"val_loss": 0.5})
    np.testing.assert_array_equal(history["loss"], [0.3, 0.2, math.nan])
    np.testing.assert_array_equal(history["val_loss"], [math.nan, 0.4, 0.5])
    assert history.epochs == 3


def test_an_epoch_that_measured_nothing_counts() -> None:
    history = make(1, "loss")
    history.append({})
    assert history.epochs == 2
    assert math.isnan(history["loss"][1])


def test_json_round_trip() -> None:
    history = make(2, "loss")
    history.append({"val_loss": 1.0})
    text = json.dumps(history.to_dict(), allow_nan=False)
    assert json.loads(text) == {"loss": [0.1, 0.2, None], "val_loss": [None, None, 1.0]}
    assert History(json.loads(text)) == history


def test_what_is_not_finite_is_null_in_json() -> None:
    history = History()
    for value in (math.inf, -math.inf, math.nan):
        history.append({"loss": value})
    assert history["loss"][0] == math.inf
    assert history.to_dict() == {"loss": [None, None, None]}


def test_equality() -> None:
    assert make(3) == make(3)
    assert make(3) != make(2)


def test_repr_is_short() -> None:
    assert repr(History()) == "History(0 epochs)"
    assert repr(make(1, "loss")) == "History(1 epoch: loss 0.1)"
    assert repr(make(300)) == "History(300 epochs: loss 30, accuracy 30, val_loss 30, val_accuracy 30)"
    assert repr(make(2, "seconds")) == "History(2 epochs)"


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: make()["lost"], KeyError, "no 'lost' in this history, which has: loss, accuracy, val_loss, val_acc"),
        (lambda: History()["loss"], KeyError, "no 'loss' in this history, which has: nothing yet"),
        (lambda: History().append([0.1]), TypeError, r"epoch must be a mapping of names to numbers, got \[0\.1\]"),
        (lambda: History().append({1: 0.1}), TypeError, r"name of a measurement must be a string, got 1 \(int\)$"),
        (lambda: History().append({"loss": "a"}), TypeError, r"loss must be a number, got 'a' \(str\)$"),
        (lambda: History().append({"loss": None}), TypeError, "loss must be a number, got None"),
        (lambda: History().append({"loss": True}), TypeError, "loss must be a number, got True"),
        (lambda: History([1]), TypeError, r"columns must be a mapping of names to lists, got \[1\] \(list\)$"),
        (lambda: History({"loss": 1}), TypeError, r"columns\['loss'\] must be a list of numbers, got 1 \(int\)$"),
        (lambda: History({"loss": "12"}), TypeError, r"columns\['loss'\] must be a list of numbers, got '12'"),
        (lambda: History({"loss": ["1"]}), TypeError, "loss must be a number, got '1'"),
        (
            lambda: History({"loss": [1], "accuracy": []}),
            ValueError,
            r"columns must be lists of one length, got \{'loss': 1, 'accuracy': 0\}$",
        ),
    ],
)
def test_bad_arguments(call: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=f"^[\"']?{message}"):
        call()


def test_a_refused_epoch_changes_nothing() -> None:
    history = make(1, "loss")
    with pytest.raises(TypeError):
        history.append({"loss": 0.5, "accuracy": "x"})
    assert history == make(1, "loss")
    assert history.epochs == 1


# ---- plot -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def pyplot() -> Iterator[Any]:
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    from matplotlib import pyplot

    yield pyplot
    pyplot.close("all")


def lines(ax: Any) -> dict[str, list[float]]:
    return {line.get_label(): list(line.get_ydata()) for line in ax.get_lines()}


def test_plot_draws_loss_and_accuracy(pyplot: Any, tmp_path: Path) -> None:
    history = make(3)
    figure, axes = history.plot()
    assert [ax.get_ylabel() for ax in axes] == ["loss", "accuracy"]
    assert [ax.get_xlabel() for ax in axes] == ["epoch", "epoch"]
    assert lines(axes[0]) == {"training": history["loss"], "validation": history["val_loss"]}
    assert lines(axes[1]) == {"training": history["accuracy"], "validation": history["val_accuracy"]}
    assert list(axes[0].get_lines()[0].get_xdata()) == [1, 2, 3]
    assert [text.get_text() for text in axes[0].get_legend().get_texts()] == ["training", "validation"]
    figure.savefig(tmp_path / "history.png")
    assert (tmp_path / "history.png").stat().st_size > 1000


@pytest.mark.parametrize("epochs", [1, 2, 7, 300])
def test_plot_has_integer_ticks(pyplot: Any, epochs: int) -> None:
    figure, axes = make(epochs).plot()
    figure.canvas.draw()
    low, high = axes[0].get_xlim()
    ticks = [tick for tick in axes[0].get_xticks() if low <= tick <= high]
    assert ticks
    assert all(tick == int(tick) for tick in ticks)


def test_plot_without_accuracy_has_one_panel(pyplot: Any) -> None:
    figure, axes = make(2, "loss", "seconds").plot()
    assert len(axes) == len(figure.axes) == 1
    assert lines(axes[0]) == {"training": [0.1, 0.2]}


def test_plot_leaves_gaps_where_nothing_was_measured(pyplot: Any) -> None:
    history = make(1, "loss")
    history.append({"loss": 0.2, "val_loss": 0.3})
    np.testing.assert_array_equal(lines(history.plot()[1][0])["validation"], [math.nan, 0.3])


def test_plot_on_given_axes(pyplot: Any) -> None:
    figure, grid = pyplot.subplots(1, 2)
    for ax, count in ((grid[0], 1), (grid, 2), (list(grid), 2)):
        drawn_on, axes = make(2).plot(ax)
        assert drawn_on is figure
        assert len(axes) == count
        assert axes[0] is grid[0]
    assert len(pyplot.get_fignums()) == 1


def test_plot_of_nothing(pyplot: Any) -> None:
    for history in (History(), make(2, "seconds")):
        with pytest.raises(RuntimeError, match=r"^history.plot\(\) needs at least one epoch with a loss, got none"):
            history.plot()
    assert pyplot.get_fignums() == []


@pytest.mark.parametrize("count", [0, 3])
def test_plot_on_the_wrong_number_of_axes(pyplot: Any, count: int) -> None:
    axes = [pyplot.figure().add_subplot() for _ in range(count)]
    with pytest.raises(ValueError, match=rf"^ax must be 1 to 2 axes \(loss, accuracy\), got {count}$"):
        make(2).plot(axes)


def test_plot_on_what_is_not_axes(pyplot: Any) -> None:
    with pytest.raises(TypeError, match=r"^ax must be a matplotlib Axes or a sequence of them, got 'top' \(str\)$"):
        make(2).plot("top")  # type: ignore[arg-type]


def test_plot_without_matplotlib_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ImportError, match=r"needs matplotlib: pip install 'fastnn\[plot\]'$"):
        make(2).plot()


def test_matplotlib_is_imported_by_plot_alone(tmp_path: Path) -> None:
    code = "import sys, fastnn.history; sys.exit('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=False).returncode == 0
