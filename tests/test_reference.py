"""The specification itself: published vectors, closed forms, and central differences in float64."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pytest

from fastnn import reference as ref

SEED = 0x123456789ABCDEF0
LOSSES = ["sigmoid_cross_entropy", "softmax_cross_entropy", "squared_error"]
NEW_LOSSES = ["absolute_error", "huber", "poisson"]
ACTIVATIONS: list[Any] = ["linear", "sigmoid", "tanh", "relu"]
NEW_ACTIVATIONS: list[Any] = [("linear", 0.5, -0.25), ("leaky_relu", 0.125), ("elu", 1.25), "gelu", "silu", "softplus"]
KINKED = ("relu", ("leaky_relu", 0.125), ("elu", 1.25))
DROPOUT = {"none": None, "masks": ref.Dropout(49152, 4 / 3, 1.0), "naive": ref.Dropout(49152, 1.0, 0.75)}


def sigmas(share: float, n: int, times: float = 5.0) -> float:
    """How far the share of n independent draws may lie from its expectation."""
    return times * math.sqrt(share * (1.0 - share) / n)


# ---- randomness ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("counter", "key", "expected"),
    [  # Random123, kat_vectors
        ("00000000 00000000 00000000 00000000", "00000000 00000000", "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
        ("ffffffff ffffffff ffffffff ffffffff", "ffffffff ffffffff", "408f276d 41c83b0e a20bc7c6 6d5451fd"),
        ("243f6a88 85a308d3 13198a2e 03707344", "a4093822 299f31d0", "d16cfe09 94fdcceb 5001e420 24126ea1"),
    ],
)
def test_philox_gives_the_published_words(counter: str, key: str, expected: str) -> None:
    low, high = (int(word, 16) for word in key.split())
    words = ref.philox([int(word, 16) for word in counter.split()], high << 32 | low)
    assert " ".join(f"{int(word):08x}" for word in words) == expected


def test_philox_is_the_same_for_arrays_of_counters() -> None:
    a, b = np.arange(5), np.arange(3)[:, None]
    words = ref.philox((a, b, 7, 0xFFFFFFFF), SEED)
    assert all(word.shape == (3, 5) for word in words)
    for i, j in itertools.product(range(3), range(5)):
        assert [w[i, j] for w in words] == [int(w) for w in ref.philox((j, i, 7, 0xFFFFFFFF), SEED)]


def test_uniform_is_the_top_53_bits_of_two_words() -> None:
    assert ref.uniform(0, 0) == 0.0
    assert ref.uniform(0, 2047) == 0.0
    assert ref.uniform(0, 2048) == 2.0**-53
    assert ref.uniform(0xFFFFFFFF, 0xFFFFFFFF) == 1.0 - 2.0**-53


def test_fixed_values() -> None:
    """Written once by a C program over rng.h."""
    assert ref.permutation(5, SEED, epoch=7).tolist() == [0, 4, 1, 3, 2]
    assert ref.permutation(10, SEED, epoch=7).tolist() == [2, 0, 7, 5, 6, 1, 3, 9, 8, 4]
    keep = ref.dropout_keep(40000, SEED, 5, 2, 3, 19).astype(int).tolist()
    assert ["".join(map(str, row)) for row in keep] == [
        "1011111000101111000",
        "1110111111111011110",
        "1111100001100001111",
    ]


@pytest.mark.parametrize("n", [0, 1, 2, 3, 16, 1001])
def test_permutation_holds_every_index_once(n: int) -> None:
    order = ref.permutation(n, SEED)
    assert order.dtype == np.uint32
    assert sorted(order.tolist()) == list(range(n))


def test_permutation_depends_on_seed_epoch_and_stream() -> None:
    kinds = itertools.product([0, 1, 1 << 32], [0, 1], ["shuffle", "split"])
    assert len({ref.permutation(50, *kind).tobytes() for kind in kinds}) == 12


def test_permutations_are_uniform() -> None:
    """Chi-square over all 24 orders of 4.  Laurent and Massart (2000): with d degrees of freedom the statistic is
    above d + 2 sqrt(d t) + 2 t with probability <= exp(-t); t = 14 makes that one in a million."""
    n_draws, d, t = 4800, 23, 14.0
    counts = Counter(tuple(ref.permutation(4, SEED, epoch).tolist()) for epoch in range(n_draws))
    expected = n_draws / (d + 1)
    assert len(counts) == d + 1
    assert sum((count - expected) ** 2 for count in counts.values()) / expected < d + 2 * math.sqrt(d * t) + 2 * t


@pytest.mark.parametrize("threshold", [1, 6554, 32768, 52429, 65535])
def test_dropout_keeps_the_share_it_should(threshold: int) -> None:
    keep, p = ref.dropout_keep(threshold, SEED, 1, 1, 1000, 256), threshold / 65536
    assert abs(keep.mean() - p) <= sigmas(p, keep.size)
    # Pairs within a word, of neighbouring blocks and of neighbouring rows are independent.
    for a, b in [(keep[:, ::2], keep[:, 1::2]), (keep[:, 8:], keep[:, :-8]), (keep[1:], keep[:-1])]:
        assert abs((a & b).mean() - p * p) <= sigmas(
            p * p, a.size, 8.0
        )  # overlap at most doubles the variance: 8 > 5 sqrt(2)
    assert np.abs(keep.mean(axis=0) - p).max() <= sigmas(p, 1000, 6.0) + 1e-3


def test_dropout_masks_differ_by_step_layer_and_seed_and_nest_by_threshold() -> None:
    masks = [
        ref.dropout_keep(32768, *kind, 8, 64).tobytes() for kind in itertools.product([0, 1 << 63], [0, 1], [0, 1])
    ]
    assert len(set(masks)) == 8
    fewer, more = ref.dropout_keep(20000, SEED, 3, 1, 50, 50), ref.dropout_keep(30000, SEED, 3, 1, 50, 50)
    assert fewer.sum() < more.sum()
    assert not (fewer & ~more).any()
    assert ref.dropout_keep(65536, SEED, 3, 1, 100, 100).all()
    assert np.array_equal(more[:7, :9], ref.dropout_keep(30000, SEED, 3, 1, 7, 9))


@pytest.mark.parametrize(
    ("distribution", "mean", "deviation"),  # of the truncated one: 1 - 4 phi(2) / (2 Phi(2) - 1) = 0.7737
    [
        ("uniform", 2.5, 3.0 / math.sqrt(12.0)),
        ("normal", 1.0, 4.0),
        ("truncated_normal", 1.0, 4.0 * math.sqrt(0.77374)),
    ],
)
def test_drawn_moments(distribution: str, mean: float, deviation: float) -> None:
    n = 20000
    x = ref.draw(n, distribution, 1.0, 4.0, SEED, 3)
    assert abs(x.mean() - mean) <= 5 * deviation / math.sqrt(n)
    assert abs(x.std() - deviation) <= 5 * deviation / math.sqrt(2 * n)  # exact for the normal, generous for the others
    assert distribution != "uniform" or (x.min() >= 1.0 and x.max() < 4.0)
    assert distribution != "truncated_normal" or np.abs(x - 1.0).max() <= 8.0
    assert not np.isin(x, ref.draw(n, distribution, 1.0, 4.0, SEED, 4)).any()


# ---- element-wise and dense ------------------------------------------------------------------------------------------


def test_rescaled_bytes_are_the_nearest_floats() -> None:
    x = np.arange(256, dtype=np.uint8)
    assert ref.rescale(x, 1 / 255).dtype == np.float32
    assert np.array_equal(ref.rescale(x, 1 / 255), (x / 255.0).astype(np.float32))
    assert ref.rescale(np.float32([3.0]), 0.1, -0.3)[0] == np.float32(3.0 * 0.1 - 0.3) != 0.0  # no fused multiply-add


def test_activations_at_the_ends() -> None:
    z = np.array([-np.inf, -1e4, -0.0, 0.0, 1e4, np.inf, np.nan])
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        relu, sigmoid = ref.apply(z, "relu"), ref.apply(z, "sigmoid")
    assert relu[:-1].tolist() == [0, 0, 0, 0, 1e4, np.inf]
    assert not np.signbit(relu[:4]).any()
    assert sigmoid[:-1].tolist() == [0, 0, 0.5, 0.5, 1, 1]
    assert np.isnan([relu[-1], sigmoid[-1]]).all()
    np.testing.assert_allclose(ref.sigmoid(np.array([-30.0, -1.0, 2.0])), [1 / (1 + math.exp(v)) for v in (30, 1, -2)])


@pytest.mark.parametrize(("n_in", "shift"), [(1, 0.0), (3, 5.0), (100, 0.0), (784, 5.0)])
def test_dense_tolerance_bounds_a_float32_chain_and_is_no_blanket(n_in: int, shift: float) -> None:
    rng = np.random.default_rng(n_in)
    x, w, b = (rng.normal(shift, 1.0, s).astype(np.float32) for s in [(9, n_in), (n_in, 17), (17,)])
    chain = np.broadcast_to(b, (9, 17))
    for k in range(n_in):  # products are exact in float64; rounding the sum twice is off by 2**-29 of the bound
        chain = (np.outer(x[:, k], w[k]).astype(np.float64) + chain).astype(np.float32)
    exact, tolerance = ref.dense_forward(*(a.astype(np.float64) for a in (x, w, b)))[0], ref.dense_tolerance(x, w, b)
    error = np.abs(chain - exact)
    assert (error <= tolerance).all()
    assert error.max() > 0.0
    dropped = np.abs(exact - x[:, -1:].astype(np.float64) * w[-1] - exact)  # a kernel that forgets the last input
    assert (dropped > tolerance).mean() > 0.9


# ---- losses ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", LOSSES)
def test_class_indices_are_one_hot_rows(name: str) -> None:
    rng = np.random.default_rng(1)
    y, labels = rng.normal(size=(50, 4)), rng.integers(0, 4, 50)
    one_hot = (labels[:, None] == np.arange(4)).astype(np.float32)
    for a, b in zip(ref.loss(y, labels, name, "tanh", 0.1), ref.loss(y, one_hot, name, "tanh", 0.1), strict=True):
        assert np.array_equal(a, b)


def test_losses_by_hand() -> None:
    y, log3 = np.array([[0.0, math.log(3.0)]]), math.log(3.0)
    losses, hits, dy = ref.loss(y, [[0.5, 0.5]], "softmax_cross_entropy", "linear", 2.0)
    np.testing.assert_allclose(losses, -0.5 * math.log(0.25) - 0.5 * math.log(0.75))
    np.testing.assert_allclose(dy, [[-0.5, 0.5]])
    assert hits.tolist() == [0]  # the first maximum of the target is class 0
    losses, hits, dy = ref.loss(y, [[1.0, 0.25]], "sigmoid_cross_entropy", "linear", 2.0)
    np.testing.assert_allclose(losses, math.log(2.0) + math.log(4.0) - 0.25 * log3)
    np.testing.assert_allclose(dy, [[-1.0, 1.0]])
    assert hits.tolist() == [0]
    losses, hits, dy = ref.loss(y, [[1.0, 0.0]], "squared_error", "linear", 2.0)
    np.testing.assert_allclose(losses, 0.5 + 0.5 * log3**2)
    np.testing.assert_allclose(dy, [[-2.0, 2.0 * log3]])
    assert hits.tolist() == [0]


def test_hits() -> None:
    y = np.array([[1.0, 1.0, 0.0], [0.0, 1.0, 1.0], [-1.0, -3.0, -2.0]])
    assert ref.loss(y, [0, 2, 0], "softmax_cross_entropy", "linear", 1.0)[1].tolist() == [1, 0, 1]
    t = [[1.0, 0.4, 0.5], [0.0, 0.6, 1.0], [1.0, 0.0, 1.0]]
    assert ref.loss(y, t, "sigmoid_cross_entropy", "linear", 1.0)[1].tolist() == [2, 3, 1]


def test_output_links() -> None:
    y = np.random.default_rng(2).normal(0.0, 3.0, (20, 7))
    np.testing.assert_allclose(ref.output(y, "softmax"), np.exp(y - ref.log_sum_exp(y)), rtol=1e-12)
    np.testing.assert_allclose(ref.output(y, "softmax").sum(axis=1), 1.0, rtol=1e-14)
    np.testing.assert_allclose(ref.output(y[:, :1], "sigmoid"), ref.softmax(np.c_[y[:, :1], np.zeros(20)])[:, :1])
    assert np.array_equal(ref.output(y, "identity"), y)


@pytest.mark.parametrize("name", ["softmax_cross_entropy", "sigmoid_cross_entropy"])
def test_huge_logits(name: str) -> None:
    y = np.array([[1e4, -1e4, 0.0], [-1e4, -1e4, -1e4], [3e38, -3e38, 1.0]])
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        right, wrong = ref.loss(y, [0, 1, 0], name, "linear", 1.0), ref.loss(y, [1, 0, 1], name, "linear", 1.0)
        p = ref.softmax(y)
    assert all(np.isfinite(part).all() for part in (*right, *wrong))
    np.testing.assert_allclose(p, [[1, 0, 0], [1 / 3, 1 / 3, 1 / 3], [1, 0, 0]])
    expected = {
        "softmax_cross_entropy": ([0.0, math.log(3), 0.0], [2e4, math.log(3), 6e38]),
        "sigmoid_cross_entropy": ([math.log(2), 1e4, math.log1p(math.e)], [2e4 + math.log(2), 1e4, 6e38]),
    }[name]
    np.testing.assert_allclose((right[0], wrong[0]), expected, rtol=1e-12)


# ---- gradients -------------------------------------------------------------------------------------------------------


def test_sigmoid_neuron_gradient_in_closed_form() -> None:
    """dE/dw_k = -sum over samples of x_k y (1 - y) (t - y), E summed over the batch (ours is the mean)."""
    rng = np.random.default_rng(3)
    x, t, w, b = rng.normal(size=(11, 4)), rng.uniform(size=(11, 1)), rng.normal(size=(4, 1)), rng.normal(size=1)
    grads, _, _ = ref.gradients(network(4, [1], "sigmoid"), [w, b], x, t, "squared_error")
    x = x.astype(np.float32)  # what Rescaling leaves
    y = 1.0 / (1.0 + np.exp(-(x.astype(np.float64) @ w + b)))
    expected = [-sum(x[s, k] * y[s, 0] * (1 - y[s, 0]) * (t[s, 0] - y[s, 0]) for s in range(11)) for k in range(4)]
    np.testing.assert_allclose(grads[0][:, 0] * 11, expected, rtol=1e-12)


def test_backpropagation_in_the_books_scalars() -> None:
    """dE/dy_j = -(t_j - y_j) at the output, dE/dy_i = sum_j w_ij y_j (1 - y_j) dE/dy_j below,
    dE/dw_ij = y_i y_j (1 - y_j) dE/dy_j: one sample, sigmoid layers, no arrays."""
    rng, sizes = np.random.default_rng(4), [3, 5, 4, 2]
    params = [rng.normal(size=s) for n_in, n in itertools.pairwise(sizes) for s in [(n_in, n), (n,)]]
    x, t = rng.normal(size=(1, 3)).astype(np.float32), rng.uniform(size=(1, 2))
    net = network(3, sizes[1:], "sigmoid")
    grads, _, _ = ref.gradients(net, params, x, t, "squared_error")
    ys = [y[0] for y in ref.forward(net, params, x)[1]]
    d = [-(t[0, j] - ys[3][j]) for j in range(2)]
    for layer in (2, 1, 0):
        w, below, y = params[2 * layer], ys[layer], ys[layer + 1]
        slope = [y[j] * (1 - y[j]) * d[j] for j in range(len(y))]
        dw = [[below[i] * slope[j] for j in range(len(y))] for i in range(len(below))]
        np.testing.assert_allclose(grads[2 * layer], dw, rtol=1e-12)
        np.testing.assert_allclose(grads[2 * layer + 1], slope, rtol=1e-12)
        d = [sum(w[i, j] * slope[j] for j in range(len(y))) for i in range(len(below))]


def network(
    n_in: int, sizes: Sequence[int], activation: Any, dropout: ref.Dropout | None = None, input_dropout: bool = False
) -> ref.Network:
    hidden = [ref.Layer(n, activation, dropout) for n in sizes[:-1]]
    return ref.Network(n_in, 1.0, 0.0, dropout if input_dropout else None, [*hidden, ref.Layer(sizes[-1], activation)])


def random_targets(rng: np.random.Generator, name: str, shape: tuple[int, int]) -> ref.Floats:
    """Soft targets: rows that sum to 1 for softmax, of [0, 1] for sigmoid, any for regression."""
    t = rng.uniform(0.05, 0.95, shape) if name.endswith("entropy") else 2.0 * rng.normal(size=shape)
    if name == "poisson":
        return np.abs(t)
    return t / t.sum(axis=1, keepdims=True) if name == "softmax_cross_entropy" else t


class Case(NamedTuple):
    net: ref.Network
    params: list[ref.Floats]
    keeps: ref.Keeps | None
    x: ref.Floats
    t: ref.Floats
    loss: str

    def mean_loss(self, params: ref.Params) -> float:
        y = ref.forward(self.net, params, self.x, self.keeps)[0][-1]
        return float(ref.loss(y, self.t, self.loss, "linear", 1.0)[0].mean())

    def gradients(self) -> list[ref.Floats]:
        return ref.gradients(self.net, self.params, self.x, self.t, self.loss, self.keeps)[0]

    def degeneracy(self) -> str:
        """Why differences would say little about this case, or ""."""
        outs, _ = ref.forward(self.net, self.params, self.x, self.keeps)
        layers = zip(outs[:-1], self.params[::2], self.params[1::2], strict=True)
        z = np.concatenate([(out @ w + b).ravel() for out, w, b in layers])
        kept = np.concatenate([keep.ravel() for keep in self.keeps or [] if keep is not None] or [[]])
        if min(np.abs(g).max() for g in self.gradients()) < 1e-4:
            return "a variable has no gradient"
        if self.net.layers[0].activation in KINKED and np.abs(z).min() < 1e-4:
            return "a logit is at the kink"
        if self.x.size == 1:  # a single path: nothing may be off
            return ""
        if not z.min() < 0.0 < z.max():
            return "one branch only"
        if self.keeps is not None and not 0.0 < kept.mean() < 1.0:
            return "dropout drops nothing"
        return ""


def random_case(activation: Any, loss: str, depth: int, width: int, n_batch: int, dropout: str) -> Case:
    """The first of a series of random networks that is not degenerate."""
    n_out = max(width, 3) if loss == "softmax_cross_entropy" else width  # one softmax output is constant
    sizes = [width] * depth + [n_out]
    net = network(width, sizes[1:], activation, DROPOUT[dropout], input_dropout=True)
    gain = 4.0 if activation == "sigmoid" else 1.5  # or depth makes the gradients vanish
    for attempt in range(2000):
        rng = np.random.default_rng([attempt, depth, width, n_batch])
        x = rng.normal(size=(n_batch, width)).astype(np.float32)
        params = []
        for n_in, n in itertools.pairwise(sizes):
            params += [rng.normal(0.0, gain / math.sqrt(n_in), (n_in, n)), rng.normal(0.0, 0.5, n)]
        keeps = ref.keep_masks(net, SEED, attempt, n_batch) if dropout == "masks" else None
        case = Case(net, params, keeps, x, random_targets(rng, loss, (n_batch, n_out)), loss)
        if not case.degeneracy():
            return case
    raise AssertionError(f"every network is degenerate, the last because {case.degeneracy()}")


@pytest.mark.parametrize("dropout", ["none", "masks", "naive"])
@pytest.mark.parametrize("n_batch", [1, 7])
@pytest.mark.parametrize(
    ("activation", "loss", "depth"),
    [
        *itertools.product(ACTIVATIONS, LOSSES, [1, 2, 3, 4, 5]),
        *itertools.product(["tanh"], NEW_LOSSES, [1, 3]),
        *itertools.product(NEW_ACTIVATIONS, ["softmax_cross_entropy"], [1, 3]),
    ],
    ids=str,
)
def test_gradients_are_central_differences(activation: Any, loss: str, depth: int, n_batch: int, dropout: str) -> None:
    """Along random directions in each variable, so that every element counts."""
    for width in (1, 3, 17):
        case, h = random_case(activation, loss, depth, width, n_batch, dropout), 1e-6
        rng = np.random.default_rng(width)
        for i, g in enumerate(case.gradients()):
            for _ in range(2):
                direction = rng.normal(size=g.shape)
                direction /= np.linalg.norm(direction)
                ends = [[p + s * h * direction if k == i else p for k, p in enumerate(case.params)] for s in (1, -1)]
                difference = (case.mean_loss(ends[0]) - case.mean_loss(ends[1])) / (2 * h)
                assert abs(difference - (g * direction).sum()) <= 1e-8 + 1e-6 * np.abs(g).max(), (width, i)


# ---- dropout, updates, training --------------------------------------------------------------------------------------


@pytest.mark.parametrize("p", [0.25, 0.5, 0.8])
def test_dropout_means(p: float) -> None:
    """Per unit, over many steps: a naive mask has mean p x, an inverted one mean x."""
    threshold, n, n_steps, n_batch = round(65536 * p), 12, 50, 400
    x = np.random.default_rng(5).normal(size=n)
    bound = sigmas(p, n_steps * n_batch) + 2.0**-16  # the threshold rounds p
    rows = np.tile(x, (n_batch, 1))
    keeps = [ref.dropout_keep(threshold, SEED, step, 1, n_batch, n) for step in range(n_steps)]
    naive, inverted = (
        np.mean([ref.dropout(rows, keep, scale) for keep in keeps], axis=(0, 1)) for scale in (1.0, 65536 / threshold)
    )
    assert (np.abs(naive - p * x) <= bound * np.abs(x)).all()
    assert (np.abs(inverted - x) <= bound / p * np.abs(x)).all()


def test_keeping_all_is_no_dropout() -> None:
    case = random_case("relu", "softmax_cross_entropy", 3, 17, 7, "none")
    net = network(17, [17, 17, 17], "relu", ref.Dropout(65536, 1.0, 1.0), input_dropout=True)
    same = case._replace(net=net, keeps=ref.keep_masks(net, SEED, 4, 7))
    assert [keep is None for keep in same.keeps or []] == [False, False, False, True]
    for a, b in zip(case.gradients(), same.gradients(), strict=True):
        assert np.array_equal(a, b)


def test_prediction_scales_every_unit() -> None:
    case = random_case("tanh", "squared_error", 2, 3, 7, "naive")
    w1, b1, w2, b2 = case.params
    hidden = np.tanh(0.75 * case.x.astype(np.float64) @ w1 + b1)
    np.testing.assert_allclose(ref.forward(case.net, case.params, case.x)[0][-1], np.tanh(0.75 * hidden @ w2 + b2))


def test_updates_by_hand() -> None:
    w, v, g = np.array([1.0]), np.array([4.0]), np.array([2.0])
    assert ref.update(w, v, g, "sgd", 0.5) == (0.0, 4.0)
    assert ref.update(w, v, g, "momentum", 0.5, 0.25) == (1.0 - 0.5 * 3.0, 3.0)
    assert ref.update(w, v, g, "nesterov", 0.5, 0.25) == (1.0 - 0.5 * (0.25 * 3.0 + 2.0), 3.0)


def train(update: str, momentum: float, epochs: int = 4, trainable: list[bool] | None = None) -> Any:
    """Training with dropout in batches of 7, the last ragged: parameters before, parameters after, mean losses."""
    start, step, history = random_case("relu", "softmax_cross_entropy", 2, 17, 7, "masks"), 0, []
    rng = np.random.default_rng(6)
    x, labels = rng.normal(size=(17, 17)).astype(np.float32), rng.integers(0, 17, 17)
    params, velocity = start.params, [np.zeros_like(p) for p in start.params]
    for epoch in range(epochs):
        total, order = 0.0, ref.permutation(len(x), SEED, epoch)
        for rows in np.split(order, [7, 14]):
            batch = params, velocity, x[rows], labels[rows], start.loss
            keeps = ref.keep_masks(start.net, SEED, step, len(rows))
            params, velocity, losses, _ = ref.train_step(start.net, *batch, update, 0.1, momentum, keeps, trainable)
            total, step = total + losses.sum(), step + 1
        history.append(total / len(x))
    return start.params, params, history


@pytest.mark.parametrize(("update", "momentum"), [("sgd", 0.0), ("momentum", 0.5), ("nesterov", 0.5)])
def test_training_lowers_the_loss(update: str, momentum: float) -> None:
    _, _, history = train(update, momentum, epochs=40)
    assert np.mean(history[-5:]) < 0.5 * history[0]


def test_no_momentum_is_sgd() -> None:
    for update in ("momentum", "nesterov"):
        for a, b in zip(train(update, 0.0)[1], train("sgd", 0.0)[1], strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-12)


@pytest.mark.parametrize("frozen", range(4))
def test_frozen_variables_stay_and_the_others_move(frozen: int) -> None:
    before, after, _ = train("momentum", 0.5, trainable=[i != frozen for i in range(4)])
    assert [np.array_equal(a, b) for a, b in zip(before, after, strict=True)] == [i == frozen for i in range(4)]


def test_divergence_is_an_error() -> None:
    case = random_case("linear", "squared_error", 1, 3, 7, "none")
    w, b = case.params
    with pytest.raises(FloatingPointError, match="finite, got nan"):
        ref.train_step(case.net, [w * np.nan, b], [w, b], case.x, case.t, case.loss, "sgd", 0.1)
