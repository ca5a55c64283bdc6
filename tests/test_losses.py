"""Losses: names, links and bad arguments. Their arithmetic is tested with the kernels."""

import json

import pytest

from fastnn import losses
from fastnn.losses import (
    AbsoluteError,
    CustomLoss,
    Huber,
    Poisson,
    SigmoidCrossEntropy,
    SoftmaxCrossEntropy,
    SquaredError,
)

LINKS = {"softmax_cross_entropy": "softmax", "sigmoid_cross_entropy": "sigmoid", "squared_error": "identity"}
LINKS |= {"absolute_error": "identity", "huber": "identity", "poisson": "exp"}
CLASSES = [SoftmaxCrossEntropy, SigmoidCrossEntropy, SquaredError, AbsoluteError, Huber, Poisson]


@pytest.mark.parametrize("cls", CLASSES)
def test_name_and_link(cls: type[losses.Loss]) -> None:
    loss = losses.get(cls.name)
    assert type(loss) is cls
    assert loss.link == LINKS[cls.name]
    assert loss == cls()
    assert losses.get(loss) is loss


@pytest.mark.parametrize("cls", CLASSES)
def test_config_round_trip(cls: type[losses.Loss]) -> None:
    config = cls().to_config()
    assert config == {"kind": f"loss.{cls.name}"} | ({"delta": 1.0} if cls is Huber else {})
    assert losses.from_config(json.loads(json.dumps(config))) == cls()


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: Huber(0), ValueError, "delta must be a positive finite number, got 0$"),
        (lambda: CustomLoss(3), TypeError, r"function must be a function .* got 3 \(int\)$"),
        (lambda: CustomLoss(max, "log"), ValueError, "link must be one of .*'exp', 'identity', got 'log'$"),
        (lambda: CustomLoss(max).to_config(), TypeError, "a CustomLoss has no config: its function cannot be written$"),
        (
            lambda: losses.get("cross_entropy"),
            ValueError,
            "loss must be one of 'softmax_cross_entropy', 'sigmoid_cross_entropy', 'squared_error', .* "
            "or an instance of Loss, got 'cross_entropy'$",
        ),
        (lambda: losses.get(None), TypeError, r"loss must be one of .* or an instance of Loss, got None \(NoneType\)$"),
        (lambda: losses.get(SquaredError), TypeError, "loss must be one of .* or an instance of Loss, got <class"),
        (lambda: losses.from_config("squared_error"), TypeError, 'config must be a dict with a "kind", got '),
        (lambda: losses.from_config({}), ValueError, r"config\['kind'\] must be one of 'loss.soft.*, got None$"),
        (lambda: losses.from_config({"kind": 1}), ValueError, r"config\['kind'\] must be one of 'loss.soft.*, got 1$"),
        (
            lambda: SquaredError.from_config(SoftmaxCrossEntropy().to_config()),
            ValueError,
            r"config\['kind'\] must be one of 'loss.squared_error', got 'loss.softmax_cross_entropy'$",
        ),
    ],
)
def test_bad_arguments(make: object, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=f"^{message}"):
        make()  # type: ignore[operator]
