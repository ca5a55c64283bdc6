"""Pictures of networks and of their training, drawn with matplotlib: ``pip install 'fastnn[plot]'``.

Every function draws on ``ax`` (None: a new figure) and returns the figure and a list of the axes drawn on, as
``History.plot`` does; so grids are ``figure, grid = pyplot.subplots(1, 3)`` and one call for each of its axes.
Colours are those of Okabe and Ito, which colour-blind people tell apart, or maps that they read.
ImportError: no matplotlib.
"""

from .curves import activations, learning_curves, learning_rates
from .errors import confusion_matrix, misclassified
from .regions import decision_regions
from .surfaces import error_curve, error_of, error_surface
from .weights import weight_images

__all__ = [
    "activations",
    "confusion_matrix",
    "decision_regions",
    "error_curve",
    "error_of",
    "error_surface",
    "learning_curves",
    "learning_rates",
    "misclassified",
    "weight_images",
]
