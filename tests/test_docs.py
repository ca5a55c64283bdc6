"""The code in README and guide runs as it stands."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import fastnn as fnn

ROOT = Path(__file__).parents[1]


def code_of(page: str) -> str:
    return "\n".join(re.findall(r"^```python\n(.*?)^```", (ROOT / page).read_text(), re.DOTALL | re.MULTILINE))


@pytest.mark.parametrize("page", ["README.md", "docs/guide.md"])
def test_code_runs(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("matplotlib").use("agg")
    monkeypatch.chdir(tmp_path)
    small = fnn.datasets.digits(n_train=1000, n_validation=200, n_test=200)
    monkeypatch.setattr(fnn.datasets, "digits", lambda **sizes: small)  # enough to run, and quick
    exec(compile(code_of(page), page, "exec"), {})


def test_every_public_name_has_a_docstring() -> None:
    for name in fnn.__all__:
        assert name.startswith("__") or getattr(fnn, name).__doc__, name
