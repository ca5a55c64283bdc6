"""Trainer: epochs, validation and callbacks. The epoch itself runs in C; this loop turns once an epoch."""

from __future__ import annotations

import os
import time
from _thread import allocate_lock
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import numpy as np

from . import _checks, _core, losses, regularizers
from . import metrics as _metrics
from ._files import write_atomically
from ._fit import check_callbacks, check_clip, check_link, check_settings, goal, rows_of, sets_of, work_of
from ._pace import Pace
from ._progress import StepsShown, as_progress, bar
from ._seeds import as_seed
from ._stream import Stream
from .callbacks import Callback, Pauses, States, load_states, states_of
from .history import History
from .network import Network
from .optimizers import SGD, Optimizer
from .regularizers import Regularizer

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from ._fit import Work
    from ._progress import Progress, Watch
    from ._seeds import Seed
    from ._towers import Crew
    from .metrics import Metrics


class Trainer:
    """Trains a network: weights live in the network, velocity or moments, step and epoch here.

    loss: a name or a Loss; it also sets the network's link, by which it predicts. optimizer: an SGD, an Adam or an
    RMSProp; None: SGD(0.01). regularizer: an L1 or an L2 for the weights of every Dense layer that has none of its own.
    reduction: "mean", or "sum" for gradients of the sum over a batch's rows, as in Buduma's chapter 2; losses are
    reported as means either way.
    seed: of shuffling and dropout; None takes the network's. Permutations are a function of (seed, epoch), dropout
    masks of (seed, step), so a training's bits depend on nothing else.
    clip_value, clip_norm: positive bounds of a step's gradients, or None. With g all gradients of the trainable
    variables together, of the loss of the data alone,

        clip_value  each of g <- min(max(g, -clip_value), clip_value)
        clip_norm   g <- g min(1, clip_norm / ||g||), with the norm in float64, after clip_value

    before regularisers and the optimiser see them. A norm within its bound changes no bit. With clip_norm the history
    has "gradient_norm", the epoch's mean of ||g|| before clip_norm bounds it. (Pascanu, Mikolov and Bengio, "On the
    difficulty of training recurrent neural networks", ICML 2013, section 3.2.)
    towers: names of devices that share the work of each step, as ("gpu:0", "gpu:1") or ("cpu:0", "gpu:0"), or None. A
    mini-batch is cut into contiguous shares, one a tower, whose numbers of rows differ by at most one; a batch of fewer
    rows than towers uses that many. Each tower has a thread and the network's parameters, and computes the gradients of
    its share, of the mean over the whole batch and with the dropout masks that one device would draw. The CPU adds them
    up in the order of the towers, in float32, does with the sum what a step does (bounds, regularisers, optimiser,
    constraints), and the new parameters go to every tower. A device may be named more than once; that of the network
    need not be among them, and still does all but the training. Missing devices: as allow_soft_placement of the network
    has it. The bits are those of the same towers again, with any number of threads; those of other towers, or of none,
    differ by the rounding of sums added up in another order. One tower has the bits of none. Towers that are GPUs have
    the precision of the network.
    Where that is done makes no difference to the bits. Towers that are two or more different GPUs send each other their
    gradients by NVIDIA's NCCL, if it can be loaded, and each does for its own parameters and optimiser's state what the
    CPU would do; they come back when something reads them. For other towers, and without NCCL (FASTNN_NCCL=0 refuses
    it), parameters and gradients travel once a step between each GPU and the host's memory. The placement log of the
    network says which it is. Either way small networks are slower with towers than on one device.
    (Buduma, Fundamentals of Deep Learning, chapter 3, figure 3-3.)
    TypeError, ValueError: an argument is none of these, loss and last layer contradict each other, a layer's
    activation is a threshold, or a CustomLoss is to be computed by towers.
    """

    def __init__(
        self,
        network: Network,
        loss: str | losses.Loss = "softmax_cross_entropy",
        optimizer: Optimizer | None = None,
        *,
        regularizer: Regularizer | None = None,
        clip_norm: float | None = None,
        clip_value: float | None = None,
        reduction: str = "mean",
        seed: Seed = None,
        towers: Sequence[str] | None = None,
    ) -> None:
        if not isinstance(network, Network):
            raise _checks.wrong_kind("network", "a Network", network)
        optimizer = SGD(0.01) if optimizer is None else optimizer
        if not isinstance(optimizer, Optimizer):
            raise _checks.wrong_kind("optimizer", "an SGD, an Adam or an RMSProp", optimizer)
        network._check_trainable()
        self.network = network
        self.loss = losses.get(loss)
        self.optimizer = optimizer
        self.reduction = _checks.choice("reduction", reduction, ("mean", "sum"))
        self.regularizer = regularizers.check("regularizer", regularizer)
        self._regularizers = [
            self.regularizer if dense.regularizer is None else dense.regularizer for _, dense in network._dense
        ]
        self.clip_norm, self.clip_value = check_clip("clip_norm", clip_norm), check_clip("clip_value", clip_value)
        self.seed = network.seed if seed is None else as_seed(seed)
        self.history = History()
        check_link(network, self.loss)
        self._crew = None if towers is None else self._take_towers(towers)
        network.link = self.loss.link
        self._training = _core.Training(
            network._net,
            self.loss.rule,
            self.seed,
            is_sum=self.reduction == "sum",
            restraints=self._restraints(),
            clip_value=self.clip_value or 0.0,
            clip_norm=self.clip_norm or 0.0,
            crew=self._crew,
            **optimizer.rule,
        )
        self._is_stopped = False
        self._steps = allocate_lock()  # the engine's memory is for one epoch at a time
        self._log_placement()
        self._callbacks: Sequence[Callback] = ()  # of the latest fit
        self._saved_states: States = []  # of the callbacks of a trainer that was loaded, until the next fit takes them

    @property
    def step(self) -> int:
        """Updates done so far."""
        return int(self._training.step)

    @property
    def epoch(self) -> int:
        """Epochs begun so far."""
        return int(self._training.epoch)

    @property
    def towers(self) -> tuple[str, ...] | None:
        """The names of the devices that share the work of each step, or None."""
        return None if self._crew is None else self._crew.devices

    @property
    def batch_losses(self) -> NDArray[np.float64]:
        """Mean loss of each mini-batch of the last epoch, before its update and without penalties: (n_steps,).

        Of an epoch that was cut short: of the steps that were done.
        """
        losses: NDArray[np.float64] = self._training.losses
        return losses

    def stop(self) -> None:
        """For callbacks: ends the running ``fit`` after this epoch, or before its first."""
        self._is_stopped = True

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes the trainer and its network as one safetensors file, replacing path only when it is complete.

        It holds all that ``load_trainer`` needs to go on as if nothing had happened: parameters, velocity or moments,
        step, epoch and seed, descriptions of loss, optimiser and regulariser, the history, and the states of the
        callbacks of the latest ``fit``. ``load`` reads the network from it.
        TypeError: something of your own that JSON cannot describe. OSError: the file cannot be written.
        """
        from .checkpoint import to_bytes

        write_atomically(path, to_bytes(self))

    def fit(
        self,
        x: ArrayLike,
        y: ArrayLike,
        *,
        epochs: int = 1,
        batch_size: int = 100,
        validation_data: tuple[ArrayLike, ArrayLike] | None = None,
        sample_weight: ArrayLike | None = None,
        class_weight: Mapping[int, float] | ArrayLike | None = None,
        shuffle: bool = True,
        drop_last: bool = False,
        metrics: Metrics = (),
        callbacks: Sequence[Callback] = (),
        max_seconds: float | None = None,
        target_accuracy: float | None = None,
        num_threads: int | None = None,
        progress: Progress = "auto",
    ) -> History:
        """Trains for so many epochs more and returns their history; ``trainer.history`` accumulates.

        x: (n, n_in), uint8 and float32 as they are, other numbers converted to float32 once. y: class indices (n,),
        one-hot rows or probabilities (n, n_out) for softmax cross-entropy; numbers in [0, 1] (n, n_out) for sigmoid
        cross-entropy; any finite numbers (n, n_out) for squared error; (n,) serves for one output.
        A np.memmap x, as ``np.load(path, mmap_mode="r")`` gives it, may be larger than memory: its file is read a chunk
        ahead by a background thread, to the same bits as with the array in memory; so is y, if it is a np.memmap too.
        batch_size: rows an update; the last batch of an epoch may be smaller, its loss a mean over its own rows, unless
        drop_last leaves it out. shuffle: a new order every epoch. validation_data: (x, y), evaluated after each epoch.
        sample_weight: (n,) non-negative numbers w_i: a batch's loss is 1/B sum_i w_i L_i, and "loss" the same over all
        rows; accuracies are not weighted. class_weight: w of each class, (n_out,) or a dict, in which absent classes
        have 1; for softmax cross-entropy alone. A row's weight is sum_c t_c w_c, times its sample_weight if given.
        metrics: what else to measure there, as for ``evaluate``; in the history as "val_NAME".
        callbacks: called as ``Callback`` says; for those of a trainer that was saved, see ``load_trainer``.
        max_seconds: ends after the epoch in which so many seconds have passed since the call. target_accuracy: ends
        after the epoch that reaches it: in "val_accuracy" or, without validation_data, in "accuracy".
        num_threads: exactly so many; None: up to ``fastnn.num_threads()``, as the size of the work is worth and other
        programs leave cores free; the number changes no bit. Towers on the CPU share them, with at least one each.
        progress: a bar on stderr; "auto": if that is a terminal.

        Ctrl-C stops between two updates and leaves network and trainer usable.
        TypeError, ValueError: an argument is none of these. FloatingPointError: the loss is no longer finite.
        RuntimeError: an epoch of this trainer is not over yet, as for EveryNSteps or in another thread; or a GPU fails,
        and leaves network and trainer as they were when the epoch began or, later, a callback last read parameters; if
        it is that of a tower whose gradients the CPU adds up, as they were after the last update.
        """
        began = time.monotonic()
        settings = check_settings(
            epochs, batch_size, shuffle, drop_last, metrics, max_seconds, target_accuracy, num_threads,
            has_validation=validation_data is not None,
        )  # fmt: skip
        callbacks, progress = check_callbacks(callbacks), as_progress(progress)
        sets = sets_of(self.network, self.loss, x, y, validation_data, sample_weight, class_weight)
        work = work_of(self.loss, settings, sets)
        history = History()
        with bar(progress, total=settings.epochs * work.n_steps, unit=" steps", dynamic_ncols=True) as shown:
            self._train(work, callbacks, history, StepsShown(shown), began)
        return history

    def evaluate(
        self,
        x: ArrayLike,
        y: ArrayLike,
        *,
        sample_weight: ArrayLike | None = None,
        metrics: Metrics = (),
        num_threads: int | None = None,
    ) -> dict[str, float]:
        """{"loss": mean over the rows, "accuracy": fraction judged right} and metrics by name, in prediction mode.

        Accuracy: rows whose class is right; for sigmoid cross-entropy labels that are right; for squared error none.
        x, y, sample_weight: as for ``fit``, at least one row.
        metrics: names of ``fastnn.metrics`` ("accuracy", "top_K_accuracy" with a number for K, "r2",
        "mean_absolute_error", "mean_squared_error") and functions (y_true, outputs) -> float, in a sequence or, with
        names of your choice, a mapping. y_true: classes (n,) int32 or targets (n, n_out) float32; outputs (n, n_out)
        float32: probabilities of a classifier, values otherwise.
        TypeError, ValueError: an argument is none of these, or a metric's result is no number.
        """
        asked = _metrics.get(metrics)
        data = rows_of(self.network, self.loss, x, y, "x", "y", sample_weight)
        return self._evaluated(data, "", self.network._threads(len(data), num_threads), asked)

    # ---- parts of the above ----

    def _train(self, work: Work, callbacks: Sequence[Callback], history: History, watch: Watch, began: float) -> None:
        """Does the work of a ``fit`` and adds its epochs to history. began: of time.monotonic(), for max_seconds."""
        settings, (data, validation) = work.settings, work.sets
        threads = self.network._threads(work.batch_size, settings.num_threads, settings.limit)
        pace = Pace(threads) if settings.num_threads is None else None
        order = np.empty(len(data), np.uint32) if settings.shuffle else None
        is_reached = goal(work, began)
        self._is_stopped = False
        load_states(callbacks, self._saved_states)
        self._callbacks = callbacks
        for callback in callbacks:
            callback.on_fit_begin(self, settings.epochs)
        self._saved_states = []
        pauses = Pauses(self, callbacks)
        try:
            for _ in range(settings.epochs):
                if self._is_stopped:
                    break
                on_progress = watch.begin_epoch()
                logs = self._run_epoch(data, work.batch_size, work.n_steps, order, threads, pace, on_progress, pauses)
                if validation is not None:
                    validating = self.network._threads(len(validation), settings.num_threads, settings.limit)
                    logs |= self._evaluated(validation, "val_", validating, settings.metrics)
                perf = self._perf()
                history.append(logs, perf)
                self.history.append(logs, perf)
                watch.end_epoch(logs)
                for callback in callbacks:
                    callback.on_epoch_end(self, self.epoch, logs)
                for callback in callbacks:
                    callback.on_checkpoint(self, logs)
                if is_reached(logs):
                    break
            for callback in callbacks:
                callback.on_fit_success(self)
        finally:
            for callback in callbacks:
                callback.on_fit_end(self)

    def _take_towers(self, devices: Any) -> Crew:
        from ._towers import Crew

        if isinstance(self.loss, losses.CustomLoss):
            raise ValueError("loss must be one of the library's for towers, got a custom one")
        net, is_soft = self.network, self.network._is_placement_soft
        return Crew(net._net, devices, precision=net.precision, allow_soft_placement=is_soft)

    def _log_placement(self) -> None:
        if not self.network._is_placement_logged:
            return
        loss, optimizer = f"loss {self.loss.name}", f"optimizer {type(self.optimizer).__name__}"
        if self._crew is None:
            self.network._placement.say([loss, optimizer])
            return
        for i, placement in enumerate(self._crew.placements):
            placement.say([f"tower {i}, {loss}"])
        print(f"{optimizer}: {self._crew.updates}")

    def _arguments(self) -> dict[str, Any]:
        """What it was made with besides network and devices: descriptions and JSON values, which ``save`` writes."""
        return {
            "loss": self.loss,
            "optimizer": self.optimizer,
            "reduction": self.reduction,
            "regularizer": self.regularizer,
            "clip_norm": self.clip_norm,
            "clip_value": self.clip_value,
            "seed": self.seed,
        }

    def _states(self) -> States:
        """Of the callbacks, as ``save`` writes them."""
        return self._saved_states or states_of(self._callbacks)

    def _restraints(self) -> list[tuple[float, float, float]]:
        """Strengths of L2 and L1 of each Dense layer, and the largest norm of its units' weights, 0 for any."""
        strengths = [(r.l2, r.l1) if r is not None else (0.0, 0.0) for r in self._regularizers]
        constraints = [dense.constraint for _, dense in self.network._dense]
        norms = [constraint.radius if constraint is not None else 0.0 for constraint in constraints]
        return [(l2, l1, norm) for (l2, l1), norm in zip(strengths, norms, strict=True)]

    def _run_epoch(
        self,
        data: _core.Data | Stream,
        batch_size: int,
        n_steps: int,
        order: np.ndarray | None,
        threads: int,
        pace: Pace | None,
        on_progress: Callable[[int, int, float], None] | None,
        pauses: Pauses,
    ) -> dict[str, float]:
        rates = self.optimizer.schedule.rates(self.step, n_steps)
        trainable = self.network._trainable()
        began = time.perf_counter()
        if not self._steps.acquire(blocking=False):
            raise RuntimeError("fit must not be called before the epoch of another fit of this trainer is over")
        try:
            with self._crew or nullcontext():
                loss, hits, rows = self._run_steps(
                    data, batch_size, rates, trainable, order, threads, pace, on_progress, pauses
                )
        except _core.Diverged:
            raise FloatingPointError(
                f"training diverged: the loss is not finite in epoch {self.epoch}, step {self.step}; the parameters "
                "are those before that step. A smaller learning rate may help"
            ) from None
        finally:
            self._steps.release()
        seconds = time.perf_counter() - began
        if not self.network._net.is_finite():
            raise FloatingPointError(
                f"training diverged: parameters are not finite after epoch {self.epoch}, step {self.step}. "
                "A smaller learning rate may help"
            )
        logs = self._means(loss, hits, rows)
        if any(regularizer is not None for regularizer in self._regularizers):
            logs["penalty"] = self._training.penalty()
        if self.clip_norm is not None:
            logs["gradient_norm"] = self._training.gradient_norm
        return logs | {"seconds": seconds, "samples_per_second": rows / seconds, "learning_rate": float(rates[-1])}

    def _run_steps(
        self,
        data: _core.Data | Stream,
        batch_size: int,
        rates: NDArray[np.float32],
        trainable: NDArray[np.uint8],
        order: NDArray[np.uint32] | None,
        threads: int,
        pace: Pace | None,
        on_progress: Callable[[int, int, float], None] | None,
        pauses: Pauses,
    ) -> tuple[float, int, int]:
        if isinstance(data, Stream):
            return data.train(
                self._training, batch_size, rates, trainable, order is not None, threads, on_progress, pace, pauses
            )
        return self._training.run_epoch(
            data, batch_size, rates, trainable, order, threads, on_progress, pace=pace, pauses=pauses or None
        )

    def _perf(self) -> dict[str, float]:
        """Where the last epoch's seconds went, in the engine's order; zeros on a GPU and with towers."""
        names = ["input", "loss", "wait"]
        for name, _ in self.network._dense:
            names += [f"{name} forward", f"{name} backward input", f"{name} backward weights"]
        return dict(zip(names, self._training.perf, strict=True))

    def _evaluated(
        self, data: _core.Data | Stream, prefix: str, threads: int, asked: dict[str, _metrics.Metric]
    ) -> dict[str, float]:
        link, net = self.loss.link, self.network._net
        if isinstance(data, Stream):
            means = self._means(*data.evaluate(threads))
        else:
            means = self._means(*net.evaluate(data, self.loss.rule, threads))
        asked = {name: metric for name, metric in asked.items() if name not in means}  # as the accuracy may be
        if asked:
            outputs = data.predict(link, threads) if isinstance(data, Stream) else net.predict(data, link, threads)
            means |= {name: _checks.real(name, metric(data.y, outputs)) for name, metric in asked.items()}
        return {f"{prefix}{name}": value for name, value in means.items()}

    def _means(self, loss: float, hits: int, rows: int) -> dict[str, float]:
        means = {"loss": loss / rows}
        if self.loss.has_accuracy:
            means["accuracy"] = hits / (rows * (self.network.n_out if self.loss.link == "sigmoid" else 1))
        return means
