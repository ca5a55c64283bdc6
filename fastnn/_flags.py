"""What commands share: sub-commands, and flags whose values are checked where they are parsed."""

import argparse
import math
import os
from collections.abc import Callable
from typing import Any

from . import _checks, runtime
from ._devices import place

__all__ = [
    "add_command",
    "add_device",
    "check_output",
    "check_plot",
    "check_threads",
    "device",
    "integer",
    "number",
    "rate",
    "seed",
    "threads",
]

Run = Callable[[argparse.Namespace], int | None]


def add_command(commands: Any, name: str, says: str, run: Run) -> argparse.ArgumentParser:
    """A parser below commands; run gets the parsed arguments, ``parser`` among them, and returns the exit status."""
    parser: argparse.ArgumentParser = commands.add_parser(name, help=says, description=f"{says}.", allow_abbrev=False)
    parser.set_defaults(run=run, parser=parser)
    return parser


def add_device(parser: argparse.ArgumentParser) -> None:
    says = "cpu:0, gpu:0 and so on, or auto (default: cpu:0)"
    parser.add_argument("--device", metavar="DEVICE", type=device, default="cpu:0", help=says)


def integer(low: int, high: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = low - 1
        if not low <= value <= high:
            raise argparse.ArgumentTypeError(f"must be an integer from {low} to {high}, got {text!r}")
        return value

    return parse


def number(expected: str, low: float, high: float) -> Callable[[str], float]:
    """Of a number from low to high, which expected says in words."""

    def parse(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not low <= value <= high:
            raise argparse.ArgumentTypeError(f"must be {expected}, got {text!r}")
        return value

    return parse


threads = integer(1, runtime.MAX_THREADS)
seed = integer(0, _checks.MAX_SEED)
rate = number("a positive finite number", math.ulp(0.0), _checks.FLOAT32_MAX)


def device(text: str) -> str:
    try:
        return place(text).device
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error).removeprefix("device ")) from None


def check_threads(arguments: argparse.Namespace) -> None:
    """Refuses an unusable FASTNN_NUM_THREADS as an argument is refused."""
    try:
        runtime.num_threads()
    except ValueError as error:
        arguments.parser.error(str(error))


def check_output(arguments: argparse.Namespace, flag: str, path: str | None, *read: str) -> None:
    """Refuses to write over a file that the command reads. None: nothing to check."""
    if path is not None and os.path.exists(path) and any(os.path.exists(r) and os.path.samefile(path, r) for r in read):
        arguments.parser.error(f"argument {flag}: must not be a file that is read, got {path!r}")


def check_plot(arguments: argparse.Namespace) -> None:
    """Refuses an unusable --plot before the work, so that none is lost to a wrong name. None: nothing to check.

    ImportError: no matplotlib.
    """
    path: str | None = arguments.plot
    if path is None:
        return
    try:
        import matplotlib
    except ImportError as error:
        raise ImportError("--plot needs matplotlib: pip install 'fastnn[plot]'") from error
    matplotlib.use("agg")  # a window would need a screen
    from matplotlib.figure import Figure

    if not os.path.isdir(os.path.dirname(os.path.abspath(path))) or os.path.isdir(path):
        arguments.parser.error(f"argument --plot: must be a file in a directory that exists, got {path!r}")
    endings = sorted(f".{ending}" for ending in Figure().canvas.get_supported_filetypes())
    if os.path.splitext(path)[1].lower() not in endings:
        arguments.parser.error(f"argument --plot: must end in {', '.join(endings)}, got {path!r}")
