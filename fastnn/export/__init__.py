"""Networks that leave the library: as an ONNX model, and as one file of C99.

Imported when first used, by ``Network.to_onnx`` and ``Network.to_c``.
"""
