"""Multilayer perceptron on MNIST: two hidden layers of ReLU units (chapter 3), and two ways to train it better.

The book reports 98.2 % after 300 epochs of its listing.
"""

import fastnn as fnn

from ._run import Recipe

TITLE = "Multilayer perceptron"
LISTED = {"epochs": 300, "batch_size": 100, "learning_rate": 0.01}


def listing(learning_rate: float, steps: int, seed: int, device: str = "cpu:0") -> fnn.Trainer:
    """As the book has it: He initialisation, zero biases, ReLU on the output too, a constant rate."""
    layers = [
        fnn.Rescaling(1 / 255),
        fnn.Dense(256, "relu", initializer="he", name="hidden_1"),
        fnn.Dense(256, "relu", initializer="he", name="hidden_2"),
        fnn.Dense(10, "relu", initializer="he", name="output"),
    ]
    net = fnn.Network(784, layers, seed=seed, device=device)
    return fnn.Trainer(net, loss="softmax_cross_entropy", optimizer=fnn.SGD(learning_rate))


def fast(learning_rate: float, steps: int, seed: int, device: str = "cpu:0") -> fnn.Trainer:
    """The same network with linear logits, trained by Adam at a rate that rises at first and is 0 at the end."""
    layers = [
        fnn.Rescaling(1 / 255),
        fnn.Dense(256, "relu", name="hidden_1"),
        fnn.Dense(256, "relu", name="hidden_2"),
        fnn.Dense(10, name="output"),
    ]
    net = fnn.Network(784, layers, seed=seed, device=device)
    rate = fnn.LinearWarmup(learning_rate, start=learning_rate / 10, warmup_steps=steps // 5, total_steps=steps)
    return fnn.Trainer(net, loss="softmax_cross_entropy", optimizer=fnn.Adam(rate))


def best(learning_rate: float, steps: int, seed: int, device: str = "cpu:0") -> fnn.Trainer:
    """A wider network, held back by dropout and max-norm (chapter 2), with Nesterov momentum."""
    norm = fnn.MaxNorm(3.0)
    layers = [
        fnn.Rescaling(1 / 255),
        fnn.Dropout(0.8),
        fnn.Dense(2048, "relu", constraint=norm, name="hidden_1"),
        fnn.Dropout(0.5),
        fnn.Dense(2048, "relu", constraint=norm, name="hidden_2"),
        fnn.Dropout(0.5),
        fnn.Dense(10, constraint=norm, name="output"),
    ]
    net = fnn.Network(784, layers, seed=seed, device=device)
    rate = fnn.LinearWarmup(learning_rate, warmup_steps=steps // 10, total_steps=steps)
    return fnn.Trainer(net, loss="softmax_cross_entropy", optimizer=fnn.SGD(rate, momentum=0.9, nesterov=True))


RECIPES = {
    "listing": Recipe(listing, epochs=300, batch_size=100, learning_rate=0.01, drop_last=True),
    "fast": Recipe(
        fast,
        epochs=4,
        batch_size=100,
        learning_rate=0.003,
        differs=(
            "linear logits, no ReLU on the output",
            "Adam, not plain gradient descent",
            "the learning rate rises from a tenth of its peak over the first fifth of the steps, then falls to 0",
        ),
    ),
    "best": Recipe(
        best,
        epochs=120,
        batch_size=100,
        learning_rate=0.03,
        differs=(
            "hidden layers of 2048 units, not 256",
            "linear logits, no ReLU on the output",
            "dropout keeps 0.8 of the inputs and 0.5 of the hidden units",
            "max-norm keeps the weights of each unit within a norm of 3",
            "Nesterov momentum of 0.9",
            "the learning rate rises from 0 to its peak over the first tenth of the steps, then falls to 0",
        ),
    ),
}
DEFAULT = "fast"
