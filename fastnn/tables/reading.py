"""Reading examples from a CSV, NPZ or IDX file."""

from __future__ import annotations

import csv
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from .._checks import FLOAT32_MAX
from .._idx import as_path, read_idx

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Table", "read_table"]

_MISSING = ("", "?", "na", "n/a", "nan", "null", "none")


@dataclass(frozen=True, eq=False)
class Table:
    """x: (n, n_in) numbers. columns: their names. y: the target's values (n,) or (n, n_out), or None.

    target: the target's name.
    """

    x: NDArray[Any]
    columns: tuple[str, ...]
    y: NDArray[Any] | None = None
    target: str = ""

    def __len__(self) -> int:
        return int(self.x.shape[0])


def read_table(
    path: str | os.PathLike[str], target: str | None = None, *, columns: Sequence[str] | int | None = None
) -> Table:
    """The examples of a file.

    CSV (any name that does not end otherwise; commas, semicolons or tabs): a row a line, names in the first if it holds
    any that is no number. target: a column's name, or its number from 0, negative from the end; None: the last. All
    other columns are features, numbers all of them. A target that is no number is kept as text.
    Nothing may be missing.
    NPZ: arrays "x" (n, ...) and "y"; target: another name for "y". IDX (".idx", "-ubyte", also with ".gz"): x in path,
    target: the file of y. Rows of more than one dimension become one.

    columns: for predictions: exactly these features, by name where the file has names, or so many, by position;
    there is no target then.
    OSError: a file cannot be read. ValueError: it does not hold such a table; file, line and column are named.
    """
    name = as_path("path", path)
    lower = name.lower().removesuffix(".gz")
    if lower.endswith(".npz"):
        return _read_npz(name, None if columns is not None else target or "y")
    if lower.endswith((".idx", "ubyte")):
        return _read_idx(name, None if columns is not None else target)
    header, rows = _read_csv(name)
    names = header if header is not None else [f"column_{i}" for i in range(len(rows[0]))]
    if columns is not None:
        places = _places(name, names, header is not None, columns)
        known = [names[i] for i in places] if isinstance(columns, int) else columns
        return Table(_numbers(name, rows, names, places), tuple(known))
    at = _target_place(name, names, target)
    features = [i for i in range(len(names)) if i != at]
    if not features:
        raise ValueError(f"{name!r} must have at least one column besides the target {names[at]!r}, got none")
    x = _numbers(name, rows, names, features)
    return Table(x, tuple(names[i] for i in features), _target(name, rows, at), names[at])


# ---- CSV ------------------------------------------------------------------------------------------------------------


def _read_csv(path: str) -> tuple[list[str] | None, list[list[str]]]:
    """Names, if the first line has any, and the other lines' cells."""
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            first = file.readline()
            file.seek(0)
            delimiter = max(",;\t", key=re.sub('"[^"]*"', "", first).count)
            rows = [[cell.strip() for cell in row] for row in csv.reader(file, delimiter=delimiter) if row]
    except UnicodeDecodeError as error:
        raise ValueError(f"{path!r} must be text in UTF-8, got {error}") from error
    except csv.Error as error:
        raise ValueError(f"{path!r} is not a CSV file: {error}") from error
    header = rows.pop(0) if rows and _is_header(rows) else None
    if not rows:
        raise ValueError(f"{path!r} must have at least one row of values, got none")
    if header is not None and len(set(header)) < len(header):
        twice = next(name for name in header if header.count(name) > 1)
        raise ValueError(f"{path!r} must have another name for every column, got {twice!r} twice")
    width = len(header if header is not None else rows[0])
    for i, row in enumerate(rows):
        if len(row) != width:
            raise ValueError(
                f"{path!r} must have {width} columns in every row, got {len(row)} in row {i + 1} of values"
            )
    return header, rows


def _is_header(rows: list[list[str]]) -> bool:
    """Whether some column starts with a text although its next cell is a number; of texts alone: if all are."""
    first = [_is_number(cell) for cell in rows[0]]
    second = [_is_number(cell) for cell in rows[1]] if len(rows) > 1 else []
    return not any(first) or any(below and not above for above, below in zip(first, second, strict=False))


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _is_finite(cell: str) -> bool:
    """As float32."""
    return _is_number(cell) and abs(float(cell)) <= FLOAT32_MAX


