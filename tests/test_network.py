"""Networks: variables, initial values, predictions, the summary, and files."""

from __future__ import annotations

import copy
import json
import math
import os
import pickle
import re
import stat
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy

import fastnn as fnn
from fastnn import _core

SEED = 0xFFFFFFFFFFFFFFF0
X = np.linspace(-2, 2, 7 * 6, dtype=np.float32).reshape(7, 6)


def make_net(last: str = "linear", seed: Any = SEED) -> fnn.Network:
    layers = [
        fnn.Rescaling(0.5, -0.25),
        fnn.Dropout(0.9, naive=True, name="noise"),
        fnn.Dense(5, "tanh", initializer="glorot", name="scope/hidden"),
        fnn.Dropout(0.75),
        fnn.Dense(4, "relu"),
        fnn.Dense(3, last, bias_initializer=fnn.Constant(0.5), name="output"),
    ]
    return fnn.Network(6, layers, seed=seed)


# ---- variables -------------------------------------------------------------------------------------------------------


def test_variables_are_a_mapping_in_the_order_of_layers() -> None:
    net = make_net()
    shapes = {name: variable.shape for name, variable in net.variables.items()}
    assert list(shapes.items()) == [
        ("scope/hidden/W", (6, 5)),
        ("scope/hidden/b", (5,)),
        ("dense_2/W", (5, 4)),
        ("dense_2/b", (4,)),
        ("output/W", (4, 3)),
        ("output/b", (3,)),
    ]
    assert len(net.variables) == 6
    assert "output/W" in net.variables
    assert "output" not in net.variables
    assert [v.size for v in net.variables.values()] == [30, 5, 20, 4, 12, 3]
    assert all(v.value.shape == v.shape and v.value.dtype == np.float32 for v in net.variables.values())
    with pytest.raises(KeyError, match=r"no variable 'output'; there are scope/hidden/W, .*, output/b"):
        net.variables["output"]
    with pytest.raises(KeyError, match="no variable 'w'"):
        net.variables["w"] = np.ones(3)


def test_values_are_copies() -> None:
    variable = make_net().variables["output/W"]
    value = variable.value
    with pytest.raises(ValueError, match="read-only"):
        value[0, 0] = 1
    variable.assign(np.ones((4, 3)))
    assert not np.array_equal(value, variable.value)
    array = np.asarray(variable)
    assert array.tobytes() == np.ones((4, 3), np.float32).tobytes()
    assert not array.flags.writeable
    assert np.asarray(variable, np.float64).dtype == np.float64
    with pytest.raises(ValueError, match="output/W cannot be had without a copy"):
        np.asarray(variable, copy=False)


@pytest.mark.parametrize("shape", [(1, 1), (16, 16), (17, 33), (3, 255)])
def test_assigned_values_come_back(shape: tuple[int, int]) -> None:
    """The engine stores panels of 16 columns."""
    net = fnn.Network(shape[0], [fnn.Dense(shape[1], name="a")], seed=0)
    w = np.arange(math.prod(shape), dtype=np.float32).reshape(shape) - 5
    net.variables["a/W"] = w
    net.variables["a/b"].assign(-w[0])
    assert np.array_equal(net.variables["a/W"].value, w)
    assert np.array_equal(net.variables["a/b"].value, -w[0])
    assert np.array_equal(net(np.eye(shape[0])), w - w[0])


@pytest.mark.parametrize(
    ("value", "kind", "message"),
    [
        (np.ones((3, 4)), ValueError, "output/W must have shape (4, 3), got (3, 4)"),
        (2.0, ValueError, "output/W must have shape (4, 3), got ()"),
        (np.full((4, 3), np.inf), ValueError, "output/W must be finite, got inf at index (0, 0)"),
        ("ones", TypeError, "output/W must hold real numbers, got dtype <U4 from str"),
        (None, TypeError, "output/W must hold real numbers, got dtype object from NoneType"),
    ],
)
def test_bad_assignments_change_nothing(value: Any, kind: type[Exception], message: str) -> None:
    net = make_net()
    before = net.variables["output/W"].value
    with pytest.raises(kind, match=re.escape(message)):
        net.variables["output/W"] = value
    assert np.array_equal(net.variables["output/W"].value, before)


