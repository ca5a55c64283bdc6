"""Layers: descriptions, dropout's constants, configs and bad arguments."""

import json
from typing import Any

import numpy as np
import pytest

from fastnn import activations, initializers, layers
from fastnn.layers import Dense, Dropout, Rescaling
from fastnn.regularizers import L1, L2, MaxNorm

ALL = [
    Dense(10),
    Dense(256, activation="relu", initializer="glorot", bias_initializer=initializers.Constant(0.1), name="a/hidden_1"),
    Dense(1, "sigmoid", initializer=initializers.RandomUniform(-1, 1)),
    Dense(5, regularizer=L2(0.01)),
    Dense(5, regularizer=L1(0.01), constraint=MaxNorm(3)),
    Dropout(0.5),
    Dropout(1, naive=True, name="drop"),
    Rescaling(1 / 255),
    Rescaling(2, -1),
]


def test_dense_defaults() -> None:
    dense = Dense(10)
    assert (dense.units, dense.activation, dense.name) == (10, "linear", None)
    assert dense.initializer == initializers.He()
    assert dense.bias_initializer == initializers.Zeros()


@pytest.mark.parametrize("activation", layers.ACTIVATIONS)
def test_activations(activation: str) -> None:
    assert Dense(3, activation).activation == activation
    assert Dense(3, activations.get(activation)).activation == activation


@pytest.mark.parametrize(
    "activation", [activations.LeakyReLU(0.2), activations.ELU(2), activations.Linear(0.5, intercept=1)]
)
def test_activations_with_constants(activation: activations.Activation) -> None:
    dense = Dense(3, activation)
    assert dense.activation == activation
    assert layers.from_config(json.loads(json.dumps(dense.to_config()))) == dense


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: activations.LeakyReLU(-0.1), ValueError, "slope must be a non-negative finite number, got -0.1$"),
        (lambda: activations.ELU(0), ValueError, "alpha must be a positive finite number, got 0$"),
        (lambda: activations.Linear("1"), TypeError, r"slope must be a finite number, got '1' \(str\)$"),
        (lambda: activations.Linear(1, np.inf), ValueError, "intercept must be a finite number, got inf$"),
    ],
)
def test_bad_constants(make: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=f"^{message}"):
        make()


@pytest.mark.parametrize("name", ["a", "hidden_1", "scope/hidden_1", "a/b/c", "1", "é", "a.b-c", "_x"])
def test_names(name: str) -> None:
    assert Dense(3, name=name).name == name
    assert Dropout(0.5, name=name).name == name


def test_numpy_scalars_become_python_numbers() -> None:
    assert type(Dense(np.int32(3)).units) is int
    assert type(Dropout(np.float32(0.5)).keep_prob) is float
    assert type(Rescaling(np.float32(2), np.int8(1)).offset) is float


@pytest.mark.parametrize(
    ("keep_prob", "threshold"),
    [(1, 65536), (1.0, 65536), (0.5, 32768), (0.8, 52429), (1 / 65536, 1), (1 - 2**-18, 65536)],
)
def test_dropout_threshold(keep_prob: float, threshold: int) -> None:
    dropout = Dropout(keep_prob)
    assert dropout.threshold == threshold
    assert type(dropout.threshold) is int
    assert (dropout.train_scale, dropout.predict_scale) == (65536 / threshold, 1.0)
    naive = Dropout(keep_prob, naive=True)
    assert (naive.threshold, naive.train_scale, naive.predict_scale) == (threshold, 1.0, threshold / 65536)


@pytest.mark.parametrize("naive", [False, True])
def test_dropout_that_keeps_all_scales_nothing(naive: bool) -> None:
    dropout = Dropout(1, naive=naive)
    assert (dropout.train_scale, dropout.predict_scale) == (1, 1)


@pytest.mark.parametrize("layer", ALL, ids=repr)
def test_config_round_trip(layer: layers.Layer) -> None:
    config = json.loads(json.dumps(layer.to_config()))
    assert layers.from_config(config) == layer
    assert type(layer).from_config(config) == layer


def test_config_spells_everything_out() -> None:
    assert Dense(3, "tanh", initializer=initializers.RandomNormal(stddev=0.5), name="a").to_config() == {
        "kind": "layer.dense",
        "units": 3,
        "activation": "tanh",
        "initializer": {"kind": "initializer.random_normal", "mean": 0.0, "stddev": 0.5},
        "bias_initializer": {"kind": "initializer.zeros"},
        "regularizer": None,
        "constraint": None,
        "mask": None,
        "name": "a",
    }


def test_fields_with_defaults_may_be_absent_from_a_config() -> None:
    assert layers.from_config({"kind": "layer.dense", "units": 3}) == Dense(3)


BAD_NAMES = ["", "/", "/a", "a/", "a//b", "a b", "a/ b", "a\n", ".", "a/..", "-a", 'a"']


