"""`fastnn book`: the list of the book's systems, and what holds for every example. Chapters have files of their own."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from fastnn import book, cli, datasets, runtime
from fastnn.book import __main__ as drawing
from fastnn.book import _data, command
from fastnn.book._result import Result

EXAMPLES = [name for name in book.NAMES if name not in book.TRAININGS]


@pytest.fixture(autouse=True)
def few_digits(monkeypatch):
    """For the examples that learn from whatever images are at hand: whether they run is asked here, not how well."""
    monkeypatch.setattr(_data, "at_hand", lambda: datasets.digits(n_train=2000, n_validation=200, n_test=200))


@pytest.fixture
def run(capsys, monkeypatch):
    """Runs an example, which must end well, and returns its lines."""
    monkeypatch.setattr(runtime, "_threads", runtime._threads)  # --threads is for the process: here, for the test

    def run(*argv: str) -> list[str]:
        assert cli.main(["book", *argv]) == 0
        out, err = capsys.readouterr()
        assert err == ""
        return out.splitlines()

    return run


def test_every_system_of_three_chapters_has_a_row():
    counts = {1: 6, 2: 13, 3: 16}
    assert [row.number for row in book.ROWS] == [f"{c}.{i}" for c, n in counts.items() for i in range(1, n + 1)]
    assert set(book.CHAPTERS) == set(counts)
    assert len({row.says for row in book.ROWS}) == len(book.ROWS)


def test_every_example_is_in_the_list():
    modules = {path.stem for path in Path(book.__file__).parent.glob("[a-z]*.py")}
    assert modules - {Path(command.__file__).stem} == set(book.NAMES)
    assert set(book.TRAININGS) <= set(book.NAMES)


@pytest.mark.parametrize("name", EXAMPLES)
def test_example(name, run, tmp_path):
    """It ends well, says what it showed, draws it; its numbers are JSON, and no digit depends on the threads."""
    module = book.system(name)
    has_figure = hasattr(module, "plot")
    path = tmp_path / "figure.png"
    *lines, shown, last = run(name, "--json", "--seed", "1", "--threads", "1", *(["--plot", str(path)] * has_figure))
    assert lines[: len(book.rows_of(name))] == [f"{row.number} {row.says}" for row in book.rows_of(name)]
    assert shown.startswith("Shown: ")
    assert shown.endswith(f"; figure saved: {path}") == has_figure
    assert all(len(line) <= 160 for line in lines)
    *again, last_again = run(name, "--json", "--seed", "1", "--threads", "2")
    assert [*lines, shown.partition("; figure saved: ")[0]] == again
    assert last == last_again
    result = json.loads(last)
    assert (result["system"], result["seed"]) == (name, 1)
    assert result["rows"] == [row.number for row in book.rows_of(name)]
    assert len(result) > len(command._as_dict(command.argparse.Namespace(name=name, seed=1), Result("")))
    if has_figure:
        assert path.read_bytes().startswith(b"\x89PNG\r\n")


def test_figures_of_the_page(tmp_path, capsys):
    """The page shows the figure of each example that has one; they are small, and drawn by the package."""
    docs = Path(__file__).parents[1] / "docs"
    figures = [name for name in EXAMPLES if hasattr(book.system(name), "plot")]
    assert sorted(re.findall(r"^!\[.+\]\(figures/(\w+)\.png\)$", (docs / "book.md").read_text(), re.M)) == sorted(
        figures
    )
    drawn = {path.stem: path.stat().st_size for path in docs.glob("figures/*")}
    assert set(drawn) in ({"digits", *figures}, set())  # a source archive has none
    assert max(drawn.values(), default=0) < 100_000
    assert sum(drawn.values()) < 1_000_000
    drawing.main(str(tmp_path), "digits", "softmax")
    paths = [tmp_path / f"{name}.png" for name in ("digits", "softmax")]
    assert all(path.read_bytes().startswith(b"\x89PNG\r\n") for path in paths)
    assert [line.partition(": ")[0] for line in capsys.readouterr().out.splitlines()] == list(map(str, paths))


def test_json_adds_a_line(run):
    assert run("perceptron", "--json")[:-1] == run("perceptron")


def test_an_example_without_a_figure(monkeypatch, capsys):
    monkeypatch.delattr(book.system("perceptron"), "plot")
    with pytest.raises(SystemExit) as stop:
        cli.main(["book", "perceptron", "--plot", "figure.png"])
    assert stop.value.code == 2
    assert capsys.readouterr().err.endswith("error: argument --plot: perceptron has no figure\n")


def test_a_wrong_plot_is_refused_before_the_work(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(book.system("perceptron"), "run", lambda seed: pytest.fail("it ran"))
    with pytest.raises(SystemExit) as stop:
        cli.main(["book", "perceptron", "--plot", str(tmp_path / "figure.odd")])
    assert stop.value.code == 2
    assert "argument --plot: must end in" in capsys.readouterr().err


def test_the_command_loads_no_example(tmp_path):
    code = "from fastnn import cli; cli.main(['book']); import sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    loaded = set(done.stdout.splitlines()[-1].split())
    assert not loaded & {f"fastnn.book.{name}" for name in EXAMPLES}
    assert not loaded & {"matplotlib", "json"}
