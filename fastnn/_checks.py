"""Shared by the descriptions (layers, losses, schedules, optimisers, initialisers): argument checks and JSON form.

Every message reads "NAME must be EXPECTED, got VALUE". A wrong kind is a TypeError, a wrong value a ValueError; bool is
not a number; NaN, infinity and numbers that float32 cannot hold are refused. Checked values come back as plain Python
int, float, bool or str, whatever NumPy scalar came in.
"""

import dataclasses
import math
import numbers
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, ClassVar, Self, TypeVar, dataclass_transform

import numpy as np

FLOAT32_MAX = float(np.finfo(np.float32).max)
INT64_MAX = 2**63 - 1
MAX_SEED = 2**64 - 1

# ---- numbers, strings, flags ----------------------------------------------------------------------------------------


def wrong_kind(name: str, expected: str, value: object) -> TypeError:
    return TypeError(f"{name} must be {expected}, got {_shown(value)} ({type(value).__name__})")


def wrong_value(name: str, expected: str, value: object) -> ValueError:
    return ValueError(f"{name} must be {expected}, got {_shown(value)}")


def real(name: str, value: Any, expected: str = "a number") -> float:
    """Any number, NaN and infinity among them."""
    if type(value) is float:  # what it mostly is: whether a type counts as Real takes ten times as long to find out
        return value
    if not _is(value, numbers.Real):
        raise wrong_kind(name, expected, value)
    try:
        return float(value)
    except OverflowError:  # an int or a fraction beyond float64
        return math.inf if value > 0 else -math.inf


def number(
    name: str, value: Any, expected: str = "a finite number", accepts: Callable[[float], bool] = lambda _: True
) -> float:
    result = real(name, value, expected)
    if not math.isfinite(result) or not accepts(result):
        raise wrong_value(name, expected, value)
    if abs(result) > FLOAT32_MAX:
        raise wrong_value(name, f"{expected} that float32 can hold", value)
    return result


def positive(name: str, value: Any) -> float:
    return number(name, value, "a positive finite number", lambda v: v > 0)


def non_negative(name: str, value: Any) -> float:
    return number(name, value, "a non-negative finite number", lambda v: v >= 0)


def integer(name: str, value: Any, low: int, high: int | None = None) -> int:
    """An integer from low to high, both included. Without high: from 0 or 1 to what 64 bits hold."""
    if high is None:
        expected = "a positive integer" if low == 1 else "a non-negative integer"
    else:
        expected = f"an integer from {low} to {high}"
    if not _is(value, numbers.Integral):
        raise wrong_kind(name, expected, value)
    result = int(value)
    if result < low or (high is not None and result > high):
        raise wrong_value(name, expected, value)
    if high is None and result > INT64_MAX:
        raise wrong_value(name, f"{expected} that 64 bits can hold", value)
    return result


def flag(name: str, value: Any) -> bool:
    if not isinstance(value, (bool, np.bool_)):
        raise wrong_kind(name, "True or False", value)
    return bool(value)


def choice(name: str, value: Any, choices: Iterable[str]) -> str:
    choices = tuple(choices)
    expected = f"one of {', '.join(map(repr, choices))}"
    if not isinstance(value, str):
        raise wrong_kind(name, expected, value)
    if value not in choices:
        raise wrong_value(name, expected, value)
    return str(value)


def shape(name: str, value: Any) -> tuple[int, ...]:
    expected = "a sequence of positive integers"
    if isinstance(value, (str, bytes)) or not isinstance(value, Sequence):
        raise wrong_kind(name, expected, value)
    if not value:
        raise wrong_value(name, expected, value)
    return tuple(integer(f"{name}[{axis}]", size, 1) for axis, size in enumerate(value))


def _is(value: Any, kind: type) -> bool:
    return isinstance(value, kind) and not isinstance(value, bool)


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


# ---- descriptions ---------------------------------------------------------------------------------------------------

T = TypeVar("T")

_classes: dict[str, type["Described"]] = {}


@dataclass_transform(frozen_default=True, eq_default=False)
def description(cls: type[T]) -> type[T]:
    """What ``dataclass(frozen=True, eq=False, repr=False)`` makes of a class, in a third of its time, for ``dataclass``
    compiles the methods that freeze a class anew for each: that was a third of the time to import fastnn."""
    cls.__setattr__, cls.__delattr__ = _assign_once, _delete_never  # type: ignore[method-assign]
    cls = dataclasses.dataclass(eq=False, repr=False)(cls)
    cls.__dataclass_params__.frozen = True  # type: ignore[attr-defined] # as it is to dataclasses that inherit from it
    return cls


