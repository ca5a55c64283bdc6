"""How many threads a training uses while other programs compete for the cores: the number never changes a result."""

from __future__ import annotations

_MUCH_WAITING = 0.3  # of the time; a team that has its cores to itself waits for less than a tenth of it
_PATIENCE = 32  # slices on one thread, at most, before the team is tried again: one or two seconds


class Pace:
    """Chooses between a team of so many threads and one alone, from what the last slices of work achieved.

    A team waits for its slowest member, so on cores that are taken it can be slower than one thread.
    threads: for the next slice.
    """

    def __init__(self, threads: int) -> None:
        self._team = self.threads = threads
        self._team_rate = 0.0
        self._patience = 1  # slices on one thread before the team is tried again, twice as many each time it fails
        self._alone = 0  # such slices so far

    def report(self, rate: float, waiting: float) -> None:
        """rate: steps a second of the last slice. waiting: the part of its time that threads waited for each other."""
        if self.threads > 1:
            self._team_rate = rate
            if waiting <= _MUCH_WAITING:
                self._patience = 1
            else:
                self.threads, self._alone = 1, 0
        elif self._team > 1:
            self._alone += 1
            if rate < self._team_rate or self._alone == self._patience:
                self.threads, self._patience = self._team, min(2 * self._patience, _PATIENCE)
