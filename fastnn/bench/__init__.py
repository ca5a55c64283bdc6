"""Benchmarks: workloads, what is done with them, other libraries doing the same, and the machine.

    shapes      which networks, batches and vectors; tests use them too
    samples     what they are trained on
    workloads   training, inference and kernels on fastnn, each verified before it is timed
    peers       the same work in NumPy, PyTorch, JAX, TensorFlow, scikit-learn and ONNX Runtime, loaded when asked for
    compare     rounds that alternate between contenders
    machine     what the figures were measured on, and what it can do at most
    report      tables, and the JSON that they are made from
    plots       times beside fastnn's, and a roofline
    command     ``fastnn bench``
    gpu         the comparison on a GPU, which ``bench/gpu.py`` runs

``import fastnn`` loads none of this.
"""
