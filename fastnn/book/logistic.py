"""Logistic regression on MNIST: 784 pixels, 10 classes, no hidden layer (chapter 3).

The book's script has four phases, and so has this; it reports 91.9 % within 100 epochs.

    inference  a network, which gives probabilities: y = softmax(x W + b)
    loss       -mean(sum t log y), here also where y is 0, since it is computed from the logits
    training   gradient descent: a Trainer
    evaluate   the share of images whose largest probability is that of their class: trainer.evaluate
"""

import fastnn as fnn

from ._run import Recipe

TITLE = "Logistic regression"
LISTED = {"epochs": 1000, "batch_size": 100, "learning_rate": 0.01}


def inference(seed: int, device: str = "cpu:0") -> fnn.Network:
    """W and b zero at first."""
    layers = [
        fnn.Rescaling(1 / 255),
        fnn.Dense(10, "softmax", initializer="zeros", name="logistic"),
    ]
    return fnn.Network(784, layers, seed=seed, device=device)


def loss() -> fnn.losses.Loss:
    return fnn.SoftmaxCrossEntropy()


def training(net: fnn.Network, loss: fnn.losses.Loss, learning_rate: float) -> fnn.Trainer:
    """At a constant rate. ``trainer.step``, which nothing trains, is the book's global_step."""
    return fnn.Trainer(net, loss, fnn.SGD(learning_rate))


def listing(learning_rate: float, steps: int, seed: int, device: str = "cpu:0") -> fnn.Trainer:
    return training(inference(seed, device), loss(), learning_rate)


RECIPES = {
    "listing": Recipe(listing, epochs=100, batch_size=100, learning_rate=0.01, drop_last=True),
}
DEFAULT = "listing"
