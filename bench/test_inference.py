"""Class probabilities from the book's MLP, one row to ten thousand a call: fastnn and its peers."""

from collections.abc import Callable

import pytest

from fastnn.bench import shapes, workloads
from fastnn.bench.peers import PEERS
from fastnn.bench.workloads import Contender, Fastnn

CONTENDERS = [
    pytest.param(Fastnn, id="fastnn"),
    *(pytest.param(peer, id=name, marks=pytest.mark.peer) for name, peer in PEERS.items()),
]


@pytest.mark.parametrize("contender", CONTENDERS)
@pytest.mark.parametrize("n_batch", shapes.INFERENCE)
@pytest.mark.parametrize("num_threads", [1, 2])
def test_probabilities(
    measure: Callable[..., None],
    rows: Callable[[int], int],
    num_threads: int,
    n_batch: int,
    contender: type[Contender],
) -> None:
    reason = contender.why_not(shapes.A, num_threads)
    if reason is not None:
        pytest.skip(reason)
    measure(workloads.inference(shapes.A, rows(n_batch), num_threads, contender))
