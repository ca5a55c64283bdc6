#!/usr/bin/env python3
"""Builds fastnn's CUDA module, verifies it on a GPU and measures it there: one call, a table, a JSON file.

    python bench/gpu.py              in nine minutes, on a machine with an NVIDIA GPU, nvcc, a C++ compiler and Python
    python bench/gpu.py --smoke      whether all of it runs, without a GPU: the emulated module, tiny sizes

It needs no network, installs nothing, and writes into build/ of the checkout alone. Python must have what fastnn is
built and run with (its own headers, Cython, setuptools, numpy, safetensors, tqdm), and may have PyTorch and JAX for
CUDA, pytest and scipy; what is missing is said and left out. The samples are MNIST's if FASTNN_DATA names them, else
drawn digits.

Everything that touches the device runs in a process of its own, with a limit of time. One that crashes or hangs is
started again without the contender that it was at; then the next stage goes on. The exit status is 0 if everything
that there is to run ran and was right; targets that are missed change nothing of it.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import sysconfig
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import gpu_table

ROOT = Path(__file__).resolve().parent.parent
TESTS = [f"tests/test_{name}.py" for name in ("cuda", "cuda_precision", "cuda_nccl", "devices", "book_devices")]
SMOKE_TESTS = ["tests/test_devices.py"]
TO_BUILD = ("Cython", "setuptools", "numpy", "safetensors", "tqdm")
ROWS = ("A", "C", "many", "predict", "B")  # the most telling first, as time may run out
# Seconds that a stage may take; what it leaves is for those behind it.
LIMITS = {"build": 300, "facts": 30, "tests": 100, "memcheck": 60, "racecheck": 60, "latency": 60}
ROW_LIMIT = 120
LAST_SECONDS = 10  # of a row, in which it only finishes what it is at
LONGEST_LINE = 200  # characters of a failure's last line, which the table shows
TAIL = 1500  # characters of a failure's output that the JSON file keeps; all of it is in build/gpu


class Failure(Exception):
    """Why a stage came to nothing."""


class Hang(Failure):
    """It took too long."""


class Bench:
    """One call of this script: its folder, its clock, and what it has found so far."""

    def __init__(self, args: argparse.Namespace) -> None:
        self.args = args
        self.folder = ROOT / "build" / ("gpu-smoke" if args.smoke else "gpu")
        self.folder.mkdir(parents=True, exist_ok=True)
        self.until = time.monotonic() + args.seconds
        self.env = {**os.environ, "PYTHONUNBUFFERED": "1", "TORCHINDUCTOR_CACHE_DIR": str(self.folder / "inductor")}
        if not args.installed:
            paths = [str(self.folder / "lib"), *filter(None, [os.environ.get("PYTHONPATH")])]
            self.env["PYTHONPATH"] = os.pathsep.join(paths)
        self.found: dict[str, Any] = {
            "smoke": args.smoke,
            "machine": machine(),
            "stages": {},
            "rows": {},
            "latency": {},
        }

    def left(self) -> float:
        return self.until - time.monotonic()

    def stage(self, name: str, action: Any) -> bool:
        """Whether it succeeded; what it said, or why it failed, is kept. An error of one stage stops no other."""
        began = time.monotonic()
        try:
            status, said = "ok", action()
        except Failure as failure:
            status, said = "failed", str(failure)
        except Exception as error:
            status, said = "failed", f"{type(error).__name__}: {error}"
        seconds = round(time.monotonic() - began, 1)
        self.found["stages"][name] = {"status": status, "said": said, "seconds": seconds}
        print(f"{name}: {status} in {seconds} s: {said.splitlines()[0] if said else ''}", file=sys.stderr, flush=True)
        self.save()
        return status == "ok"

    def save(self) -> None:
        self.args.json.write_text(json.dumps(self.found, indent=1))

    def command(self, name: str, command: list[str], limit: float, **env: str) -> str:
        """Its output, also in a file of that name. Failure: it cannot be started, takes too long or fails."""
        limit = min(limit, self.left())
        if limit < 1:
            raise Failure("there was no time left for it")
        log = self.folder / f"{name}.log"
        with log.open("w") as file:
            process = subprocess.Popen(
                command,
                cwd=ROOT,
                env={**self.env, **env},
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            try:
                status: Any = process.wait(limit)
            except subprocess.TimeoutExpired:
                status = None
            finally:
                if process.poll() is None:  # the compilers and helpers that it started, too
                    os.killpg(process.pid, signal.SIGKILL)
                    process.wait()
        output = log.read_text(errors="replace")
        if status != 0:
            kind, how = (Failure, f"ended with status {status}")
            if status is None:
                kind, how = (Hang, f"was stopped after {limit:.0f} s")
            last = output.strip().rpartition("\n")[2][:LONGEST_LINE]
            raise kind(f"{how}{': ' if last else ''}{last}\n{output[-TAIL:]}")
        return output

    def child(self, name: str, row: str, limit: float, *flags: str, under: tuple[str, ...] = ()) -> dict[str, Any]:
        """What ``fastnn.bench.gpu`` writes of a row. Failure: it ended otherwise."""
        path = self.folder / f"{name}.json"
        path.unlink(missing_ok=True)
        smoke = ["--smoke"] if self.args.smoke else []
        python = [sys.executable, "-P", "-m", "fastnn.bench.gpu"]
        self.command(name, [*under, *python, row, "--json", str(path), *smoke, *flags], limit)
        return dict(json.loads(path.read_text()))

    # ---- stages, in turn ----

    def build(self) -> str:
        if self.args.installed:
            return "not built: that which is installed"
        missing = [name for name in TO_BUILD if find_spec(name) is None]
        if not (Path(sysconfig.get_path("include")) / "Python.h").exists():
            missing.append("Python.h")
        if missing:
            raise Failure(f"{', '.join(missing)} must be installed to build fastnn with {sys.executable}")
        wish = {"FASTNN_CUDA": "emulate"} if self.args.smoke else {"FASTNN_CUDA": "1", "FASTNN_CUDA_ARCHS": arch()}
        command = [sys.executable, "setup.py", "-q", "build", "--build-base", str(self.folder)]
        self.command("build", [*command, "--build-lib", str(self.folder / "lib")], LIMITS["build"], **wish)
        return ", ".join(f"{name}={value}" for name, value in wish.items())

    def facts(self) -> str:
        report = self.child("facts", "facts", LIMITS["facts"])
        self.found["machine"] |= report["extra"]
        built = self.folder / "lib"
        if not self.args.installed and not Path(report["extra"]["file"]).is_relative_to(built):
            raise Failure(f"fastnn must come from {built}, but came from {report['extra']['file']}")
        return str(report["description"])

    def tests(self) -> str:
        if find_spec("pytest") is None:
            raise Failure("pytest is not installed")
        pytest = [sys.executable, "-P", "-m", "pytest", "-v", "-p", "no:cacheprovider"]
        output = self.command("tests", [*pytest, *(SMOKE_TESTS if self.args.smoke else TESTS)], LIMITS["tests"])
        return output.strip().splitlines()[-1].strip("= ")

    def sanitize(self, tool: str) -> str:
        """A few steps of training under compute-sanitizer; in a smoke run without it, as it needs a GPU."""
        if self.args.smoke:
            return str(self.child(tool, "check", LIMITS[tool])["description"])
        sanitizer = tool_path("compute-sanitizer")
        self.child(tool, "check", LIMITS[tool], under=(sanitizer, "--tool", tool, "--error-exitcode", "9"))
        lines = (self.folder / f"{tool}.log").read_text(errors="replace").splitlines()
        return next((line.strip("= ") for line in reversed(lines) if "SUMMARY" in line), "no summary")

    def latency(self) -> str:
        if self.args.smoke and shutil.which("nvcc") is None:
            return "not compiled: there is no nvcc"
        program = self.folder / "latency"
        flags = [f"-arch=sm_{arch()}", "-std=c++17", "-O3", "-o", str(program)]
        self.command("nvcc", [tool_path("nvcc"), *flags, "bench/gpu_latency.cu"], LIMITS["latency"])
        if self.args.smoke:
            return "compiled, and not run: it needs a GPU"
        self.found["latency"] = json.loads(self.command("latency", [str(program)], LIMITS["latency"]))
        return f"{len(self.found['latency']['sizes'])} numbers of blocks"

    def row(self, name: str) -> str:
        """Starts again without whom it crashed or hung at. One that was only slow keeps the rounds that it came to."""
        without: dict[str, str] = {}
        while True:
            limit = min(ROW_LIMIT, self.left())
            flags = ["--rounds", str(self.args.rounds), "--seconds", str(limit - LAST_SECONDS)]
            for contender, why in without.items():
                flags += ["--without", contender, why]
            try:
                report = self.child(name, name, limit, *flags)
                break
            except Failure as failure:
                report = self.written(name)
                self.found["rows"][name] = report
                culprit = report.get("current")
                is_slow = isinstance(failure, Hang) and any(report.get("seconds", {}).values())
                if culprit is None or culprit in without or is_slow or self.left() < LAST_SECONDS:
                    raise
                without[culprit] = report["skipped"].get(culprit, f"the process {failure}")
        report["failed"] += without
        self.found["rows"][name] = report
        return str(report["description"])

    def written(self, name: str) -> dict[str, Any]:
        path = self.folder / f"{name}.json"
        return dict(json.loads(path.read_text())) if path.exists() else {}


# ---- the machine ----------------------------------------------------------------------------------------------------


def tool_path(name: str) -> str:
    """On the PATH or where CUDA is. Failure: nowhere."""
    folders = [f"{os.environ['CUDA_HOME']}/bin"] if "CUDA_HOME" in os.environ else []
    path = shutil.which(name, path=os.pathsep.join([*folders, os.environ.get("PATH", ""), "/usr/local/cuda/bin"]))
    if path is None:
        raise Failure(f"there is no {name} on the PATH, in CUDA_HOME/bin or in /usr/local/cuda/bin")
    return path


def said_by(*command: str) -> str:
    """The last line that it prints; "" if it cannot be asked."""
    try:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=30)
    except (OSError, subprocess.SubprocessError):
        return ""
    lines = done.stdout.strip().splitlines()
    return lines[-1].strip() if done.returncode == 0 and lines else ""


def machine() -> dict[str, str]:
    query = "--query-gpu=name,driver_version,memory.total,clocks.max.sm,compute_cap"
    return {
        "nvidia_smi": said_by("nvidia-smi", query, "--format=csv,noheader"),
        "nvcc": said_by("nvcc", "--version"),
        "revision": said_by("git", "describe", "--always", "--dirty"),
        "started": time.strftime("%Y-%m-%d %H:%M:%S%z"),
    }


def arch() -> str:
    """What to compile for: this machine's GPU alone, which is quicker; "90" if there is none to ask."""
    return said_by("nvidia-smi", "--query-gpu=compute_cap", "--format=csv,noheader").replace(".", "") or "90"


