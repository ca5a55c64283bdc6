"""Many networks at once, and one after the other: an epoch of each, on the same samples from the same parameters."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from fastnn.bench import many
from fastnn.bench.many import Case
from fastnn.bench.shapes import Shape


@pytest.mark.parametrize("way", many.WAYS)
@pytest.mark.parametrize("case", many.CASES, ids=lambda case: case.name)
def test_many_networks(
    measure: Callable[..., None], shortened: Callable[[Shape], Shape], num_threads: int, case: Case, way: str
) -> None:
    measure(many.workload(replace(case, shape=shortened(case.shape)), num_threads, way), rounds=5)
