"""What a loss is made of besides its formula: weights of rows and classes, the reduction, and functions of a user."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

import fastnn as fnn
from fastnn import _core
from fastnn import reference as ref

N, N_IN, N_OUT = 37, 12, 3
X = _core.draw("normal", N * N_IN, 0.0, 1.0, 1, 0).reshape(N, N_IN)
VALUES = _core.draw("normal", N * N_OUT, 0.0, 1.0, 1, 1).reshape(N, N_OUT)
LABELS = np.arange(N) * 7 % N_OUT
WEIGHTS = _core.draw("uniform", N, 0.0, 2.0, 1, 2)


def make_trainer(loss: Any, n_out: int = N_OUT, **options: Any) -> fnn.Trainer:
    net = fnn.Network(N_IN, [fnn.Dense(20, "tanh"), fnn.Dense(n_out, "gelu")], seed=5)
    return fnn.Trainer(net, loss, options.pop("optimizer", fnn.SGD(0.05, momentum=0.9)), **options)


def parameters(trainer: fnn.Trainer) -> bytes:
    return b"".join(variable.value.tobytes() for variable in trainer.network.variables.values())


def trained(loss: Any, y: Any, n_out: int = N_OUT, num_threads: int = 1, **fit: Any) -> tuple[bytes, list[float]]:
    trainer = make_trainer(loss, n_out)
    history = trainer.fit(X, y, epochs=3, batch_size=10, num_threads=num_threads, **fit)
    return parameters(trainer), history["loss"]


# ---- weights ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("loss", ref.LOSSES)
def test_weighted_gradients(isa: str, loss: str) -> None:
    spec = ref.Network(N_IN, 1.0, 0.0, None, [ref.Layer(20, "tanh"), ref.Layer(N_OUT, "linear")])
    net = fnn.Network(N_IN, [fnn.Dense(20, "tanh"), fnn.Dense(N_OUT)], seed=5)
    y = LABELS if loss == "softmax_cross_entropy" else np.abs(VALUES) / 4
    params = [np.asarray(variable, np.float64) for variable in net.variables.values()]
    expected, losses, _ = ref.gradients(spec, params, X, y, loss, weights=WEIGHTS.astype(np.float64))
    data = _core.Data(net._net, X, y, loss, weights=WEIGHTS)
    total, found = net._net.gradients(data, (loss, 1.0) if loss == "huber" else loss, 1)
    assert total == pytest.approx(losses.sum(), rel=2e-6)
    for g, e in zip(found, expected, strict=True):
        assert np.linalg.norm(g - e) <= 2e-6 * np.linalg.norm(e)


def test_weights_of_one_change_no_bit() -> None:
    assert trained("softmax_cross_entropy", LABELS) == trained(
        "softmax_cross_entropy", LABELS, sample_weight=np.ones(N)
    )


@pytest.mark.parametrize("num_threads", [1, 3])
def test_class_weights_are_weights_of_rows(num_threads: int) -> None:
    each = np.float32([0.5, 1, 3])
    expected = trained("softmax_cross_entropy", LABELS, sample_weight=each[LABELS] * WEIGHTS)
    for class_weight in (each, {0: 0.5, 2: 3}):
        for y in (LABELS, np.eye(N_OUT)[LABELS]):
            fit = {"sample_weight": WEIGHTS, "class_weight": class_weight, "num_threads": num_threads}
            assert trained("softmax_cross_entropy", y, **fit) == expected


def test_evaluate_weighs_losses_alone() -> None:
    trainer = make_trainer("softmax_cross_entropy")
    plain = trainer.evaluate(X, LABELS)
    rows = [trainer.evaluate(X[i : i + 1], LABELS[i : i + 1])["loss"] for i in range(N)]
    weighted = trainer.evaluate(X, LABELS, sample_weight=WEIGHTS)
    assert weighted["loss"] == pytest.approx(np.dot(WEIGHTS, rows) / N, rel=1e-6)
    assert weighted["accuracy"] == plain["accuracy"]


@pytest.mark.parametrize(
    ("loss", "fit", "error", "message"),
    [
        ("squared_error", {"sample_weight": np.ones(3)}, ValueError, "sample_weight must have shape (37,), "),
        ("squared_error", {"sample_weight": -np.ones(N)}, ValueError, "sample_weight must hold non-negative numbers"),
        ("squared_error", {"sample_weight": ["a"] * N}, TypeError, "sample_weight must hold real numbers, got dtype"),
        ("squared_error", {"class_weight": {0: 1}}, ValueError, "class_weight must be None for loss 'squared_error'"),
        ("softmax_cross_entropy", {"class_weight": [1, 2]}, ValueError, "class_weight must have shape (3,), one"),
        (
            "softmax_cross_entropy",
            {"class_weight": {3: 1}},
            ValueError,
            "class_weight's class must be an integer from 0",
        ),
        ("softmax_cross_entropy", {"class_weight": {0: -1}}, ValueError, "class_weight[0] must be a non-negative"),
    ],
)
def test_bad_weights(loss: str, fit: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=f"^{re.escape(message)}"):
        trained(loss, LABELS if loss.startswith("softmax") else VALUES, **fit)


# ---- reduction, link -------------------------------------------------------------------------------------------------


def test_the_sum_is_the_mean_at_a_larger_rate() -> None:
    """Of batches of a power of two rows to the bit."""
    sums = make_trainer("squared_error", optimizer=fnn.SGD(0.005), reduction="sum")
    means = make_trainer("squared_error", optimizer=fnn.SGD(np.float32(0.005).item() * 16))
    for trainer in (sums, means):
        trainer.fit(X[:32], VALUES[:32], epochs=3, batch_size=16)
    assert sums.history["loss"] == means.history["loss"]
    assert parameters(sums) == parameters(means)
    with pytest.raises(ValueError, match=r"^reduction must be one of 'mean', 'sum', got 'none'$"):
        make_trainer("squared_error", reduction="none")


def test_poisson_predicts_rates() -> None:
    trainer = make_trainer("poisson")
    net = trainer.network
    trainer.fit(X, np.abs(VALUES), epochs=1)
    expected = np.exp(net(X).astype(np.float64))
    for rates in (net.predict(X), net.predict(X[:2]), net.predictor(40)(X)):
        np.testing.assert_allclose(rates, expected[: len(rates)], rtol=2e-7)
    assert "accuracy" not in trainer.history
    with pytest.raises(ValueError, match=r"^y must hold non-negative numbers for poisson, got .* in row "):
        trainer.fit(X, VALUES)


# ---- functions of the user's -----------------------------------------------------------------------------------------


def squared_error(outputs: Any, targets: Any) -> tuple[Any, Any]:
    d = outputs - targets
    return (np.float32(0.5) * d * d).sum(axis=1), d * (np.float32(1) / np.float32(len(d)))


@pytest.mark.parametrize("num_threads", [1, 3])
@pytest.mark.parametrize("weights", [None, WEIGHTS])
def test_a_function_trains_to_the_bits_of_squared_error(isa: str, num_threads: int, weights: Any) -> None:
    """Losses too, of one output: NumPy does not fuse the sum."""
    custom, fit = fnn.CustomLoss(squared_error), {"sample_weight": weights, "num_threads": num_threads}
    if weights is None:
        assert trained(custom, VALUES, **fit)[0] == trained("squared_error", VALUES, **fit)[0]
        assert trained(custom, VALUES[:, 0], 1, **fit) == trained("squared_error", VALUES[:, 0], 1, **fit)
    else:  # the weight is multiplied with the gradient, not with 1/B
        found, expected = (trained(loss, VALUES, **fit)[1] for loss in (custom, "squared_error"))
        assert found == pytest.approx(expected, rel=1e-5)


def test_evaluate_and_gradients_call_the_function() -> None:
    custom, plain = make_trainer(fnn.CustomLoss(squared_error)), make_trainer("squared_error")
    x, y = np.tile(X, (10, 1)), np.tile(VALUES, (10, 1))  # more rows than evaluation takes at a time
    assert custom.evaluate(x, y) == pytest.approx(plain.evaluate(x, y), rel=1e-6)
    ours, theirs = (t.network.gradients(X, VALUES, loss=t.loss) for t in (custom, plain))
    assert all(np.array_equal(ours[name], theirs[name]) for name in theirs)


def test_the_function_sees_labels_in_the_order_of_the_epoch() -> None:
    seen = []

    def judge(outputs: Any, targets: Any) -> tuple[Any, Any]:
        assert outputs.dtype == np.float32
        assert targets.dtype == np.int32
        seen.extend(targets.tolist())
        return np.zeros(len(outputs)), np.zeros_like(outputs)

    trainer = make_trainer(fnn.CustomLoss(judge, link="softmax"))
    trainer.fit(X, LABELS, batch_size=10)
    assert seen == LABELS[_core.permutation(N, trainer.seed, 0)].tolist()
    assert trainer.network.link == "softmax"


@pytest.mark.parametrize("num_threads", [1, 3])
def test_an_exception_of_the_function_ends_the_training(num_threads: int) -> None:
    calls = []

    def judge(outputs: Any, targets: Any) -> tuple[Any, Any]:
        calls.append(len(outputs))
        if len(calls) == 3:
            raise ZeroDivisionError("mine")
        return squared_error(outputs, targets)

    trainer, other = make_trainer(fnn.CustomLoss(judge)), make_trainer("squared_error")
    with pytest.raises(ZeroDivisionError, match=r"^mine$"):
        trainer.fit(X, VALUES, batch_size=10, shuffle=False, num_threads=num_threads)
    other.fit(X[:20], VALUES[:20], batch_size=10, shuffle=False)
    assert trainer.step == 2
    assert parameters(trainer) == parameters(other)
    trainer.fit(X, VALUES, batch_size=10)
    assert trainer.step == 6


@pytest.mark.parametrize(
    ("result", "error", "message"),
    [
        (lambda z: 1.0, TypeError, "the function of a CustomLoss must return a pair (losses, gradient), got float"),
        (lambda z: (z[:, 0],), TypeError, "the function of a CustomLoss must return a pair (losses, gradient), got 1 "),
        (lambda z: (z, z), ValueError, "losses of a CustomLoss must have shape (10,), got (10, 3)"),
        (lambda z: (z[:, 0], z[:, 0]), ValueError, "gradient of a CustomLoss must have shape (10, 3), got (10,)"),
        (lambda z: (["a"] * 10, z), TypeError, "losses of a CustomLoss must hold real numbers, got dtype"),
    ],
)
def test_bad_results_of_the_function(result: Any, error: type[Exception], message: str) -> None:
    trainer = make_trainer(fnn.CustomLoss(lambda outputs, targets: result(outputs)))
    for run in (trainer.fit, trainer.evaluate, lambda x, y: trainer.network.gradients(x, y, loss=trainer.loss)):
        with pytest.raises(error, match=f"^{re.escape(message)}"):
            run(X[:10], VALUES[:10])


def test_a_loss_that_is_not_finite_is_divergence() -> None:
    trainer = make_trainer(fnn.CustomLoss(lambda z, t: (np.full(len(z), np.nan), z)))
    with pytest.raises(FloatingPointError, match="training diverged"):
        trainer.fit(X, VALUES)
