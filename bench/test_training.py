"""One epoch: fastnn and its peers, on the same samples from the same parameters."""

from collections.abc import Callable

import pytest

from fastnn.bench import shapes, workloads
from fastnn.bench.peers import PEERS
from fastnn.bench.shapes import Shape
from fastnn.bench.workloads import Contender, Fastnn

CONTENDERS = [
    pytest.param(Fastnn, id="fastnn"),
    *(pytest.param(peer, id=name, marks=pytest.mark.peer) for name, peer in PEERS.items()),
]


@pytest.mark.parametrize("contender", CONTENDERS)
@pytest.mark.parametrize("shape", shapes.TRAINING, ids=lambda shape: shape.name)
@pytest.mark.parametrize("num_threads", [1, 2])
def test_epoch(
    measure: Callable[..., None],
    sized: Callable[[Shape], Shape],
    num_threads: int,
    shape: Shape,
    contender: type[Contender],
) -> None:
    shape = sized(shape)
    reason = contender.why_not(shape, num_threads)
    if reason is not None:
        pytest.skip(reason)
    measure(workloads.training(shape, num_threads, contender), rounds=5)
