"""Points of the plane in two classes, 0 and 1: what the examples of chapters 1 and 2 learn from. x (n, 2), y (n,)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Points = tuple[NDArray[np.float32], NDArray[np.int64]]


def xor(n: int, seed: int) -> Points:
    """Class 1 where one coordinate is positive and the other is not: no line separates them."""
    random = np.random.default_rng(seed)
    centers = random.choice((-1.0, 1.0), (n, 2))
    x = centers + random.uniform(-0.7, 0.7, (n, 2))
    return x.astype(np.float32), (centers[:, 0] != centers[:, 1]).astype(np.int64)


def rings(n: int, seed: int) -> Points:
    """Class 0 around the origin, class 1 around class 0."""
    random = np.random.default_rng(seed)
    y = random.integers(0, 2, n)
    radius, angle = random.uniform(0.0, 0.8, n) + 1.2 * y, random.uniform(0, 2 * np.pi, n)
    return (radius[:, None] * np.column_stack([np.cos(angle), np.sin(angle)])).astype(np.float32), y


def moons(n: int, seed: int, noise: float = 0.25) -> Points:
    """Two half circles that reach into each other, blurred: the boundary is a curve, and a few points lie beyond it."""
    random = np.random.default_rng(seed)
    y = random.integers(0, 2, n)
    angle = random.uniform(0, np.pi, n)
    x = np.column_stack([np.cos(angle), np.sin(angle)])
    x[y == 1] = np.array([1.0, 0.5]) - x[y == 1]
    return (x - [0.5, 0.25] + random.normal(0, noise, (n, 2))).astype(np.float32), y


def board(n: int, seed: int, spread: float = 0.35) -> Points:
    """Nine clouds in the places of a board of three by three, classes in turn: a boundary with many corners."""
    random = np.random.default_rng(seed)
    place = random.integers(0, 9, n)
    x = 1.5 * np.column_stack([place // 3 - 1, place % 3 - 1]) + random.normal(0, spread, (n, 2))
    return x.astype(np.float32), place % 2
