"""NVIDIA GPUs: how many there are, and why there is none. Asking touches no driver that is not there.

The CUDA module is built on demand: ``FASTNN_CUDA=1 pip install .``. Nothing imports it before it is asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from types import ModuleType

__all__ = ["device_count", "device_name", "is_available", "why_unavailable"]


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


def mirror(net: Any, index: int) -> Any:
    """For Network: what stands for this network of ``_core`` on a GPU that there is."""
    module, why = _find()
    if module is None:
        raise RuntimeError(f"cuda: {why}")
    return module.Mirror(net.address, index)


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
