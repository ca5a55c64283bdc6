"""The systems of Buduma, *Fundamentals of Deep Learning*, as examples of the public API: one short module each.

`fastnn book` lists them, `fastnn book NAME` runs one. A new example is a module here and its NAME in ROWS.

An example's module has ``run(seed)``, which returns a ``Result``, and, where there is something to see,
``plot(result)``, which returns a matplotlib Figure. Those LOGGED have ``run(seed, logdir)``, which leaves event files
in a folder. The TRAININGS learn from MNIST and have more flags; their modules have a TITLE, the numbers that the book
has LISTED, their RECIPES by name, "listing" being the book's own, and the name of the DEFAULT one. ``python -m
fastnn.book docs/figures`` draws the figures of docs/book.md.

A figure of the book is a picture without data: where an example draws one, data and settings are of its own choice, and
it agrees with the book's in kind, not in number.
"""

from importlib import import_module
from types import ModuleType
from typing import NamedTuple

CHAPTERS = {1: "the neuron and the network", 2: "training", 3: "the tool around it"}


class Row(NamedTuple):
    """One system. number: chapter and place; name: its example's, which several may share."""

    number: str
    name: str
    says: str

    @property
    def chapter(self) -> int:
        return int(self.number.partition(".")[0])


ROWS = (
    Row("1.1", "perceptron", "a perceptron tells from hours of sleep and of study who passes; what no line separates"),
    Row("1.2", "neuron", "a neuron: weights, a bias and any function; a layer of one unit computes the same"),
    Row("1.3", "network", "layers of neurons: an image as a vector, hidden activities, connections left out"),
    Row("1.4", "activations", "linear, sigmoid, tanh and ReLU units; linear layers, however many, make a linear one"),
    Row("1.5", "softmax", "softmax outputs are probabilities that sum to 1, for any finite logits"),
    Row("1.6", "multilabel", "several labels at once: both, either, or neither"),
    Row("2.1", "cafeteria", "the cafeteria: a linear neuron finds prices by the delta rule; descent in a bowl"),
    Row("2.2", "sigmoid_neuron", "the gradient of a sigmoidal neuron is that of the closed form"),
    Row("2.3", "backpropagation", "backpropagation gives the gradients that central differences give, at any depth"),
    Row("2.4", "descent", "batch, stochastic and mini-batch descent: noise leaves a minimum that batches stick in"),
    Row("2.5", "overfitting", "a line and a curve of degree 12: the curve hits what it has seen, the line what comes"),
    Row("2.6", "regions", "more hidden units and layers draw finer decision regions"),
    Row("2.7", "workflow", "the workflow: train until no error falls any more, say why, test once"),
    Row("2.8", "l2", "L2 at strengths 0.01, 0.1 and 1: smaller weights, smoother regions"),
    Row("2.9", "l1", "L1 makes weights exactly zero, so that units use few inputs; L2 does not"),
    Row("2.10", "max_norm", "max-norm keeps weights bounded, even where the learning rate is too high"),
    Row("2.11", "dropout", "dropout in its two forms: scaling in prediction (naive) or in training (inverted)"),
    Row("2.12", "dropout", "the mean of a dropped unit: p x in the naive form, x in the inverted one"),
    Row("2.13", "lbfgs", "beyond the book: SciPy's L-BFGS, given a network as a function of a vector"),
    Row("3.1", "variables", "variables: named, listed, read, assigned, saved, restored, frozen"),
    Row("3.2", "initializers", "initialisers, and what a uniform one does to the multilayer perceptron"),
    Row("3.3", "session", "any number of rows; results in between"),
    Row("3.4", "sharing", "one set of variables for two inputs, in two networks, in two places"),
    Row("3.5", "scopes", "scopes: names within names"),
    Row("3.6", "devices", "devices: chosen, missing, replaced, logged"),
    Row("3.7", "towers", "towers: two devices share the work, the results are added"),
    Row("3.8", "logistic", "logistic regression on MNIST: the book has 91.9 % within 100 epochs"),
    Row("3.9", "logistic", "four phases: inference, loss, training, evaluation"),
    Row("3.10", "summaries", "summaries that TensorBoard shows: cost, validation error, histograms, graph"),
    Row("3.11", "checkpoints", "a checkpoint an epoch, the latest five kept, restored; killed and gone on"),
    Row("3.12", "logistic", "the training loop: an epoch, its validation, its line; the test once, at the end"),
    Row("3.13", "mlp", "multilayer perceptron on MNIST: the book has 98.2 % after 300 epochs"),
    Row("3.14", "cheque", "what an accuracy a digit means for cheques of four digits"),
    Row("3.15", "operations", "the classes of operations that a feed-forward library needs"),
    Row("3.16", "production", "why a tool was chosen: any architecture, no compilation, a way into production"),
)
TRAININGS = ("logistic", "mlp")
LOGGED = ("summaries",)
NAMES = tuple(dict.fromkeys(row.name for row in ROWS))


def rows_of(name: str) -> list[Row]:
    """The systems that an example shows."""
    return [row for row in ROWS if row.name == name]


def system(name: str) -> ModuleType:
    """The module of one of NAMES, imported when it is asked for."""
    return import_module(f"{__name__}.{name}")