def _assign_once(self: Any, name: str, value: object) -> None:
    """Fields, by __init__; a class below that is no description itself may have attributes of its own."""
    is_field = name in self.__dataclass_fields__
    if name in vars(self) if is_field else "__dataclass_fields__" in vars(type(self)):
        raise dataclasses.FrozenInstanceError(f"cannot assign to field {name!r}")
    object.__setattr__(self, name, value)


def _delete_never(self: object, name: str) -> None:
    raise dataclasses.FrozenInstanceError(f"cannot delete field {name!r}")


class Described:
    """Base of frozen dataclasses whose instances are their own, JSON-able, description.

    A family starts with ``class Layer(Described, family="layer")``. Every class below it is known by its kind, the
    family and the class name in snake case, or the name given: Dense is "layer.dense". Fields are JSON values or
    descriptions.
    """

    family: ClassVar[str]
    kind: ClassVar[str]

    # Once here, not generated by ``dataclass`` for each class: that would be a third of the time to import fastnn.

    def __repr__(self) -> str:
        fields = dataclasses.fields(self)  # type: ignore[arg-type]
        return f"{type(self).__qualname__}({', '.join(f'{f.name}={getattr(self, f.name)!r}' for f in fields)})"

    def __eq__(self, other: object) -> bool:
        return self._values() == other._values() if type(other) is type(self) else NotImplemented

    def __hash__(self) -> int:
        return hash((type(self), self._values()))

    def _values(self) -> tuple[Any, ...]:
        return tuple(getattr(self, f.name) for f in dataclasses.fields(self))  # type: ignore[arg-type]

    def __init_subclass__(cls, family: str | None = None, name: str | None = None, **options: Any) -> None:
        super().__init_subclass__(**options)
        if family is not None:
            cls.family = family
            return
        cls.kind = f"{cls.family}.{name or _snake_case(cls.__name__)}"
        known = _classes.get(cls.kind, cls)
        if (known.__module__, known.__qualname__) != (cls.__module__, cls.__qualname__):
            raise TypeError(f"{cls.__qualname__} needs another name: the kind {cls.kind!r} belongs to {known!r}")
        _classes[cls.kind] = cls

    def to_config(self) -> dict[str, Any]:
        """This description as a JSON-able dict: its "kind" and its fields, descriptions among them as dicts."""
        fields = ((f.name, getattr(self, f.name)) for f in dataclasses.fields(self))  # type: ignore[arg-type]
        return {"kind": self.kind} | {k: v.to_config() if isinstance(v, Described) else v for k, v in fields}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """The description that ``to_config`` wrote.

        TypeError: not a mapping. ValueError: an unknown kind, unknown or missing fields, a field's value refused.
        """
        if not isinstance(config, Mapping):
            raise wrong_kind("config", 'a dict with a "kind"', config)
        kind = config.get("kind")
        described = _classes.get(kind) if isinstance(kind, str) else None
        if described is None or not issubclass(described, cls):
            known = ", ".join(map(repr, cls._below()))
            own = "" if kind in _classes or not isinstance(kind, str) else ", or of a class of your own defined before"
            raise wrong_value("config['kind']", f"one of {known}{own}", kind)
        fields = {name: value for name, value in config.items() if name != "kind"}
        _check_fields(described, fields)
        return described(**{k: Described.from_config(v) if isinstance(v, Mapping) else v for k, v in fields.items()})

    @classmethod
    def named(cls, argument: str, value: Any) -> Self:
        """value itself, or the description that a string names, made with its defaults; errors name the argument."""
        if isinstance(value, cls):
            return value
        names = {kind.partition(".")[2]: each for kind, each in cls._below().items() if not _required(each)}
        expected = f"one of {', '.join(map(repr, names))} or an instance of {cls.__name__}"
        if not isinstance(value, str):
            raise wrong_kind(argument, expected, value)
        if value not in names:
            raise wrong_value(argument, expected, value)
        return names[value]()

    @classmethod
    def _below(cls) -> dict[str, type[Self]]:
        return {kind: each for kind, each in _classes.items() if issubclass(each, cls)}

    def _set(self, **fields: Any) -> None:
        """For __post_init__ of a frozen dataclass: stores the checked values."""
        for name, value in fields.items():
            object.__setattr__(self, name, value)


def _snake_case(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


def _required(cls: type[Described]) -> set[str]:
    absent = dataclasses.MISSING
    fields = dataclasses.fields(cls)  # type: ignore[arg-type]
    return {f.name for f in fields if f.default is absent and f.default_factory is absent}


def _check_fields(cls: type[Described], fields: Mapping[str, Any]) -> None:
    known = {f.name for f in dataclasses.fields(cls)}  # type: ignore[arg-type]
    for fault, names in (("unknown", set(fields) - known), ("missing", _required(cls) - set(fields))):
        if names:
            listed = ", ".join(sorted(map(repr, names)))
            raise ValueError(f"config of {cls.kind!r} must have the fields of {cls.__name__}, got {fault} {listed}")
