"""Runtime: the thread policy on made-up machines, instruction sets, and the report."""

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fastnn import runtime
from fastnn._version import __version__

CPUS = 8


@pytest.fixture(autouse=True)
def machine(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Eight CPUs, no variables, nothing remembered."""
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.delenv("FASTNN_NUM_THREADS", raising=False)
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(CPUS)), raising=False)
    runtime.set_num_threads(None)
    yield
    runtime.set_num_threads(None)


def write(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def v2(path: str, **limits: str) -> dict[str, str]:
    """A version 2 hierarchy: this process in path, cpu.max of groups by name ("root" is the topmost)."""
    groups = {name: "" if name == "root" else name.replace("__", "/") for name in limits}
    files = {f"sys/fs/cgroup/{groups[name]}/cpu.max": text for name, text in limits.items()}
    return {"proc/self/cgroup": f"0::{path}\n", **files}


def v1(path: str, quota: str, period: str, group: str = "", mount: str = "cpu") -> dict[str, str]:
    files = {f"cpu.cfs_{key}_us": value for key, value in (("quota", quota), ("period", period))}
    return {
        "proc/self/cgroup": f"9:memory:/elsewhere\n4:cpu,cpuacct:{path}\n1:cpuset:/\n0::/\n",
        **{f"sys/fs/cgroup/{mount}/{group}/{name}": text for name, text in files.items()},
    }


# ---- the default ----------------------------------------------------------------------------------------------------


def test_affinity_without_control_groups(tmp_path: Path) -> None:
    assert runtime.default_num_threads(tmp_path) == (CPUS, "CPUs in the affinity mask")
    assert runtime.default_num_threads(str(tmp_path)) == (CPUS, "CPUs in the affinity mask")


@pytest.mark.parametrize(("count", "threads"), [(6, 6), (None, 1)])
def test_cpu_count_where_there_is_no_affinity(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, count: int | None, threads: int
) -> None:
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: count)
    assert runtime.default_num_threads(tmp_path) == (threads, "CPUs of this machine")


def test_more_cpus_than_a_team_can_use(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(384)))
    assert runtime.default_num_threads(tmp_path) == (256, "the most this build can use")


@pytest.mark.parametrize(
    ("files", "threads", "quota"),
    [
        (v2("/", root="200000 100000\n"), 2, "2"),
        (v2("/", root="150000 100000\n"), 2, "1.5"),
        (v2("/", root="1000 100000\n"), 1, "0.01"),
        (v2("/a/b", a__b="300000 100000"), 3, "3"),
        (v2("/a/b", a="500000 100000", a__b="max 100000"), 5, "5"),
        (v2("/a/b", root="250000 100000", a="500000 100000", a__b="700000 100000"), 3, "2.5"),
        (v2("/host/name/unseen/here", root="400000 100000"), 4, "4"),
        (v2("/a", unified__a="200000 100000"), 2, "2"),
        (v1("/", "200000\n", "100000\n"), 2, "2"),
        (v1("/", "250000\n", "100000\n"), 3, "2.5"),
        (v1("/docker/x", "50000", "100000", group="docker/x"), 1, "0.5"),
        (v1("/docker/x", "400000", "100000"), 4, "4"),
        (v1("/", "300000", "100000", mount="cpu,cpuacct"), 3, "3"),
    ],
)
def test_quota(tmp_path: Path, files: dict[str, str], threads: int, quota: str) -> None:
    assert runtime.default_num_threads(write(tmp_path, files)) == (threads, f"cgroup quota of {quota} CPUs")


@pytest.mark.parametrize(
    "files",
    [
        v2("/"),
        v2("/", root="max 100000\n"),
        v2("/", root="900000 100000"),
        v2("/", root=""),
        v2("/", root="many 100000"),
        v2("/", root="100000 0"),
        v2("/", root="-5 100000"),
        v2("/", root="100000"),
        v2("/", other="100000 100000"),
        v1("/", "-1\n", "100000\n"),
        v1("/", "100000", ""),
        v1("/", "100000", "0"),
        {"proc/self/cgroup": "", "sys/fs/cgroup/cpu.max": "100000 100000"},
        {"proc/self/cgroup": "not a line of it\n\n"},
        {"proc/self/cgroup": "2:cpuacct:/\n", "sys/fs/cgroup/cpuacct/cpu.max": "100000 100000"},
    ],
)
def test_no_quota(tmp_path: Path, files: dict[str, str]) -> None:
    assert runtime.default_num_threads(write(tmp_path, files)) == (CPUS, "CPUs in the affinity mask")


def test_the_affinity_may_be_tighter_than_the_quota(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {3})
    root = write(tmp_path, v2("/", root="400000 100000"))
    assert runtime.default_num_threads(root) == (1, "CPUs in the affinity mask")


# ---- variables ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("value", "threads"), [("3", 3), (" 3 ", 3), ("3,1", 3), ("2, 4 ,1", 2), ("1", 1)])
def test_omp_num_threads_lowers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: str, threads: int) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", value)
    assert runtime.default_num_threads(tmp_path) == (threads, f"OMP_NUM_THREADS={value}")


@pytest.mark.parametrize("value", ["", " ", "0", "-2", "two", "2.5", "2,", ",2", "2;4", "2,x", "²", "99"])
def test_omp_num_threads_that_is_unusable_or_no_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", value)
    assert runtime.default_num_threads(tmp_path) == (CPUS, "CPUs in the affinity mask")


@pytest.mark.parametrize(("value", "threads"), [("3", 3), (" 1 ", 1), ("20", 20), ("256", 256)])
def test_fastnn_num_threads_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: str, threads: int) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    monkeypatch.setenv("FASTNN_NUM_THREADS", value)
    root = write(tmp_path, v2("/", root="100000 100000"))
    assert runtime.default_num_threads(root) == (threads, f"FASTNN_NUM_THREADS={threads}")


@pytest.mark.parametrize("value", ["", "  "])
def test_an_empty_fastnn_num_threads_counts_as_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    monkeypatch.setenv("FASTNN_NUM_THREADS", value)
    assert runtime.default_num_threads(tmp_path)[0] == CPUS


@pytest.mark.parametrize("value", ["0", "-1", "257", "two", "2.0", "2,4", "1_0", "٣"])
def test_an_unusable_fastnn_num_threads(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("FASTNN_NUM_THREADS", value)
    message = f"^FASTNN_NUM_THREADS must be an integer from 1 to 256, got {re.escape(repr(value))}$"
    for call in (runtime.default_num_threads, runtime.num_threads, runtime.config):
        with pytest.raises(ValueError, match=message):
            call()


# ---- num_threads ----------------------------------------------------------------------------------------------------


def test_num_threads_is_found_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FASTNN_NUM_THREADS", "3")
    assert runtime.num_threads() == 3
    monkeypatch.setenv("FASTNN_NUM_THREADS", "5")
    assert runtime.num_threads() == 3
    runtime.set_num_threads(None)
    assert runtime.num_threads() == 5


def test_set_num_threads_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FASTNN_NUM_THREADS", "3")
    runtime.set_num_threads(np.int64(7))
    assert runtime.num_threads() == 7
    assert type(runtime.num_threads()) is int
    assert runtime.config()["num_threads_reason"] == "set_num_threads(7)"


@pytest.mark.parametrize(
    ("n", "error", "message"),
    [
        (0, ValueError, "got 0$"),
        (-1, ValueError, "got -1$"),
        (257, ValueError, "got 257$"),
        (2.0, TypeError, r"got 2\.0 \(float\)$"),
        ("2", TypeError, r"got '2' \(str\)$"),
        (True, TypeError, r"got True \(bool\)$"),
    ],
)
def test_bad_set_num_threads(n: Any, error: type[Exception], message: str) -> None:
    runtime.set_num_threads(2)
    with pytest.raises(error, match=f"^n must be an integer from 1 to 256, {message}"):
        runtime.set_num_threads(n)
    assert runtime.num_threads() == 2


# ---- instruction sets -----------------------------------------------------------------------------------------------


@pytest.fixture
def keep_isa() -> Iterator[None]:
    before = runtime.isa()
    yield
    runtime.use_isa(before)


@pytest.mark.usefixtures("keep_isa")
def test_use_isa() -> None:
    names = runtime.available_isas()
    assert isinstance(names, tuple)
    assert runtime.isa() in names
    for name in names:
        runtime.use_isa(name)
        assert runtime.isa() == name


@pytest.mark.parametrize(("name", "error"), [("sse9", ValueError), ("", ValueError), (None, TypeError), (2, TypeError)])
def test_bad_use_isa(name: Any, error: type[Exception]) -> None:
    before = runtime.isa()
    choices = ", ".join(map(repr, runtime.available_isas()))
    with pytest.raises(error, match=f"^name must be one of {re.escape(choices)}, got {re.escape(repr(name))}"):
        runtime.use_isa(name)
    assert runtime.isa() == before


# ---- report ---------------------------------------------------------------------------------------------------------


def test_config() -> None:
    runtime.set_num_threads(2)
    config = runtime.config()
    assert list(config) == [
        "version",
        "isa",
        "available_isas",
        "num_threads",
        "num_threads_reason",
        "threads_backend",
        "numpy",
        "python",
        "platform",
        "cpu",
        "cuda",
    ]
    assert config["version"] == __version__
    assert config["isa"] in config["available_isas"]
    assert config["num_threads"] == 2
    assert config["threads_backend"] in ("openmp", "pthread")
    assert config["numpy"] == np.__version__
    assert all(config.values())
    json.dumps(config)


def test_show_config_is_aligned(capsys: pytest.CaptureFixture[str]) -> None:
    runtime.set_num_threads(2)
    runtime.show_config()
    lines = capsys.readouterr().out.splitlines()
    config = runtime.config()
    column = max(map(len, config)) + 2
    assert [line[:column].rstrip() for line in lines] == list(config)
    assert [line[column:] for line in lines if line.startswith("num_threads")] == ["2", "set_num_threads(2)"]
    assert lines[2][column:] == ", ".join(config["available_isas"])
