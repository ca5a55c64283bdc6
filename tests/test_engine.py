"""The engine against the float64 specification: gradients, training steps, losses, and what must not change a bit."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import fastnn as fnn
from fastnn import _core
from fastnn import reference as ref

Float32 = NDArray[np.float32]

SEED = 0x0123456789ABCDEF
WIDTHS = [17, 255, 1, 33, 8]  # of a network's layers, as many as it has; the input is 35 wide
DROPOUTS = {
    "none": None,
    "inverted": ref.Dropout(49152, float(np.float32(4 / 3)), 1.0),
    "naive": ref.Dropout(32768, 1.0, 0.5),
}


OLD = ["linear", "sigmoid", "tanh", "relu"]  # all combinations of these, fewer of the others
OLD_LOSSES = ["softmax_cross_entropy", "sigmoid_cross_entropy", "squared_error"]
NEW = [("linear", 0.5, -0.25), ("leaky_relu", 0.125), ("elu", 1.25), "gelu", "silu", "softplus"]


def normal(variable: int, *shape: int) -> Float32:
    return _core.draw("normal", int(np.prod(shape)), 0.0, 1.0, SEED, variable).reshape(shape)


def uniform(variable: int, *shape: int) -> Float32:
    return _core.draw("uniform", int(np.prod(shape)), 0.0, 1.0, SEED, variable).reshape(shape)


def make_spec(depth: int, activation: Any, dropout: str = "none", last: Any = "linear", n_out: int = 5) -> ref.Network:
    drops = DROPOUTS[dropout]
    hidden = [ref.Layer(n, activation, drops) for n in WIDTHS[: depth - 1]]
    return ref.Network(35, 0.5, 0.25, drops, [*hidden, ref.Layer(n_out, last)])


def make_net(spec: ref.Network) -> tuple[_core.Net, list[NDArray[np.float64]]]:
    """The engine's network with random parameters, and these."""
    net, params, n_in = _core.Net(*spec), [], spec.n_in
    for i, layer in enumerate(spec.layers):
        w, b = normal(2 * i, n_in, layer.n_out) / np.sqrt(np.float32(n_in)), normal(2 * i + 1, layer.n_out) / 4
        net.assign(i, "W", w, "W")
        net.assign(i, "b", b, "b")
        params += [w.astype(np.float64), b.astype(np.float64)]
        n_in = layer.n_out
    return net, params