def test_variables_outlive_their_network() -> None:
    variable = make_net().variables["output/b"]
    assert variable.value.tolist() == [0.5, 0.5, 0.5]
    assert repr(variable) == "Variable('output/b', shape=(3,))"
    variable.trainable = False
    assert repr(variable) == "Variable('output/b', shape=(3,), trainable=False)"


# ---- initial values --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("initializer", "distribution", "a", "b"),
    [
        ("he", "normal", 0.0, math.sqrt(2 / 6)),
        ("glorot", "uniform", -math.sqrt(6 / 11), math.sqrt(6 / 11)),
        ("random_normal", "normal", 0.0, 1.0),
        (fnn.RandomNormal(1.0, 0.5), "normal", 1.0, 0.5),
        ("truncated_normal", "truncated_normal", 0.0, 1.0),
        (fnn.RandomUniform(-1.0, 1.0), "uniform", -1.0, 1.0),
    ],
)
def test_initial_values_are_the_engines_draws(initializer: Any, distribution: str, a: float, b: float) -> None:
    """Variables are numbered in order, W before b."""
    layers = [fnn.Dense(5, initializer=initializer), fnn.Dense(5, bias_initializer=fnn.RandomNormal(0, 2))]
    net = fnn.Network(6, layers, seed=SEED)
    expected = _core.draw(distribution, 30, a, b, SEED, 0).reshape(6, 5)
    assert np.array_equal(net.variables["dense_1/W"].value, expected)
    assert not net.variables["dense_1/b"].value.any()
    assert np.array_equal(net.variables["dense_2/b"].value, _core.draw("normal", 5, 0.0, 2.0, SEED, 3))


@pytest.mark.parametrize(("initializer", "value"), [("zeros", 0), ("ones", 1), (fnn.Constant(-2.5), -2.5)])
def test_constant_initial_values(initializer: Any, value: float) -> None:
    net = fnn.Network(3, [fnn.Dense(4, initializer=initializer, bias_initializer=initializer)])
    assert all((v.value == value).all() for v in net.variables.values())


def test_seeds() -> None:
    def weights(seed: Any) -> bytes:
        return make_net(seed=seed).variables["scope/hidden/W"].value.tobytes()

    assert weights(1) == weights(1) == weights(np.int64(1)) != weights(2)
    assert weights(np.random.SeedSequence(5)) == weights(np.random.SeedSequence(5)) != weights(5)
    assert weights(np.random.default_rng(5)) == weights(np.random.default_rng(5))
    assert weights(None) != weights(None)
    drawn = make_net(seed=None)
    assert 0 <= drawn.seed < 2**64
    assert weights(drawn.seed) == drawn.variables["scope/hidden/W"].value.tobytes()


@pytest.mark.parametrize(("seed", "kind"), [(-1, ValueError), (2**64, ValueError), ("1", TypeError), (1.0, TypeError)])
def test_bad_seeds(seed: Any, kind: type[Exception]) -> None:
    with pytest.raises(kind, match="seed must be an integer"):
        make_net(seed=seed)


# ---- predictions -----------------------------------------------------------------------------------------------------


def test_a_softmax_layer_is_folded_into_the_link() -> None:
    plain, folded = make_net(), make_net("softmax")
    assert plain.link is None
    assert folded.link == "softmax"
    logits = folded(X)
    assert logits.dtype == np.float32
    assert logits.tobytes() == plain(X).tobytes()
    e = np.exp(logits.astype(np.float64))
    np.testing.assert_allclose(folded.predict_proba(X), e / e.sum(axis=1, keepdims=True), rtol=1e-6)
    assert np.array_equal(folded.predict(X), logits.argmax(axis=1))


