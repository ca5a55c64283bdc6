"""The same networks in other libraries, each written as well as that library allows; a peer is imported when made.

All compute in float32 from the same parameters and samples, and sum up the loss as fastnn does. Batches are cut before
the clock runs, so that no peer pays for shuffling or gathering.
"""

from ._jax import Jax
from ._numpy import NumPy
from ._onnxruntime import OnnxRuntime
from ._peer import Peer
from ._sklearn import ScikitLearn
from ._tensorflow import TensorFlow
from ._torch import TorchCompiled, TorchEager, TorchHandWritten

__all__ = [
    "PEERS",
    "Jax",
    "NumPy",
    "OnnxRuntime",
    "Peer",
    "ScikitLearn",
    "TensorFlow",
    "TorchCompiled",
    "TorchEager",
    "TorchHandWritten",
]

_ALL = (NumPy, TorchEager, TorchHandWritten, TorchCompiled, Jax, TensorFlow, ScikitLearn, OnnxRuntime)
PEERS: dict[str, type[Peer]] = {peer.name: peer for peer in _ALL}
