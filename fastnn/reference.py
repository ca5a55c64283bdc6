"""The specification of the engine: what every kernel of csrc/kernels.h computes, in plain NumPy.

Names and argument order are those there, without what only the engine needs (panels, parts, row pointers, scratch).
Matrices are row-major, W is (n_in, n_out) and y = x W + b.  Real numbers are float64: the engine's float32 results lie
within a rounding bound of these (``dense_tolerance``).  Random bits, masks, permutations and rescaled input are exact.
The engine holds the learning rate, the momentum and dropout's scales as float32: round them before comparing.

Nothing is checked here.  No layout, no threads, no speed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import erfc
from statistics import NormalDist
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Words = NDArray[np.uint64]
Bools = NDArray[np.bool_]
Function = Callable[[Floats], Floats]

# ---- histograms ------------------------------------------------------------------------------------------------------


class Moments(NamedTuple):
    """Of the values that are finite; min and max are NaN if there is none."""

    finite: int
    min: float
    max: float
    sum: float
    squares: float


def histogram(values: ArrayLike, edges: ArrayLike) -> tuple[Ints, Moments]:
    """How many values are in each bin, edges[i] <= value < edges[i + 1], the last one closed; and their moments."""
    finite = np.asarray(values, np.float64)
    finite = finite[np.isfinite(finite)]
    counts = np.histogram(finite, np.asarray(edges, np.float64))[0]
    ends = (float(finite.min()), float(finite.max())) if finite.size else (np.nan, np.nan)
    return counts, Moments(finite.size, *ends, float(finite.sum()), float((finite * finite).sum()))


# ---- randomness ------------------------------------------------------------------------------------------------------

STREAMS = {"initializer": 1, "shuffle": 2, "dropout": 3, "digits": 4, "split": 5}


def philox(counter: Sequence[ArrayLike], seed: int) -> tuple[Words, Words, Words, Words]:
    """Philox4x32-10 (Salmon et al., SC 2011): four 32-bit words for each counter, kept in uint64.

    counter: four integers or arrays, broadcast together, each < 2**32.  seed: the key, < 2**64, its low half first.
    """
    u64, low_half = np.uint64, np.uint64(0xFFFFFFFF)
    c0, c1, c2, c3 = np.broadcast_arrays(*(np.asarray(word, dtype=np.uint64) for word in counter))
    k0, k1 = seed & 0xFFFFFFFF, seed >> 32
    for _ in range(10):
        p0, p1 = c0 * u64(0xD2511F53), c2 * u64(0xCD9E8D57)  # 32 x 32 bits: never more than 64
        c0, c1 = (p1 >> u64(32)) ^ c1 ^ u64(k0), p1 & low_half
        c2, c3 = (p0 >> u64(32)) ^ c3 ^ u64(k1), p0 & low_half
        k0, k1 = (k0 + 0x9E3779B9) & 0xFFFFFFFF, (k1 + 0xBB67AE85) & 0xFFFFFFFF
    return c0, c1, c2, c3


def uniform(high: ArrayLike, low: ArrayLike) -> Floats:
    """Numbers of [0, 1) with 53 bits, from two words each."""
    high, low = np.asarray(high, dtype=np.uint64), np.asarray(low, dtype=np.uint64)
    return ((high << np.uint64(32) | low) >> np.uint64(11)) * 2.0**-53


def permutation(n: int, seed: int, epoch: int = 0, stream: str = "shuffle") -> NDArray[np.uint32]:
    """A uniform permutation of 0 .. n - 1 (Fisher-Yates): (n,), a function of the arguments alone.  n < 2**31.

    Block k of counter (k, epoch, 0, stream << 16) gives the 64-bit draws 2 k (words 0, 1) and 2 k + 1 (words 2, 3).
    """
    words = philox((np.arange(n // 2), epoch, 0, STREAMS[stream] << 16), seed)
    draws = np.stack([words[0] << np.uint64(32) | words[1], words[2] << np.uint64(32) | words[3]], axis=1).ravel()
    order = np.arange(n, dtype=np.uint32)
    for i, random in zip(range(n - 1, 0, -1), draws.tolist(), strict=False):
        j = random * (i + 1) >> 64  # Python's integers: all 96 bits of the product
        order[i], order[j] = order[j], order[i]
    return order


def dropout_keep(threshold: int, seed: int, step: int, layer: int, n_batch: int, n: int) -> Bools:
    """Which units are kept in a training step: (n_batch, n).  layer 0 is the input, layer i the i-th dense layer.

    A block serves 8 units of a row, 16 bits each: the low half of word 0, its high half, the low half of word 1, ...
    A unit is kept where its bits are below threshold, so 65536 keeps all.
    """
    unit, row = np.arange(n), np.arange(n_batch)[:, None]
    words = np.stack(philox((np.arange((n + 7) // 8), row, step, STREAMS["dropout"] << 16 | layer), seed))
    bits = words[unit % 8 // 2, row, unit // 8] >> (16 * (unit % 2)).astype(np.uint64) & np.uint64(0xFFFF)
    return np.asarray(bits < threshold)


def draw(n: int, distribution: str, a: float, b: float, seed: int, variable: int) -> Floats:
    """n initial values: "uniform" over [a, b), or "normal" or "truncated_normal" of mean a and standard deviation b.

    One block an element.  Normal values are the inverse of the distribution function at the midpoints of 2**52 equal
    cells; truncation, two standard deviations from the mean, is a narrower range of that function.
    """
    element, half = np.arange(n, dtype=np.uint64), np.uint64(32)
    index = STREAMS["initializer"] << 16 | variable
    high, low, _, _ = philox((element & np.uint64(0xFFFFFFFF), element >> half, 0, index), seed)
    if distribution == "uniform":
        return a + (b - a) * uniform(high, low)
    tail = NormalDist().cdf(-2.0) if distribution == "truncated_normal" else 0.0
    p = ((high << half | low) >> np.uint64(12)) * 2.0**-52 + 2.0**-53
    return np.array([a + b * NormalDist().inv_cdf(value) for value in tail + (1.0 - 2.0 * tail) * p])


# ---- element-wise ----------------------------------------------------------------------------------------------------


def rescale(x: ArrayLike, scale: float, offset: float = 0.0) -> NDArray[np.float32]:
    """x' = float32(float64(x) * scale + offset) for every dtype of x, product and sum rounded apart."""
    return (np.asarray(x, dtype=np.float64) * scale + offset).astype(np.float32)


