"""Fails if a test was skipped for a reason that is not listed here: `python .ci/check_skips.py JUNIT_XML`."""

import sys
import xml.etree.ElementTree as ET

ALLOWED = {
    "FASTNN_DATA names no MNIST",
    "this machine has no GPU",
    "there is no CUDA module, or no GPU",
    "there is no emulated CUDA module",
    "there are no two GPUs",
    "jax is not installed",
    "tensorflow is not installed",
    "onnx is not installed, which makes the model",
    "there is no nvcc",
}

reasons = [skip.get("message", "") for skip in ET.parse(sys.argv[1]).iter("skipped")]
unexpected = sorted({reason for reason in reasons if reason not in ALLOWED})
print(f"{len(reasons)} skipped, {len(unexpected)} of the reasons not on the list")
for reason in unexpected:
    print(f"  not on the list: {reason!r}")
sys.exit(bool(unexpected))
