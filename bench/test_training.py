"""One epoch: fastnn and its peers, on the same samples from the same parameters."""

from collections.abc import Callable

import pytest

from fastnn.bench import shapes, workloads
from fastnn.bench.shapes import Row
from fastnn.bench.workloads import Contender

ROWS = [row for row in shapes.ROWS if row.trains]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_epoch(
    measure: Callable[..., None],
    sized: Callable[[Row], Row],
    can: Callable[[type[Contender], Row, int], None],
    num_threads: int,
    row: Row,
    contender: type[Contender],
) -> None:
    row = sized(row)
    can(contender, row, num_threads)
    measure(workloads.of_row(row, num_threads, contender), rounds=5)
