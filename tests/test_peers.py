"""The same training in PyTorch: same weights, same order, same updates, up to float32 rounding."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np
import pytest

import fastnn as fnn
from fastnn import _core

pytestmark = pytest.mark.peer

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # what importing it warns of is its own affair
    torch = pytest.importorskip("torch", reason="torch is not installed")

N = 1500
IMAGES, LABELS = _core.synthetic_digits(0, N, 1)
ACTIVATIONS = {"relu": torch.nn.ReLU, "tanh": torch.nn.Tanh, "sigmoid": torch.nn.Sigmoid}
OPTIMIZERS = {
    "sgd": fnn.SGD(0.1),
    "momentum": fnn.SGD(0.02, momentum=0.9),
    "nesterov": fnn.SGD(0.02, momentum=0.9, nesterov=True),
}
LOSSES = {
    "softmax_cross_entropy": lambda z, t: torch.nn.functional.cross_entropy(z, t.argmax(dim=1)),
    "sigmoid_cross_entropy": lambda z, t: (
        torch.nn.functional.binary_cross_entropy_with_logits(z, t, reduction="sum") / len(z)
    ),
    "squared_error": lambda z, t: torch.nn.functional.mse_loss(z, t, reduction="sum") / (2 * len(z)),
}


@pytest.fixture(autouse=True)
def one_thread() -> Any:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def make_net(activation: str) -> fnn.Network:
    layers = [fnn.Rescaling(1 / 255), fnn.Dense(256, activation), fnn.Dense(256, activation), fnn.Dense(10)]
    return fnn.Network(784, layers, seed=4)


def make_twin(net: fnn.Network, activation: str) -> torch.nn.Sequential:
    """PyTorch's network with the same parameters; its weights are (n_out, n_in)."""
    values = [torch.from_numpy(variable.value.copy()) for variable in net.variables.values()]
    modules: list[torch.nn.Module] = []
    for w, b in zip(values[::2], values[1::2], strict=True):
        linear = torch.nn.Linear(*w.shape)
        with torch.no_grad():
            linear.weight.copy_(w.T)
            linear.bias.copy_(b)
        modules += [linear, ACTIVATIONS[activation]()]
    return torch.nn.Sequential(*modules[:-1])


def train_twin(twin: Any, optimizer: fnn.SGD, loss: str, order: Any, batch_size: int) -> list[float]:
    """One epoch; the losses before each update."""
    x = torch.from_numpy(IMAGES[order].astype(np.float32) / np.float32(255))
    t = torch.eye(10)[torch.from_numpy(LABELS[order].astype(np.int64))]
    sgd = torch.optim.SGD(
        twin.parameters(), lr=optimizer.learning_rate, momentum=optimizer.momentum, nesterov=optimizer.nesterov
    )
    losses = []
    for first in range(0, len(order), batch_size):
        value = LOSSES[loss](twin(x[first : first + batch_size]), t[first : first + batch_size])
        sgd.zero_grad()
        value.backward()
        sgd.step()
        losses.append(value.item())
    return losses


def parameters_of(twin: Any) -> Any:
    """All parameters as one vector, in the layout and order of a Network's variables."""
    arrays = [p.detach().numpy() for p in twin.parameters()]
    return np.concatenate([a.T.ravel() for a in arrays]).astype(np.float64)


def parameters(net: fnn.Network) -> Any:
    return np.concatenate([v.value.ravel() for v in net.variables.values()]).astype(np.float64)


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("rule", OPTIMIZERS)
def test_ten_steps_equal_pytorchs(rule: str, activation: str) -> None:
    net = make_net(activation)
    twin, before = make_twin(net, activation), parameters(net)
    rows = np.arange(1000)
    trainer = fnn.Trainer(net, optimizer=OPTIMIZERS[rule])
    trainer.fit(IMAGES[rows], LABELS[rows], batch_size=100, shuffle=False)
    train_twin(twin, OPTIMIZERS[rule], "softmax_cross_entropy", rows, 100)
    assert trainer.step == 10
    difference = np.linalg.norm(parameters(net) - parameters_of(twin))
    assert difference <= 1e-4 * np.linalg.norm(parameters_of(twin) - before)


NEW: dict[str, tuple[Any, Any]] = {  # fastnn's activation or loss, and PyTorch's
    "leaky_relu": (fnn.LeakyReLU(0.1), torch.nn.LeakyReLU(0.1)),
    "elu": (fnn.ELU(0.7), torch.nn.ELU(0.7)),
    "gelu": ("gelu", torch.nn.GELU()),
    "silu": ("silu", torch.nn.SiLU()),
    "softplus": ("softplus", torch.nn.Softplus(threshold=100)),
    "absolute_error": ("absolute_error", torch.nn.L1Loss(reduction="sum")),
    "huber": (fnn.losses.Huber(0.8), torch.nn.HuberLoss(reduction="sum", delta=0.8)),
    "poisson": ("poisson", torch.nn.PoissonNLLLoss(log_input=True, reduction="sum")),
}


