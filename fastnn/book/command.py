"""``fastnn book``: lists the systems of the book by chapter, runs one of them."""

import argparse
from typing import Any

from fastnn import _flags, runtime
from fastnn._progress import say

from . import CHAPTERS, LOGGED, NAMES, ROWS, TRAININGS, _mnist, rows_of, system
from ._result import Result

__all__ = ["SAYS", "add_systems", "run"]

SAYS = "list or run the systems of Buduma, Fundamentals of Deep Learning"


def add_systems(parser: argparse.ArgumentParser) -> None:
    systems = parser.add_subparsers(title="systems", metavar="NAME")
    for name in NAMES:
        if name in TRAININGS:
            trained = _flags.add_command(systems, name, f"{system(name).TITLE} on MNIST", _mnist.run)
            trained.set_defaults(system=system(name), name=name)
            _mnist.add_flags(trained, system(name))
        else:
            example = _flags.add_command(systems, name, rows_of(name)[0].says, _run)
            example.set_defaults(name=name)
            _add_flags(example)
            if name in LOGGED:
                example.add_argument("--logdir", metavar="DIR", help="keep the event files there, for TensorBoard")


def _add_flags(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--seed", metavar="N", type=_flags.seed, default=0, help="of initial values, order and data (default: 0)")
    add("--threads", metavar="N", type=_flags.threads, help="at most N (default: see fastnn info)")
    add("--plot", metavar="FILE", help="save a figure; the name's end gives the format")
    add("--json", action="store_true", help="print the numbers as one JSON object in the last line")


def run(arguments: argparse.Namespace) -> None:
    """The list."""
    width = max(map(len, NAMES)) + 2
    for chapter, title in CHAPTERS.items():
        print(f"Chapter {chapter}: {title}")
        for row in ROWS:
            if row.chapter == chapter:
                print(f"  {row.number:<6}{row.name:<{width}}{row.says}")
        print()
    print("fastnn book NAME runs one, fastnn book NAME --help lists its flags")


def _run(arguments: argparse.Namespace) -> None:
    _flags.check_threads(arguments)
    example = system(arguments.name)
    if arguments.plot is not None and not hasattr(example, "plot"):
        arguments.parser.error(f"argument --plot: {arguments.name} has no figure")
    _flags.check_plot(arguments)
    if arguments.threads is not None:
        runtime.set_num_threads(arguments.threads)
    folder = {"logdir": arguments.logdir} if arguments.name in LOGGED else {}
    result: Result = example.run(arguments.seed, **folder)
    for row in rows_of(arguments.name):
        say(f"{row.number} {row.says}")
    for line in result.lines:
        say(f"  {line}")
    say(f"Shown: {result.shown}{_saved(example, result, arguments.plot)}")
    if arguments.json:
        import json

        say(json.dumps(_as_dict(arguments, result)))


def _saved(example: Any, result: Result, path: str | None) -> str:
    if path is None:
        return ""
    example.plot(result).savefig(path, dpi=150)
    return f"; figure saved: {path}"


def _as_dict(arguments: argparse.Namespace, result: Result) -> dict[str, Any]:
    return {
        "system": arguments.name,
        "rows": [row.number for row in rows_of(arguments.name)],
        "seed": arguments.seed,
        **result.numbers,
        "isa": runtime.isa(),
    }
