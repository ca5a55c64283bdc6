"""python -m fastnn.bench: one epoch of the book's MLP and of logistic regression, fastnn and every peer installed."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Sequence

from . import compare, machine, shapes, workloads

_SMOKE_STEPS = 20


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints the tables; 0, or 1 where a result was wrong and nothing was timed."""
    parser = argparse.ArgumentParser(prog="python -m fastnn.bench", description=__doc__)
    parser.add_argument("--rounds", type=_positive, default=5, help="timed rounds of each contender (default: 5)")
    parser.add_argument("--threads", type=_positive, nargs="+", default=[1, 2], help="default: 1 2")
    parser.add_argument("--smoke", action="store_true", help=f"{_SMOKE_STEPS} steps an epoch: does it run?")
    options = parser.parse_args(arguments)
    if len(options.threads) == 1:
        return _run(options.threads[0], options.rounds, options.smoke)
    rest = ["--rounds", str(options.rounds), *(["--smoke"] if options.smoke else [])]
    codes = [_run_apart(["--threads", str(n), *rest]) for n in options.threads]
    return max(codes, key=abs)


def _run_apart(arguments: Sequence[str]) -> int:
    """In a process of its own, with the same search path: some libraries choose their threads once, at their start."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = [sys.executable, "-P", "-m", "fastnn.bench", *arguments]
    return subprocess.run(command, env=environment, check=False).returncode


def _run(num_threads: int, rounds: int, smoke: bool) -> int:
    print(machine.line(), flush=True)
    for shape in shapes.COMPARED:
        if smoke:
            shape = shape.shortened(_SMOKE_STEPS)
        try:
            ready, reasons = compare.contenders(shape, num_threads)
        except workloads.WrongResult as error:
            print(f"wrong result: {error}", file=sys.stderr)
            return 1
        print(f"\n{shape.name}: {shape.description} of {workloads.load(shape).source} an epoch")
        print(f"{num_threads} thread(s), {rounds} rounds in turn\n")
        print(compare.table(ready, compare.rounds(ready, rounds)))
        for name, reason in reasons.items():
            print(f"{name:<20}skipped: {reason}")
        sys.stdout.flush()
    print()
    return 0


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"must be a positive integer, got {text}")
    return value


if __name__ == "__main__":
    sys.exit(main())
