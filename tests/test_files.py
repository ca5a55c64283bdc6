"""Files that are written whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from fastnn._files import write_atomically


@pytest.mark.parametrize("sync", [False, True])
def test_a_file_is_written_with_the_usual_rights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sync: bool) -> None:
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", synced.append)
    path = tmp_path / "file"
    for data in (b"first", b"second, longer"):
        write_atomically(path, data, sync=sync)
        assert path.read_bytes() == data
    (tmp_path / "usual").touch()
    assert path.stat().st_mode == (tmp_path / "usual").stat().st_mode
    assert len(synced) == 2 * sync
    assert len(list(tmp_path.iterdir())) == 2
