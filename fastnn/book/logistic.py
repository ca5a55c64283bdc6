"""Logistic regression on MNIST: 784 pixels, 10 classes, no hidden layer (chapter 3).

The book's script has four phases, and so has this: inference is a network, which gives probabilities; loss and training
are what a Trainer is made of; evaluate is ``trainer.evaluate``. The book reports 91.9 % within 100 epochs.
"""

import fastnn as fnn

from ._run import Recipe

TITLE = "Logistic regression"
LISTED = {"epochs": 1000, "batch_size": 100, "learning_rate": 0.01}


def listing(learning_rate: float, steps: int, seed: int) -> fnn.Trainer:
    """y = softmax(x W + b), W and b zero at first; mean cross-entropy; gradient descent at a constant rate."""
    layers = [
        fnn.Rescaling(1 / 255),
        fnn.Dense(10, "softmax", initializer="zeros", name="logistic"),
    ]
    net = fnn.Network(784, layers, seed=seed)
    return fnn.Trainer(net, loss="softmax_cross_entropy", optimizer=fnn.SGD(learning_rate))


RECIPES = {
    "listing": Recipe(listing, epochs=100, batch_size=100, learning_rate=0.01, drop_last=True),
}
DEFAULT = "listing"
