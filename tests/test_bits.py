"""The bit promise through the Python API: a training's bits depend on its data, description and seed, and nothing else.

Hashes are of all parameters, the history's losses and accuracies and the predictions; tests/golden.json pins them. A
change that is meant to change bits writes them anew:

    python tests/test_bits.py --write

(--hash prints them, for the tests that train in another process.)
"""

from __future__ import annotations

import copy
import hashlib
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

import fastnn as fnn
from fastnn import _core

GOLDEN = Path(__file__).resolve().parent / "golden.json"
DIGITS = fnn.datasets.synthetic_digits(330, seed=11)
X, Y = DIGITS.x[:250], DIGITS.y[:250]
SEEN = DIGITS.x[250:]

Training = Callable[..., str]


def fitted_hash(net: fnn.Network, trainer: fnn.Trainer, x: object, y: object, *, epochs: int = 2, **fit: object) -> str:
    """Trains with a ragged last batch and hashes everything that came of it."""
    history = trainer.fit(x, y, epochs=epochs, batch_size=40, progress=False, **fit)
    digest = hashlib.sha256()
    for variable in net.variables.values():
        digest.update(variable.value.tobytes())
    for name in ("loss", "accuracy"):
        digest.update(np.array(history[name]).tobytes())
    digest.update(net.predict_proba(SEEN, num_threads=fit.get("num_threads")).tobytes())
    return digest.hexdigest()


def softmax(x: object = X, y: object = Y, **fit: object) -> str:
    net = fnn.Network(784, [fnn.Rescaling(1 / 255), fnn.Dense(33, "sigmoid"), fnn.Dense(10)], seed=3)
    return fitted_hash(net, fnn.Trainer(net, optimizer=fnn.SGD(0.5)), x, y, **fit)


def dropout(x: object = X, y: object = Y, **fit: object) -> str:
    layers = [
        fnn.Rescaling(1 / 255),
        fnn.Dropout(0.8),
        fnn.Dense(65, "relu"),
        fnn.Dropout(0.5),
        fnn.Dense(17, "tanh"),
        fnn.Dropout(0.9, naive=True),
        fnn.Dense(10, "softmax"),
    ]
    net = fnn.Network(784, layers, seed=4)
    rate = fnn.LinearWarmup(0.1, 4, 14)
    return fitted_hash(net, fnn.Trainer(net, optimizer=fnn.SGD(rate, momentum=0.9, nesterov=True)), x, y, **fit)


def labels(x: object = X, y: object = Y, **fit: object) -> str:
    net = fnn.Network(784, [fnn.Rescaling(1 / 255, -0.5), fnn.Dense(30, "tanh"), fnn.Dense(10)], seed=5)
    trainer = fnn.Trainer(net, "sigmoid_cross_entropy", fnn.SGD(0.02, momentum=0.8), seed=6)
    return fitted_hash(net, trainer, x, one_hot(y), **fit)


def adam(x: object = X, y: object = Y, **fit: object) -> str:
    layers = [fnn.Rescaling(1 / 255), fnn.Dense(40, "relu", regularizer=fnn.L1(1e-3)), fnn.Dense(10)]
    net = fnn.Network(784, layers, seed=7)
    trainer = fnn.Trainer(net, optimizer=fnn.Adam(0.003, weight_decay=0.1), regularizer=fnn.L2(0.01))
    return fitted_hash(net, trainer, x, y, **fit)


def max_norm(x: object = X, y: object = Y, **fit: object) -> str:
    ball = fnn.MaxNorm(1.2)
    layers = [fnn.Rescaling(1 / 255), fnn.Dense(150, "relu", constraint=ball), fnn.Dense(10, constraint=ball)]
    net = fnn.Network(784, layers, seed=8)
    return fitted_hash(net, fnn.Trainer(net, optimizer=fnn.SGD(0.1, momentum=0.9)), x, y, **fit)


def rmsprop(x: object = X, y: object = Y, **fit: object) -> str:
    """Clipped: the gradients' norm is 1.7 before, in the mean."""
    layers = [fnn.Rescaling(1 / 255), fnn.Dense(60, "relu", regularizer=fnn.L2(0.01)), fnn.Dense(10)]
    net = fnn.Network(784, layers, seed=9)
    trainer = fnn.Trainer(net, optimizer=fnn.RMSProp(0.001, momentum=0.5), clip_value=0.1, clip_norm=0.8)
    return fitted_hash(net, trainer, x, y, **fit)