@pytest.mark.parametrize("name", NEW)
def test_a_step_of_each_other_activation_and_loss_equals_pytorchs(name: str) -> None:
    """Sums of n = 200 rows and up to 50 terms: each of two float32 ways errs by about sqrt(n) 2^-24 of the norm, 1e-6
    (reference.dense_tolerance would allow n 2^-24); softplus, whose positive sums cancel, by some times that."""
    rng = np.random.default_rng(6)
    x, y = rng.standard_normal((200, 50)).astype(np.float32), np.abs(rng.standard_normal((200, 10))).astype(np.float32)
    mine, theirs = NEW[name]
    is_loss = isinstance(theirs, torch.nn.modules.loss._Loss)
    activation, module = ("tanh", torch.nn.Tanh()) if is_loss else (mine, theirs)
    net = fnn.Network(50, [fnn.Dense(40, activation), fnn.Dense(30, activation), fnn.Dense(10)], seed=4)
    twin, before = make_twin(net, "tanh"), parameters(net)
    twin[1] = twin[3] = module
    loss, criterion = (mine, theirs) if is_loss else ("squared_error", lambda z, t: ((z - t) ** 2).sum() / 2)
    fnn.Trainer(net, loss, fnn.SGD(0.1)).fit(x, y, batch_size=200, shuffle=False)
    value = criterion(twin(torch.from_numpy(x)), torch.from_numpy(y)) / len(x)
    value.backward()
    gradient = np.concatenate([p.grad.numpy().T.ravel() for p in twin.parameters()]).astype(np.float64)
    step = (before - parameters(net)) / np.float64(np.float32(0.1))
    rounding = 2.0**-24 * np.abs(before) / 0.1  # of the parameters that the step changed
    assert np.linalg.norm(step - gradient) <= 5e-6 * np.linalg.norm(gradient) + np.linalg.norm(rounding)


@pytest.mark.parametrize("loss", LOSSES)
def test_losses_of_an_epoch_equal_pytorchs(loss: str) -> None:
    """A shuffled epoch with a ragged last batch: mean of the losses before each update, weighed by rows."""
    net, optimizer = make_net("relu"), fnn.SGD(0.02, momentum=0.9)
    twin = make_twin(net, "relu")
    targets = LABELS if loss == "softmax_cross_entropy" else np.eye(10)[LABELS]
    history = fnn.Trainer(net, loss, optimizer).fit(IMAGES, targets, batch_size=64)
    order = _core.permutation(N, net.seed, 0)
    losses = train_twin(twin, optimizer, loss, order, 64)
    sizes = [64] * (N // 64) + [N % 64]
    assert history["loss"][0] == pytest.approx(np.average(losses, weights=sizes), rel=1e-3)


def test_a_loss_curve_equals_pytorchs() -> None:
    """Step by step over an epoch, from the state that the same steps led to."""
    net, optimizer = make_net("relu"), fnn.SGD(0.05)
    twin, trainer = make_twin(net, "relu"), fnn.Trainer(net, optimizer=optimizer)
    batches = [slice(first, first + 50) for first in range(0, N, 50)]
    losses = [trainer.fit(IMAGES[b], LABELS[b], batch_size=50, shuffle=False)["loss"][0] for b in batches]
    expected = train_twin(twin, optimizer, "softmax_cross_entropy", np.arange(N), 50)
    assert expected[-1] < 0.8 * expected[0]
    np.testing.assert_allclose(losses, expected, rtol=1e-3)


def test_probabilities_equal_pytorchs() -> None:
    net = make_net("tanh")
    twin = make_twin(net, "tanh")
    net.link = "softmax"
    with torch.no_grad():
        expected = torch.softmax(twin(torch.from_numpy(IMAGES.astype(np.float32) / np.float32(255))), dim=1).numpy()
    np.testing.assert_allclose(net.predict_proba(IMAGES), expected, rtol=1e-4, atol=1e-7)


def penalised(twin: Any, value: Any, strength: float) -> Any:
    return value + strength / 2 * sum((p * p).sum() for p in weights_of(twin))


def soften(twin: Any, threshold: float) -> None:
    for p in weights_of(twin):
        p.copy_(torch.nn.functional.softshrink(p, threshold))


def clip_norms(twin: Any, radius: float) -> None:
    for p in weights_of(twin):  # a unit's weights are a row
        p.copy_(torch.renorm(p, 2, 0, radius))


def weights_of(twin: Any) -> list[Any]:
    return [p for p in twin.parameters() if p.ndim == 2]


def biases_of(twin: Any) -> list[Any]:
    return [p for p in twin.parameters() if p.ndim == 1]


# fastnn's optimiser, regulariser and constraint; PyTorch's optimiser; what PyTorch does to the loss, and after a step
HELD: dict[str, Any] = {
    "l2": (
        fnn.SGD(0.1),
        fnn.L2(0.1),
        None,
        lambda p: torch.optim.SGD(p, lr=0.1),
        lambda t, v: penalised(t, v, 0.1),
        None,
    ),
    "l1": (fnn.SGD(0.1), fnn.L1(0.01), None, lambda p: torch.optim.SGD(p, lr=0.1), None, lambda t: soften(t, 0.001)),
    "max_norm": (
        fnn.SGD(0.1, momentum=0.9),
        None,
        fnn.MaxNorm(1.3),
        lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9),
        None,
        lambda t: clip_norms(t, 1.3),
    ),
    "adam": (fnn.Adam(0.01), None, None, lambda p: torch.optim.Adam(p, lr=0.01), None, None),
    "adam_l2": (
        fnn.Adam(0.01, beta1=0.8, beta2=0.9, epsilon=1e-4),
        fnn.L2(0.1),
        None,
        lambda p: torch.optim.Adam(p, lr=0.01, betas=(0.8, 0.9), eps=1e-4),
        lambda t, v: penalised(t, v, 0.1),
        None,
    ),
    "adamw": (
        fnn.Adam(0.01, epsilon=1e-4, weight_decay=0.3),
        None,
        None,
        lambda p: torch.optim.AdamW(p, lr=0.01, eps=1e-4, weight_decay=0.3),
        None,
        None,
    ),
    "rmsprop": (
        fnn.RMSProp(0.001),
        None,
        None,
        lambda p: torch.optim.RMSprop(p, lr=0.001, alpha=0.9),
        None,
        None,
    ),
    "rmsprop_momentum": (
        fnn.RMSProp(0.001, decay=0.8, epsilon=1e-4, momentum=0.9),
        fnn.L2(0.1),
        None,
        lambda p: torch.optim.RMSprop(p, lr=0.001, alpha=0.8, eps=1e-4, momentum=0.9),
        lambda t, v: penalised(t, v, 0.1),
        None,
    ),
}