def sigmoid(z: Floats) -> Floats:
    """1 / (1 + exp(-z)) without overflow."""
    e = np.exp(-np.abs(z))
    return np.where(z >= 0, 1.0, e) / (1.0 + e)


def relu(z: Floats) -> Floats:
    """max(z, 0), written so that NaN passes."""
    return np.where(z <= 0, 0.0, z)


def linear(z: Floats, slope: float = 1.0, intercept: float = 0.0) -> Floats:
    """slope z + intercept."""
    return slope * z + intercept


def leaky_relu(z: Floats, slope: float) -> Floats:
    """z, below 0 slope z."""
    return np.where(z < 0, slope * z, z)


def elu(z: Floats, alpha: float) -> Floats:
    """z, below 0 alpha (exp(z) - 1)."""
    return np.where(z < 0, alpha * np.expm1(np.minimum(z, 0.0)), z)


def threshold(z: Floats) -> Floats:
    """1, below 0 -1."""
    return np.where(z < 0, -1.0, np.where(z >= 0, 1.0, z))


def normal_tail(z: Floats) -> Floats:
    """1 - Phi(z), Phi the normal distribution function, without cancellation."""
    return 0.5 * np.array([erfc(value) for value in (z * np.sqrt(0.5)).ravel().tolist()]).reshape(z.shape)


def gelu(z: Floats) -> Floats:
    """z Phi(z)."""
    return np.where(
        z == -np.inf, 0.0, np.where(np.isfinite(z), z, 0.0) * normal_tail(-z) + np.where(z == np.inf, z, 0.0)
    )


def gelu_slope(z: Floats) -> Floats:
    """Phi(z) + z Phi'(z)."""
    return normal_tail(-z) + z * np.exp(-0.5 * z * z) / np.sqrt(2.0 * np.pi)


