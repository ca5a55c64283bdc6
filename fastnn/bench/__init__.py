"""Benchmarks: shapes, what is done with them, other libraries doing the same, and the machine.

    shapes      which networks, batches and vectors; tests use them too
    workloads   training, inference and kernels on fastnn, each verified before it is timed
    peers       the same work in NumPy, PyTorch, scikit-learn and JAX, each loaded only when asked for
    compare     rounds that alternate between contenders, and a table of them
    machine     what the figures were measured on

``python -m fastnn.bench`` compares fastnn with every peer that is installed. ``import fastnn`` loads none of this.
"""
