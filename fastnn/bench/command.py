"""``fastnn bench``: times fastnn, and with --peers other libraries, on workloads of several kinds.

Each number of threads gets a process of its own, as some libraries choose their threads once, at their start.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from . import shapes

if TYPE_CHECKING:
    from pathlib import Path

    from .report import Report

__all__ = ["SAYS", "add_flags", "run"]

SAYS = "time training and prediction; with --peers, other libraries beside them"
_SMOKE_STEPS, _SMOKE_ROWS = 5, 100


def add_flags(parser: argparse.ArgumentParser) -> None:
    add, names = parser.add_argument, ", ".join(row.name for row in shapes.ROWS)
    add("workloads", nargs="*", metavar="WORKLOAD", help=f"a name, or a pattern such as 'predict_*': {names}; all")
    add("--peers", action="store_true", help="every other library that is installed, too")
    add("--threads", metavar="N", type=_positive, nargs="+", default=None, help="default: 1 and all CPUs")
    add("--rounds", metavar="N", type=_positive, default=5, help="timed rounds of each contender (default: 5)")
    add("--profile", action="store_true", help="where the time of fastnn's training steps goes, instead")
    add("--costs", action="store_true", help="what features cost beside plain gradient descent on A, instead")
    add("--smoke", action="store_true", help="few steps, few rows, small layers: does it run?")
    add("--json", metavar="FILE", type=_path, help="save what was measured, and on what")
    add("--load", metavar="FILE", type=_path, help="measure nothing: tables and plots of what --json saved")
    add("--plot", metavar="PATH", type=_path, help="save plots: both in a file, or one each in a directory")


def _positive(text: str) -> int:
    try:
        value = int(text)
    except ValueError:
        value = 0
    if value < 1:
        raise argparse.ArgumentTypeError(f"must be a positive integer, got {text!r}")
    return value


def _path(text: str) -> Path:
    from pathlib import Path

    return Path(text)


def run(options: argparse.Namespace) -> int:
    """Exit status: 0, or 1 where a result was wrong and the workload was not timed."""
    rows = _rows(options)
    _check_paths(options)
    threads = options.threads or _default_threads()
    if options.profile:
        return _profiled(rows, threads)
    if options.costs:
        return _costed(options, threads)
    if options.load is not None:
        report, status = _loaded(options), 0
    elif len(threads) == 1:
        report, status = _measured(rows, threads[0], options)
    else:
        report, status = _measured_apart(threads, options)
    if options.json is not None:
        report.save(options.json)
    if options.plot is not None:
        from . import plots

        for path in plots.save(report, options.plot):
            print(f"Plot saved: {path}")
    return status


def _rows(options: argparse.Namespace) -> list[shapes.Row]:
    try:
        rows = shapes.select(options.workloads)
    except ValueError as error:
        options.parser.error(f"argument WORKLOAD: {error}")
    return list(dict.fromkeys(row.smaller(_SMOKE_STEPS, _SMOKE_ROWS) for row in rows)) if options.smoke else rows


def _check_paths(options: argparse.Namespace) -> None:
    """Before anything is measured, so that nothing is lost to a wrong name."""
    if options.json is not None and (not options.json.parent.is_dir() or options.json.is_dir()):
        expected = "a file in a directory that exists"
        options.parser.error(f"argument --json: must be {expected}, got {str(options.json)!r}")
    if options.plot is not None:
        from . import plots

        if (wrong := plots.check(options.plot)) is not None:
            options.parser.error(f"argument --plot: {wrong}")


def _default_threads() -> list[int]:
    from .machine import cpus

    return sorted({1, cpus()})


def _loaded(options: argparse.Namespace) -> Report:
    from .report import Report

    try:
        report = Report.load(options.load)
    except ValueError as error:
        options.parser.error(f"argument --load: {error}")
    print(report.header())
    for results in report.groups():
        print(f"\n{report.text(results)}")
    return report


def _profiled(rows: Sequence[shapes.Row], threads: Sequence[int]) -> int:
    from .profile import profile

    for row in rows:
        for n in threads if row.trains else ():
            print(
                f"\n{row.name}: {row.description}\n{n} thread{'' if n == 1 else 's'}\n{profile(row.shape, n)}",
                flush=True,
            )
    return 0


def _costed(options: argparse.Namespace, threads: Sequence[int]) -> int:
    from .costs import costs

    (row,) = shapes.select(["A"])
    shape = row.smaller(_SMOKE_STEPS, _SMOKE_ROWS).shape if options.smoke else row.shape
    for n in threads:
        print(f"\n{row.name}: {row.description}\n{n} thread{'' if n == 1 else 's'}", flush=True)
        print(costs(n, options.rounds, shape=shape), flush=True)
    return 0


def _measured(rows: Sequence[shapes.Row], num_threads: int, options: argparse.Namespace) -> tuple[Report, int]:
    from . import machine
    from .compare import compare
    from .peers import PEERS
    from .report import Report
    from .workloads import Contender, Fastnn, FastnnInOrder, WrongResult

    everyone: list[type[Contender]] = [Fastnn]
    if options.peers:
        everyone += [FastnnInOrder, *PEERS.values()]
    packages = [peer.package for peer in PEERS.values()] if options.peers else []
    report, status = Report(machine.facts(packages), options.rounds, [machine.limits(num_threads)]), 0
    print(report.header(), flush=True)
    for row in rows:
        try:
            comparison = compare(row, num_threads, options.rounds, everyone)
        except WrongResult as error:
            print(f"wrong result: {error}", file=sys.stderr)
            status = 1
            continue
        report.results += comparison.results
        report.skipped += [(row.name, name, num_threads, reason) for name, reason in comparison.reasons.items()]
        print(f"\n{report.text(comparison.results)}", flush=True)
    print(flush=True)
    return report, status


def _measured_apart(threads: Sequence[int], options: argparse.Namespace) -> tuple[Report, int]:
    """The same search path for modules, with nothing of the current directory added."""
    import subprocess
    import tempfile
    from pathlib import Path

    from .report import Report

    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    flags = [*(["--peers"] if options.peers else []), *(["--smoke"] if options.smoke else [])]
    command = [sys.executable, "-P", "-m", "fastnn.bench", *options.workloads, "--rounds", str(options.rounds), *flags]
    whole: Report | None = None
    status = 0
    with tempfile.TemporaryDirectory() as folder:
        for n in threads:
            path = Path(folder) / f"{n}.json"
            done = subprocess.run([*command, "--threads", str(n), "--json", path], env=environment, check=False)
            status = status or done.returncode
            if not path.exists():
                raise OSError(
                    f"the process with --threads {n} ended with status {done.returncode}, and measured nothing"
                )
            part = Report.load(path)
            if whole is None:
                whole = part
            else:
                whole.add(part)
    assert whole is not None
    return whole, status