def silu(z: Floats) -> Floats:
    """z sigmoid(z)."""
    return z * sigmoid(z)


def silu_slope(z: Floats) -> Floats:
    """s (1 + z (1 - s)), s = sigmoid(z)."""
    return sigmoid(z) * (1.0 + z * sigmoid(-z))


def softplus(z: Floats) -> Floats:
    """log(1 + exp(z)) without overflow."""
    return np.maximum(z, 0.0) + np.log1p(np.exp(-np.abs(z)))


Activation = str | tuple[Any, ...]  # a name, or a name and its constants

ACTIVATIONS: dict[str, Callable[..., Floats]] = {
    "linear": linear,
    "sigmoid": sigmoid,
    "tanh": np.tanh,
    "relu": relu,
    "leaky_relu": leaky_relu,
    "elu": elu,
    "threshold": threshold,
    "gelu": gelu,
    "silu": silu,
    "softplus": softplus,
}
FUNCTIONS: dict[str, Callable[..., Floats]] = {**ACTIVATIONS, "exp": np.exp, "log": np.log, "log1p": np.log1p}
DERIVATIVES: dict[str, Callable[..., Floats]] = {  # of an activation, from its value y; a threshold has none
    "linear": lambda y, slope=1.0, intercept=0.0: np.full_like(y, slope),
    "sigmoid": lambda y: y * (1.0 - y),
    "tanh": lambda y: 1.0 - y * y,
    "relu": lambda y: np.where(y <= 0, 0.0, 1.0),
    "leaky_relu": lambda y, slope: np.where(y <= 0, slope, 1.0),
    "elu": lambda y, alpha: np.where(y <= 0, y + alpha, 1.0),
    "gelu": linear,  # these keep their slopes themselves
    "silu": linear,
    "softplus": linear,
}
SLOPES: dict[str, Function] = {"gelu": gelu_slope, "silu": silu_slope, "softplus": sigmoid}  # from z


def _named(activation: Activation) -> tuple[str, tuple[float, ...]]:
    return (activation, ()) if isinstance(activation, str) else (activation[0], activation[1:])


def apply(x: ArrayLike, function: Activation) -> Floats:
    """function(x), by a key of FUNCTIONS and its constants."""
    name, constants = _named(function)
    return FUNCTIONS[name](np.asarray(x, dtype=np.float64), *constants)


def kept(z: Floats, activation: Activation) -> Floats:
    """What a forward pass keeps for the backward pass: the activity, or of some activations the slope."""
    name, _ = _named(activation)
    return SLOPES[name](z) if name in SLOPES else apply(z, activation)


def derivative(y: Floats, activation: Activation) -> Floats:
    """The slope, from what the forward pass kept."""
    name, constants = _named(activation)
    return DERIVATIVES[name](y, *constants)


def slope(x: ArrayLike, activation: Activation) -> Floats:
    """The slope of an activation at x."""
    return derivative(kept(np.asarray(x, dtype=np.float64), activation), activation)


def dropout(y: Floats, keep: Bools | None, scale: float) -> Floats:
    """y * scale where kept, 0 elsewhere.  keep None: all are kept.  (The kernel gather: rescale, then this.)"""
    return y * scale if keep is None else np.where(keep, y * scale, 0.0)


# ---- dense layers ----------------------------------------------------------------------------------------------------


def dense_forward(
    x: Floats, w: Floats, b: Floats, keep: Bools | None = None, scale: float = 1.0, activation: Activation = "linear"
) -> tuple[Floats, Floats]:
    """(out, y): out = activation(x W + b) after dropout; y: what the backward pass needs, the same before dropout, or
    the slope (``kept``).  x (n_batch, n_in), w (n_in, n_out), b (n_out,)."""
    z = x @ w + b
    return dropout(apply(z, activation), keep, scale), kept(z, activation)


