"""NVIDIA GPUs: how many there are, and why there is none. Asking touches no driver that is not there.

This version has no CUDA module: everything is computed by the CPU.
"""

__all__ = ["device_count", "is_available", "why_unavailable"]


def is_available() -> bool:
    """Whether a network can live on a GPU."""
    return device_count() > 0


def device_count() -> int:
    """How many GPUs there are: "gpu:0" to "gpu:n-1"."""
    return 0


def why_unavailable() -> str:
    """The reason for having no GPU, in one sentence without a full stop; "" where there is one."""
    return "this fastnn was built without a CUDA module"
