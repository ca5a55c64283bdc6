"""The command line: `fastnn book` runs the book's systems, `train`, `predict` and `export` serve files of your own,
`bench` times the library, `info` tells what it runs on.

Results go to stdout, what went wrong to stderr, in one line. Exit status: 0 done, 1 failed, 2 a wrong argument,
130 interrupted, 141 nobody reads stdout any more.
"""

import argparse
import atexit
import gc
import os
import sys
from collections.abc import Sequence

from . import cuda, runtime
from ._devices import devices
from ._flags import add_command, check_threads
from ._version import __version__
from .bench import command as bench
from .book import command as book
from .export import command as export
from .tables import command as tables


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command that the arguments (None: those of the process) name; returns its exit status.

    SystemExit: after --help and --version with 0, after a wrong argument with 2.
    """
    atexit.register(gc.freeze)  # else the interpreter looks through all objects for cycles before it ends: 10 ms
    try:
        arguments = _parser().parse_args(argv)
        status: int | None = arguments.run(arguments)
        print(end="", flush=True)  # what is left in the buffer, while a closed pipe can still be told of
    except KeyboardInterrupt:
        return _failed("interrupted", 130)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or the interpreter's last flush complains
        return 141
    except (FloatingPointError, ImportError, OSError) as error:
        return _failed(str(error), 1)
    return status or 0


def _failed(message: str, status: int) -> int:
    print(f"fastnn: {message}", file=sys.stderr)
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="fastnn", description="Feed-forward neural networks.", allow_abbrev=False)
    parser.add_argument("--version", action="version", version=f"fastnn {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    book.add_systems(add_command(commands, "book", book.SAYS, book.run))
    tables.add_train_flags(add_command(commands, "train", tables.SAYS_TRAIN, tables.train))
    tables.add_predict_flags(add_command(commands, "predict", tables.SAYS_PREDICT, tables.predict))
    export.add_flags(add_command(commands, "export", export.SAYS, export.run))
    bench.add_flags(add_command(commands, "bench", bench.SAYS, bench.run))
    add_command(commands, "info", "print version, instruction sets and threads", _info)
    return parser


def _info(arguments: argparse.Namespace) -> None:
    check_threads(arguments)
    values = runtime.config()
    backend = {"openmp": "OpenMP", "pthread": "pthreads, built without OpenMP"}[values["threads_backend"]]
    print(f"fastnn           {values['version']}")
    print(f"instruction set  {values['isa']} (available: {', '.join(values['available_isas'])})")
    print(f"threads          {values['num_threads']} ({values['num_threads_reason']})")
    print(f"thread library   {backend}")
    reason = "" if cuda.is_available() else f" (no GPU: {cuda.why_unavailable()})"
    print(f"devices          {', '.join(devices())}{reason}")
    print(f"Python, NumPy    {values['python']}, {values['numpy']}")
    print(f"machine          {values['cpu']}, {values['platform']}")
