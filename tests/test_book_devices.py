"""The examples of devices and towers: their claims."""

import numpy as np
import pytest

import fastnn as fnn
from fastnn.book import _points, devices, towers


def test_devices():
    result = devices.run(0)
    found = list(fnn.devices())
    is_missing = "gpu:2" not in found
    home = "cpu:0" if is_missing else "gpu:2"
    assert result.numbers == {"devices": found, "device": home, "is_refused": is_missing, "is_equal": True}
    assert f"placed: product, Dense, linear: {home}{' (gpu:2 is missing)' if is_missing else ''}" in result.lines


@pytest.mark.parametrize("seed", range(3))
def test_towers(seed):
    result = towers.run(seed)
    assert result.numbers["sum"] == [[10.0], [22.0]]
    assert result.numbers["devices"] == [name if name in fnn.devices() else "cpu:0" for name in ("gpu:0", "gpu:1")]
    assert 0 < result.numbers["gradient_error"] < 1e-6  # other bits than one network's, the same to rounding
    assert result.numbers["accuracy"] == 1


@pytest.mark.parametrize("n", [1, 2, 3, 4, 20])
def test_gradients_of_shares_are_weighted_by_rows(n):
    x, y = _points.rings(n, 0)
    nets = [towers.network("cpu:0", 1) for _ in range(3)]
    got, again = towers.gradients(nets, x, y), towers.gradients(nets, x, y)
    for name, expected in nets[0].gradients(x, y, loss="softmax_cross_entropy").items():
        assert got[name].dtype == np.float32
        assert got[name].tobytes() == again[name].tobytes()
        # sums of up to n terms of at most 2 in other orders
        np.testing.assert_allclose(got[name], expected, rtol=0, atol=2 * n * np.finfo(np.float32).eps)


def test_towers_train_as_one_device_does():
    x, y = _points.rings(60, 0)
    cpus = ["cpu:0"] * 3
    one, again, alone = (towers.trained(places, x, y, 3).network.get_flat() for places in (cpus, cpus, None))
    assert one.tobytes() == again.tobytes() != alone.tobytes()
    np.testing.assert_allclose(one, alone, rtol=0, atol=1e-4)  # 180 updates
