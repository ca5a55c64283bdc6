"""Network: a list of layers, their parameters, and what is asked of them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from . import _checks, _core, _places, activations, cuda, runtime
from . import losses as _losses
from ._arrays import as_parameter
from ._build import build, check_layers
from ._devices import place as place_on
from ._files import read_safetensors, write_atomically
from ._seeds import as_seed
from ._stream import Stream, is_streamed
from .layers import Dense, Dropout, Layer, Rescaling
from .scopes import Scope
from .variables import Variables, draw_values, take_variables

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from ._seeds import Seed

_MAX_BATCH = 2**31 - 1


class Network:
    """A feed-forward network.

    n_in: features of an input row. layers: an optional ``Rescaling``, then ``Dense`` layers, each (and the input) with
    at most one ``Dropout`` behind it; none behind the last. The last layer's activation may be "softmax".
    seed: initial values, and the streams of a Trainer, are functions of it: an integer from 0 to 2**64 - 1, a
    SeedSequence, a Generator, or None for fresh entropy, which ``net.seed`` then tells.
    scope: a Scope, whose name precedes the variables' names, and which knows which of them exist.
    device: where the parameters live and the work is done: "cpu:0", "gpu:0" and so on, of ``fnn.devices()``, or "auto"
    for a GPU if there is one. allow_soft_placement: "cpu:0" takes the place of a missing device, with a warning on the
    logger "fastnn". log_device_placement: print what runs where, a line each layer; a Trainer adds its own lines.
    precision: of the matrix products, on a GPU: "fp32", the bits of the CPU; or, by NVIDIA's cuBLASLt and with bits of
    its own, "fp32-blas" (float32), "tf32", "3xtf32" (three TF32 products that make up for most of a float32's digits)
    or "bf16". Factors are rounded, and in "bf16" biases of wide ReLU layers and their gradients; sums and all else
    stay float32. Layers with fewer than 64 inputs or units keep "fp32", but not those with 1024 inputs from a wide one.
    Neither device nor precision is part of a saved network.

    A Dense object that stands in several places, or in another network too, has one W and one b in all of them.

    ``link`` turns the last layer's outputs into what they mean: "softmax" (classes), "sigmoid" (labels), "identity"
    (values), "exp" (rates), or None before a loss or a softmax layer has said so.

    ``metadata``: a dict for notes of your own, JSON values by name, which are saved with the network: classes, units.

    TypeError, ValueError: an argument is none of these, or the layers do not make a network. RuntimeError: precision
    needs cuBLASLt, which cannot be loaded.
    """

    def __init__(
        self,
        n_in: int,
        layers: Sequence[Layer],
        *,
        scope: Scope | None = None,
        seed: Seed = None,
        device: str = "cpu:0",
        allow_soft_placement: bool = False,
        log_device_placement: bool = False,
        precision: str = "fp32",
    ) -> None:
        self.n_in = _checks.integer("n_in", n_in, 1)
        self.layers = check_layers(layers)
        self.seed = as_seed(seed)
        allow_soft_placement = _checks.flag("allow_soft_placement", allow_soft_placement)
        self._is_placement_logged = _checks.flag("log_device_placement", log_device_placement)
        self._is_placement_soft = allow_soft_placement
        self._placement = place_on(device, allow_soft_placement=allow_soft_placement)
        self._precision = cuda.check_precision(precision, self.device)
        self.scope = _check_scope(scope)
        prefix = f"{self.scope.name}/" if self.scope is not None else ""
        self._places = _places.find_places(self.n_in, self.layers, prefix)
        self._dense = [(place.name, place.dense) for place in self._places]
        self.n_out = self._dense[-1][1].units
        self.metadata: dict[str, Any] = {}
        self.link: str | None = "softmax" if self._dense[-1][1].activation == "softmax" else None
        self._net = build(self.n_in, self.layers, self._places)
        if self.device != "cpu:0":
            self._net.set_mirror(cuda.mirror(self._net, int(self.device.partition(":")[2]), self._precision))
        variables = take_variables(self._net, self._places, self.scope, self.seed, seed is not None)
        self.variables = Variables(variables)
        self._waiting = [variable for variable in variables if not variable._storage.is_set]
        names = iter(name for name, _ in self._dense)
        self._log_placement(
            f"{next(names)}, {_described(layer)}" if isinstance(layer, Dense) else _described(layer)
            for layer in self.layers
        )

    @property
    def device(self) -> str:
        """The name of the device where the parameters live and the work is done."""
        return self._placement.device

    @property
    def precision(self) -> str:
        """That of the matrix products."""
        return self._precision

    def _log_placement(self, names: Iterable[str]) -> None:
        if self._is_placement_logged:
            self._placement.say(names)

    def initialize(self, seed: Seed = None) -> None:
        """Gives all variables first values again, those of a network of this seed; None: of ``net.seed``, which else
        becomes it. Variables whose layers have no initializer keep what they have."""
        self.seed = self.seed if seed is None else as_seed(seed)
        draw_values(list(self.variables.values()), self._places, self.seed, only_of=None)

    def _require_values(self) -> None:
        """RuntimeError: a variable is to be used that has no values yet."""
        for variable in self._waiting:
            variable._require()
        self._waiting = []  # what has values keeps them

    def _trainable(self) -> NDArray[np.uint8]:
        """Flags for the engine: W and b of each Dense layer in turn, shared ones at each of their places."""
        names = [self._places[place.first].name for place in self._places]
        return np.array([self.variables[f"{name}/{k}"].trainable for name in names for k in "Wb"], np.uint8)

    # ---- what it says ----

    def __call__(self, x: ArrayLike, *, num_threads: int | None = None) -> NDArray[np.float32]:
        """The last layer's outputs for each row of x: (n, n_out) float32; for a classifier the logits.

        x: (n, n_in), n may be 0; uint8 and float32 are taken as they are, other numbers converted to float32. The file
        of a np.memmap is read a chunk at a time.
        """
        return self._predict(x, "identity", num_threads)

    def predict_proba(self, x: ArrayLike, *, num_threads: int | None = None) -> NDArray[np.float32]:
        """Probabilities (n, n_out) float32: of each class (they sum to 1), or of each label.

        RuntimeError: the network predicts values, or no loss has said yet what its outputs mean.
        """
        if self.link not in ("softmax", "sigmoid"):
            raise RuntimeError(f"predict_proba needs a classifier, {self._said_of_link()}; net(x) gives the outputs")
        return self._predict(x, self.link, num_threads)

    def predict(self, x: ArrayLike, *, num_threads: int | None = None) -> NDArray[Any]:
        """What the network takes each row of x for.

        link "softmax": the most probable class, the first of equals: (n,) int64. "sigmoid": whether each label is more
        probable than not: (n, n_out) int64. "identity": the values, "exp": their exponentials, both (n, n_out) float32.
        RuntimeError: no loss has said yet what the outputs mean.
        """
        if self.link is None:
            raise RuntimeError(f"predict must know what outputs mean, {self._said_of_link()}; net(x) gives them")
        outputs = self._predict(x, "exp" if self.link == "exp" else "identity", num_threads)
        if self.link == "softmax":
            classes: NDArray[np.int64] = outputs.argmax(axis=1)
            return classes
        return (outputs > 0).astype(np.int64) if self.link == "sigmoid" else outputs

    def _said_of_link(self) -> str:
        if self.link is None:
            return "and this network has neither a softmax layer nor, so far, a Trainer whose loss tells"
        return f"and this network's link is {self.link!r}"

    def _predict(self, x: ArrayLike, link: str, num_threads: int | None) -> NDArray[np.float32]:
        self._require_values()
        threads = _threads_allowed(num_threads)
        return Stream(self._net, x).predict(link, threads) if is_streamed(x) else self._net.predict(x, link, threads)

    def predictor(self, batch: int, *, num_threads: int | None = None) -> _core.Predictor:
        """A function of up to batch rows that is ready to run: the fastest way to predict a few rows, again and again.

        ``p(x)`` gives a new array (n, n_out) float32: probabilities if ``link`` is "softmax" or "sigmoid" now, as
        ``predict_proba``, rates if it is "exp", else the outputs, as ``net(x)``. ``p(x, out=array)`` writes them into
        array, float32 (n, n_out) and C-contiguous, and returns it: the way that allocates nothing. x: (n, n_in), n from
        0 to batch; C-contiguous uint8 or float32 arrays are read in place.

        Uses the instruction set that is chosen now, and sees later changes of the variables. Threads may share it:
        their calls, as all on one network, take turns. Small calls stay on the calling thread, larger ones use up to
        num_threads (None: ``fnn.num_threads()``, as it is now). A product with a zero of the input may be left out, so
        an infinite or NaN weight behind it goes unnoticed.
        TypeError, ValueError: batch, num_threads, x or out is none of these, or the network is on a GPU, where nothing
        would be gained.
        """
        self._require_values()
        if self.device != "cpu:0":
            raise ValueError(f"device must be 'cpu:0' for a predictor, got {self.device!r}; predict serves on a GPU")
        batch = _checks.integer("batch", batch, 1, _MAX_BATCH)
        link = self.link if self.link is not None else "identity"
        return _core.Predictor(self._net, batch, link, _threads_allowed(num_threads))

    def activities(
        self, x: ArrayLike, names: Sequence[str] | None = None, *, num_threads: int | None = None
    ) -> dict[str, NDArray[np.float32]]:
        """What Dense layers put out for each row of x, by name: (n, units) float32, in prediction mode.

        x: as for net(x). names: of the layers that are wanted, in the order wanted; None: all, in the network's order.
        A Dropout behind a layer is not part of it. The last layer's are the bits of net(x): for a classifier the
        logits, for the softmax or sigmoid of its link belongs to ``predict_proba``.
        TypeError: names is no sequence of strings. ValueError: no layer is called so.
        Source: Buduma, Fundamentals of Deep Learning, chapter 1 (hidden layers) and 3 (fetching results).
        """
        self._require_values()
        places = {name: i for i, (name, _) in enumerate(self._dense)}
        wanted = list(places) if names is None else _check_names(names, places)
        data = _core.Data(self._net, x)
        data.find_zeros()
        found = self._net.activities(data, [places[name] for name in wanted], self._threads(len(data), num_threads))
        return {name: found[places[name]] for name in wanted}

    def gradients(
        self, x: ArrayLike, y: ArrayLike, *, loss: str | _losses.Loss | None = None, num_threads: int | None = None
    ) -> dict[str, NDArray[np.float32]]:
        """Gradient of the mean loss over the rows of x at each variable, by name, without dropout.

        y: as for ``Trainer.fit``. loss: a name or a Loss; None: the one that goes with ``link``.
        ValueError: x has no rows, the two do not fit the network or each other, or a layer's activation is a threshold.
        """
        _, arrays = self._loss_and_gradients(x, y, loss, num_threads)
        return dict(zip(self.variables, arrays, strict=True))

    def loss_and_gradient(
        self, x: ArrayLike, y: ArrayLike, *, loss: str | _losses.Loss | None = None, num_threads: int | None = None
    ) -> tuple[float, NDArray[np.float32]]:
        """Mean loss over the rows of x, and its gradient, a vector in the order of ``get_flat``.

        Arguments and errors as for ``gradients``. What an optimiser of your own needs, such as SciPy's:

            def function(p):
                net.set_flat(p)
                loss, gradient = net.loss_and_gradient(x, y)
                return loss, gradient.astype(float)

            scipy.optimize.minimize(function, net.get_flat(), jac=True, method="L-BFGS-B")
        """
        mean, arrays = self._loss_and_gradients(x, y, loss, num_threads)
        return mean, np.concatenate([array.ravel() for array in arrays])

    def _loss_and_gradients(
        self, x: ArrayLike, y: ArrayLike, loss: str | _losses.Loss | None, num_threads: int | None
    ) -> tuple[float, list[NDArray[np.float32]]]:
        self._require_values()
        self._check_trainable()
        chosen = self._own_loss() if loss is None else _losses.get(loss)
        data = _core.Data(self._net, x, y, chosen.rule)
        if len(data) == 0:
            raise ValueError("x must have at least one row, got none")
        total, arrays = self._net.gradients(data, chosen.rule, self._threads(len(data), num_threads))
        return total / len(data), arrays

    def get_flat(self) -> NDArray[np.float32]:
        """A copy of all parameters as one vector: variables in order, each row by row, weights that a mask takes out
        among them, so that it has n_parameters values where there are no masks."""
        return np.concatenate([variable.value.ravel() for variable in self.variables.values()])

    def set_flat(self, vector: ArrayLike) -> None:
        """Sets all parameters, frozen ones too, from a vector in the order of ``get_flat``; float64 is rounded.

        TypeError: not numbers. ValueError: another shape, a value that is not finite, or one that is not 0 where a mask
        is; then nothing changes.
        """
        variables = list(self.variables.values())
        ends = np.cumsum([variable.size for variable in variables])
        parts = np.split(as_parameter(vector, (int(ends[-1]),), "vector"), ends[:-1])
        values = [each._checked(part.reshape(each.shape)) for each, part in zip(variables, parts, strict=True)]
        for variable, value in zip(variables, values, strict=True):
            variable.assign(value)

    def _check_trainable(self) -> None:
        for name, dense in self._dense:
            if not activations.get(dense.activation).is_trainable:
                raise ValueError(f"layer {name!r} must have an activation with a slope to be trained, got 'threshold'")

    def _own_loss(self) -> _losses.Loss:
        names = {"softmax": "softmax_cross_entropy", "sigmoid": "sigmoid_cross_entropy"}
        names |= {"identity": "squared_error", "exp": "poisson"}
        if self.link is None:
            raise ValueError(f"loss must be given, {self._said_of_link()}")
        return _losses.get(names[self.link])

    def _threads(self, n_batch: int, num_threads: int | None, limit: int | None = None) -> int:
        """Exactly as many as asked for, or as many as the work is worth, up to limit or ``runtime.num_threads()``."""
        if num_threads is None:
            return int(self._net.threads_worth(n_batch, runtime.num_threads() if limit is None else limit))
        return _checks.integer("num_threads", num_threads, 1, runtime.MAX_THREADS)

    # ---- how it looks ----

    @property
    def n_parameters(self) -> int:
        """Number of values of all variables; weights that a mask takes out do not count."""
        return sum(variable.n_parameters for variable in self.variables.values())

    def summary(self) -> str:
        """A table of the layers with their shapes and numbers of parameters."""
        places = enumerate(self._places)
        rows, n = [("layer", "kind", "output", "parameters")], self.n_in
        for layer in self.layers:
            name, parameters = layer.name if isinstance(layer, Dropout) else None, "0"
            if isinstance(layer, Dense):
                i, place = next(places)
                name, n = place.name, layer.units
                is_own = place.first == i
                parameters = f"{self.variables[f'{name}/W'].n_parameters + n:,}" if is_own else "shared"
            rows.append((name or "", _described(layer), str(n), parameters))
        widths = [max(len(row[column]) for row in rows) for column in range(4)]
        lines = [f"{a:<{widths[0]}}  {b:<{widths[1]}}  {c:>{widths[2]}}  {d:>{widths[3]}}" for a, b, c, d in rows]
        lines.insert(1, "-" * len(lines[0]))
        frozen = sum(variable.n_parameters for variable in self.variables.values() if not variable.trainable)
        total = f"{self.n_parameters:,} parameters" + (f", {frozen:,} of them frozen" if frozen else "")
        return "\n".join([f"input: {self.n_in}", *lines, total])

    def __repr__(self) -> str:
        widths = "-".join(str(n) for n in (self.n_in, *(dense.units for _, dense in self._dense)))
        return f"Network({widths}, {self.n_parameters:,} parameters, seed={self.seed})"

    # ---- files ----

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes architecture and parameters as one safetensors file, replacing path only when it is complete.

        OSError: the file cannot be written.
        """
        from safetensors.numpy import save

        from ._network_file import to_contents

        metadata, tensors = to_contents(self)
        write_atomically(path, save(tensors, metadata=metadata))

    def __reduce__(self) -> tuple[Any, ...]:
        """For copies and pickles, which are networks of their own, as from a file."""
        from ._network_file import from_contents, to_contents

        return from_contents, (*to_contents(self), "pickle", self.device, self.precision)

    def to_onnx(self, path: str | os.PathLike[str]) -> None:
        """Writes the network as an ONNX model for other runtimes, replacing path only when it is complete.

        Input "x" (n, n_in) float32; output "outputs" (n, n_out), as ``net(x)``, and for a classifier "probabilities",
        under the link "exp" "rates".
        ImportError: onnx is missing. OSError: the file cannot be written.
        """
        from .export._onnx import onnx_model

        write_atomically(path, onnx_model(self))

    def to_c(self, path: str | os.PathLike[str], *, name: str | None = None) -> None:
        """Writes the network as one file of C99 that needs nothing but math.h, replacing path only when it is complete.

        name: what its functions start with, a C identifier; None: path's file name without its ending. The file says
        how to compile and call it; its outputs have the bits of ``net(x)`` and ``predict_proba``.
        TypeError, ValueError: name is no identifier. OSError: the file cannot be written.
        """
        from .export._c import c_source, check_name

        if name is not None and not isinstance(name, str):
            raise _checks.wrong_kind("name", "a C identifier or None", name)
        stem = os.path.splitext(os.path.basename(os.fspath(path)))[0]
        write_atomically(path, c_source(self, check_name(stem if name is None else name)).encode())


def load(path: str | os.PathLike[str], *, device: str = "cpu:0", precision: str = "fp32") -> Network:
    """The network that ``Network.save`` wrote, or that of a trainer which ``Trainer.save`` or a Checkpoint wrote.

    device, precision: as for Network, whatever those of the one that was saved.
    OSError: no such file, or it cannot be read. ValueError: it is damaged, or not a network of this library; or device
    is missing, or precision none of its. RuntimeError: precision needs cuBLASLt, which cannot be loaded.
    """
    from ._network_file import from_contents

    return from_contents(*read_safetensors(path, "network"), path, device, precision)


def _threads_allowed(num_threads: int | None) -> int:
    if num_threads is None:
        return runtime.num_threads()
    return _checks.integer("num_threads", num_threads, 1, runtime.MAX_THREADS)


def _check_scope(scope: Any) -> Scope | None:
    if scope is not None and not isinstance(scope, Scope):
        raise _checks.wrong_kind("scope", "a Scope or None", scope)
    return scope


def _check_names(names: Any, known: Iterable[str]) -> list[str]:
    if isinstance(names, str) or not isinstance(names, Sequence):
        raise _checks.wrong_kind("names", "a sequence of names of Dense layers", names)
    return [_checks.choice(f"names[{i}]", name, known) for i, name in enumerate(names)]


def _described(layer: Layer) -> str:
    if isinstance(layer, Dense):
        return f"Dense, {layer.activation}"
    if isinstance(layer, Dropout):
        return f"Dropout, keeps {layer.keep_prob:g}"
    return f"Rescaling, {layer.scale:g} x + {layer.offset:g}" if isinstance(layer, Rescaling) else type(layer).__name__