def dense_backward_input(
    dy: Floats, w: Floats, y: Floats, keep: Bools | None = None, scale: float = 1.0, activation: Activation = "linear"
) -> Floats:
    """Gradient at the logits of the layer below: (n_batch, n_in).

    dy: gradient at this layer's logits.  y, keep, scale, activation are the layer below's; y is what it kept.
    """
    return dropout(dy @ w.T, keep, scale) * derivative(y, activation)


def dense_backward_weight(x: Floats, dy: Floats) -> tuple[Floats, Floats]:
    """(dw, db) of a layer that read x (after dropout) and has the gradient dy at its logits."""
    return x.T @ dy, dy.sum(axis=0)


def dense_tolerance(x: ArrayLike, w: ArrayLike, b: ArrayLike) -> Floats:
    """Largest difference of the engine's float32 x W + b, for the same float32 x, W, b, from the float64 one.

    Each of the n_in fused multiply-adds rounds once, with relative error <= u = 2**-24; b and the products enter exact.
    So b and each product carry at most n_in factors 1 + error, and (Higham, "Accuracy and Stability of Numerical
    Algorithms", chapter 3) |error| <= g (|x| |W| + |b|), g = n_in u / (1 - n_in u).  g - n_in u is below u up to 4000
    inputs; the other u covers the float64 result's own error.  Not covered: sums that are subnormal in float32.
    """
    x, w, b = (np.abs(np.asarray(a, dtype=np.float64)) for a in (x, w, b))
    return (w.shape[0] + 2) * 2.0**-24 * (x @ w + b)


# ---- output and loss -------------------------------------------------------------------------------------------------


def log_sum_exp(y: Floats) -> Floats:
    """log(sum(exp(y))) of each row: (n_batch, 1).  No exponent is above 0, so no logit of float32 overflows."""
    largest = y.max(axis=1, keepdims=True)
    return largest + np.log(np.exp(y - largest).sum(axis=1, keepdims=True))