def make_targets(loss: str, n: int, n_out: int) -> Any:
    if loss == "softmax_cross_entropy":
        return (np.arange(n) * 7 + np.arange(n) // 3) % n_out
    if loss == "poisson":
        return 4 * uniform(101, n, n_out)
    return uniform(101, n, n_out) if loss == "sigmoid_cross_entropy" else normal(101, n, n_out)


def gradients(
    net: _core.Net, x: Any, y: Any, loss: str, n_threads: int = 1, **kwargs: Any
) -> tuple[float, list[Float32]]:
    return net.gradients(_core.Data(net, x, y, loss), fnn.losses.get(loss).rule, n_threads, **kwargs)


def flat(arrays: Any) -> NDArray[np.float64]:
    return np.concatenate([np.asarray(a, np.float64).ravel() for a in arrays])


def assert_close(arrays: Any, expected: Any, fraction: float) -> None:
    """The difference of all arrays together, as a fraction of the norm of what is expected."""
    difference, norm = np.linalg.norm(flat(arrays) - flat(expected)), np.linalg.norm(flat(expected))
    assert difference <= fraction * norm, difference / norm


# ---- gradients -------------------------------------------------------------------------------------------------------

# Sums of n float32 terms err by about sqrt(n) 2^-24 of their norm, 1e-6 for 255.  Measured: at most 6e-7.
GRADIENT_TOLERANCE = 2e-6


@pytest.mark.parametrize(
    ("activation", "loss", "depth"),
    [
        *itertools.product(OLD, OLD_LOSSES, [1, 2, 3, 4, 5]),
        *itertools.product(["tanh"], ["absolute_error", "huber", "poisson"], [1, 3]),
        *itertools.product(NEW, ["softmax_cross_entropy"], [2, 4]),
    ],
    ids=str,
)
def test_gradients(isa: str, activation: Any, loss: str, depth: int) -> None:
    # softplus is positive, so that the sums of the layer above cancel: measured 4e-6
    tolerance = 3 * GRADIENT_TOLERANCE if activation == "softplus" else GRADIENT_TOLERANCE
    spec = make_spec(depth, activation)
    net, params = make_net(spec)
    for n in [1, 37, 100]:
        x, y = normal(100, n, 35), make_targets(loss, n, 5)
        total, found = gradients(net, x, y, loss)
        expected, losses, _ = ref.gradients(spec, params, x, y, loss)
        assert_close(found, expected, tolerance)
        assert total == pytest.approx(losses.sum(), rel=2e-6)


@pytest.mark.parametrize("n_out", [1, 3, 17, 255])
@pytest.mark.parametrize("last", [*OLD, *NEW])
@pytest.mark.parametrize("loss", OLD_LOSSES)
def test_gradients_through_the_last_activation(isa: str, loss: str, last: Any, n_out: int) -> None:
    spec = make_spec(2, "tanh", last=last, n_out=n_out)
    net, params = make_net(spec)
    x, y = normal(100, 23, 35), make_targets(loss, 23, n_out)
    expected, _, _ = ref.gradients(spec, params, x, y, loss)
    assert_close(gradients(net, x, y, loss)[1], expected, GRADIENT_TOLERANCE)


@pytest.mark.parametrize("activation", ["relu", "sigmoid", "gelu", ("elu", 1.25)])
@pytest.mark.parametrize("dropout", ["inverted", "naive"])
def test_gradients_with_dropout(isa: str, dropout: str, activation: Any) -> None:
    spec = make_spec(4, activation, dropout)
    net, params = make_net(spec)
    for n, step in itertools.product([1, 37], [0, 2**32 - 1]):
        x, y = normal(100, n, 35), make_targets("softmax_cross_entropy", n, 5)
        masks = ref.keep_masks(spec, SEED, step, n)
        expected, losses, _ = ref.gradients(spec, params, x, y, "softmax_cross_entropy", masks)
        total, found = gradients(net, x, y, "softmax_cross_entropy", dropout=(SEED, step))
        assert_close(found, expected, GRADIENT_TOLERANCE)
        assert total == pytest.approx(losses.sum(), rel=2e-6)
        without, _, _ = ref.gradients(spec, params, x, y, "softmax_cross_entropy")
        assert_close(gradients(net, x, y, "softmax_cross_entropy")[1], without, GRADIENT_TOLERANCE)


def test_gradients_of_soft_targets(isa: str) -> None:
    spec = make_spec(3, "tanh")
    net, params = make_net(spec)
    x, y = normal(100, 37, 35), uniform(101, 37, 5)
    y = (y / y.sum(axis=1, keepdims=True)).astype(np.float32)
    y[7] = [0, 1, 0, 0, 0]
    expected, losses, _ = ref.gradients(spec, params, x, y, "softmax_cross_entropy")
    total, found = gradients(net, x, y, "softmax_cross_entropy")
    assert_close(found, expected, GRADIENT_TOLERANCE)
    assert total == pytest.approx(losses.sum(), rel=2e-6)


def test_keeping_every_unit_is_no_dropout(isa: str) -> None:
    with_layers, _ = make_net(make_spec(3, "relu")._replace(input_dropout=ref.Dropout(65536, 1.0, 1.0)))
    without, _ = make_net(make_spec(3, "relu"))
    x, y = normal(100, 19, 35), make_targets("softmax_cross_entropy", 19, 5)
    one, other = (gradients(net, x, y, "softmax_cross_entropy", dropout=(SEED, 3)) for net in (with_layers, without))
    assert flat(one[1]).tobytes() == flat(other[1]).tobytes()


def test_network_gradients_are_the_engines(isa: str) -> None:
    net = fnn.Network(6, [fnn.Dense(4, "tanh", name="a"), fnn.Dropout(0.5), fnn.Dense(3, "softmax", name="b")], seed=1)
    x, y = normal(100, 9, 6), np.arange(9) % 3
    found = net.gradients(x, y)
    assert list(found) == ["a/W", "a/b", "b/W", "b/b"]
    spec = ref.Network(6, 1.0, 0.0, None, [ref.Layer(4, "tanh", ref.Dropout(32768, 2.0, 1.0)), ref.Layer(3, "linear")])
    params = [np.asarray(variable, np.float64) for variable in net.variables.values()]
    expected, _, _ = ref.gradients(spec, params, x, y, "softmax_cross_entropy")
    assert_close(found.values(), expected, GRADIENT_TOLERANCE)


# ---- what changes no bit ---------------------------------------------------------------------------------------------


def bits_of_gradients(dropout: str, loss: str, **kwargs: Any) -> bytes:
    net, _ = make_net(make_spec(5, "tanh", dropout))
    x, y = normal(100, 37, 35), make_targets(loss, 37, 5)
    total, found = gradients(net, x, y, loss, dropout=(SEED, 4), **kwargs)
    return np.float64(total).tobytes() + b"".join(g.tobytes() for g in found)


@pytest.mark.parametrize("loss", ref.LOSSES)
@pytest.mark.parametrize("dropout", DROPOUTS)
def test_gradients_have_the_same_bits(isa: str, dropout: str, loss: str) -> None:
    """Whatever the instruction set, the number of threads and what memory held before."""
    bits = bits_of_gradients(dropout, loss)
    for poison, n_threads in [(0, 1), (255, 1), (255, 2), (127, 3), (None, 7)]:
        assert bits_of_gradients(dropout, loss, poison=poison, n_threads=n_threads) == bits
    _core.use_isa(_core.available_isas()[-1])
    assert bits_of_gradients(dropout, loss) == bits


GOLDEN = """
0x1.487bde3333333p+1 0x1.426c05d333333p+1 0x1.39e3f0a666666p+1 0x1.314a63acccccdp+1 0x1.2b126b4666666p+1
0x1.29247aaaaaaabp+1 0x1.25c62f5777777p+1 0x1.282d3e9dddddep+1 0x1.2a7ab3a888889p+1 0x1.2955366cccccdp+1
0x1.2bc34e2000000p+1 0x1.2a61f60666666p+1 0x1.2c015fd333333p+1 0x1.2a52b31555555p+1 0x1.29b2e07111111p+1
0x1.2685e7e888889p+1 0x1.262b815bbbbbcp+1 0x1.2631767777777p+1 0x1.24cf06a222222p+1 0x1.221821b555555p+1
"""


def golden_run(num_threads: int | None = None) -> fnn.History:
    layers = [
        fnn.Rescaling(1 / 255),
        fnn.Dense(32, "relu"),
        fnn.Dropout(0.75),
        fnn.Dense(20, "tanh", initializer="glorot"),
        fnn.Dense(16, "sigmoid"),
        fnn.Dense(10),
    ]
    x = (256 * uniform(100, 120, 100)).astype(np.uint8)
    trainer = fnn.Trainer(fnn.Network(100, layers, seed=3), optimizer=fnn.SGD(0.1, momentum=0.9))
    return trainer.fit(x, np.arange(120) % 10, epochs=20, batch_size=120, num_threads=num_threads)


@pytest.mark.parametrize("num_threads", [1, 2, 5])
def test_a_loss_curve_to_the_bit(isa: str, num_threads: int) -> None:
    """Twenty steps; written once by this library.  A change of these values is a change of a promise."""
    assert [loss.hex() for loss in golden_run(num_threads)["loss"]] == GOLDEN.split()


# ---- training against the specification ------------------------------------------------------------------------------

RULES = {
    "sgd": ("sgd", fnn.SGD(0.1)),
    "momentum": ("momentum", fnn.SGD(0.05, momentum=0.9)),
    "nesterov": ("nesterov", fnn.SGD(0.05, momentum=0.9, nesterov=True)),
    "schedule": ("sgd", fnn.SGD(fnn.LinearWarmup(0.3, 4, 12))),
    "decay": ("momentum", fnn.SGD(0.05, momentum=0.9, weight_decay=0.2)),
    "adam": ("adam", fnn.Adam(0.005)),
    "adamw": ("adam", fnn.Adam(fnn.LinearWarmup(0.01, 4, 12), beta1=0.5, beta2=0.8, epsilon=1e-3, weight_decay=2.0)),
    "rmsprop": ("rmsprop", fnn.RMSProp(0.002)),
    "rmsprop_momentum": ("rmsprop", fnn.RMSProp(fnn.LinearWarmup(0.001, 4, 12), decay=0.8, epsilon=1e-3, momentum=0.5)),
}
UPDATE_TOLERANCE = 2e-5  # of the norm of ten updates together.  Measured: at most 6e-6


def make_layers(
    activation: str = "relu", keep_prob: float | None = None, naive: bool = False, **dense: Any
) -> list[Any]:
    drop = [] if keep_prob is None else [fnn.Dropout(keep_prob, naive=naive)]
    hidden = [fnn.Dense(33, activation, **dense), *drop, fnn.Dense(17, activation, **dense), *drop]
    return [fnn.Rescaling(0.5, 0.25), *drop, *hidden, fnn.Dense(5, **dense)]


def as_spec(net: fnn.Network) -> ref.Network:
    """The specification's form of a network."""
    scale, offset, drops, dense = 1.0, 0.0, {}, []
    for layer in net.layers:
        if isinstance(layer, fnn.Rescaling):
            scale, offset = layer.scale, layer.offset
        elif isinstance(layer, fnn.Dropout):
            scales = (float(np.float32(s)) for s in (layer.train_scale, layer.predict_scale))
            drops[len(dense)] = ref.Dropout(layer.threshold, *scales)
        else:
            dense.append(layer)
    layers = [ref.Layer(d.units, d.activation, drops.get(i)) for i, d in enumerate(dense, start=1)]
    return ref.Network(net.n_in, scale, offset, drops.get(0), layers)


class Reference:
    """A training of the specification that starts where a trainer stands."""

    def __init__(self, trainer: fnn.Trainer, update: str) -> None:
        net = trainer.network
        self.spec, self.update, self.trainer = as_spec(net), update, trainer
        self.params = [np.asarray(v, np.float64) for v in net.variables.values()]
        self.velocity = [np.zeros((2, *p.shape) if update in ("adam", "rmsprop") else p.shape) for p in self.params]
        self.step = 0
        regularizers = [layer.regularizer for _, layer in net._dense]
        regularizers = [trainer.regularizer if r is None else r for r in regularizers]
        strengths = [(r.l2, r.l1) if r is not None else (0.0, 0.0) for r in regularizers]
        norms = [layer.constraint.radius if layer.constraint is not None else 0.0 for _, layer in net._dense]
        held = [(*pair, norm) for pair, norm in zip(strengths, norms, strict=True)]
        self.restraints = [ref.Restraint(*np.float32(each).tolist()) for each in held]
        self.losses: list[float] = []
        self.hits = 0

    def run(self, x: Any, y: Any, batch_size: int) -> None:
        optimizer = self.trainer.optimizer
        trainable = [v.trainable for v in self.trainer.network.variables.values()]
        for first in range(0, len(x), batch_size):
            rows = slice(first, first + batch_size)
            n = len(x[rows])
            rate = float(optimizer.schedule.rates(self.step, 1)[0])
            keeps = ref.keep_masks(self.spec, self.trainer.seed, self.step, n)
            rule = optimizer.rule
            adam = ref.Adam(*(rule.get(name, 0.0) for name in ("beta1", "beta2", "epsilon")), self.step + 1)
            self.params, self.velocity, losses, hits = ref.train_step(
                self.spec, self.params, self.velocity, x[rows], y[rows], self.trainer.loss.name, self.update, rate,
                float(np.float32(rule.get("momentum", 0.0))), keeps, trainable, decay=float(np.float32(rule["decay"])),
                restraints=self.restraints, constants=adam if self.update in ("adam", "rmsprop") else None,
                clip_value=self.trainer.clip_value or 0.0, clip_norm=self.trainer.clip_norm or 0.0,
            )  # fmt: skip
            self.step += 1
            self.losses += losses.tolist()
            self.hits += int(hits.sum())


def assert_trained_alike(net: fnn.Network, reference: Reference, before: Any) -> None:
    update = np.linalg.norm(flat(reference.params) - flat(before))
    difference = np.linalg.norm(flat(values(net)) - flat(reference.params))
    assert update > 0
    assert difference <= UPDATE_TOLERANCE * update, difference / update


def values(net: fnn.Network) -> list[Float32]:
    return [variable.value for variable in net.variables.values()]


def bits(net: fnn.Network) -> bytes:
    return b"".join(value.tobytes() for value in values(net))


def problem(n: int = 95) -> tuple[Float32, Any]:
    return normal(100, n, 35), make_targets("softmax_cross_entropy", n, 5)


@pytest.mark.parametrize("activation", ["relu", "tanh"])
@pytest.mark.parametrize(("keep_prob", "naive"), [(None, False), (0.75, False), (0.5, True)])
@pytest.mark.parametrize("rule", RULES)
def test_ten_steps(isa: str, rule: str, keep_prob: float | None, naive: bool, activation: str) -> None:
    """Five steps an epoch, the last of them ragged: 95 rows are 4 batches of 20 and one of 15."""
    update, optimizer = RULES[rule]
    net = fnn.Network(35, make_layers(activation, keep_prob, naive), seed=SEED)
    trainer, before = fnn.Trainer(net, optimizer=optimizer, seed=7), values(net)
    reference, (x, y) = Reference(trainer, update), problem()
    history = trainer.fit(x, y, epochs=2, batch_size=20, shuffle=False)
    for epoch in range(2):
        reference.losses, reference.hits = [], 0
        reference.run(x, y, 20)
        assert history["loss"][epoch] == pytest.approx(np.mean(reference.losses), rel=1e-5)
        assert history["accuracy"][epoch] == reference.hits / 95
    assert trainer.step == reference.step == 10
    assert_trained_alike(net, reference, before)


@pytest.mark.parametrize("n", [1, 2, 3, 4])
@pytest.mark.parametrize("rule", RULES)
def test_ten_steps_of_towers(isa: str, rule: str, n: int) -> None:
    """With bounds, dropout and its masks, which are those of one device."""
    update, optimizer = RULES[rule]
    net = fnn.Network(35, make_layers("tanh", 0.75, constraint=fnn.MaxNorm(1.1)), seed=SEED)
    bounds = {"clip_value": 0.05, "clip_norm": 0.6, "regularizer": fnn.L2(0.01)}
    trainer, before = fnn.Trainer(net, optimizer=optimizer, seed=7, towers=["cpu:0"] * n, **bounds), values(net)
    reference, (x, y) = Reference(trainer, update), problem()
    trainer.fit(x, y, epochs=2, batch_size=20, shuffle=False)
    for _ in range(2):
        reference.run(x, y, 20)
    assert_trained_alike(net, reference, before)


@pytest.mark.parametrize("regularizer", [fnn.L2(0.3), fnn.L1(0.02)], ids=repr)
@pytest.mark.parametrize("rule", RULES)
def test_ten_steps_with_a_regularizer(isa: str, rule: str, regularizer: Any) -> None:
    update, optimizer = RULES[rule]
    net = fnn.Network(35, make_layers("tanh"), seed=SEED)
    trainer, before = fnn.Trainer(net, optimizer=optimizer, regularizer=regularizer), values(net)
    reference, (x, y) = Reference(trainer, update), problem()
    history = trainer.fit(x, y, epochs=2, batch_size=20, shuffle=False)
    for _ in range(2):
        reference.run(x, y, 20)
    penalty = sum(map(ref.penalty, reference.params[::2], reference.restraints))
    assert history["penalty"][-1] == pytest.approx(penalty, rel=1e-6)
    assert_trained_alike(net, reference, before)


@pytest.mark.parametrize("clips", [{"clip_norm": 0.3}, {"clip_value": 0.01}, {"clip_value": 0.02, "clip_norm": 0.2}])
@pytest.mark.parametrize("rule", ["sgd", "nesterov", "adamw", "rmsprop"])
def test_ten_steps_with_clipping(isa: str, rule: str, clips: Any) -> None:
    """Beside L2, which is not clipped, and a frozen variable, which is not part of the norm."""
    update, optimizer = RULES[rule]
    net = fnn.Network(35, make_layers("tanh"), seed=SEED)
    net.variables["dense_2/W"].trainable = False
    trainer = fnn.Trainer(net, optimizer=optimizer, regularizer=fnn.L2(0.1), **clips)
    before, reference, (x, y) = values(net), Reference(trainer, update), problem()
    trainer.fit(x, y, epochs=2, batch_size=20, shuffle=False)
    for _ in range(2):
        reference.run(x, y, 20)
    assert_trained_alike(net, reference, before)


@pytest.mark.parametrize("rule", RULES)
def test_ten_steps_with_max_norm(isa: str, rule: str) -> None:
    update, optimizer = RULES[rule]
    net = fnn.Network(35, make_layers("tanh", constraint=fnn.MaxNorm(1.2)), seed=SEED)
    trainer, before = fnn.Trainer(net, optimizer=optimizer), values(net)
    reference, (x, y) = Reference(trainer, update), problem()
    trainer.fit(x, y, epochs=2, batch_size=20, shuffle=False)
    for _ in range(2):
        reference.run(x, y, 20)
    assert_trained_alike(net, reference, before)


@pytest.mark.parametrize("loss", ["sigmoid_cross_entropy", "squared_error"])
@pytest.mark.parametrize("rule", RULES)
def test_ten_steps_with_other_losses(isa: str, rule: str, loss: str) -> None:
    update, optimizer = RULES[rule]
    net = fnn.Network(35, make_layers("tanh"), seed=SEED)
    trainer, before = fnn.Trainer(net, loss, optimizer), values(net)
    reference, x, y = Reference(trainer, update), normal(100, 95, 35), make_targets(loss, 95, 5)
    history = trainer.fit(x, y, epochs=2, batch_size=20, shuffle=False)
    reference.run(x, y, 20)
    assert history["loss"][0] == pytest.approx(np.mean(reference.losses), rel=1e-5)
    if loss == "sigmoid_cross_entropy":
        assert history["accuracy"][0] == reference.hits / (95 * 5)
    reference.run(x, y, 20)
    assert_trained_alike(net, reference, before)


@pytest.mark.parametrize("rule", ["sgd", "nesterov"])
def test_frozen_variables_stay(isa: str, rule: str) -> None:
    update, optimizer = RULES[rule]
    net = fnn.Network(35, make_layers("relu", 0.75), seed=SEED)
    trainer, before, (x, y) = fnn.Trainer(net, optimizer=optimizer), values(net), problem()
    reference = Reference(trainer, update)
    frozen = [("dense_1/W", "dense_3/b"), ("dense_2/b",), ()]
    for names in frozen:
        for name, variable in net.variables.items():
            variable.trainable = name not in names
        kept = {name: net.variables[name].value for name in names}
        trainer.fit(x, y, batch_size=20, shuffle=False)
        reference.run(x, y, 20)
        assert all(np.array_equal(net.variables[name].value, value) for name, value in kept.items())
    assert_trained_alike(net, reference, before)


def test_schedule_counts_steps_over_several_fits(isa: str) -> None:
    net = fnn.Network(35, make_layers("tanh"), seed=SEED)
    trainer = fnn.Trainer(net, optimizer=fnn.SGD(fnn.StepDecay(0.4, 0.5, 3)))
    reference, before, (x, y) = Reference(trainer, "sgd"), values(net), problem()
    for epochs, batch_size in [(1, 20), (2, 50), (1, 95)]:
        history = trainer.fit(x, y, epochs=epochs, batch_size=batch_size, shuffle=False)
        for epoch in range(epochs):
            reference.run(x, y, batch_size)
            last_rate = trainer.optimizer.schedule.rates(reference.step - 1, 1)[0]
            assert history["learning_rate"][epoch] == last_rate
    assert trainer.step == reference.step == 10
    assert_trained_alike(net, reference, before)


# ---- evaluation ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("loss", ref.LOSSES)
@pytest.mark.parametrize("naive", [False, True])
def test_evaluate_and_outputs(isa: str, naive: bool, loss: str) -> None:
    """600 rows are more than prediction takes at a time."""
    net = fnn.Network(35, make_layers("relu", 0.5, naive), seed=SEED)
    trainer = fnn.Trainer(net, loss)
    reference, x, y = Reference(trainer, "sgd"), normal(100, 600, 35), make_targets(loss, 600, 5)
    outs, _ = ref.forward(reference.spec, reference.params, x)
    losses, hits, _ = ref.loss(outs[-1], y, loss, "linear", 1.0)
    found = trainer.evaluate(x, y)
    assert found["loss"] == pytest.approx(losses.mean(), rel=1e-6)
    units = {"softmax_cross_entropy": 600, "sigmoid_cross_entropy": 3000}
    assert found.get("accuracy") == (hits.sum() / units[loss] if loss in units else None)
    np.testing.assert_allclose(net(x), outs[-1], rtol=1e-5, atol=1e-5)
    assert trainer.evaluate(x, y, num_threads=3) == found
