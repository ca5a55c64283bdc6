"""How many threads a training uses while other programs compete for the cores: the number never changes a result."""

from __future__ import annotations

_MUCH_WAITING = 0.3  # of the time; a team that has its cores to itself waits for less than a tenth of it
_PATIENCE = 20  # slices on one thread before the team is tried again: about a second


class Pace:
    """Chooses between a team of so many threads and one alone, from what the last slices of work achieved.

    A team waits for its slowest member, so on cores that are taken it can be slower than one thread.
    threads: for the next slice.
    """

    def __init__(self, threads: int) -> None:
        self._team = self.threads = threads
        self._team_rate = 0.0
        self._alone = 0  # slices in a row

    def report(self, rate: float, waiting: float) -> None:
        """rate: steps a second of the last slice. waiting: the part of its time that threads waited for each other."""
        if self.threads > 1:
            self._team_rate = rate
            self.threads = 1 if waiting > _MUCH_WAITING else self._team
            return
        self._alone += 1
        if rate < self._team_rate or self._alone == _PATIENCE:
            self.threads, self._alone = self._team, 0
