"""The choice between a team of threads and one alone."""

from __future__ import annotations

import numpy as np

import fastnn as fnn
from fastnn._pace import Pace


def test_a_team_that_works_stays() -> None:
    pace = Pace(4)
    for _ in range(50):
        assert pace.threads == 4
        pace.report(rate=100, waiting=0.1)


def test_one_thread_takes_over_where_a_team_waits_and_is_slower() -> None:
    pace, alone = Pace(2), []
    for _ in range(200):
        if pace.threads == 2:
            pace.report(rate=100, waiting=0.6)
            alone.append(0)
        else:
            pace.report(rate=120, waiting=0)
            alone[-1] += 1
    assert alone[:7] == [1, 2, 4, 8, 16, 32, 32]  # slices before the team is tried again

    while pace.threads == 1:
        pace.report(rate=120, waiting=0)
    pace.report(rate=300, waiting=0.05)  # its cores are free again
    assert pace.threads == 2
    pace.report(rate=100, waiting=0.6)
    pace.report(rate=120, waiting=0)
    assert pace.threads == 2


def test_a_team_that_waits_but_is_faster_returns_at_once() -> None:
    pace = Pace(2)
    pace.report(rate=100, waiting=0.4)
    assert pace.threads == 1
    pace.report(rate=80, waiting=0)
    assert pace.threads == 2


def test_one_thread_stays_one() -> None:
    pace = Pace(1)
    for rate in (1, 100, 1):
        pace.report(rate=rate, waiting=0)
        assert pace.threads == 1


def test_a_changing_number_of_threads_changes_no_bit(monkeypatch) -> None:
    x, y = np.random.default_rng(0).standard_normal((3000, 40)).astype(np.float32), np.arange(3000) % 5

    def trained(num_threads: int | None) -> bytes:
        net = fnn.Network(40, [fnn.Dense(200, "relu"), fnn.Dropout(0.8), fnn.Dense(200, "tanh"), fnn.Dense(5)], seed=0)
        fnn.Trainer(net, optimizer=fnn.SGD(0.1, momentum=0.9)).fit(
            x, y, epochs=12, num_threads=num_threads, progress=False
        )
        return b"".join(variable.value.tobytes() for variable in net.variables.values())

    expected = trained(1)
    used = []

    def alternate(self: Pace, rate: float, waiting: float) -> None:
        assert rate > 0
        assert 0 <= waiting <= 1
        used.append(self.threads)
        self.threads = 1 + self.threads % 3

    monkeypatch.setattr(Pace, "report", alternate)
    monkeypatch.setattr(fnn.Network, "_threads", lambda self, n_batch, num_threads, limit=None: num_threads or 3)
    assert trained(None) == expected
    assert set(used) == {1, 2, 3}
