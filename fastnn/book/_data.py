"""The images that the book's systems learn from: MNIST, or drawn digits where it cannot be had."""

import time

from fastnn import datasets
from fastnn.datasets import Dataset

_PATIENCE_SECONDS = 5.0


def load(source: str) -> tuple[Dataset, str]:
    """The data set, and why it is not MNIST: one line, empty unless source is "auto" and MNIST cannot be had.

    source: "mnist" (FASTNN_DATA, the cache, or downloaded), "digits" (drawn), "auto" (the first that can be had), or a
    directory with MNIST's files.
    OSError: no MNIST there, or its files are damaged.
    """
    if source == "auto":
        return _mnist_or_digits()
    if source == "digits":
        return datasets.digits(), ""
    return (datasets.mnist() if source == "mnist" else datasets.mnist(source)), ""


def at_hand() -> Dataset:
    """MNIST where this machine has it, else digits that the library draws: nothing is downloaded."""
    try:
        return datasets.mnist(download=False)
    except OSError:
        return datasets.digits()


def _mnist_or_digits() -> tuple[Dataset, str]:
    try:
        return datasets.mnist(download=False), ""
    except OSError as error:
        reason = _one_line(error)
    if _mirror_answers(_PATIENCE_SECONDS):
        try:
            return datasets.mnist(), ""
        except OSError as error:
            reason = _one_line(error)
    else:
        reason += f"; no mirror answered within {_PATIENCE_SECONDS:g} seconds"
    return datasets.digits(), reason


def _one_line(error: OSError) -> str:
    """The reasons of ``datasets.mnist``, which are its message's indented lines, or else the whole message."""
    lines = str(error).splitlines()
    indented = [line for line in lines if line.startswith("  ")] or lines
    return "; ".join(line.strip() for line in indented if line.strip() != "download=False")


def _mirror_answers(seconds: float) -> bool:
    """Whether any mirror says anything in time. Threads, because looking up a name has no time-out of its own, and a
    host that swallows packets is tried address after address."""
    from queue import Empty, SimpleQueue
    from threading import Thread

    answers: SimpleQueue[bool] = SimpleQueue()
    for mirror in datasets._MIRRORS:
        Thread(target=lambda url: answers.put(_answers(url, seconds)), args=(mirror,), daemon=True).start()
    deadline = time.monotonic() + seconds
    try:
        return any(answers.get(timeout=max(0.0, deadline - time.monotonic())) for _ in datasets._MIRRORS)
    except Empty:
        return False


def _answers(url: str, seconds: float) -> bool:
    from http.client import HTTPException
    from urllib.error import HTTPError
    from urllib.request import Request, urlopen

    try:
        urlopen(Request(url, method="HEAD", headers={"User-Agent": "fastnn"}), timeout=seconds).close()
    except HTTPError as error:  # "no such page" is an answer
        error.close()
    except (OSError, HTTPException):
        return False
    return True