def test_predictions_follow_the_link() -> None:
    net = make_net()
    for call in (net.predict, net.predict_proba):
        with pytest.raises(RuntimeError, match="neither a softmax layer nor, so far, a Trainer"):
            call(X)
    with pytest.raises(ValueError, match="loss must be given"):
        net.gradients(X, np.zeros(7))
    logits = net(X)

    fnn.Trainer(net, "sigmoid_cross_entropy")
    assert net.link == "sigmoid"
    np.testing.assert_allclose(net.predict_proba(X), 1 / (1 + np.exp(-logits.astype(np.float64))), rtol=1e-6)
    assert net.predict(X).dtype == np.int64
    assert np.array_equal(net.predict(X), logits > 0)

    fnn.Trainer(net, "squared_error")
    assert net.link == "identity"
    assert np.array_equal(net.predict(X), logits)
    with pytest.raises(RuntimeError, match=r"predict_proba needs a classifier.*link is 'identity'"):
        net.predict_proba(X)

    fnn.Trainer(net)
    assert net.link == "softmax"
    assert net.predict(X).dtype == np.int64
    assert net.predict(X).shape == (7,)


def test_the_first_of_equal_classes_wins() -> None:
    net = fnn.Network(2, [fnn.Dense(3, "softmax", initializer="zeros")])
    assert net.predict(np.ones((4, 2))).tolist() == [0, 0, 0, 0]


def test_prediction_ignores_chance() -> None:
    net, once = make_net("softmax"), make_net("softmax").predict_proba(X)
    assert np.array_equal(net.predict_proba(X), once)
    assert np.array_equal(net.predict_proba(X, num_threads=3), once)


@pytest.mark.parametrize(("n", "kind"), [(0, ValueError), (257, ValueError), (1.5, TypeError), ("2", TypeError)])
def test_bad_numbers_of_threads(n: Any, kind: type[Exception]) -> None:
    with pytest.raises(kind, match=r"num_threads must be an integer from 1 to 256, got"):
        make_net()(X, num_threads=n)


# ---- how it looks ----------------------------------------------------------------------------------------------------


def test_summary() -> None:
    net = fnn.Network(784, [fnn.Dense(30, "relu"), fnn.Dense(30, "relu"), fnn.Dense(10, "softmax")])
    assert net.n_parameters == 24_790
    assert net.summary().splitlines()[-1] == "24,790 parameters"
    assert re.search(r"^dense_1 +Dense, relu +30 +23,550$", net.summary(), re.MULTILINE)
    assert re.fullmatch(r"Network\(784-30-30-10, 24,790 parameters, seed=\d+\)", repr(net))
    net.variables["dense_1/b"].trainable = False
    assert net.summary().endswith("24,790 parameters, 30 of them frozen")
    text = make_net().summary()
    assert text.startswith("input: 6\n")
    for part in ("Rescaling, 0.5 x + -0.25", "noise", "Dropout, keeps 0.9", "scope/hidden", "dense_2", "output"):
        assert part in text
    assert max(map(len, text.splitlines())) < 80


# ---- what is not a network -------------------------------------------------------------------------------------------

D = fnn.Dense(2)


@pytest.mark.parametrize(
    ("n_in", "layers", "kind", "message"),
    [
        (0, [D], ValueError, "n_in must be a positive integer, got 0"),
        (2.0, [D], TypeError, "n_in must be a positive integer, got 2.0 (float)"),
        (True, [D], TypeError, "n_in must be a positive integer, got True"),
        (2, D, TypeError, "layers must be a sequence of Dense, Dropout and Rescaling layers"),
        (2, "ab", TypeError, "layers must be a sequence"),
        (2, [D, "relu"], TypeError, "layers[1] must be a Dense, Dropout or Rescaling layer, got 'relu' (str)"),
        (2, [fnn.Dense], TypeError, "layers[0] must be a Dense, Dropout or Rescaling layer"),
        (2, [], ValueError, "layers must hold at least one Dense layer, got []"),
        (2, [fnn.Rescaling(2)], ValueError, "layers must hold at least one Dense layer"),
        (2, [D, fnn.Rescaling(2), D], ValueError, "layers[1] must not be a Rescaling: it can only be the first layer"),
        (2, [D, fnn.Dropout(0.5)], ValueError, "layers must end with a Dense layer"),
        (2, [fnn.Dropout(1), fnn.Dropout(1), D], ValueError, "layers[1] must not be a Dropout"),
        (2, [fnn.Dense(2, "softmax"), D], ValueError, "layers[0] must not have activation 'softmax': only the last"),
        (2, [fnn.Dense(2, name="a"), fnn.Dense(2, name="a")], ValueError, "name must be unique, got 'a' for two"),
    ],
)
def test_bad_networks(n_in: Any, layers: Any, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=re.escape(message)):
        fnn.Network(n_in, layers)