def _target_place(path: str, names: list[str], target: str | None) -> int:
    if target is None:
        return len(names) - 1
    if target in names:
        return names.index(target)
    try:
        place = int(target)
    except ValueError:
        place = len(names)
    if not -len(names) <= place < len(names):
        raise ValueError(f"target must be a column of {path!r}: {', '.join(names)}; got {target!r}")
    return place % len(names)


def _places(path: str, names: list[str], is_named: bool, columns: Sequence[str] | int) -> list[int]:
    """Where the model's features are: by name or, in a file without names, in the order that the model knows."""
    if isinstance(columns, int):
        if len(names) != columns:
            raise ValueError(f"{path!r} must have {columns} columns, as many as the model reads, got {len(names)}")
        return list(range(columns))
    missing = [name for name in columns if name not in names]
    if not missing:
        return [names.index(name) for name in columns]
    if is_named:
        raise ValueError(f"{path!r} must have the columns that the model knows, got none named {', '.join(missing)}")
    if len(names) != len(columns):
        raise ValueError(f"{path!r} must have {len(columns)} columns, those that the model knows, got {len(names)}")
    return list(range(len(names)))


def _numbers(path: str, rows: list[list[str]], names: list[str], places: Sequence[int]) -> NDArray[np.float64]:
    x = np.empty((len(rows), len(places)), np.float64)
    for i, row in enumerate(rows):
        try:
            x[i] = [float(row[place]) for place in places]
            is_good = bool(np.all(np.abs(x[i]) <= FLOAT32_MAX))
        except ValueError:
            is_good = False
        if not is_good:
            bad = next(place for place in places if not _is_finite(row[place]))
            where = f"row {i + 1} of values, column {names[bad]!r}"
            raise ValueError(f"{path!r} must have finite numbers as features, got {row[bad]!r} in {where}")
    return x


def _target(path: str, rows: list[list[str]], place: int) -> NDArray[Any]:
    """Numbers, if all cells are, else texts. A cell that stands for a missing value is an error, "NA" and the like only
    among numbers: they may name a class."""
    cells = [row[place] for row in rows]
    others = [cell for cell in cells if cell.lower() not in _MISSING]
    is_numeric = bool(others) and all(map(_is_number, others))
    for i, cell in enumerate(cells, start=1):
        if cell == "" or (is_numeric and cell.lower() in _MISSING):
            raise ValueError(f"{path!r} must have a target in every row, got {cell!r} in row {i} of values")
    return np.array([float(cell) for cell in cells] if is_numeric else cells)


# ---- NPZ and IDX ----------------------------------------------------------------------------------------------------


def _read_npz(path: str, target: str | None) -> Table:
    from zipfile import BadZipFile

    try:
        with open(path, "rb") as file, np.load(file, allow_pickle=False) as arrays:
            held = {name: arrays[name] for name in ("x", target) if name is not None and name in arrays.files}
            found = ", ".join(arrays.files)
    except (BadZipFile, ValueError, EOFError) as error:
        raise ValueError(f"{path!r} is not a file of arrays: {error}") from error
    for name in ("x", target):
        if name is not None and name not in held:
            raise ValueError(f"{path!r} must have an array {name!r}, got {found or 'none'}")
    return _of_arrays(path, held["x"], held[target] if target is not None else None, target or "")


def _read_idx(path: str, target: str | None) -> Table:
    if target is None:
        return _of_arrays(path, read_idx(path), None, "")
    return _of_arrays(path, read_idx(path), read_idx(target), os.path.basename(target))


def _of_arrays(path: str, x: NDArray[Any], y: NDArray[Any] | None, target: str) -> Table:
    if x.ndim == 0 or len(x) == 0 or x.size == 0:
        raise ValueError(f"{path!r} must have at least one row of values, got an array of shape {x.shape}")
    if y is not None and (y.ndim == 0 or len(y) != len(x)):
        raise ValueError(f"{path!r} must have a target for each of its {len(x)} rows, got shape {y.shape}")
    if x.dtype.kind not in "buif" or not (x.min() >= -FLOAT32_MAX and x.max() <= FLOAT32_MAX):
        raise ValueError(f"{path!r} must have finite numbers as features, got others in an array of {x.dtype}")
    x = x.reshape(len(x), -1)
    if y is not None and y.dtype.kind == "S":
        y = np.char.decode(y, "utf-8")
    if y is not None and y.shape[1:] == (1,):
        y = y[:, 0]
    return Table(x, tuple(f"column_{i}" for i in range(x.shape[1])), y, target)
