"""Class probabilities from the book's MLP, one row to ten thousand a call: fastnn and its peers."""

from collections.abc import Callable

import pytest

from fastnn.bench import shapes, workloads
from fastnn.bench.shapes import Row
from fastnn.bench.workloads import Contender

ROWS = [row for row in shapes.ROWS if not row.trains]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_probabilities(
    measure: Callable[..., None],
    sized: Callable[[Row], Row],
    can: Callable[[type[Contender], Row, int], None],
    num_threads: int,
    row: Row,
    contender: type[Contender],
) -> None:
    row = sized(row)
    can(contender, row, num_threads)
    measure(workloads.of_row(row, num_threads, contender))
