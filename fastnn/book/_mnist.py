"""Trains the systems that learn from MNIST, with the flags, recipes and lines of the book's scripts."""

from __future__ import annotations

import argparse
import math
import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from types import ModuleType
from typing import Any

import numpy as np

import fastnn as fnn
from fastnn import _checks, _flags, runtime
from fastnn._progress import say
from fastnn.datasets import Dataset
from fastnn.history import History

from . import _data, _run

_MAX_EPOCHS = 1_000_000
_MAX_SEEDS = 1000


def add_flags(parser: argparse.ArgumentParser, system: ModuleType) -> None:
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
    add("--epochs", "N", _flags.integer(1, _MAX_EPOCHS), f"default: {default('epochs')}")
    add("--batch-size", "N", _flags.integer(1, _checks.INT64_MAX), f"default: {default('batch_size')}")
    add("--learning-rate", "RATE", _flags.rate, f"the peak, where it changes; default: {default('learning_rate')}")
    add("--seed", "N", _flags.seed, "of initial values and order (default: 0)", 0)
    add("--seeds", "N", _flags.integer(1, _MAX_SEEDS), "train N times, with seeds from --seed on, and report the mean")
    add("--threads", "N", _flags.threads, "exactly N (default: as many as pay, see fastnn info)")
    _flags.add_device(parser)
    add("--plot", "FILE", str, "save the curves of cost and accuracy; the name's end gives the format")
    add("--logdir", "DIR", str, "write event files for TensorBoard and checkpoints; with --seeds a folder each, seed_N")
    parser.add_argument("--json", action="store_true", help="print the result as one JSON object in the last line")


def _source(text: str) -> str:
    if text not in ("auto", "mnist", "digits") and not os.path.isdir(text):
        raise argparse.ArgumentTypeError(f"must be auto, mnist, digits or a directory, got {text!r}")
    return text


def run(arguments: argparse.Namespace) -> None:
    _flags.check_threads(arguments)
    seeds = range(arguments.seed, arguments.seed + (arguments.seeds or 1))
    if seeds[-1] > _checks.MAX_SEED:
        arguments.parser.error(f"argument --seeds: the last seed must be at most {_checks.MAX_SEED}, got {seeds[-1]}")
    _flags.check_plot(arguments)
    all_writers = [_writers(arguments, seed) for seed in seeds]
    data = _loaded(arguments)
    recipe = _chosen(arguments, data)
    _say_settings(arguments, recipe, data)
    results = []
    for seed, writers in zip(seeds, all_writers, strict=True):
        if len(seeds) > 1:
            say(f"Seed: {seed}")
        results.append(
            _run.train(
                recipe,
                data,
                seed=seed,
                num_threads=arguments.threads,
                device=arguments.device,
                say=say,
                callbacks=writers,
            )
        )
    _say_summary(results, data)
    if arguments.plot is not None:
        _plot(arguments, results, data)
    if arguments.json:
        import json

        say(json.dumps(_as_dict(arguments, recipe, results, data)))


def _writers(arguments: argparse.Namespace, seed: int) -> list[fnn.Callback]:
    """What writes summaries and, after them, checkpoints, if anything does."""
    if arguments.logdir is None:
        return []
    folder = os.path.join(arguments.logdir, f"seed_{seed}") if arguments.seeds else arguments.logdir
    try:
        found = fnn.Checkpoint.latest(folder)
    except FileNotFoundError:
        return [fnn.TensorBoard(folder), fnn.Checkpoint(folder)]
    message = f"argument --logdir: must be a folder without checkpoints of another training, got {found!r}"
    return arguments.parser.error(message)  # type: ignore[no-any-return]


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
