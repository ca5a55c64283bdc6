"""Devices (section "Managing models over the CPU and GPU"): named, missing, replaced, and a log of what runs where.

The book's sample asks for "/gpu:2" with soft placement and placement log on. Where its tool picks a GPU by itself when
it may, this library does so only for device="auto".
"""

from __future__ import annotations

from contextlib import redirect_stdout
from io import StringIO

import numpy as np

import fastnn as fnn

from ._result import Result


def run(seed: int) -> Result:
    lines = [f"devices: {', '.join(fnn.devices())}"]
    refusal = ""
    try:
        fnn.Network(3, product(), seed=seed, device="/gpu:2")
    except ValueError as error:
        refusal = str(error)
        lines.append(f"refused: {refusal}")

    with redirect_stdout(StringIO()) as log:  # what is printed, to show it below
        net = fnn.Network(
            3, product(), seed=seed, device="/gpu:2", allow_soft_placement=True, log_device_placement=True
        )
    lines += [f"placed: {line}" for line in log.getvalue().splitlines()]
    at_home = fnn.Network(3, product(), seed=seed, device="cpu:0")
    is_equal = np.array_equal(net(np.eye(3)), at_home(np.eye(3)))
    numbers = {"devices": list(fnn.devices()), "device": net.device, "is_refused": bool(refusal), "is_equal": is_equal}
    shown = f"/gpu:2 was asked for; the network is on {net.device}"
    return Result(shown, lines, numbers)


def product() -> list[fnn.layers.Layer]:
    """A new layer each time: two networks with one and the same would share its variables."""
    return [fnn.Dense(2, name="product")]
