"""Fixtures of several test files."""

from collections.abc import Iterator

import numpy as np
import pytest

from fastnn import _core, runtime


@pytest.fixture(params=_core.available_isas())
def isa(request: pytest.FixtureRequest) -> Iterator[str]:
    """Runs the test with each kernel table that this CPU runs."""
    before = _core.isa()
    _core.use_isa(request.param)
    yield request.param
    _core.use_isa(before)


@pytest.fixture
def one_thread() -> Iterator[None]:
    runtime.set_num_threads(1)
    yield
    runtime.set_num_threads(None)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(20260)
