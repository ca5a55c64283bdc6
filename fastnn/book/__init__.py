"""The systems of Buduma, *Fundamentals of Deep Learning*, as examples of the public API: one short module each.

`fastnn book` lists them, `fastnn book NAME` trains one. A system's module has a TITLE, the numbers that the book has
LISTED, its RECIPES by name, "listing" being the book's own, and the name of the DEFAULT one.
"""

from importlib import import_module
from types import ModuleType

SYSTEMS = ("logistic", "mlp")


def system(name: str) -> ModuleType:
    """The module of one of SYSTEMS."""
    return import_module(f"{__name__}.{name}")