@pytest.mark.parametrize(("n_in", "units"), [(1, 2**62), (2**40, 2**30), (2**62, 2), (2**36, 2**26), (2**40, 1)])
def test_sizes_that_no_memory_holds(n_in: int, units: int) -> None:
    with pytest.raises(ValueError, match=f"layers must have at most .* parameters and inputs, got .* and {n_in:,}"):
        fnn.Network(n_in, [fnn.Dense(units)])


def test_chosen_names_avoid_given_ones() -> None:
    net = fnn.Network(2, [D, fnn.Dense(2, name="dense_1"), fnn.Dense(2)])
    names = [name for name in net.variables if name.endswith("/W")]
    assert len(set(names)) == 3
    assert names[1] == "dense_1/W"


# ---- files -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("as_path", [Path, str])
@pytest.mark.parametrize("last", ["linear", "softmax"])
def test_save_and_load(tmp_path: Path, last: str, as_path: Any) -> None:
    net, path = make_net(last), tmp_path / "net.safetensors"
    fnn.Trainer(net, optimizer=fnn.SGD(0.1)).fit(X, np.arange(7) % 3, epochs=2)
    net.variables["dense_2/W"].trainable = False
    net.save(as_path(path))
    back = fnn.load(as_path(path))
    assert [p.name for p in tmp_path.iterdir()] == ["net.safetensors"]
    assert (back.n_in, back.layers, back.seed, back.link) == (net.n_in, net.layers, SEED, "softmax")
    for name, variable in net.variables.items():
        assert back.variables[name].value.tobytes() == variable.value.tobytes()
        assert back.variables[name].trainable == (name != "dense_2/W")
    assert back.predict_proba(X).tobytes() == net.predict_proba(X).tobytes()
    assert back.summary() == net.summary()
    assert not stat.S_IMODE(path.stat().st_mode) & 0o111
    assert stat.S_IMODE(path.stat().st_mode) & 0o400


def test_trained_alike_after_a_file(tmp_path: Path) -> None:
    net = make_net()
    net.save(tmp_path / "net")
    back = fnn.load(tmp_path / "net")
    for each in (net, back):
        fnn.Trainer(each).fit(X, np.arange(7) % 3, batch_size=3, epochs=3)
    assert all(v.value.tobytes() == back.variables[name].value.tobytes() for name, v in net.variables.items())


@pytest.mark.parametrize("make", [copy.copy, copy.deepcopy, lambda net: pickle.loads(pickle.dumps(net))])
def test_copies_and_pickles_are_networks_of_their_own(make: Any) -> None:
    layer = fnn.Dense(7, "tanh", mask=np.eye(7), name="twice")
    net = fnn.Network(7, [layer, layer, fnn.Dense(2, name="last")], scope=fnn.Scope("a"), seed=3)
    trainer = fnn.Trainer(net, "poisson")
    net.metadata["unit"] = "events"
    net.variables["a/last/b"].trainable = False
    other = make(net)
    x = np.eye(7, dtype=np.float32)
    assert other.predict(x).tobytes() == net.predict(x).tobytes()
    assert (other.metadata, other.seed, repr(other.variables)) == (net.metadata, net.seed, repr(net.variables))
    other.variables["a/last/W"] = np.zeros((7, 2))
    assert net.variables["a/last/W"].value.all()
    with pytest.raises(TypeError, match=r"^variables cannot be copied or pickled alone"):
        copy.deepcopy(net.variables)
    with pytest.raises(TypeError, match=r"^a Trainer cannot be copied or pickled"):
        pickle.dumps(trainer)


def test_files_are_plain_safetensors(tmp_path: Path) -> None:
    net, path = make_net(), tmp_path / "net.safetensors"
    net.save(path)
    tensors = safetensors.numpy.load_file(path)
    assert sorted(tensors) == sorted(net.variables)
    assert all(np.array_equal(tensors[name], variable.value) for name, variable in net.variables.items())


