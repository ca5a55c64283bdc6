"""The kernels, one kind at a time: element-wise functions, a dense layer forward and in training, dropout."""

from collections.abc import Callable

import pytest

from fastnn.bench import shapes, workloads
from fastnn.bench.peers import NumPy
from fastnn.bench.shapes import Shape
from fastnn.bench.workloads import Contender, Fastnn

CONTENDERS = [pytest.param(Fastnn, id="fastnn"), pytest.param(NumPy, id="numpy", marks=pytest.mark.peer)]
NUMPY_HAS = ("exp", "log", "log1p", "tanh")


@pytest.mark.parametrize("name", shapes.FUNCTIONS)
def test_function(measure: Callable[..., None], name: str) -> None:
    measure(workloads.function(name))


@pytest.mark.peer
@pytest.mark.parametrize("name", NUMPY_HAS)
def test_function_of_numpy(measure: Callable[..., None], name: str) -> None:
    measure(workloads.function(name, contender="numpy"))


@pytest.mark.parametrize("library", CONTENDERS)
@pytest.mark.parametrize("shape", shapes.DENSE, ids=lambda shape: shape.name)
def test_dense_forward(measure: Callable[..., None], num_threads: int, shape: Shape, library: type[Contender]) -> None:
    reason = library.why_not(shape, num_threads)
    if reason is not None:
        pytest.skip(reason)
    measure(workloads.inference(shape, shape.batch_size, num_threads, library))


@pytest.mark.parametrize("library", CONTENDERS)
@pytest.mark.parametrize("shape", shapes.DENSE, ids=lambda shape: shape.name)
def test_dense_training(
    measure: Callable[..., None],
    shortened: Callable[[Shape], Shape],
    num_threads: int,
    shape: Shape,
    library: type[Contender],
) -> None:
    reason = library.why_not(shape, num_threads)
    if reason is not None:
        pytest.skip(reason)
    measure(workloads.training(shortened(shape), num_threads, library), rounds=5)


@pytest.mark.parametrize("shape", shapes.DROPOUT, ids=lambda shape: shape.name)
def test_dropout(
    measure: Callable[..., None], shortened: Callable[[Shape], Shape], num_threads: int, shape: Shape
) -> None:
    measure(workloads.training(shortened(shape), num_threads), rounds=5)
