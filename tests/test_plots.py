"""Plots: what is drawn is what was asked for, on given and on new axes; bad arguments."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fastnn as fnn

matplotlib = pytest.importorskip("matplotlib", reason="matplotlib is not installed")
matplotlib.use("Agg")
from matplotlib import pyplot  # noqa: E402

from fastnn import plots  # noqa: E402

DIGITS = fnn.datasets.synthetic_digits(200)
X = np.array([[-1.0, -1.0], [1.0, -1.0], [0.0, 2.0], [0.5, 1.5]], np.float32)
Y = np.array([0, 1, 2, 2])


@pytest.fixture(autouse=True)
def closed() -> Iterator[None]:
    yield
    pyplot.close("all")


@pytest.fixture
def by_weights() -> fnn.Network:
    """Three linear classes of two inputs: left, right and top."""
    net = fnn.Network(2, [fnn.Dense(3, "softmax", name="out")], seed=0)
    net.variables["out/W"] = [[-2.0, 2.0, 0.0], [0.0, 0.0, 3.0]]
    return net


@pytest.fixture
def digits_net() -> fnn.Network:
    net = fnn.Network(784, [fnn.Rescaling(1 / 255), fnn.Dense(6, "tanh", name="hidden_1"), fnn.Dense(10)], seed=1)
    fnn.Trainer(net).fit(DIGITS.x, DIGITS.y, epochs=2, progress=False)
    return net


def history(*names: str, epochs: int = 3) -> fnn.History:
    return fnn.History({name: [(i + 1) / (epoch + 1) for epoch in range(epochs)] for i, name in enumerate(names)})


def lines(ax: Any) -> dict[str, Any]:
    return {line.get_label(): line for line in ax.get_lines()}


DRAWN = [
    lambda ax: plots.learning_curves(history("loss", "val_loss"), ax=ax),
    lambda ax: plots.learning_rates(fnn.StepDecay(0.1, 0.5, 3), 9, ax=ax),
    lambda ax: plots.activations(ax=ax),
    lambda ax: plots.decision_regions(lambda x: x[:, 0] > 0, X, Y > 0, resolution=9, ax=ax),
    lambda ax: plots.error_surface(lambda a, b: a * a + b * b, [[1, 2], [0, 0]], resolution=9, ax=ax),
    lambda ax: plots.error_curve(lambda w: w * w, [2, 1], ax=ax),
    lambda ax: plots.weight_images(fnn.Network(6, [fnn.Dense(3)], seed=0), shape=(2, 3), ax=ax),
    lambda ax: plots.confusion_matrix([[3, 1], [0, 2]], ax=ax),
    lambda ax: plots.misclassified(flat(), np.eye(4), [1, 0, 1, 1], shape=(2, 2), ax=ax),
]


def flat() -> fnn.Network:
    return fnn.Network(4, [fnn.Dense(2, "softmax", initializer="zeros")], seed=0)


@pytest.mark.parametrize("draw", DRAWN)
def test_axes_are_new_or_those_given(draw: Any, tmp_path: Path) -> None:
    figure, (ax,) = draw(None)
    assert ax.figure is figure
    figure.savefig(tmp_path / "shown.png")
    grid_figure, grid = pyplot.subplots(1, 2)
    figure, axes = draw(grid[1])
    assert (figure, axes) == (grid_figure, [grid[1]])
    assert not grid[0].has_data()
    assert grid[1].has_data()
    with pytest.raises(TypeError, match=r"^ax must be a matplotlib Axes, got 'here' \(str\)$"):
        draw("here")


# ---- curves ---------------------------------------------------------------------------------------------------------


def test_learning_curves_of_one_training() -> None:
    one = history("loss", "val_loss", "val_top_3_accuracy")
    _, (ax,) = plots.learning_curves(one)
    shown = lines(ax)
    assert list(shown) == ["training", "validation"]
    assert list(shown["validation"].get_xdata()) == [1, 2, 3]
    assert list(shown["validation"].get_ydata()) == one["val_loss"]
    assert list(lines(plots.learning_curves(one, "top_3_accuracy")[1][0])) == ["validation"]


def test_learning_curves_of_several_trainings() -> None:
    several = {"small": history("loss"), "large": history("loss", "val_loss", epochs=5)}
    _, (ax,) = plots.learning_curves(several)
    shown = lines(ax)
    assert list(shown) == ["small, training", "large, training", "large, validation"]
    assert shown["large, training"].get_color() == shown["large, validation"].get_color()
    assert shown["small, training"].get_color() != shown["large, training"].get_color()
    assert ax.get_xlim() == (0.5, 5.5)


def test_learning_rates_are_those_of_the_schedule() -> None:
    schedule = fnn.LinearWarmup(0.5, 3, 10)
    _, (ax,) = plots.learning_rates({"warm": schedule}, 12)
    np.testing.assert_array_equal(lines(ax)["warm"].get_ydata(), schedule.rates(0, 12))


def test_activations_are_the_engines() -> None:
    _, (ax,) = plots.activations(["tanh", "relu"], bounds=(-2, 3))
    z = lines(ax)["tanh"].get_xdata()
    assert (z[0], z[-1]) == (-2, 3)
    np.testing.assert_allclose(lines(ax)["tanh"].get_ydata(), np.tanh(z), rtol=3e-7)
    np.testing.assert_array_equal(lines(ax)["relu"].get_ydata(), np.maximum(z, 0))


# ---- regions --------------------------------------------------------------------------------------------------------


def shades(ax: Any) -> np.ndarray:
    return np.asarray(ax.images[0].get_array())


def test_regions_are_shaded_by_the_class_of_their_points(by_weights: fnn.Network) -> None:
    _, (ax,) = plots.decision_regions(by_weights, X, Y, resolution=41, margin=0.5)
    left, right, bottom, top = ax.images[0].get_extent()
    np.testing.assert_allclose([left, right, bottom, top], [-2, 2, -2.5, 3.5], rtol=1e-6)
    plane = np.stack(np.meshgrid(np.linspace(left, right, 41), np.linspace(bottom, top, 41)), axis=-1)
    classes = by_weights.predict(plane.reshape(-1, 2).astype(np.float32)).reshape(41, 41)
    points = ax.collections[-3:]
    for c in range(3):
        (shade,) = np.unique(shades(ax)[classes == c].round(9), axis=0)
        paleness = (1 - shade) / (1 - points[c].get_facecolor()[0, :3])  # the point's colour mixed with white
        assert 0.1 < paleness.min() <= paleness.max() < paleness.min() + 1e-6 < 1
    assert [len(p.get_offsets()) for p in points] == [1, 1, 2]
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["class 0", "class 1", "class 2"]


def test_confidence_fades_to_white_at_the_border(by_weights: fnn.Network) -> None:
    _, (ax,) = plots.decision_regions(by_weights, X, Y, resolution=101, confidence=True, names=["l", "r", "t"])
    row = shades(ax)[0]  # far below: left and right alone, the border in the middle
    whiteness = row.min(axis=1)
    assert np.argmax(whiteness) == 50
    assert whiteness[50] > whiteness[0] + 0.2
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["l", "r", "t"]


@pytest.mark.parametrize("one_hot", [False, True])
def test_regions_of_one_sigmoid_unit_and_of_functions(one_hot: bool) -> None:
    net = fnn.Network(2, [fnn.Dense(1, initializer="ones")], seed=0)
    fnn.Trainer(net, "sigmoid_cross_entropy")
    labels = (X.sum(axis=1) > 0).astype(int)
    y = np.eye(2)[labels] if one_hot else labels
    of_net = shades(plots.decision_regions(net, X, y, resolution=20)[1][0])
    of_classes = shades(plots.decision_regions(lambda x: x.sum(axis=1) > 0, X, y, resolution=20)[1][0])
    np.testing.assert_allclose(of_net, of_classes, rtol=1e-12)
    signs = plots.decision_regions(lambda x: np.where(x.sum(axis=1) > 0, 1, -1), X, 2 * labels - 1, resolution=20)[1][0]
    np.testing.assert_array_equal(shades(signs), of_classes)
    assert [text.get_text() for text in signs.get_legend().get_texts()] == ["class -1", "class 1"]


# ---- surfaces -------------------------------------------------------------------------------------------------------


def test_error_of_two_weights_leaves_the_network_as_it_was() -> None:
    net = fnn.Network(2, [fnn.Dense(1, name="neuron")], seed=0)
    trainer = fnn.Trainer(net, "squared_error")
    before = net.variables["neuron/W"].value
    error = plots.error_of(trainer, X, X @ [2.0, 3.0], [("neuron/W", (1, 0)), ("neuron/b", 0)])
    w, b = 0.5, -1.0
    expected = 0.5 * np.mean((X[:, 0] * before[0, 0] + X[:, 1] * w + b - X @ [2.0, 3.0]) ** 2)
    assert error(w, b) == pytest.approx(expected, rel=1e-6)
    np.testing.assert_array_equal(net.variables["neuron/W"].value, before)
    assert net.variables["neuron/b"].value == 0
    with pytest.raises(ValueError, match=r"^error takes 2 weights, got 1$"):
        error(1.0)


@pytest.mark.parametrize("bowl", [False, True])
def test_surface_and_path(bowl: bool) -> None:
    path = np.array([[4.0, 0.0], [2.0, 1.0], [1.0, 1.0]])
    _, (ax,) = plots.error_surface(lambda a, b: (a - 1) ** 2 + b, path, resolution=11, bowl=bowl, labels=("u", "v"))
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("u", "v")
    line = lines(ax)["path of descent"]
    drawn = np.transpose(line.get_data_3d() if bowl else line.get_data())
    np.testing.assert_allclose(drawn[:, :2], path)
    if bowl:
        np.testing.assert_allclose(drawn[:, 2], [9, 2, 1])
    else:
        np.testing.assert_allclose([*ax.get_xlim(), *ax.get_ylim()], [0.25, 4.75, -0.25, 1.25])


def test_contours_of_a_quadratic_error_are_evenly_apart() -> None:
    _, (ax,) = plots.error_surface(lambda a, b: a * a, bounds=((0, 2), (0, 1)), resolution=201, levels=4)
    ends = sorted({round(float(v[:, 0].mean()), 3) for c in ax.collections for p in c.get_paths()
                   for v in p.to_polygons(closed_only=False) if np.ptp(v[:, 0]) < 1e-9})  # fmt: skip
    assert ends == [0.5, 1.0, 1.5]


def test_error_curve_carries_its_path() -> None:
    _, (ax,) = plots.error_curve(lambda w: w**2, [2, 1, 0], bounds=(-1, 3), resolution=5)
    np.testing.assert_array_equal(lines(ax)["error"].get_ydata(), [1, 0, 1, 4, 9])
    np.testing.assert_array_equal(lines(ax)["path of descent"].get_xydata(), [[2, 4], [1, 1], [0, 0]])


# ---- images ---------------------------------------------------------------------------------------------------------


def test_weight_images_show_the_weights_on_one_scale(digits_net: fnn.Network) -> None:
    _, (ax,) = plots.weight_images(digits_net, "hidden_1", units=[4, 0, 2], columns=2)
    weights = digits_net.variables["hidden_1/W"].value
    picture = ax.images[0].get_array()
    np.testing.assert_array_equal(picture[:28, :28], weights[:, 4].reshape(28, 28))
    np.testing.assert_array_equal(picture[:28, -28:], weights[:, 0].reshape(28, 28))
    np.testing.assert_array_equal(picture[-28:, :28], weights[:, 2].reshape(28, 28))
    assert np.ma.getmaskarray(np.ma.masked_invalid(picture))[-28:, -28:].all()
    assert ax.images[0].get_clim() == (-np.abs(weights[:, [4, 0, 2]]).max(), np.abs(weights[:, [4, 0, 2]]).max())


@pytest.mark.parametrize("sparse", [False, True])
def test_misclassified_are_the_worst_first(digits_net: fnn.Network, sparse: bool) -> None:
    x: Any = DIGITS.x
    if sparse:
        x = pytest.importorskip("scipy.sparse", reason="SciPy is not installed").csr_array(x)
    _, (ax,) = plots.misclassified(digits_net, x, DIGITS.y, n=5, columns=3)
    p = digits_net.predict_proba(DIGITS.x)
    wrong = [i for i in range(200) if p[i].argmax() != DIGITS.y[i]]
    worst = sorted(wrong, key=lambda i: p[i, DIGITS.y[i]])[:5]
    texts = [text.get_text() for text in ax.texts]
    assert texts == [f"{DIGITS.y[i]} > {p[i].argmax()}\n{p[i].max():.1%}" for i in worst]
    picture = ax.images[0].get_array()
    np.testing.assert_array_equal(picture[:28, :28], DIGITS.x[worst[0]].reshape(28, 28))
    np.testing.assert_array_equal(picture[:28, -28:], DIGITS.x[worst[2]].reshape(28, 28))


def test_confusion_matrix_shows_counts_and_parts() -> None:
    true, predicted = [0, 0, 0, 0, 1, 2], [0, 0, 0, 1, 1, 1]
    _, (ax,) = plots.confusion_matrix(true, predicted, names=["a", "b", "c"])
    np.testing.assert_array_equal(ax.images[0].get_array(), [[0.75, 0.25, 0], [0, 1, 0], [0, 1, 0]])
    shown = {text.get_position(): text.get_text() for text in ax.texts}
    assert shown == {(0, 0): "3", (1, 0): "1", (1, 1): "1", (1, 2): "1"}  # column, row
    assert [label.get_text() for label in ax.get_yticklabels()] == ["a", "b", "c"]


# ---- errors ---------------------------------------------------------------------------------------------------------

NET = fnn.Network(4, [fnn.Dense(3, "softmax", name="d")], seed=0)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: plots.learning_curves([1]), TypeError, r"histories must be a History, or a mapping of labels to them"),
        (lambda: plots.learning_curves({}), ValueError, r"histories must be .*, at least one, got \{\}"),
        (lambda: plots.learning_curves({"a": 1}), TypeError, r"histories\['a'\] must be a History, got 1"),
        (lambda: plots.learning_curves(history("loss"), "f1"), ValueError, "metric must be one of 'loss', got 'f1'"),
        (lambda: plots.learning_rates(0.1, 3), TypeError, "schedules must be a Schedule, or"),
        (lambda: plots.activations("tanh"), TypeError, "functions must be a sequence of activations, got 'tanh'"),
        (lambda: plots.activations(["softmax"]), ValueError, "functions must be activations of single units"),
        (lambda: plots.activations(["than"]), ValueError, "activation must be one of"),
        (lambda: plots.activations(bounds=(1, 1)), ValueError, r"bounds must be a pair \(low, high\) .* got \(1, 1\)"),
        (lambda: plots.decision_regions(NET, X, Y), ValueError, "net must be a classifier of 2 inputs"),
        (lambda: plots.decision_regions(3, X, Y), TypeError, "net must be a Network or a function, got 3"),
        (lambda: plots.decision_regions(lambda x: x, X, Y[:2]), ValueError, "y must have a class for each of the 4"),
        (lambda: plots.decision_regions(lambda x: x, X, Y), ValueError, r"y must hold classes in \[0, 1\], got 2"),
        (lambda: plots.decision_regions(lambda x: x[:3], X, Y), ValueError, "result of net must have shape"),
        (lambda: plots.error_surface(max), ValueError, "bounds must be given where there is no path, got None"),
        (lambda: plots.error_surface(max, [1, 2]), ValueError, r"path must have shape \(n, 2\), .* got \(2,\)"),
        (lambda: plots.error_surface(lambda a, b: 1 / 0 if a < 0 else np.inf, [[1, 1]]), ValueError, "error must be f"),
        (lambda: plots.error_surface(max, [[1, 1]], bowl=True, ax=pyplot.gca()), ValueError, "ax must be an Axes with"),
        (lambda: plots.error_of(NET, X, Y, []), TypeError, "trainer must be a Trainer, got Network"),
        (lambda: plots.error_of(fnn.Trainer(NET), X, Y, [("d/W", 0)]), ValueError, "weights must be an index of one"),
        (lambda: plots.error_of(fnn.Trainer(NET), X, Y, [("d/b", 3)]), ValueError, "weights must be an index of one"),
        (lambda: plots.weight_images(NET), ValueError, r"shape must be \(height, width\) with a product of 4"),
        (lambda: plots.weight_images(NET, "e", shape=(2, 2)), KeyError, "no variable 'e/W'"),
        (
            lambda: plots.weight_images(NET, shape=(2, 2), units=[3]),
            ValueError,
            r"units\[0\] must be an integer from 0",
        ),
        (lambda: plots.confusion_matrix([[1, 2]]), ValueError, r"matrix must have shape \(n_classes, n_classes\), got"),
        (lambda: plots.confusion_matrix([0], [0], names=["a", "b"]), ValueError, "names must be one for each of the 1"),
        (lambda: plots.misclassified(flat(), np.eye(4), [0] * 4, shape=(2, 2)), RuntimeError, "misclassified needs an"),
        (lambda: plots.misclassified(NET, np.eye(4), [0] * 4), ValueError, r"shape must be .* a product of 4, for the"),
    ],
)
def test_bad_arguments(call: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=f"^[\"']?{message}"):
        call()


def test_matplotlib_is_imported_when_something_is_drawn(tmp_path: Path) -> None:
    code = "import sys, fastnn; fastnn.plots.activations; sys.exit('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=False).returncode == 0


def test_without_matplotlib_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ImportError, match=r"needs matplotlib: pip install 'fastnn\[plot\]'$"):
        plots.activations()
