"""The command line: `fastnn book` trains the book's systems, `bench` times them, `info` tells what the library runs on.

Results go to stdout, what went wrong to stderr, in one line. Exit status: 0 done, 1 failed, 2 a wrong argument,
130 interrupted, 141 nobody reads stdout any more.
"""

import argparse
import atexit
import gc
import math
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from types import ModuleType
from typing import Any

import numpy as np

from . import _checks, book, runtime
from ._progress import say
from ._version import __version__
from .bench import command as bench
from .book import _data, _run
from .datasets import Dataset
from .history import History

_MAX_EPOCHS = 1_000_000
_MAX_SEEDS = 1000


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


# ---- arguments ------------------------------------------------------------------------------------------------------


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="fastnn", description="Feed-forward neural networks.", allow_abbrev=False)
    parser.add_argument("--version", action="version", version=f"fastnn {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    listing = _add(commands, "book", "list or train the systems of Buduma, Fundamentals of Deep Learning", _list)
    systems = listing.add_subparsers(title="systems", metavar="NAME")
    for name in book.SYSTEMS:
        system = book.system(name)
        parser_of_system = _add(systems, name, f"{system.TITLE} on MNIST", _train)
        parser_of_system.set_defaults(system=system, name=name)
        _add_flags(parser_of_system, system)

    bench.add_flags(_add(commands, "bench", bench.SAYS, bench.run))
    _add(commands, "info", "print version, instruction sets and threads", _info)
    return parser


def _add(
    commands: Any, name: str, says: str, run: Callable[[argparse.Namespace], int | None]
) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(name, help=says, description=f"{says}.", allow_abbrev=False)
    parser.set_defaults(run=run, parser=parser)
    return parser


def _add_flags(parser: argparse.ArgumentParser, system: ModuleType) -> None:
    def default(field: str) -> str:
        values = [f"{getattr(recipe, field):g} ({name})" for name, recipe in system.RECIPES.items()]
        return values[0].split()[0] if len(values) == 1 else ", ".join(values)

    def add(flag: str, metavar: str, kind: Callable[[str], Any], says: str, value: Any = None) -> None:
        parser.add_argument(flag, metavar=metavar, type=kind, default=value, help=says)

    sources = "MNIST, digits that fastnn draws, or a directory with MNIST's files; auto: MNIST if it can be had"
    add("--data", "auto|mnist|digits|DIR", _source, f"{sources} (default: auto)", "auto")
    recipes = ", ".join(system.RECIPES)
    parser.add_argument(
        "--recipe", choices=system.RECIPES, default=system.DEFAULT, help=f"{recipes} (default: {system.DEFAULT})"
    )
    add("--epochs", "N", _integer(1, _MAX_EPOCHS), f"default: {default('epochs')}")
    add("--batch-size", "N", _integer(1, _checks.INT64_MAX), f"default: {default('batch_size')}")
    add("--learning-rate", "RATE", _rate, f"the peak, where it changes; default: {default('learning_rate')}")
    add("--seed", "N", _integer(0, _checks.MAX_SEED), "of initial values and order (default: 0)", 0)
    add("--seeds", "N", _integer(1, _MAX_SEEDS), "train N times, with seeds from --seed on, and report the mean")
    add("--threads", "N", _integer(1, runtime.MAX_THREADS), "exactly N (default: as many as pay, see fastnn info)")
    add("--device", "DEVICE", _device, "cpu or cpu:0 (default: cpu:0)", "cpu:0")
    add("--plot", "FILE", str, "save the curves of cost and accuracy; the name's end gives the format")
    parser.add_argument("--json", action="store_true", help="print the result as one JSON object in the last line")


def _integer(low: int, high: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = low - 1
        if not low <= value <= high:
            raise argparse.ArgumentTypeError(f"must be an integer from {low} to {high}, got {text!r}")
        return value

    return parse


def _rate(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value <= _checks.FLOAT32_MAX:
        raise argparse.ArgumentTypeError(f"must be a positive finite number, got {text!r}")
    return value


def _device(text: str) -> str:
    if text not in ("cpu", "cpu:0"):
        raise argparse.ArgumentTypeError(f"must be cpu or cpu:0, there is no other device in this build, got {text!r}")
    return "cpu:0"


def _source(text: str) -> str:
    if text not in ("auto", "mnist", "digits") and not os.path.isdir(text):
        raise argparse.ArgumentTypeError(f"must be auto, mnist, digits or a directory, got {text!r}")
    return text


# ---- fastnn info ----------------------------------------------------------------------------------------------------


def _info(arguments: argparse.Namespace) -> None:
    _check_threads(arguments)
    values = runtime.config()
    backend = {"openmp": "OpenMP", "pthread": "pthreads, built without OpenMP"}[values["threads_backend"]]
    print(f"fastnn           {values['version']}")
    print(f"instruction set  {values['isa']} (available: {', '.join(values['available_isas'])})")
    print(f"threads          {values['num_threads']} ({values['num_threads_reason']})")
    print(f"thread library   {backend}")
    print("CUDA             not built")
    print(f"Python, NumPy    {values['python']}, {values['numpy']}")
    print(f"machine          {values['cpu']}, {values['platform']}")


def _check_threads(arguments: argparse.Namespace) -> None:
    try:
        runtime.num_threads()
    except ValueError as error:  # of FASTNN_NUM_THREADS
        arguments.parser.error(str(error))


# ---- fastnn book ----------------------------------------------------------------------------------------------------


def _list(arguments: argparse.Namespace) -> None:
    for name in book.SYSTEMS:
        system = book.system(name)
        recipes = ", ".join(f"{each} (default)" if each == system.DEFAULT else each for each in system.RECIPES)
        print(f"{name:<10}{system.TITLE} on MNIST; recipes: {recipes}")
    print("\nfastnn book NAME trains one, fastnn book NAME --help lists its flags")


def _train(arguments: argparse.Namespace) -> None:
    _check_threads(arguments)
    seeds = range(arguments.seed, arguments.seed + (arguments.seeds or 1))
    if seeds[-1] > _checks.MAX_SEED:
        arguments.parser.error(f"argument --seeds: the last seed must be at most {_checks.MAX_SEED}, got {seeds[-1]}")
    if arguments.plot is not None:
        _check_plot(arguments)
    data = _loaded(arguments)
    recipe = _chosen(arguments, data)
    _say_settings(arguments, recipe, data)
    results = []
    for seed in seeds:
        if len(seeds) > 1:
            say(f"Seed: {seed}")
        results.append(_run.train(recipe, data, seed=seed, num_threads=arguments.threads, say=say))
    _say_summary(results, data)
    if arguments.plot is not None:
        _plot(arguments, results, data)
    if arguments.json:
        import json

        say(json.dumps(_as_dict(arguments, recipe, results, data)))


def _loaded(arguments: argparse.Namespace) -> Dataset:
    try:
        data, reason = _data.load(arguments.data)
    except OSError as error:
        if arguments.data == "mnist":
            raise
        arguments.parser.error(
            f"argument --data: must be auto, mnist, digits or a directory with MNIST's files: {error}"
        )
    if reason:
        say(f"MNIST cannot be had, training on {data.name} instead: {reason}")
    return data


def _chosen(arguments: argparse.Namespace, data: Dataset) -> _run.Recipe:
    """The recipe with what the flags change of it."""
    given = {name: getattr(arguments, name) for name in ("epochs", "batch_size", "learning_rate")}
    recipe: _run.Recipe = arguments.system.RECIPES[arguments.recipe]
    recipe = replace(recipe, **{name: value for name, value in given.items() if value is not None})
    if recipe.batch_size > len(data.train):
        expected = f"at most {len(data.train)}, the examples to train on"
        arguments.parser.error(f"argument --batch-size: must be {expected}, got {recipe.batch_size}")
    return recipe


def _say_settings(arguments: argparse.Namespace, recipe: _run.Recipe, data: Dataset) -> None:
    sizes = f"{len(data.train)} training, {len(data.validation)} validation, {len(data.test)} test examples"
    say(f"{arguments.system.TITLE} on {data.name}: {sizes}")
    say(
        f"Recipe {arguments.recipe}: epochs {recipe.epochs}, batch size {recipe.batch_size}, "
        f"learning rate {recipe.learning_rate:g}, seed {arguments.seed}"
        + (f" to {arguments.seed + arguments.seeds - 1}" if arguments.seeds else "")
    )
    numbers = [
        f"{name.replace('_', ' ')} {getattr(recipe, name):g}, not {listed:g}"
        for name, listed in arguments.system.LISTED.items()
        if getattr(recipe, name) != listed
    ]
    for difference in (*recipe.differs, *numbers):
        say(f"  unlike the book's listing: {difference}")


def _say_summary(results: Sequence[_run.Result], data: Dataset) -> None:
    accuracies = [result.test_accuracy for result in results]
    mean = _mean(accuracies)
    if len(results) > 1:
        from statistics import stdev

        spread = f"standard deviation {stdev(accuracies):.4f}, lowest {min(accuracies):.4f}"
        say(f"Mean Test Accuracy: {mean:.4f} ({len(results)} seeds, {spread})")
    say(f"On {data.name}; of cheques with four digits {_run.misread_cheques(mean):.1%} would be misread")
    seconds = _mean([result.seconds for result in results])
    speed = _mean([result.samples_per_second for result in results])
    say(f"Training took {seconds:.2f} s, {speed:,.0f} samples/s, threads: {results[0].threads}")


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)


def _as_dict(
    arguments: argparse.Namespace, recipe: _run.Recipe, results: Sequence[_run.Result], data: Dataset
) -> dict[str, Any]:
    """What --json prints; with --seeds, what differs from seed to seed is a list, and "mean" has the means."""
    measured = ("test_accuracy", "validation_accuracy", "seconds", "samples_per_second")
    columns = {name: [getattr(result, name) for result in results] for name in ("seed", *measured)}
    is_list = arguments.seeds is not None
    outcome: dict[str, Any] = columns if is_list else {name: values[0] for name, values in columns.items()}
    if is_list:
        outcome["mean"] = {name: _mean(columns[name]) for name in measured}
    return {
        "system": arguments.name,
        "dataset": data.name,
        "recipe": arguments.recipe,
        **outcome,
        "epochs": recipe.epochs,
        "batch_size": recipe.batch_size,
        "learning_rate": recipe.learning_rate,
        "isa": runtime.isa(),
        "threads": results[0].threads,
        "device": arguments.device,
    }


# ---- --plot ---------------------------------------------------------------------------------------------------------


def _check_plot(arguments: argparse.Namespace) -> None:
    """Before the training, so that none is lost to a wrong name."""
    try:
        import matplotlib
    except ImportError as error:
        raise ImportError("--plot needs matplotlib: pip install 'fastnn[plot]'") from error
    matplotlib.use("agg")  # a window would need a screen
    from matplotlib.figure import Figure

    path: str = arguments.plot
    if not os.path.isdir(os.path.dirname(os.path.abspath(path))) or os.path.isdir(path):
        arguments.parser.error(f"argument --plot: must be a file in a directory that exists, got {path!r}")
    endings = sorted(f".{ending}" for ending in Figure().canvas.get_supported_filetypes())
    if os.path.splitext(path)[1].lower() not in endings:
        arguments.parser.error(f"argument --plot: must end in {', '.join(endings)}, got {path!r}")


def _plot(arguments: argparse.Namespace, results: Sequence[_run.Result], data: Dataset) -> None:
    from matplotlib import pyplot

    title = f"{arguments.system.TITLE} on {data.name}, recipe {arguments.recipe}"
    history = results[0].history
    if len(results) > 1:
        title += f", mean of {len(results)} seeds"
        means = {name: np.mean([result.history[name] for result in results], axis=0) for name in history}
        history = History({name: values.tolist() for name, values in means.items()})
    figure, _ = history.plot()
    figure.suptitle(title)
    figure.savefig(arguments.plot)
    pyplot.close(figure)
    say(f"Curves saved: {arguments.plot}")
