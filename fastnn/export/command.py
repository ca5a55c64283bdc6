"""``fastnn export``: a saved network leaves the library."""

from __future__ import annotations

import argparse

from fastnn import _flags
from fastnn._progress import say

__all__ = ["SAYS", "add_flags", "run"]

SAYS = "write a saved network as an ONNX model or as one file of C99"


def add_flags(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("model", metavar="MODEL", help="a network that fastnn train, or Network.save, has saved")
    add("--onnx", metavar="FILE", help="an ONNX model")
    add("--c", metavar="FILE", help="C99 that needs nothing but math.h, with the bits of the library")
    add("--name", metavar="NAME", help="of the C functions (default: FILE's name without its ending)")


def run(arguments: argparse.Namespace) -> None:
    from fastnn.network import load

    if arguments.onnx is None and arguments.c is None:
        arguments.parser.error("one of the arguments --onnx --c is required")
    for flag, path in (("--onnx", arguments.onnx), ("--c", arguments.c)):
        _flags.check_output(arguments, flag, path, arguments.model)
    try:
        net = load(arguments.model)
        if arguments.onnx is not None:
            net.to_onnx(arguments.onnx)
            say(f"ONNX model saved: {arguments.onnx}")
        if arguments.c is not None:
            net.to_c(arguments.c, name=arguments.name)
            say(f"C99 saved: {arguments.c}")
    except ValueError as error:
        arguments.parser.error(str(error))
