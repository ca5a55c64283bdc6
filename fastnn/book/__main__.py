"""``python -m fastnn.book FOLDER [NAME ...]``: the figures of docs/book.md and of the README, as small PNG files.

Each is that of an example with seed 0; "digits", the README's, is drawn here. What learns from digits takes MNIST where
this machine has it, and should: the page says so.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import fastnn as fnn

from . import NAMES, TRAININGS, _data, system

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DPI, COLOURS = 100, 256


def digits() -> Figure:
    """The accuracy of a small network, epoch by epoch, and what its hidden units look for."""
    from matplotlib.figure import Figure

    data = _data.at_hand()
    layers = [fnn.Rescaling(1 / 255), fnn.Dense(64, "relu", name="hidden"), fnn.Dense(10, name="output")]
    net = fnn.Network(784, layers, seed=0)
    rate = fnn.Warmup(fnn.CosineDecay(0.3, 10_450), 550)  # 19 epochs of 550 updates, and one before
    trainer = fnn.Trainer(net, optimizer=fnn.SGD(rate), regularizer=fnn.L2(0.001))
    validation = (data.validation.x, data.validation.y)
    history = trainer.fit(data.train.x, data.train.y, epochs=20, validation_data=validation, progress=False)
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    curves, weights = figure.subplots(1, 2)
    fnn.plots.learning_curves(history, "accuracy", ax=curves)
    fnn.plots.weight_images(net, "hidden", units=range(24), columns=6, ax=weights)
    return figure


def drawn(name: str) -> Figure:
    if name == "digits":
        return digits()
    example = system(name)
    figure: Figure = example.plot(example.run(0))
    return figure


def save(figure: Figure, path: Path) -> None:
    """With 256 colours the files are a third of the size, and nobody sees it."""
    from PIL import Image  # matplotlib's own dependency

    figure.savefig(path, dpi=DPI)
    with Image.open(path) as image:
        image.convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE).save(path, optimize=True)


def main(folder: str, *names: str) -> None:
    """names: of the figures; none: all."""
    examples = [name for name in NAMES if name not in TRAININGS and hasattr(system(name), "plot")]
    Path(folder).mkdir(parents=True, exist_ok=True)
    for name in names or ("digits", *examples):
        path = Path(folder) / f"{name}.png"
        save(drawn(name), path)
        print(f"{path}: {path.stat().st_size / 1024:.0f} KB", flush=True)


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    main(*sys.argv[1:])
