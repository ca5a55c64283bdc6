"""What the book chose its tool for (section "Why TensorFlow?"), asked of this one.

Any architecture is differentiated; nothing is compiled before the first step; and a trained network leaves the library:
as a file for other programs, as an ONNX model for other runtimes, as one file of C99 for devices that have none.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import time
from copy import deepcopy
from ctypes import CDLL, c_float
from pathlib import Path

import numpy as np

import fastnn as fnn

from ._result import Result

ARCHITECTURES: dict[str, list[fnn.layers.Layer]] = {
    "linear": [fnn.Dense(3)],
    "deep, tanh": [*(fnn.Dense(12, "tanh") for _ in range(8)), fnn.Dense(3)],
    "wide, ReLU, dropout": [fnn.Dense(500, "relu"), fnn.Dropout(0.5), fnn.Dense(3)],
    "a bottleneck of one sigmoid": [fnn.Dense(20, "tanh"), fnn.Dense(1, "sigmoid"), fnn.Dense(3)],
}


def run(seed: int) -> Result:
    x = np.random.default_rng(seed).normal(size=(200, 5)).astype(np.float32)
    y = np.argmax(x[:, :3], axis=1)
    learnt = {name: learns(deepcopy(layers), x, y, seed) for name, layers in ARCHITECTURES.items()}
    net, began = fnn.Network(5, deepcopy(ARCHITECTURES["deep, tanh"]), seed=seed), time.perf_counter()
    fnn.Trainer(net).fit(x[:1], y[:1], progress=False)
    is_quick = time.perf_counter() - began < 1.0
    sizes, same = exported(net, x)
    lines = [f"{name}: loss {before:.3f} -> {after:.3f}" for name, (before, after) in learnt.items()]
    lines.append(f"first step within a second of the description: {'yes' if is_quick else 'no'}")
    lines += [f"as {name}: {size:,} bytes" for name, size in sizes.items()]
    lines.append(
        "no C compiler here to try" if same is None else f"compiled C has the same bits: {'yes' if same else 'no'}"
    )
    numbers = {"loss": learnt, "sizes": sizes, "same_bits_in_c": same}
    return Result("any stack of layers learns, at once, and leaves the library", lines, numbers)


def learns(layers: list[fnn.layers.Layer], x: np.ndarray, y: np.ndarray, seed: int) -> tuple[float, float]:
    """The loss before and after 50 epochs."""
    trainer = fnn.Trainer(fnn.Network(5, layers, seed=seed), optimizer=fnn.Adam(0.01))
    before = trainer.evaluate(x, y)["loss"]
    trainer.fit(x, y, epochs=50, batch_size=20, progress=False)
    return before, trainer.evaluate(x, y)["loss"]


def exported(net: fnn.Network, x: np.ndarray) -> tuple[dict[str, int], bool | None]:
    """Bytes of each kind of file, and whether compiled C gives the same bits; None without a compiler."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        net.save(place / "net.safetensors")
        net.to_c(place / "net.c")
        if has_onnx():
            net.to_onnx(place / "net.onnx")
        sizes = {path.suffix[1:]: path.stat().st_size for path in sorted(place.iterdir())}
        compiler = shutil.which("cc")
        return sizes, None if compiler is None else c_agrees(compiler, place, net, x)


def has_onnx() -> bool:
    from importlib.util import find_spec

    return find_spec("onnx") is not None


def c_agrees(compiler: str, place: Path, net: fnn.Network, x: np.ndarray) -> bool:
    flags = ["-std=c99", "-O2", "-ffp-contract=off", "-shared", "-fPIC"]
    subprocess.run([compiler, *flags, "net.c", "-o", "net.so", "-lm"], cwd=place, check=True)
    library, outputs = CDLL(str(place / "net.so")), np.empty((len(x), net.n_out), np.float32)
    pointer = np.ctypeslib.ndpointer(np.float32)
    library.net_outputs.argtypes, library.net_self_check.restype = [pointer, pointer], c_float
    for row, out in zip(x, outputs, strict=True):
        library.net_outputs(row, out)
    return library.net_self_check() == 0 and outputs.tobytes() == net(x).tobytes()
