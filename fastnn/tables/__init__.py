"""Tables: networks from a file of examples, as ``fastnn train`` makes them and ``fastnn predict`` uses them."""

from .learning import Learned, Settings, learn
from .reading import Table, read_table

__all__ = ["Learned", "Settings", "Table", "learn", "read_table"]
