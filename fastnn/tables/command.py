"""``fastnn train``: a network from a file of examples. ``fastnn predict``: what a saved network says of others."""

from __future__ import annotations

import argparse
import os
import sys
from typing import TYPE_CHECKING, Any

from fastnn import _checks, _flags
from fastnn._progress import say

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fastnn.network import Network

    from .learning import Learned
    from .reading import Table

__all__ = ["SAYS_PREDICT", "SAYS_TRAIN", "add_predict_flags", "add_train_flags", "predict", "train"]

SAYS_TRAIN = "train a network on a CSV, NPZ or IDX file, and save it"
SAYS_PREDICT = "print what a saved network says of the rows of a file"
_MAX = _checks.INT64_MAX
_ROUNDING = 1e-3  # of predictions; more is told


# ---- fastnn train ---------------------------------------------------------------------------------------------------


def add_train_flags(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("data", metavar="DATA", help="CSV with or without a line of names; NPZ with arrays x and y; IDX")
    add(
        "--target",
        metavar="NAME",
        help="the target's column, or its number; of an IDX file its own (default: the last)",
    )
    add("--output", metavar="MODEL", help="where to save the network (default: DATA's name, ending in .safetensors)")
    add("--task", choices=("auto", "classification", "regression"), default="auto", help="default: by the target")
    add(
        "--hidden",
        metavar="N,N,...",
        type=_widths,
        default=(64, 64),
        help="units of the hidden layers (default: 64,64)",
    )
    add(
        "--activation", metavar="NAME", default="relu", help="of hidden units: relu, tanh, sigmoid, ... (default: relu)"
    )
    add(
        "--keep-prob", metavar="P", type=_probability, default=1.0, help="of dropout on hidden units (default: 1, none)"
    )
    add("--l2", metavar="STRENGTH", type=_flags.rate, default=0.0, help="default: 0")
    add("--epochs", metavar="N", type=_flags.integer(1, _MAX), default=50, help="default: 50")
    add("--batch-size", metavar="N", type=_flags.integer(1, _MAX), default=32, help="default: 32")
    add("--learning-rate", metavar="RATE", type=_flags.rate, default=0.001, help="of Adam (default: 0.001)")
    add("--validation", metavar="PART", type=_part, default=0.2, help="of the rows, held out (default: 0.2)")
    add(
        "--patience",
        metavar="N",
        type=_flags.integer(1, _MAX),
        help="end after N epochs without a better loss on held-out rows, and keep the best (default: all epochs)",
    )
    add("--seed", metavar="N", type=_flags.seed, default=0, help="of initial values, order and split (default: 0)")
    add("--threads", metavar="N", type=_flags.threads, help="exactly N (default: as many as pay, see fastnn info)")
    _flags.add_device(parser)
    add("--plot", metavar="FILE", help="save the learning curves; the name's end gives the format")
    add("--json", action="store_true", help="print the result as one JSON object in the last line")


def _widths(text: str) -> tuple[int, ...]:
    """No hidden layer: an empty text."""
    try:
        widths = tuple(int(part) for part in text.split(",") if text)
    except ValueError:
        widths = (0,)
    if any(width < 1 for width in widths):
        raise argparse.ArgumentTypeError(f"must be positive integers with commas between them, got {text!r}")
    return widths


_probability = _flags.number("a number from 1/65536 to 1", 1 / 65536, 1.0)
_part = _flags.number("a number from 0 to 0.9", 0.0, 0.9)


def train(arguments: argparse.Namespace) -> None:
    from . import Settings, learn, read_table

    _flags.check_threads(arguments)
    _flags.check_plot(arguments)
    output = arguments.output or os.path.splitext(arguments.data.removesuffix(".gz"))[0] + ".safetensors"
    if not os.path.isdir(os.path.dirname(os.path.abspath(output))) or os.path.isdir(output):
        arguments.parser.error(f"argument --output: must be a file in a directory that exists, got {output!r}")
    _flags.check_output(arguments, "--output", output, arguments.data, arguments.target or "")
    _flags.check_output(arguments, "--plot", arguments.plot, arguments.data, arguments.target or "")
    try:
        table = read_table(arguments.data, arguments.target)
        settings = Settings(
            task=arguments.task,
            hidden=arguments.hidden,
            activation=arguments.activation,
            keep_prob=arguments.keep_prob,
            l2=arguments.l2,
            epochs=arguments.epochs,
            batch_size=arguments.batch_size,
            learning_rate=arguments.learning_rate,
            validation=arguments.validation,
            patience=arguments.patience,
            seed=arguments.seed,
            num_threads=arguments.threads,
            device=arguments.device,
        )
        learned = learn(table, settings)
    except ValueError as error:
        arguments.parser.error(str(error))
    learned.net.save(output)
    _say(table, learned, output)
    _warn_of_rounding(learned)
    if arguments.plot is not None:
        figure, _ = learned.history.plot()
        figure.savefig(arguments.plot, dpi=150)
        say(f"Curves saved: {arguments.plot}")
    if arguments.json:
        import json

        say(json.dumps(_as_dict(table, learned, output)))


def _say(table: Table, learned: Learned, output: str) -> None:
    classes = learned.net.metadata["classes"]
    task = f"classification, {len(classes)} classes" if classes is not None else "regression"
    say(f"{len(table)} rows, {len(table.columns)} features, target {table.target}: {task}")
    say(learned.net.summary())
    history = learned.history
    best = f", the best was {learned.best_epoch}," if learned.best_epoch is not None else ""
    say(f"Trained for {history.epochs} epochs{best} in {sum(history['seconds']):.2f} s, loss {history['loss'][-1]:.4g}")
    if learned.validation:
        say("On held-out rows: " + ", ".join(f"{name} {value:.4g}" for name, value in learned.validation.items()))
    say(f"Saved: {output}")


def _warn_of_rounding(learned: Learned) -> None:
    if learned.rounding > _ROUNDING:
        print(
            f"fastnn: rounding to float32 moves predictions by up to {learned.rounding:.1%} of the largest: "
            f"{learned.farthest}; subtract a constant from it",
            file=sys.stderr,
        )


def _as_dict(table: Table, learned: Learned, output: str) -> dict[str, Any]:
    return {
        "rows": len(table),
        "features": len(table.columns),
        "target": table.target,
        "classes": learned.net.metadata["classes"],
        "epochs": learned.history.epochs,
        "loss": learned.history["loss"][-1],
        "seconds": sum(learned.history["seconds"]),
        "best_epoch": learned.best_epoch,
        "rounding": learned.rounding,
        "validation": learned.validation,
        "device": learned.net.device,
        "model": output,
    }


# ---- fastnn predict -------------------------------------------------------------------------------------------------


def add_predict_flags(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("model", metavar="MODEL", help="a network that fastnn train, or Network.save, has saved")
    add("data", metavar="DATA", help="CSV, NPZ or IDX; of a CSV with names, the columns that the network knows by name")
    add("--proba", action="store_true", help="probabilities of all classes, not the most probable one")
    _flags.add_device(parser)
    add("--output", metavar="FILE", help="default: stdout")


def predict(arguments: argparse.Namespace) -> None:
    from fastnn.network import load

    from . import read_table

    _flags.check_output(arguments, "--output", arguments.output, arguments.model, arguments.data)
    try:
        net = load(arguments.model, device=arguments.device)
        if arguments.proba and net.link not in ("softmax", "sigmoid"):
            raise ValueError("argument --proba: the network is no classifier")
        if net.link is None:
            raise ValueError(f"{arguments.model!r} must have a link, which the loss of a trainer gives it, got none")
        table = read_table(arguments.data, columns=net.metadata.get("columns") or net.n_in)
        lines = _lines(net, net.predict_proba(table.x) if arguments.proba else net.predict(table.x))
    except ValueError as error:
        arguments.parser.error(str(error))
    if arguments.output is None:
        sys.stdout.write(lines)
        return
    from fastnn._files import write_atomically

    write_atomically(arguments.output, lines.encode())


def _lines(net: Network, predictions: NDArray[Any]) -> str:
    """CSV with a line of names."""
    classes, target = net.metadata.get("classes"), net.metadata.get("target") or "prediction"
    if predictions.ndim == 1:
        values = [classes[i] if classes else str(i) for i in predictions]
        return _csv([target], [[value] for value in values])
    names = classes or ([target] if net.n_out == 1 else [f"{target}_{i}" for i in range(net.n_out)])
    return _csv(names, [[str(value) for value in row] for row in predictions])


def _csv(names: list[str], rows: list[list[str]]) -> str:
    import csv
    import io

    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([names, *rows])
    return text.getvalue()