@pytest.mark.parametrize("name", BAD_NAMES)
@pytest.mark.parametrize("make", [lambda name: Dense(3, name=name), lambda name: Dropout(0.5, name=name)])
def test_bad_names(make: object, name: str) -> None:
    with pytest.raises(ValueError, match=r'^name must be None or a name such as "scope/hidden_1", got '):
        make(name)  # type: ignore[operator]


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: Dense(0), ValueError, "units must be a positive integer, got 0$"),
        (lambda: Dense(-3), ValueError, "units must be a positive integer, got -3$"),
        (lambda: Dense(2**63), ValueError, "units must be a positive integer that 64 bits can hold, got 92233"),
        (lambda: Dense(3.0), TypeError, r"units must be a positive integer, got 3\.0 \(float\)$"),
        (lambda: Dense(True), TypeError, r"units must be a positive integer, got True \(bool\)$"),
        (lambda: Dense("3"), TypeError, r"units must be a positive integer, got '3' \(str\)$"),
        (
            lambda: Dense(3, "swish"),
            ValueError,
            "activation must be one of 'linear', 'sigmoid', 'tanh', 'relu', 'leaky_relu', .*, got 'swish'$",
        ),
        (lambda: Dense(3, None), TypeError, r"activation must be one of 'linear', .*, got None \(NoneType\)$"),
        (lambda: Dense(3, np.tanh), TypeError, "activation must be one of 'linear', .*, got <ufunc 'tanh'>"),
        (lambda: Dense(3, initializer="xavier"), ValueError, "initializer must be one of 'zeros', .*, got 'xavier'$"),
        (lambda: Dense(3, initializer="constant"), ValueError, "initializer must be one of .*, got 'constant'$"),
        (lambda: Dense(3, initializer=0), TypeError, r"initializer must be one of .* of Initializer, got 0 \(int\)"),
        (lambda: Dense(3, initializer=initializers.He), TypeError, "initializer must be one of .*, got <class"),
        (lambda: Dense(3, bias_initializer="0"), ValueError, "bias_initializer must be one of .*, got '0'$"),
        (lambda: Dense(3, bias_initializer=0), TypeError, r"bias_initializer must be one of .*, got 0 \(int\)$"),
        (lambda: Dense(3, regularizer=1), TypeError, r"regularizer must be None, an L1 or an L2, got 1 \(int\)$"),
        (lambda: Dense(3, regularizer=L2), TypeError, "regularizer must be None, an L1 or an L2, got <class"),
        (
            lambda: Dense(3, constraint=L2(1)),
            TypeError,
            r"constraint must be None or a MaxNorm, got L2\(strength=1\.0\)",
        ),
        (lambda: Dense(3, constraint=3.0), TypeError, r"constraint must be None or a MaxNorm, got 3\.0 \(float\)$"),
        (lambda: Dense(3, name=1), TypeError, r'name must be None or a name such as "scope/hidden_1", got 1 \(int\)$'),
        (lambda: Dropout(0), ValueError, "keep_prob must be a number from 1/65536 to 1, got 0$"),
        (lambda: Dropout(-0.5), ValueError, r"keep_prob must be a number from 1/65536 to 1, got -0\.5$"),
        (lambda: Dropout(1.5), ValueError, r"keep_prob must be a number from 1/65536 to 1, got 1\.5$"),
        (lambda: Dropout(1e-6), ValueError, "keep_prob must be a number from 1/65536 to 1, got 1e-06$"),
        (lambda: Dropout(np.nan), ValueError, "keep_prob must be a number from 1/65536 to 1, got nan$"),
        (lambda: Dropout(True), TypeError, "keep_prob must be a number from 1/65536 to 1, got True"),
        (lambda: Dropout(None), TypeError, "keep_prob must be a number from 1/65536 to 1, got None"),
        (lambda: Dropout(0.5, naive=1), TypeError, r"naive must be True or False, got 1 \(int\)$"),
        (lambda: Dropout(0.5, name=b"a"), TypeError, "name must be None or a name"),
        (lambda: Rescaling(0), ValueError, "scale must be a finite number other than 0, got 0$"),
        (lambda: Rescaling(np.inf), ValueError, "scale must be a finite number other than 0, got inf$"),
        (lambda: Rescaling("1"), TypeError, "scale must be a finite number other than 0, got '1'"),
        (lambda: Rescaling(np.ones(3)), TypeError, r"scale must be a finite number .*, got array\(.*\) \(ndarray\)$"),
        (lambda: Rescaling(1, np.nan), ValueError, "offset must be a finite number, got nan$"),
        (lambda: Rescaling(1, None), TypeError, "offset must be a finite number, got None"),
        (lambda: layers.from_config([]), TypeError, r'config must be a dict with a "kind", got \[\] \(list\)$'),
        (
            lambda: layers.from_config({"kind": "loss.squared_error"}),
            ValueError,
            r"config\['kind'\] must be one of 'layer.dense', 'layer.dropout', 'layer.rescaling'.*, got 'loss.squared",
        ),
        (
            lambda: layers.from_config({"kind": "layer.dense"}),
            ValueError,
            "config of 'layer.dense' must have the fields of Dense, got missing 'units'$",
        ),
        (
            lambda: layers.from_config({"kind": "layer.dropout", "keep_prob": 0.5, "p": 1, "q": 2}),
            ValueError,
            "config of 'layer.dropout' must have the fields of Dropout, got unknown 'p', 'q'$",
        ),
        (
            lambda: layers.from_config({"kind": "layer.dense", "units": 0}),
            ValueError,
            "units must be a positive integer, got 0$",
        ),
        (
            lambda: layers.from_config({"kind": "layer.dense", "units": 3, "initializer": Dropout(0.5).to_config()}),
            TypeError,
            "initializer must be one of .* or an instance of Initializer, got Dropout",
        ),
    ],
)
def test_bad_arguments(make: object, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=f"^{message}"):
        make()  # type: ignore[operator]


def test_long_values_are_cut_in_messages() -> None:
    with pytest.raises(TypeError) as caught:
        Dense([0] * 1000)
    assert len(str(caught.value)) < 150