@pytest.mark.parametrize("n_steps", [1, 5])
@pytest.mark.parametrize("name", HELD)
def test_steps_of_other_rules_equal_pytorchs(name: str, n_steps: int) -> None:
    """Every input and unit gets a gradient that is far from rounding, by which Adam would divide: tanh, and noise."""
    optimizer, regularizer, constraint, make_optimizer, change_loss, after = HELD[name]
    rng = np.random.default_rng(6)
    x, y = rng.standard_normal((200, 50)).astype(np.float32), rng.integers(0, 10, 200)
    layers = [fnn.Dense(units, "tanh", constraint=constraint) for units in (40, 30)]
    net = fnn.Network(50, [*layers, fnn.Dense(10, constraint=constraint)], seed=4)
    twin, before = make_twin(net, "tanh"), parameters(net)
    fnn.Trainer(net, optimizer=optimizer, regularizer=regularizer).fit(
        x, y, batch_size=200, epochs=n_steps, shuffle=False
    )
    groups = [{"params": weights_of(twin)}, {"params": biases_of(twin), "weight_decay": 0.0}]
    torchs = make_optimizer(groups)
    for _ in range(n_steps):
        value = torch.nn.functional.cross_entropy(twin(torch.from_numpy(x)), torch.from_numpy(y))
        torchs.zero_grad()
        (change_loss(twin, value) if change_loss is not None else value).backward()
        torchs.step()
        if after is not None:
            with torch.no_grad():
                after(twin)
    difference = np.linalg.norm(parameters(net) - parameters_of(twin))
    assert difference <= 1e-5 * np.linalg.norm(parameters_of(twin) - before)


@pytest.mark.parametrize("name", ["clip_norm", "clip_value"])
def test_clipping_equals_pytorchs(name: str) -> None:
    rng = np.random.default_rng(6)
    x, y = rng.standard_normal((200, 50)).astype(np.float32), rng.integers(0, 10, 200)
    net = fnn.Network(50, [fnn.Dense(40, "tanh"), fnn.Dense(30, "tanh"), fnn.Dense(10)], seed=4)
    twin, before, bound = make_twin(net, "tanh"), parameters(net), {"clip_norm": 0.5, "clip_value": 0.02}[name]
    clip = {"clip_norm": torch.nn.utils.clip_grad_norm_, "clip_value": torch.nn.utils.clip_grad_value_}[name]
    trainer = fnn.Trainer(net, optimizer=fnn.SGD(0.1, momentum=0.9), **{name: bound})
    trainer.fit(x, y, batch_size=200, epochs=5, shuffle=False)
    sgd = torch.optim.SGD(twin.parameters(), lr=0.1, momentum=0.9)
    for _ in range(5):
        sgd.zero_grad()
        torch.nn.functional.cross_entropy(twin(torch.from_numpy(x)), torch.from_numpy(y)).backward()
        norm = torch.nn.utils.get_total_norm(
            [p.grad for p in twin.parameters()], 2.0 if name == "clip_norm" else math.inf
        )
        assert norm > bound
        clip(twin.parameters(), bound)
        sgd.step()
    difference = np.linalg.norm(parameters(net) - parameters_of(twin))
    assert difference <= 1e-5 * np.linalg.norm(parameters_of(twin) - before)
