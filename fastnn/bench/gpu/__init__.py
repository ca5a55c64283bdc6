"""What ``bench/gpu.py`` measures on a GPU."""
