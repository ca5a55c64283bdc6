"""What importing the library costs and gives."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import fastnn

HEAVY = {
    "tqdm", "urllib", "importlib.metadata", "scipy", "safetensors", "matplotlib", "gzip", "tempfile", "secrets", "json",
    "logging", "pathlib", "queue", "statistics", "threading", "numpy.typing",
}  # fmt: skip

USE = """
import numpy as np, fastnn as fnn
trainer = fnn.Trainer(fnn.Network(4, [fnn.Dense(3)]))
x, y = np.ones((8, 4), np.float32), np.zeros(8, int)
trainer.fit(x, y, validation_data=(x, y))
trainer.network.predict(x)
"""


COMMAND = """
from functools import partial
from fastnn import cli, datasets
datasets.digits = partial(datasets.digits, n_train=200, n_validation=10, n_test=10)
assert cli.main(["book", "mlp", "--data", "digits", "--epochs", "1"]) == 0
"""


def python(code: str, folder: Path | None = None, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def modules_after(code: str, folder: Path) -> set[str]:
    done = python(f"{code}\nimport sys; print(*sys.modules)", folder)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


@pytest.fixture(scope="module")
def numpy_alone(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    return modules_after("import numpy", tmp_path_factory.mktemp("numpy"))


def packages(names: set[str]) -> set[str]:
    """Each name and the packages that it lies in."""
    return {".".join(name.split(".")[:i]) for name in names for i in range(1, name.count(".") + 2)}


def test_importing_loads_little(tmp_path: Path, numpy_alone: set[str]) -> None:
    added = modules_after("import fastnn", tmp_path) - numpy_alone
    assert not HEAVY & packages(added)
    assert len([name for name in added if not name.startswith("fastnn")]) <= 5, added


def test_training_loads_little_more(tmp_path: Path, numpy_alone: set[str]) -> None:
    """A fit without a progress bar."""
    assert not HEAVY & packages(modules_after(USE, tmp_path) - numpy_alone)


def test_the_command_loads_little_more(tmp_path: Path, numpy_alone: set[str]) -> None:
    added = modules_after(COMMAND, tmp_path) - numpy_alone
    assert "argparse" in added
    assert not HEAVY & packages(added)


def test_public_names() -> None:
    assert sorted(fastnn.__all__) == sorted(set(fastnn.__all__))
    missing = [name for name in fastnn.__all__ if not hasattr(fastnn, name)]
    assert not missing
    assert all(not name.startswith("_") or name == "__version__" for name in fastnn.__all__)
    outline = """Network Dense Dropout Rescaling Trainer SGD Adam L1 L2 MaxNorm History Callback LinearWarmup StepDecay
        Checkpoint EarlyStopping EveryNSteps load_trainer load datasets set_num_threads num_threads isa available_isas
        use_isa show_config"""
    assert set(outline.split()) <= set(fastnn.__all__)
    with pytest.raises(AttributeError, match="module 'fastnn' has no attribute 'nothing'"):
        fastnn.nothing  # noqa: B018


def test_star_import(tmp_path: Path) -> None:
    assert python("from fastnn import *; Network, datasets", tmp_path).returncode == 0


def test_the_package_is_typed() -> None:
    assert (Path(fastnn.__file__).parent / "py.typed").is_file()


def test_a_source_folder_without_the_core(tmp_path: Path) -> None:
    shutil.copytree(
        Path(fastnn.__file__).parent,
        tmp_path / "fastnn",
        ignore=shutil.ignore_patterns("_core*.so", "_core*.pyd", "__pycache__"),
    )
    done = python("import fastnn", tmp_path)
    assert done.returncode != 0
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("ImportError: fastnn's compiled core is missing")
    assert "pip install" in last
    assert "During handling" not in done.stderr


@pytest.mark.parametrize("isa", ["avx1024", "AVX2", " "])
def test_an_unusable_isa_is_refused_at_import(tmp_path: Path, isa: str) -> None:
    done = python("import fastnn", tmp_path, FASTNN_ISA=isa)
    assert done.returncode != 0
    choices = ", ".join(fastnn.available_isas())
    assert done.stderr.strip().splitlines()[-1].startswith(f"ImportError: FASTNN_ISA must be one of {choices}")
    assert repr(isa) in done.stderr


@pytest.mark.parametrize("isa", ["", *fastnn.available_isas()])
def test_an_isa_is_chosen_at_import(tmp_path: Path, isa: str) -> None:
    done = python("import fastnn; print(fastnn.isa())", tmp_path, FASTNN_ISA=isa)
    assert done.stdout.split() == [isa or fastnn.available_isas()[0]], done.stderr
