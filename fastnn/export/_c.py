"""C99: the network as one self-contained file, with the library's own formulas and so with its bits."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from .._version import __version__
from ._c_functions import FUNCTIONS, with_their_needs
from ._parts import Affine, Part, Product, Scale, parts, shared

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..network import Network


def c_source(net: Network, name: str) -> str:
    """The file's text; name: what its functions start with."""
    steps = parts(net)
    products = [step for step in steps if isinstance(step, Product)]
    widths = [net.n_in, *(product.b.size for product in products)]
    links = [net.link] if net.link in ("softmax", "sigmoid", "exp") else []
    needed = with_their_needs(["dense", *(_function(product) for product in products), *links])
    blocks = [
        _HEADER.format(
            name=name, widths="-".join(map(str, widths)), version=__version__, n_in=net.n_in, n_out=net.n_out
        ),
        *(FUNCTIONS[function] for function in needed),
        *(_arrays(i, product) for i, product in enumerate(shared(steps).values(), start=1)),
        _forward(name, net, steps, max(widths)),
        _predict(name, net),
        _self_check(name, net),
    ]
    return "\n".join(blocks)


def check_name(name: str) -> str:
    """name itself. ValueError: it cannot start the names of C functions."""
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", name):
        raise ValueError(f"name must be a C identifier, got {name!r}")
    return name


_HEADER = """\
/* {name}.c: a network {widths}, written by fastnn {version}.  C99, nothing else needed but <math.h>.
 *
 *   void {name}_outputs(const float x[{n_in}], float y[{n_out}]);   the last layer's outputs for one row
 *   void {name}_predict(const float x[{n_in}], float y[{n_out}]);   probabilities or rates, if it has learnt any
 *   float {name}_self_check(void);                            largest error on a stored example
 *
 * Declare them where you call them.  Compile with -O2 -ffp-contract=off, and with the processor's fused multiply-add
 * (-mfma, -march=native, ...), for without it fmaf is slow.  Then outputs have the bits that fastnn gives, and the
 * self-check returns 0. */
#include <math.h>
#include <stdint.h>
#include <string.h>
"""


def _arrays(i: int, product: Product) -> str:
    rows, columns = product.w.shape
    return (
        f"/* {product.name}: W ({rows}, {columns}), then b */\n"
        f"static const float w{i}[{rows} * {columns}] = {{\n{_numbers(product.w)}}};\n"
        f"static const float b{i}[{columns}] = {{\n{_numbers(product.b)}}};\n"
    )


def _numbers(array: NDArray[np.float32]) -> str:
    return "".join(_lines(array.reshape(-1)))


def _lines(values: NDArray[np.float32], in_a_line: int = 8) -> Iterator[str]:
    for start in range(0, values.size, in_a_line):
        yield "    " + " ".join(f"{_literal(float(v))}," for v in values[start : start + in_a_line]) + "\n"


def _literal(value: float) -> str:
    """Nine digits name a float."""
    text = f"{value:.9g}"
    return f"{text}f" if any(mark in text for mark in ".e") else f"{text}.0f"


def _function(product: Product) -> str:
    """Of csrc/kernels: a linear activation with constants is the kernels' affine one."""
    name, *constants = product.activation
    return "affine" if name == "linear" and constants else str(name)


def _activated(product: Product) -> str:
    """z[i] through the activation."""
    function = _function(product)
    arguments = ", ".join(["z[i]", *(_literal(float(np.float32(value))) for value in product.activation[1:])])
    return "z[i]" if function == "linear" else f"{function}_of({arguments})"


def _forward(name: str, net: Network, steps: list[Part], widest: int) -> str:
    lines = [f"void {name}_outputs(const float *x, float *y) {{", f"    float a[{widest}], z[{widest}];"]
    lines.append(f"    memcpy(a, x, {net.n_in} * sizeof *a);")
    n, numbers = net.n_in, {variables: i for i, variables in enumerate(shared(steps), start=1)}
    for step in steps:
        if isinstance(step, Affine):
            scale, offset = step.scale.hex(), step.offset.hex()
            lines.append(f"    for (int i = 0; i < {n}; i++) a[i] = (float)((double)a[i] * {scale} + {offset});")
        elif isinstance(step, Scale):
            lines.append(f"    for (int i = 0; i < {n}; i++) a[i] *= {_literal(step.factor)};")
        else:
            number = numbers[step.name]
            lines.append(f"    dense(z, a, w{number}, b{number}, {n}, {step.b.size});")
            n = step.b.size
            lines.append(f"    for (int i = 0; i < {n}; i++) a[i] = {_activated(step)};")
    return "\n".join([*lines, f"    memcpy(y, a, {n} * sizeof *y);", "}\n"])


def _predict(name: str, net: Network) -> str:
    last = {
        "softmax": f"    softmax_of(y, {net.n_out});\n",
        "sigmoid": f"    for (int i = 0; i < {net.n_out}; i++) y[i] = sigmoid_of(y[i]);\n",
        "exp": f"    for (int i = 0; i < {net.n_out}; i++) y[i] = exp_of(y[i]);\n",
    }.get(net.link or "", "")
    return f"void {name}_predict(const float *x, float *y) {{\n    {name}_outputs(x, y);\n{last}}}\n"


def _self_check(name: str, net: Network) -> str:
    """A row of numbers that differ, and what the library makes of it."""
    x = ((np.arange(net.n_in) * 37 % 101) / 101).astype(np.float32)
    y = net._predict(x[None], net.link or "identity", None)[0]
    return (
        f"float {name}_self_check(void) {{\n"
        f"    static const float right[{net.n_out}] = {{\n{_numbers(y)}    }};\n"
        f"    float x[{net.n_in}], y[{net.n_out}], worst = 0.0f;\n"
        f"    for (int i = 0; i < {net.n_in}; i++) x[i] = (float)(i * 37LL % 101 / 101.0);\n"
        f"    {name}_predict(x, y);\n"
        f"    for (int i = 0; i < {net.n_out}; i++) {{\n"
        "        const float error = fabsf(y[i] - right[i]);\n"
        "        if (!(error <= worst)) worst = error; /* NaN counts */\n"
        "    }\n"
        "    return worst;\n"
        "}\n"
    )