def softmax(y: Floats) -> Floats:
    """exp(y) / sum(exp(y)) of each row."""
    e = np.exp(y - y.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


LINKS: dict[str, Function] = {"identity": linear, "sigmoid": sigmoid, "softmax": softmax, "exp": np.exp}


def output(y: Floats, link: str) -> Floats:
    """What a network's outputs mean under a loss: values, or probabilities."""
    return LINKS[link](y)


def target_rows(targets: ArrayLike, n_out: int) -> Floats:
    """Targets (n_batch, n_out) as they are; class indices (n_batch,) one-hot."""
    targets = np.asarray(targets)
    return np.eye(n_out)[targets] if targets.ndim == 1 else targets.astype(np.float64)


def softmax_cross_entropy(y: Floats, t: Floats) -> tuple[Floats, Ints, Floats]:
    """-sum t log softmax(y); right where the (first) largest output and target are the same class.

    The gradient holds for any t; where a row of t sums to 1 it is softmax(y) - t.
    """
    hits = (y.argmax(axis=1) == t.argmax(axis=1)).astype(np.int64)
    return (t * (log_sum_exp(y) - y)).sum(axis=1), hits, t.sum(axis=1, keepdims=True) * softmax(y) - t


def sigmoid_cross_entropy(y: Floats, t: Floats) -> tuple[Floats, Ints, Floats]:
    """sum over units of -t log p - (1 - t) log(1 - p), p = sigmoid(y); right: p and t on one side of 1/2."""
    losses = (np.maximum(y, 0.0) - y * t + np.log1p(np.exp(-np.abs(y)))).sum(axis=1)
    return losses, ((y > 0) == (t > 0.5)).sum(axis=1), sigmoid(y) - t


def squared_error(y: Floats, t: Floats) -> tuple[Floats, Ints, Floats]:
    """1/2 sum over outputs of (y - t)**2; nothing counts as right."""
    return 0.5 * ((y - t) ** 2).sum(axis=1), np.zeros(len(y), dtype=np.int64), y - t


def absolute_error(y: Floats, t: Floats) -> tuple[Floats, Ints, Floats]:
    """Sum over outputs of |y - t|; nothing counts as right."""
    return np.abs(y - t).sum(axis=1), np.zeros(len(y), dtype=np.int64), np.sign(y - t)


def huber(y: Floats, t: Floats, delta: float = 1.0) -> tuple[Floats, Ints, Floats]:
    """Sum of d^2 / 2, beyond |d| = delta of delta (|d| - delta / 2), d = y - t; nothing counts as right."""
    d = np.abs(y - t)
    losses = np.where(d <= delta, d * d / 2.0, delta * (d - delta / 2.0)).sum(axis=1)
    return losses, np.zeros(len(y), dtype=np.int64), np.clip(y - t, -delta, delta)


def poisson(y: Floats, t: Floats) -> tuple[Floats, Ints, Floats]:
    """Sum over outputs of exp(y) - t y; nothing counts as right."""
    return (np.exp(y) - t * y).sum(axis=1), np.zeros(len(y), dtype=np.int64), np.exp(y) - t


LOSSES = {  # gradients at y
    f.__name__: f for f in (softmax_cross_entropy, sigmoid_cross_entropy, squared_error, absolute_error, huber, poisson)
}


def loss(
    out: Floats,
    targets: ArrayLike,
    name: str,
    activation: Activation,
    scale: float,
    y: Floats | None = None,
    weights: Floats | None = None,
) -> tuple[Floats, Ints, Floats]:
    """losses (n_batch,), hits (n_batch,) and the gradient of scale * sum(losses) at the logits, out = activation(them).

    out: the network's outputs, which the cross-entropies take for logits of their own, whatever the activation.
    y: what the last layer kept, if that is not out. weights: what each row's loss is multiplied by.
    targets: class indices (n_batch,) or rows (n_batch, n_out).
    """
    losses, hits, dy = LOSSES[name](out, target_rows(targets, out.shape[1]))
    weights = np.ones(len(out)) if weights is None else weights
    return losses * weights, hits, scale * weights[:, None] * dy * derivative(out if y is None else y, activation)


# ---- update ----------------------------------------------------------------------------------------------------------


class Restraint(NamedTuple):
    """What holds a layer's weights small: strengths of L2 and L1, and the largest norm of a unit's weights (0: any)."""

    l2: float = 0.0
    l1: float = 0.0
    max_norm: float = 0.0


def penalty(w: Floats, restraint: Restraint) -> float:
    """What a regulariser adds to the loss: l2 / 2 sum w^2 + l1 sum |w|."""
    return float(restraint.l2 / 2 * (w * w).sum() + restraint.l1 * np.abs(w).sum())


def penalty_gradient(w: Floats, restraint: Restraint) -> Floats:
    """Gradient of the penalty; of |w| at 0 the subgradient 0.  (The engine adds L2's to g, and meets L1 by soften.)"""
    return restraint.l2 * w + restraint.l1 * np.sign(w)


def soften(w: Floats, threshold: float) -> Floats:
    """The proximal step of threshold * |w|: w moves by threshold towards 0, and stops there."""
    return np.sign(w) * np.maximum(np.abs(w) - threshold, 0.0)


def end_decay(state: Floats) -> Floats:
    """What has decayed below float32's normal numbers ends at zero."""
    return np.where(np.abs(state) < 2.0**-126, 0.0, state)


class Adam(NamedTuple):
    """Constants of Adam, with t = 1, 2, ... the number of the step."""

    beta1: float
    beta2: float
    epsilon: float
    t: int


def adam(w: Floats, moments: Floats, g: Floats, rate: float, constants: Adam) -> tuple[Floats, Floats]:
    """(w, moments) after one step.  moments (2, *w.shape): running means of gradients and of their squares."""
    beta1, beta2, epsilon, t = constants
    first = end_decay(beta1 * moments[0] + (1.0 - beta1) * g)
    second = end_decay(beta2 * moments[1] + (1.0 - beta2) * g * g)
    unbiased, root = first / (1.0 - beta1**t), np.sqrt(second / (1.0 - beta2**t))
    return w - rate * unbiased / (root + epsilon), np.stack([first, second])


def rmsprop(
    w: Floats, state: Floats, g: Floats, rate: float, momentum: float, constants: Adam
) -> tuple[Floats, Floats]:
    """(w, state) after one step.  state (2, *w.shape): velocity, running mean of squares; of Adam beta2 and epsilon."""
    square = end_decay(constants.beta2 * state[1] + (1.0 - constants.beta2) * g * g)
    velocity = end_decay(momentum * state[0] + g / (np.sqrt(square) + constants.epsilon))
    return w - rate * velocity, np.stack([velocity, square])


def clip(grads: Sequence[Floats], trainable: Sequence[bool], clip_value: float, clip_norm: float) -> list[Floats]:
    """Each gradient bounded by clip_value, then their norm, of those that are trainable, by clip_norm; 0: no bound."""
    if clip_value > 0:
        grads = [np.clip(g, -clip_value, clip_value) for g in grads]
    norm = np.sqrt(sum((g * g).sum() for g, free in zip(grads, trainable, strict=True) if free))
    factor = clip_norm / norm if 0 < clip_norm < norm else 1.0
    return [factor * g for g in grads]


def max_norm(w: Floats, radius: float) -> Floats:
    """Each column of w (n_in, n_out) projected onto the ball of that radius."""
    norms = np.sqrt((w * w).sum(axis=0))
    return w * np.where(norms > radius, radius / np.maximum(norms, radius), 1.0)


def update(
    w: Floats, v: Floats, g: Floats, name: str, rate: float, momentum: float = 0.0, constants: Adam | None = None
) -> tuple[Floats, Floats]:
    """(w, v) after one step.  name: "sgd", which leaves v alone, "momentum", "nesterov", "adam" or "rmsprop".

    constants: of "adam" and "rmsprop", whose v has two parts.
    """
    if name == "adam":
        assert constants is not None
        return adam(w, v, g, rate, constants)
    if name == "rmsprop":
        assert constants is not None
        return rmsprop(w, v, g, rate, momentum, constants)
    if name == "sgd":
        return w - rate * g, v
    v = end_decay(momentum * v + g)
    return w - rate * (momentum * v + g if name == "nesterov" else v), v


def restrained_update(
    w: Floats, v: Floats, g: Floats, name: str, rate: float, restraint: Restraint, decay: float = 0.0, **rule: Any
) -> tuple[Floats, Floats]:
    """(w, v) after one step of weights under a restraint and decoupled weight decay.  rule: what ``update`` takes."""
    g = g + restraint.l2 * w
    w, v = update(w - rate * decay * w, v, g, name, rate, **rule)
    w = soften(w, rate * restraint.l1)
    return max_norm(w, restraint.max_norm) if restraint.max_norm > 0 else w, v


# ---- networks --------------------------------------------------------------------------------------------------------


class Dropout(NamedTuple):
    """threshold of 65536; the factor of kept units in training; the factor of every unit in prediction."""

    threshold: int
    train_scale: float
    predict_scale: float


class Layer(NamedTuple):
    """A dense layer and the dropout of its output.  The last layer of a network has none."""

    n_out: int
    activation: Activation
    dropout: Dropout | None = None


class Network(NamedTuple):
    """Input x (n_batch, n_in), rescaled and then under a dropout of its own, and the layers that follow."""

    n_in: int
    scale: float
    offset: float
    input_dropout: Dropout | None
    layers: Sequence[Layer]


Params = Sequence[Floats]  # W and b of each layer in turn
Keeps = Sequence[Bools | None]  # masks of the input, then of each layer; None: all are kept


def keep_masks(net: Network, seed: int, step: int, n_batch: int) -> Keeps:
    """The masks of a training step."""
    sizes = [(net.n_in, net.input_dropout), *((layer.n_out, layer.dropout) for layer in net.layers)]
    return [d and dropout_keep(d.threshold, seed, step, i, n_batch, n) for i, (n, d) in enumerate(sizes)]


def _masks_and_scales(net: Network, keeps: Keeps | None) -> tuple[Keeps, list[float]]:
    dropouts = [net.input_dropout, *(layer.dropout for layer in net.layers)]
    scales = [1.0 if d is None else d.predict_scale if keeps is None else d.train_scale for d in dropouts]
    return [None] * len(dropouts) if keeps is None else keeps, scales


def forward(
    net: Network, params: Params, x: ArrayLike, keeps: Keeps | None = None
) -> tuple[list[Floats], list[Floats]]:
    """(outs, ys): values after dropout, and what is kept (``dense_forward``), first of the input.

    outs[-1] are the network's outputs.

    keeps: the masks of a training step; None: prediction.
    """
    masks, scales = _masks_and_scales(net, keeps)
    ys = [rescale(x, net.scale, net.offset).astype(np.float64)]
    outs = [dropout(ys[0], masks[0], scales[0])]
    for i, layer in enumerate(net.layers):
        w, b = params[2 * i : 2 * i + 2]
        out, y = dense_forward(outs[i], w, b, masks[i + 1], scales[i + 1], layer.activation)
        outs.append(out)
        ys.append(y)
    return outs, ys


def gradients(
    net: Network,
    params: Params,
    x: ArrayLike,
    targets: ArrayLike,
    loss_name: str,
    keeps: Keeps | None = None,
    weights: Floats | None = None,
) -> tuple[list[Floats], Floats, Ints]:
    """Gradients of the batch's mean loss, in the order of params; losses and hits of each row."""
    masks, scales = _masks_and_scales(net, keeps)
    outs, ys = forward(net, params, x, keeps)
    losses, hits, dy = loss(
        outs[-1], targets, loss_name, net.layers[-1].activation, 1.0 / len(outs[-1]), ys[-1], weights
    )
    grads: list[Floats] = []
    for i in reversed(range(len(net.layers))):
        grads[:0] = dense_backward_weight(outs[i], dy)
        if i > 0:
            dy = dense_backward_input(dy, params[2 * i], ys[i], masks[i], scales[i], net.layers[i - 1].activation)
    return grads, losses, hits


def sum_shared(grads: Sequence[Floats], same_as: Sequence[int]) -> list[Floats]:
    """Gradients of variables from those of each layer, where layers share them: summed in ascending order.

    same_as: of each layer 0, or 1 + the earlier layer whose variables it uses.
    """
    sums = list(grads)
    for i, other in enumerate(same_as):
        for k in range(2 if other > 0 else 0):
            sums[2 * (other - 1) + k] = sums[2 * (other - 1) + k] + grads[2 * i + k]
    return [g for i, g in enumerate(sums) if same_as[i // 2] == 0]


def train_step(
    net: Network,
    params: Params,
    velocity: Params,
    x: ArrayLike,
    targets: ArrayLike,
    loss_name: str,
    update_name: str,
    rate: float,
    momentum: float = 0.0,
    keeps: Keeps | None = None,
    trainable: Sequence[bool] | None = None,
    *,
    decay: float = 0.0,
    restraints: Sequence[Restraint] | None = None,
    constants: Adam | None = None,
    clip_value: float = 0.0,
    clip_norm: float = 0.0,
) -> tuple[list[Floats], list[Floats], Floats, Ints]:
    """(params, velocity) after one step, losses and hits before it.  What is not trainable keeps value and velocity.

    constants: for "adam" and "rmsprop", whose velocity is (2, *shape).

    decay: decoupled, of all weights.  restraints: of each layer's weights.  Biases have neither.
    Raises FloatingPointError where the batch's loss is not finite: such a step changes nothing.
    """
    grads, losses, hits = gradients(net, params, x, targets, loss_name, keeps)
    if not np.isfinite(losses.sum()):
        raise FloatingPointError(f"the loss of a batch must be finite, got {losses.sum()}")
    restraints = restraints or [Restraint()] * len(net.layers)
    free = trainable or [True] * len(params)
    grads = clip(grads, free, clip_value, clip_norm)
    moved, rule = list(zip(params, velocity, strict=True)), {"momentum": momentum, "constants": constants}
    for i, ((w, v), g) in enumerate(zip(moved, grads, strict=True)):
        if free[i] and i % 2 == 0:
            moved[i] = restrained_update(w, v, g, update_name, rate, restraints[i // 2], decay, **rule)
        elif free[i]:
            moved[i] = update(w, v, g, update_name, rate, momentum, constants)
    return [w for w, _ in moved], [v for _, v in moved], losses, hits