def shared(x: object = X, y: object = Y, **fit: object) -> str:
    twice = fnn.Dense(40, "tanh", regularizer=fnn.L2(0.01), constraint=fnn.MaxNorm(1.1))
    first = fnn.Dense(40, "relu")
    layers = [fnn.Rescaling(1 / 255), first, twice, fnn.Dropout(0.8), twice, fnn.Dense(10)]
    net = fnn.Network(784, layers, seed=9)
    return fitted_hash(net, fnn.Trainer(net, optimizer=fnn.SGD(0.1, momentum=0.9)), x, y, **fit)


def smooth(x: object = X, y: object = Y, **fit: object) -> str:
    layers = [
        fnn.Rescaling(1 / 255),
        fnn.Dense(33, "gelu"),
        fnn.Dense(40, fnn.ELU(0.5)),
        fnn.Dropout(0.8),
        fnn.Dense(20, "silu"),
        fnn.Dense(18, fnn.LeakyReLU(0.2)),
        fnn.Dense(10, "softplus"),
    ]
    net = fnn.Network(784, layers, seed=9)
    return fitted_hash(net, fnn.Trainer(net, optimizer=fnn.SGD(0.1, momentum=0.9)), x, y, **fit)


def wide(x: object = X, y: object = Y, **fit: object) -> str:
    """Layers wide enough for threads to help each other out."""
    layers = [fnn.Rescaling(1 / 255, -0.1), fnn.Dense(400, "relu"), fnn.Dense(500, "tanh"), fnn.Dense(10)]
    net = fnn.Network(784, layers, seed=10)
    return fitted_hash(net, fnn.Trainer(net, optimizer=fnn.SGD(0.01)), x, y, **fit)


TRAININGS: dict[str, Training] = {
    "softmax": softmax,
    "dropout": dropout,
    "labels": labels,
    "adam": adam,
    "max_norm": max_norm,
    "rmsprop": rmsprop,
    "shared": shared,
    "smooth": smooth,
    "wide": wide,
}


def one_hot(y: object) -> np.ndarray:
    return np.eye(10, dtype=np.float32)[y]


def hashes() -> dict[str, str]:
    return {name: train() for name, train in TRAININGS.items()}


def golden() -> dict[str, str]:
    pinned: dict[str, str] = json.loads(GOLDEN.read_text())["python"]
    return pinned


@pytest.fixture(params=TRAININGS)
def training(request: pytest.FixtureRequest) -> tuple[Training, str]:
    """A training and the hash that it must have."""
    return TRAININGS[request.param], golden()[request.param]


# ---- in this process ----


@pytest.mark.parametrize("num_threads", [None, 1, 2, 3, 8])
def test_threads_do_not_matter(training, num_threads):
    train, expected = training
    assert train(num_threads=num_threads) == expected


def test_instruction_sets_do_not_matter(training, isa):
    train, expected = training
    assert train(num_threads=2) == expected


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int32, np.uint16])
def test_the_type_of_the_input_does_not_matter(training, dtype):
    train, expected = training
    assert train(x=X.astype(dtype)) == expected


@pytest.mark.parametrize("order", ["F", "strided"])
def test_the_layout_of_the_input_does_not_matter(training, order):
    train, expected = training
    x = np.asfortranarray(X) if order == "F" else np.repeat(X, 2, axis=1)[:, ::2]
    assert train(x=x) == expected


@pytest.mark.parametrize("name", ["softmax", "dropout", "adam"])
def test_one_hot_rows_are_class_indices(name):
    assert TRAININGS[name](y=one_hot(Y)) == golden()[name]


def test_a_seed_matters():
    def first_weights(seed):
        return fnn.Network(784, [fnn.Dense(10)], seed=seed).variables["dense_1/W"].value

    assert (first_weights(1) == first_weights(1)).all()
    assert (first_weights(1) != first_weights(2)).any()


# ---- in other processes ----


