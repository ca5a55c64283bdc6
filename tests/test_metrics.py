"""Metrics: scikit-learn and hand-made examples beside them, classes and scores, evaluate and fit."""

import importlib
from functools import partial
from typing import Any

import numpy as np
import pytest

import fastnn as fnn
from fastnn import metrics


@pytest.fixture
def judged(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Classes (500,) of 7, the last of which never comes, and scores (500, 7) with ties, which never choose class 2."""
    true = rng.integers(0, 6, 500)
    scores = rng.integers(0, 9, (500, 7)).astype(np.float32)
    scores[np.arange(500), true] += rng.integers(0, 6, 500)
    scores[:, 2] = -1
    return true, scores


def test_classes_and_scores_are_read_alike() -> None:
    classes, scores = [2, 0, 1, 1], [[0, 0, 9], [5, 5, 1], [0, 1, 0], [3, 2, 1]]
    for true in (classes, np.eye(3)[classes], np.array(classes, float)):
        assert metrics.accuracy(true, scores) == 0.75  # of equal scores the first
        np.testing.assert_array_equal(metrics.confusion_matrix(true, scores), [[1, 0, 0], [1, 1, 0], [0, 0, 1]])
    assert metrics.accuracy([0, 1, 1], [[0.5], [0.6], [0.4]]) == pytest.approx(2 / 3)  # one sigmoid unit


def test_a_confusion_matrix_has_a_row_for_each_class() -> None:
    assert metrics.confusion_matrix([0, 1], [1, 1]).shape == (2, 2)
    assert metrics.confusion_matrix([0, 1], np.eye(4)[[0, 2]]).tolist()[1] == [0, 0, 1, 0]
    matrix = metrics.confusion_matrix([0, 1], [1, 1], n_classes=3)
    np.testing.assert_array_equal(matrix, np.array([[0, 1, 0], [0, 1, 0], [0, 0, 0]]), strict=True)


def test_of_equal_scores_the_lower_class_comes_first() -> None:
    assert [metrics.top_k_accuracy([2], [[1, 1, 1, 0]], k) for k in (1, 2, 3, 4)] == [0, 0, 1, 1]


def test_top_1_is_the_accuracy(judged: Any) -> None:
    assert metrics.top_k_accuracy(*judged, k=1) == metrics.accuracy(*judged)
    assert metrics.top_k_accuracy(*judged, k=7) == 1


def test_a_class_without_rows_has_no_precision_or_recall(judged: Any) -> None:
    true, scores = judged
    assert np.isnan(metrics.precision(true, scores)).tolist() == [False, False, True, False, False, False, False]
    assert np.isnan(metrics.recall(true, scores)).tolist() == [False] * 6 + [True]
    assert not np.isnan(metrics.f1(true, scores)).any()


@pytest.mark.peer
def test_as_scikit_learn(judged: Any, rng: np.random.Generator) -> None:
    try:
        peer = importlib.import_module("sklearn.metrics")
    except ImportError:
        pytest.skip("scikit-learn is not installed")
    true, scores = judged
    predicted = scores.argmax(axis=1)
    assert metrics.accuracy(true, scores) == peer.accuracy_score(true, predicted)
    np.testing.assert_array_equal(metrics.confusion_matrix(true, scores), peer.confusion_matrix(true, predicted))
    untied = scores + rng.random(scores.shape)
    for k in (1, 2, 5):
        assert metrics.top_k_accuracy(true, untied, k) == peer.top_k_accuracy_score(true, untied, k=k, labels=range(7))
    for name in ("precision", "recall", "f1"):
        theirs = getattr(peer, f"{name}_score")(true, predicted, average=None, zero_division=np.nan)
        np.testing.assert_allclose(getattr(metrics, name)(true, scores), theirs, rtol=1e-14, err_msg=name)
    for shape in ((50,), (50, 3)):
        t, y = rng.standard_normal((2, *shape))
        assert metrics.r2(t, y) == pytest.approx(peer.r2_score(t, y), rel=1e-13)
        assert metrics.mean_absolute_error(t, y) == pytest.approx(peer.mean_absolute_error(t, y), rel=1e-14)
        assert metrics.mean_squared_error(t, y) == pytest.approx(peer.mean_squared_error(t, y), rel=1e-14)


def test_values_by_hand() -> None:
    t, y = [1.0, 2.0, 6.0], [1.0, 3.0, 4.0]
    assert metrics.r2(t, y) == 1 - 5 / 14
    assert metrics.mean_absolute_error(t, y) == 1
    assert metrics.mean_squared_error(t, np.array(y)[:, None]) == pytest.approx(5 / 3, rel=1e-15)
    assert metrics.r2(t, [3.0, 3.0, 3.0]) == 0


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: metrics.accuracy([0, 1], [0]), ValueError, "y_pred must have a row for each of the 2 rows of y_true"),
        (lambda: metrics.accuracy([], []), ValueError, "y_true must have at least one row, got none"),
        (lambda: metrics.accuracy([0.5], [0]), ValueError, r"y_true must hold classes, .*, got 0\.5 in row 0"),
        (lambda: metrics.accuracy([0], [-1]), ValueError, r"y_pred must hold classes, .*, got -1 in row 0"),
        (lambda: metrics.accuracy([np.nan], [0]), ValueError, "y_true must hold classes, .*, got nan in row 0"),
        (lambda: metrics.accuracy(["a"], [0]), TypeError, "y_true must hold real numbers, got dtype <U1"),
        (lambda: metrics.accuracy([[[0]]], [0]), ValueError, r"y_true must hold classes .*, got shape \(1, 1, 1\)"),
        (lambda: metrics.confusion_matrix([2], [0], 2), ValueError, "n_classes must be at least 3, .*, got 2"),
        (lambda: metrics.top_k_accuracy([0], [0]), ValueError, r"scores must have shape \(n, n_classes\), .*\(1,\)"),
        (lambda: metrics.top_k_accuracy([0], [[1, 0]], 3), ValueError, "k must be an integer from 1 to 2, got 3"),
        (lambda: metrics.top_k_accuracy([2], [[1, 0]], 1), ValueError, r"y_true must hold classes in \[0, 1\], got 2"),
        (lambda: metrics.top_k_accuracy([0], [[1, np.nan]], 1), ValueError, "scores must not be NaN"),
        (lambda: metrics.r2([1, 2], [[1, 2]]), ValueError, r"y_pred must have the shape of y_true, .*, got \(1, 2\)"),
        (lambda: metrics.r2([[1, 2], [3, 2]], np.ones((2, 2))), ValueError, "y_true must vary .* in column 1"),
        (lambda: metrics.get("r2"), TypeError, r"metrics must be a sequence of names and functions, .*, got 'r2'"),
        (lambda: metrics.get(["R2"]), ValueError, "metrics must be one of 'accuracy', 'r2', .*, got 'R2'"),
        (lambda: metrics.get([3]), TypeError, "metrics must be one of 'accuracy', .*, got 3"),
        (lambda: metrics.get(["top_0_accuracy"]), ValueError, "metrics must be one of .* got 'top_0_accuracy'"),
        (lambda: metrics.get({1: "r2"}), TypeError, "name of a metric must be a string, got 1"),
        (lambda: metrics.get(["r2", "r2"]), ValueError, "name of a metric must be its alone, got 'r2'"),
        (lambda: metrics.get({"loss": "r2"}), ValueError, "name of a metric must be its alone, got 'loss'"),
        (lambda: metrics.get({"accuracy": "r2"}), ValueError, "name of a metric must be its alone, got 'accuracy'"),
        (lambda: metrics.get([lambda t, y: 0.0]), ValueError, "metrics must name each function, got <function"),
        (lambda: metrics.get([partial(metrics.r2)]), ValueError, "metrics must name each function, got functools"),
    ],
)
def test_bad_arguments(call: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=f"^{message}"):
        call()


# ---- evaluate and fit -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def trainer() -> fnn.Trainer:
    net = fnn.Network(784, [fnn.Rescaling(1 / 255), fnn.Dense(12, "relu"), fnn.Dense(10)], seed=1)
    trainer = fnn.Trainer(net, optimizer=fnn.SGD(0.2))
    part = fnn.datasets.synthetic_digits(2000)
    trainer.fit(part.x, part.y, progress=False)
    return trainer


def macro_f1(y_true: Any, outputs: Any) -> float:
    return float(np.mean(metrics.f1(y_true, outputs)))


@pytest.mark.parametrize("one_hot", [False, True])
@pytest.mark.parametrize("sparse", [False, True])
def test_evaluate_measures_what_it_is_asked_for(trainer: fnn.Trainer, one_hot: bool, sparse: bool) -> None:
    part = fnn.datasets.synthetic_digits(300, seed=5)
    x: Any = part.x
    if sparse:
        x = pytest.importorskip("scipy.sparse", reason="SciPy is not installed").csr_array(part.x)
    y = np.eye(10)[part.y] if one_hot else part.y
    result = trainer.evaluate(x, y, metrics=["accuracy", "top_3_accuracy", macro_f1])
    assert list(result) == ["loss", "accuracy", "top_3_accuracy", "macro_f1"]
    outputs = trainer.network.predict_proba(part.x)
    assert 0.3 < result["accuracy"] == metrics.accuracy(part.y, outputs) < 1
    assert result["top_3_accuracy"] == metrics.top_k_accuracy(part.y, outputs, 3) > result["accuracy"]
    assert result["macro_f1"] == macro_f1(part.y, outputs)
    plain = trainer.evaluate(x, y)
    assert plain == {name: result[name] for name in ("loss", "accuracy")}


def test_fit_measures_the_validation_data_after_each_epoch() -> None:
    rng = np.random.default_rng(3)
    x = rng.standard_normal((90, 4))
    y = x @ [1.0, -2.0, 0.5, 0.0]
    trainer = fnn.Trainer(fnn.Network(4, [fnn.Dense(1)], seed=0), "squared_error", fnn.SGD(0.05))
    seen = []

    class Watch(fnn.Callback):
        def on_epoch_end(self, trainer: fnn.Trainer, epoch: int, logs: Any) -> None:
            seen.append(metrics.r2(y[60:], trainer.network.predict(x[60:])))

    history = trainer.fit(
        x[:60], y[:60], epochs=3, batch_size=10, validation_data=(x[60:], y[60:]), callbacks=[Watch()],
        metrics={"r2": "r2", "worst": lambda t, y: np.abs(t - y).max()}, progress=False,
    )  # fmt: skip
    np.testing.assert_allclose(history["val_r2"], seen, rtol=1e-6)  # the trainer's targets are float32
    assert history["val_r2"][0] < history["val_r2"][1] < history["val_r2"][2] < 1
    assert len(history["val_worst"]) == 3
    assert trainer.history["val_r2"] == history["val_r2"]


def test_labels_have_the_accuracy_of_their_loss() -> None:
    net = fnn.Network(2, [fnn.Dense(3)], seed=0)
    trainer = fnn.Trainer(net, "sigmoid_cross_entropy")
    x, y = np.eye(2), np.array([[1, 1, 0], [0, 1, 1]])
    shares = trainer.evaluate(x, y, metrics={"accuracy": "accuracy", "share": lambda t, p: np.mean((p > 0.5) == t)})
    assert shares["accuracy"] == pytest.approx(shares["share"], rel=1e-15)


def test_metrics_are_checked_before_the_first_step(trainer: fnn.Trainer) -> None:
    part = fnn.datasets.synthetic_digits(50)
    step = trainer.step
    with pytest.raises(ValueError, match=r"^metrics must come with validation_data, .*, got \['r2'\] alone$"):
        trainer.fit(part.x, part.y, metrics=["r2"], progress=False)
    with pytest.raises(ValueError, match=r"^metrics must be one of"):
        trainer.fit(part.x, part.y, metrics=["f2"], validation_data=(part.x, part.y), progress=False)
    assert trainer.step == step
    with pytest.raises(TypeError, match=r"^word must be a number, got 'much' \(str\)$"):
        trainer.evaluate(part.x, part.y, metrics={"word": lambda t, y: "much"})
