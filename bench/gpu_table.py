"""What bench/gpu.py found, as Markdown: what ran, then every contender of every row beside fastnn and its target."""

from __future__ import annotations

from collections.abc import Iterator
from statistics import median
from typing import Any

# Of the time of fastnn, what another library must take at least: row, contender.
RATIOS = {
    ("A", "torch eager"): 10.0,
    ("A", "torch eager, graphed"): 3.0,
    ("A", "torch compiled, graphed"): 3.0,
    ("A", "torch hand-written, graphed"): 3.0,
    ("C", "torch compiled fp32"): 1.1,
    ("C", "torch compiled tf32"): 1.1,
    ("C", "torch compiled bf16"): 1.1,
    ("predict", "torch eager, bytes"): 2.0,
    ("predict", "torch compiled, bytes"): 2.0,
    ("predict", "torch eager, floats"): 2.0,
    ("predict", "torch compiled, floats"): 2.0,
    ("many", "torch eager"): 20.0,
}
MOST_MICROSECONDS = {("A", "fastnn"): 15.0, ("B", "fastnn"): 4.0}
MOST_SECONDS_OF_A_TRAINING = 3.0
# Of the rate of a product by cuBLAS, what training must reach: in which precision, how much.
SHARES = {
    "fastnn fp32": ("fp32", 0.6),
    "fastnn fp32-blas": ("fp32", 0.85),
    "fastnn 3xtf32": ("fp32", None),
    "fastnn tf32": ("tf32", 0.85),
    "fastnn bf16": ("bf16", 0.85),
}
LEAST_MODELS = 100
BARRIER_MARGIN = 0.3  # microseconds that a barrier must be cheaper by for a kernel that goes on running to pay
HEAD = ["row", "contender", "median", "all rounds", "beside fastnn", "target", "met"]


def text(found: dict[str, Any]) -> str:
    lines = ["## fastnn on a GPU", "", *_machine(found), "", "| stage | | seconds | |", "|---|---|---|---|"]
    for name, stage in found["stages"].items():
        first = stage["said"].splitlines()[0] if stage["said"] else ""
        lines.append(f"| {name} | {stage['status']} | {stage['seconds']} | {_cell(first)} |")
    lines += ["", "| " + " | ".join(HEAD) + " |", "|---" * len(HEAD) + "|"]
    for name in ("A", "B", "C", "predict", "many"):
        report = found["rows"].get(name)
        if report is None or not report.get("seconds"):
            lines.append(f"| {name} | all | | | | | not measured |")
        if report:
            lines += ["| " + " | ".join(map(_cell, cells)) + " |" for cells in _row(name, report)]
    return "\n".join([*lines, "", *_latency(found["latency"])])


def _cell(words: str) -> str:
    return " ".join(words.split()).replace("|", "/")


def _machine(found: dict[str, Any]) -> Iterator[str]:
    machine = found["machine"]
    packages = machine.get("packages", {})
    yield f"- GPU: {machine['nvidia_smi'] or 'none'}; fastnn's: {machine.get('gpu', 'none')}"
    yield f"- CPU: {machine.get('cpu', 'unknown')}, {machine.get('cpus', '?')} CPUs; {machine['nvcc'] or 'no nvcc'}"
    versions = {"fastnn": machine.get("version"), "Python": machine.get("python"), **packages}
    yield f"- {', '.join(f'{name} {version}' for name, version in versions.items() if version)}"
    yield f"- revision {machine['revision'] or 'unknown'}, {machine['started']}"
    if found["smoke"]:
        yield "- **a smoke run: tiny sizes, nothing on a GPU, no time means anything**"


