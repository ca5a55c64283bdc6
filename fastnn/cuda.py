"""NVIDIA GPUs: how many there are, and why there is none. Asking touches no driver that is not there.

The CUDA module is built on demand: ``FASTNN_CUDA=1 pip install .``. Nothing imports it before it is asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import ModuleType

__all__ = ["PRECISIONS", "device_count", "device_name", "is_available", "why_unavailable"]

PRECISIONS = ("fp32", "fp32-blas", "tf32", "3xtf32", "bf16")
"""Of a network's matrix products: this library's in float32, or cuBLASLt's. The order is the CUDA module's."""


def is_available() -> bool:
    """Whether a network can live on a GPU."""
    return device_count() > 0


def device_count() -> int:
    """How many GPUs there are: "gpu:0" to "gpu:n-1"."""
    module, _ = _find()
    return int(module.device_count()) if module is not None else 0


def device_name(index: int = 0) -> str:
    """The product name of "gpu:index". ValueError: there is no such GPU."""
    from . import _checks

    module, why = _find()
    if module is None or not 0 <= index < module.device_count():
        expected = f"the number of one of {device_count()} GPUs" + (f" ({why})" if why else "")
        raise _checks.wrong_value("index", expected, index)
    return str(module.device_name(index))


def why_unavailable() -> str:
    """The reason for having no GPU, in one sentence without a full stop; "" where there is one."""
    module, why = _find()
    return str(module.why_unavailable()) if module is not None else why


def mirror(net: Any, index: int, precision: str = "fp32") -> Any:
    """For Network: what stands for this network of ``_core`` on a GPU that there is.

    RuntimeError: the precision needs cuBLASLt, which cannot be loaded.
    """
    module, why = _find()
    if module is None:
        raise RuntimeError(f"cuda: {why}")
    if precision != "fp32" and (why := module.load_blas(_blas_names())):
        needed = f"precision {precision!r} needs NVIDIA's cuBLASLt (pip install nvidia-cublas), which cannot be loaded"
        raise RuntimeError(f"{needed}: {why}")
    return module.Mirror(net.address, index, PRECISIONS.index(precision))


def why_no_nccl() -> str:
    """Why GPUs cannot exchange gradients by NVIDIA's NCCL, which this loads; "" if they can."""
    import os

    if os.environ.get("FASTNN_NCCL") == "0":
        return "FASTNN_NCCL=0"
    module, why = _find()
    return str(module.load_nccl(_nccl_names())) if module is not None else why


def exchange(mirrors: list[Any], blocks: int) -> Any:
    """For towers, where ``why_no_nccl`` is "": by what mirrors on different GPUs exchange gradients, and keep so many
    blocks of an optimiser's state. RuntimeError, MemoryError: NCCL or a GPU fails."""
    module, why = _find()
    if module is None:
        raise RuntimeError(f"cuda: {why}")
    return module.Exchange(mirrors, blocks)


def check_precision(precision: Any, device: str) -> str:
    """For Network: that this precision is one of that device's. TypeError, ValueError: it is not."""
    from . import _checks

    chosen = _checks.choice("precision", precision, PRECISIONS)
    if device == "cpu:0" and chosen != "fp32":
        others = ", ".join(map(repr, PRECISIONS[1:]))
        raise _checks.wrong_value("precision", f"'fp32' on 'cpu:0' ({others} are a GPU's)", chosen)
    return chosen


def _blas_names() -> list[str]:
    return _names(("libcublasLt.so.13", "libcublasLt.so.12"), ("cu13", "cublas"))


def _nccl_names() -> list[str]:
    return _names(("libnccl.so.2",), ("nccl",))


def _names(files: Sequence[str], wheels: Sequence[str]) -> list[str]:
    """Where a library may be: in NVIDIA's wheels, wherever the system looks, in the toolkit."""
    import os
    import sys

    folders = [os.path.join(path, "nvidia", wheel, "lib") for path in sys.path for wheel in wheels]
    in_wheels = [path for folder in folders for file in files if os.path.exists(path := os.path.join(folder, file))]
    home = os.environ.get("CUDA_HOME")
    return [*in_wheels, *files, *([os.path.join(home, "lib64", file) for file in files] if home else [])]


def _find() -> tuple[ModuleType | None, str]:
    """The CUDA module, or why there is none."""
    import importlib

    name = f"{__package__}._cuda"
    try:
        return importlib.import_module(name), ""
    except ImportError as error:
        if isinstance(error, ModuleNotFoundError) and error.name == name:
            return None, "this fastnn was built without a CUDA module"
        return None, f"the CUDA module cannot be loaded: {str(error).rstrip('.')}"