def main() -> int:
    parser = argparse.ArgumentParser(description="Builds the CUDA module, verifies it on a GPU and measures it there.")
    parser.add_argument("--seconds", type=float, default=540.0, help="for all of it (default: 540)")
    parser.add_argument("--rounds", type=int, default=5, help="timed rounds of each contender (default: 5)")
    parser.add_argument("--json", type=Path, default=Path("gpu.json"), help="where to write everything (gpu.json)")
    parser.add_argument("--installed", action="store_true", help="build nothing, take the fastnn that is installed")
    parser.add_argument("--smoke", action="store_true", help="everything once, small, without a GPU")
    bench = Bench(parser.parse_args())
    is_ready = bench.stage("build", bench.build) and bench.stage("facts", bench.facts)
    if is_ready:
        bench.stage("tests", bench.tests)
        bench.stage("memcheck", lambda: bench.sanitize("memcheck"))
        bench.stage("racecheck", lambda: bench.sanitize("racecheck"))
    bench.stage("latency", bench.latency)
    if is_ready:
        for name in ROWS:
            bench.stage(name, lambda name=name: bench.row(name))
    text = gpu_table.text(bench.found)
    bench.found["table"] = text
    bench.save()
    print(text)
    is_whole = all(stage["status"] == "ok" for stage in bench.found["stages"].values())
    return int(not is_whole or any(report.get("failed") for report in bench.found["rows"].values()))


if __name__ == "__main__":
    sys.exit(main())