def _row(name: str, report: dict[str, Any]) -> Iterator[list[str]]:
    """The cells of each contender's line: first of those that were measured, then of those that were not."""
    medians = {contender: median(times) for contender, times in report["seconds"].items() if times}
    for contender, seconds in medians.items():
        target, met = _judged(name, contender, medians, report)
        times = " ".join(_time(each) for each in report["seconds"][contender])
        rate = f", {report['flops'][contender] / seconds / 1e12:.3g} TFLOP/s" if name == "C" else ""
        ours = medians.get(_beside(name, contender, medians))
        ratio = f"{seconds / ours:.3g}x" if ours and not contender.startswith("cuBLAS") else ""
        yield [name, contender, _time(seconds) + rate, times, ratio, target, met]
    for contender, reason in report["skipped"].items():
        target, _ = _judged(name, contender, medians, report)
        yield [name, contender, "", "", "", target, reason.splitlines()[0]]
    if (training := report["extra"].get("whole_training")) is not None:
        what, seconds = f"fastnn, {training['epochs']} epochs, data copied", training["seconds"]
        met = _yes(seconds <= MOST_SECONDS_OF_A_TRAINING)
        yield [name, what, f"{seconds:.3g} s", "", "", f"<= {MOST_SECONDS_OF_A_TRAINING:g} s", met]
    if "models" in report["extra"]:
        n = report["extra"]["models"]
        yield [
            name,
            f"{n} models; times are those of a step of one",
            "",
            "",
            "",
            f">= {LEAST_MODELS}",
            _yes(n >= LEAST_MODELS),
        ]


def _beside(name: str, contender: str, medians: dict[str, float]) -> str:
    """The contender of fastnn that another one is compared with."""
    if name == "predict":
        return f"fastnn, {contender.rpartition(', ')[2]}"
    if name == "many":
        return "fastnn together"
    if name == "C":
        precision = contender.rpartition(" ")[2]
        faster = "fastnn fp32-blas"
        return faster if contender == "torch compiled fp32" and faster in medians else f"fastnn {precision}"
    return "fastnn"


def _judged(name: str, contender: str, medians: dict[str, float], report: dict[str, Any]) -> tuple[str, str]:
    """The target, and whether it is met; "" where there is none."""
    seconds = medians.get(contender)
    if (most := MOST_MICROSECONDS.get((name, contender))) is not None:
        return f"<= {most:g} us", "" if seconds is None else _yes(1e6 * seconds <= most)
    if (least := RATIOS.get((name, contender))) is not None:
        ours = medians.get(_beside(name, contender, medians))
        return f">= {least:g}x", "" if seconds is None or ours is None else _yes(seconds / ours >= least)
    if name == "C" and contender in SHARES:
        precision, share = SHARES[contender]
        target = f">= {share:.0%} of cuBLAS {precision}" if share else ""
        bare = f"cuBLAS product {precision}"
        if seconds is None or bare not in medians:
            return target, ""
        reached = (report["flops"][contender] / seconds) / (report["flops"][bare] / medians[bare])
        return target, f"{_yes(reached >= share) + ', ' if share else ''}{reached:.0%} of cuBLAS {precision}"
    return "", ""


def _yes(is_met: bool) -> str:
    return "yes" if is_met else "no"


def _time(seconds: float) -> str:
    for factor, unit in ((1.0, "s"), (1e3, "ms")):
        if seconds * factor >= 1:
            return f"{seconds * factor:.4g} {unit}"
    return f"{seconds * 1e6:.4g} us"


def _latency(latency: dict[str, Any]) -> Iterator[str]:
    if not latency:
        yield "Boundaries between phases: not measured."
        return
    yield f"Boundaries between phases, microseconds, blocks of {latency['threads']} threads:"
    yield ""
    yield "| blocks | node of a graph | node, overlapped | barrier in a kernel | a kernel that goes on pays |"
    yield "|---|---|---|---|---|"
    for each in latency["sizes"]:
        node = min(each["node"], each.get("node_overlapped", each["node"]))
        pays = _yes(each["barrier"] + BARRIER_MARGIN < node)
        overlapped = each.get("node_overlapped", "")
        yield f"| {each['blocks']} | {each['node']} | {overlapped} | {each['barrier']} | {pays} |"