def in_fresh_process(**environment: str) -> subprocess.CompletedProcess[str]:
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(("FASTNN_", "OMP_"))}
    return subprocess.run(
        [sys.executable, __file__, "--hash"], env=inherited | environment, capture_output=True, text=True, timeout=120
    )


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"OMP_NUM_THREADS": "1"},
        {"OMP_NUM_THREADS": "5"},
        {"FASTNN_NUM_THREADS": "3"},
        {"OMP_NUM_THREADS": "4", "OMP_DYNAMIC": "true", "OMP_THREAD_LIMIT": "2"},
        *({"FASTNN_ISA": name} for name in _core.available_isas()),
    ],
    ids=lambda environment: ",".join(f"{k}={v}" for k, v in environment.items()) or "plain",
)
def test_the_environment_does_not_matter(environment):
    done = in_fresh_process(**environment)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["isa"] == environment.get("FASTNN_ISA", _core.available_isas()[0])
    assert told["hashes"] == golden()


def test_an_unusable_instruction_set_is_an_error_that_lists_the_others():
    done = in_fresh_process(FASTNN_ISA="sse9")
    assert done.returncode != 0
    choices = ", ".join(_core.available_isas())
    assert f"ImportError: FASTNN_ISA must be one of {choices} on this machine, got 'sse9'" in done.stderr


forks = pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")  # a process with threads is meant to fork here


def bits_of_two_threads(_: int = 0) -> str:
    signal.alarm(30)  # a child that waits for threads which did not survive would wait for ever
    try:
        return dropout(num_threads=2)
    finally:
        signal.alarm(0)


@forks
def test_a_forked_child_trains():
    expected = bits_of_two_threads()
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.write(writer, bits_of_two_threads().encode())
        finally:
            os._exit(0)
    os.close(writer)
    with open(reader) as pipe:
        told = pipe.read()
    _, status = os.waitpid(child, 0)
    assert (status, told) == (0, expected)
    assert bits_of_two_threads() == expected


@forks
def test_a_pool_of_forked_workers_trains():
    expected = bits_of_two_threads()
    with multiprocessing.get_context("fork").Pool(2) as pool:
        assert pool.map(bits_of_two_threads, range(4)) == [expected] * 4


# ---- from several Python threads ----


def test_predictions_of_a_network_at_rest_are_equal_from_many_threads():
    net = fnn.Network(784, [fnn.Rescaling(1 / 255), fnn.Dense(65, "relu"), fnn.Dense(10, "softmax")], seed=1)
    expected = net.predict_proba(X, num_threads=1)
    with ThreadPoolExecutor(6) as pool:
        jobs = [pool.submit(net.predict_proba, X, num_threads=1 + i // 40) for i in range(80)]
        for job in jobs:
            np.testing.assert_array_equal(job.result(), expected)


def test_predictions_beside_a_training():
    """Each is of the parameters between two steps; the training's bits are those it has alone."""
    net = fnn.Network(784, [fnn.Rescaling(1 / 255), fnn.Dense(65, "relu"), fnn.Dense(10)], seed=1)
    trainer = fnn.Trainer(net, optimizer=fnn.SGD(0.1))
    is_done, predictions = threading.Event(), []

    def predict_on() -> None:
        while True:
            predictions.append(net.predict_proba(SEEN, num_threads=2))
            if is_done.is_set():
                return

    with ThreadPoolExecutor(3) as pool:
        jobs = [pool.submit(predict_on) for _ in range(3)]
        try:
            together = fitted_hash(net, trainer, X, Y, epochs=20, num_threads=2)
        finally:
            is_done.set()
        for job in jobs:
            job.result()
    for probabilities in predictions:
        np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-5)

    alone = fnn.Network(784, copy.deepcopy(net.layers), seed=1)
    assert fitted_hash(alone, fnn.Trainer(alone, optimizer=fnn.SGD(0.1)), X, Y, epochs=20) == together


def test_trainings_beside_each_other():
    with ThreadPoolExecutor(4) as pool:
        jobs = [pool.submit(train, num_threads=2) for train in TRAININGS.values()]
        assert [job.result() for job in jobs] == [golden()[name] for name in TRAININGS]


if __name__ == "__main__":
    if sys.argv[1:] == ["--write"]:
        pinned = json.loads(GOLDEN.read_text()) if GOLDEN.exists() else {}
        GOLDEN.write_text(json.dumps(pinned | {"python": hashes()}, indent=2, sort_keys=True) + "\n")
    elif sys.argv[1:] == ["--hash"]:
        print(json.dumps({"isa": fnn.isa(), "threads": _core.team_backend(), "hashes": hashes()}))
    else:
        sys.exit("usage: python tests/test_bits.py --write | --hash")