@pytest.mark.parametrize("function", ["replace", "fsync"])
def test_a_failure_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, function: str) -> None:
    def fail(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    path = tmp_path / "net.safetensors"
    make_net(seed=1).save(path)
    old = path.read_bytes()
    monkeypatch.setattr(os, function, fail)
    with pytest.raises(OSError, match="No space left"):
        make_net(seed=2).save(path)
    assert path.read_bytes() == old
    assert [p.name for p in tmp_path.iterdir()] == ["net.safetensors"]


def test_places_that_take_no_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        make_net().save(tmp_path / "no" / "net")
    (tmp_path / "folder").mkdir()
    with pytest.raises(OSError, match="folder"):
        make_net().save(tmp_path / "folder")
    assert [p.name for p in tmp_path.iterdir()] == ["folder"]


def rewritten(path: Path, **changes: Any) -> None:
    """The file of a network with a changed description; None: without that entry."""
    make_net("softmax").save(path)
    with safetensors.safe_open(path, "numpy") as file:
        config = json.loads(file.metadata()["fastnn-network"]) | changes
    config = {key: value for key, value in config.items() if value is not None}
    tensors = safetensors.numpy.load_file(path)
    safetensors.numpy.save_file(tensors, path, {"fastnn-network": json.dumps(config)})


def test_files_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"path must name a saved network, got .*nowhere"):
        fnn.load(tmp_path / "nowhere")
    with pytest.raises(OSError, match="path must name a saved network"):
        fnn.load(tmp_path)


@pytest.mark.parametrize("keep", [0, 5, 100, -1])
def test_truncated_files(tmp_path: Path, keep: int) -> None:
    make_net().save(tmp_path / "net")
    content = (tmp_path / "net").read_bytes()
    (tmp_path / "net").write_bytes(content[:keep])
    with pytest.raises(ValueError, match="path must name a saved network"):
        fnn.load(tmp_path / "net")


def test_files_of_something_else(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("weights\n" * 100)
    safetensors.numpy.save_file({"a": np.ones(3)}, tmp_path / "other")
    safetensors.numpy.save_file({"a": np.ones(3)}, tmp_path / "odd", {"fastnn-network": "[1, 2"})
    safetensors.numpy.save_file({"a": np.ones(3)}, tmp_path / "list", {"fastnn-network": "[1, 2]"})
    for name in ("text", "other", "odd", "list"):
        with pytest.raises(ValueError, match=f"path must name a saved network, got .*{name}"):
            fnn.load(tmp_path / name)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format_version": 2}, "has format version 2, this fastnn reads version 1"),
        ({"format_version": None}, "has format version None"),
        ({"n_in": None}, "does not hold a whole network: 'n_in'"),
        ({"n_in": 7}, "does not hold a whole network: scope/hidden/W must have shape (7, 5), got (6, 5)"),
        ({"n_in": "6"}, "does not hold a whole network: n_in must be a positive integer"),
        ({"layers": 3}, "does not hold a whole network"),
        ({"layers": []}, "does not hold a whole network: layers must hold at least one Dense"),
        ({"layers": [{"kind": "layer.conv"}]}, "does not hold a whole network: config['kind'] must be one of"),
        ({"layers": [{"kind": "layer.dense", "units": 5, "name": "x"}]}, "does not hold a whole network: 'x/W'"),
        ({"seed": -1}, "does not hold a whole network: seed must be"),
        ({"frozen": None}, "does not hold a whole network: 'frozen'"),
        ({"frozen": 3}, "does not hold a whole network"),
        ({"link": "logit"}, "does not hold a whole network: link"),
    ],
)
def test_damaged_descriptions(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    rewritten(tmp_path / "net", **changes)
    with pytest.raises(ValueError, match=re.escape(message)) as caught:
        fnn.load(tmp_path / "net")
    assert str(tmp_path / "net") in str(caught.value)


def test_damaged_values(tmp_path: Path) -> None:
    net = make_net()
    net.save(tmp_path / "net")
    content = bytearray((tmp_path / "net").read_bytes())
    content[-4:] = np.float32(np.nan).tobytes()
    (tmp_path / "net").write_bytes(content)
    with pytest.raises(ValueError, match=r"does not hold a whole network: .* must be finite, got nan"):
        fnn.load(tmp_path / "net")
