"""The command `fastnn`: through main(argv) on small data, and as a process for what only a process has."""

import json
import os
import re
import signal
import subprocess
import sys
import tomllib
from email.message import Message
from functools import partial
from pathlib import Path
from urllib.error import HTTPError, URLError

import numpy as np
import pytest

import fastnn as fnn
from fastnn import _progress, book, cli, datasets, runtime
from fastnn.book import _data, _run, logistic, mlp

ROOT = Path(__file__).parents[1]
GIVEN_DATA = os.environ.get("FASTNN_DATA")
JSON_FIELDS = {
    "system", "dataset", "recipe", "seed", "test_accuracy", "validation_accuracy", "seconds", "samples_per_second",
    "epochs", "batch_size", "learning_rate", "isa", "threads", "device",
}  # fmt: skip
NO_GPU = "" if fnn.cuda.is_available() else f" (no GPU: {fnn.cuda.why_unavailable()})"
MEASURED = ("test_accuracy", "validation_accuracy", "seconds", "samples_per_second")


@pytest.fixture(autouse=True)
def nothing_outside(monkeypatch, tmp_path):
    """No MNIST named or cached, no mirror: no test can reach the network. And the best instruction set, for speed."""
    monkeypatch.setattr(datasets, "_MIRRORS", ())
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache-home"))
    for name in ("FASTNN_DATA", "FASTNN_NUM_THREADS", "FASTNN_ISA"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def few(monkeypatch):
    """Of the drawn digits, few."""
    monkeypatch.setattr(datasets, "digits", partial(datasets.digits, n_train=1050, n_validation=200, n_test=300))


@pytest.fixture
def run(capsys):
    """Runs the command, which must end well, and returns its lines."""

    def run(*argv: str) -> list[str]:
        assert cli.main(argv) == 0
        out, err = capsys.readouterr()
        assert err == ""
        return out.splitlines()

    return run


@pytest.fixture
def refused(capsys):
    """Runs the command, which must refuse its arguments, and returns the last line of what it says."""

    def run(*argv: str) -> str:
        with pytest.raises(SystemExit) as stop:
            cli.main(argv)
        assert stop.value.code == 2
        out, err = capsys.readouterr()
        assert out == ""
        assert err.startswith("usage: fastnn")
        return err.splitlines()[-1]

    return run


def process(tmp_path: Path, *argv: str, python: tuple[str, ...] = ("-m", "fastnn")) -> subprocess.Popen:
    """`python -m fastnn` away from the source folder, which may hold the package without its compiled core."""
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen([sys.executable, *python, *argv], cwd=tmp_path, **pipes)


def finished(tmp_path: Path, *argv: str) -> tuple[int, str, str]:
    started = process(tmp_path, *argv)
    out, err = started.communicate(timeout=300)
    return started.returncode, out, err


# ---- the command itself ----


def test_the_installed_command_is_this_one():
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    assert scripts == {"fastnn": "fastnn.cli:main"}


def test_as_a_process(tmp_path):
    assert finished(tmp_path, "--version") == (0, f"fastnn {fnn.__version__}\n", "")


def test_help_of_everything(capsys):
    for argv in ((), ("book",), *(("book", name) for name in book.NAMES), ("info",)):
        with pytest.raises(SystemExit) as stop:
            cli.main([*argv, "--help"])
        assert stop.value.code == 0
        assert capsys.readouterr().out.startswith(" ".join(("usage: fastnn", *argv)))


def test_no_command(refused):
    assert refused() == "fastnn: error: the following arguments are required: COMMAND"


def test_unknown_command(refused):
    assert "invalid choice: 'tray'" in refused("tray")


def test_info(run, monkeypatch):
    monkeypatch.setattr(runtime, "_threads", (3, "set_num_threads(3)"))
    text = "\n".join(run("info"))
    assert text.startswith(f"fastnn           {fnn.__version__}\n")
    assert f"instruction set  {fnn.isa()} (available: {', '.join(fnn.available_isas())})\n" in text
    assert "threads          3 (set_num_threads(3))\n" in text
    backend = {"openmp": "OpenMP", "pthread": "pthreads, built without OpenMP"}[runtime.config()["threads_backend"]]
    assert f"thread library   {backend}\n" in text
    devices = ", ".join(fnn.devices()) + NO_GPU
    assert f"devices          {devices}\n" in text
    assert np.__version__ in text


@pytest.mark.parametrize("command", [("info",), ("book", "mlp", "--data", "digits")])
def test_a_bad_environment_is_said(refused, monkeypatch, command):
    monkeypatch.setattr(runtime, "_threads", None)
    monkeypatch.setenv("FASTNN_NUM_THREADS", "many")
    assert refused(*command).endswith("error: FASTNN_NUM_THREADS must be an integer from 1 to 256, got 'many'")


# ---- fastnn book ----


def test_list_of_systems(run):
    words = [line.split() for line in run("book")]
    for row in book.ROWS:
        assert [row.number, row.name or "-", *row.says.split()] in words


@pytest.mark.usefixtures("few")
def test_lines_are_those_of_the_listing(run):
    lines = run("book", "logistic", "--data", "digits", "--epochs", "2")
    assert lines[0] == "Logistic regression on synthetic digits: 1050 training, 200 validation, 300 test examples"
    assert lines[1] == "Recipe listing: epochs 2, batch size 100, learning rate 0.01, seed 0"
    assert lines[2] == "  unlike the book's listing: epochs 2, not 1000"
    for epoch, line in enumerate(lines[3:5], 1):
        assert re.fullmatch(rf"Epoch: {epoch:04d} cost = \d\.\d{{9}} Validation Error: 0\.\d{{4}}", line)
    assert lines[5] == "Optimization Finished!"
    assert re.fullmatch(r"Test Accuracy: 0\.\d{4}", lines[6])
    assert re.fullmatch(r"On synthetic digits; of cheques with four digits \d+\.\d% would be misread", lines[7])
    assert re.fullmatch(r"Training took \d+\.\d\d s, [\d,]+ samples/s, threads: \d+", lines[8])
    assert len(lines) == 9


@pytest.mark.usefixtures("few")
@pytest.mark.parametrize(
    ("argv", "name", "epochs", "rate"),
    [
        (["logistic"], "listing", 1000, 0.01),
        (["mlp"], "fast", 300, 0.003),
        (["mlp", "--recipe=best"], "best", 300, 0.03),
    ],
)
def test_what_differs_is_said(run, argv, name, epochs, rate):
    recipe = book.system(argv[0]).RECIPES[name]
    said = run("book", *argv, "--data", "digits", "--epochs", "1", "--batch-size", "200")
    said = [line.partition(": ")[2] for line in said if line.startswith("  unlike the book's listing")]
    assert said[: len(recipe.differs)] == list(recipe.differs)
    assert said[len(recipe.differs) :] == [
        f"epochs 1, not {epochs}",
        "batch size 200, not 100",
        *([f"learning rate {rate}, not 0.01"] if rate != 0.01 else []),
    ]


@pytest.mark.usefixtures("few")
@pytest.mark.parametrize("flags", [(), ("--recipe", "listing"), ("--recipe", "fast"), ("--recipe", "best")])
def test_json_of_one_seed(run, flags):
    argv = ("--epochs", "2", "--batch-size", "50", "--learning-rate", "0.02", "--seed", "7", "--threads", "1")
    result = json.loads(run("book", "mlp", "--data", "digits", *argv, *flags, "--json", "--device", "/cpu:0")[-1])
    assert set(result) == JSON_FIELDS
    expected = {
        "system": "mlp", "dataset": "synthetic digits", "recipe": flags[1] if flags else "fast", "seed": 7, "epochs": 2,
        "batch_size": 50, "learning_rate": 0.02, "isa": fnn.isa(), "threads": 1, "device": "cpu:0",
    }  # fmt: skip
    assert {name: result[name] for name in expected} == expected
    assert 0 < result["test_accuracy"] < 1
    assert 0 < result["validation_accuracy"] < 1
    assert result["seconds"] * result["samples_per_second"] == pytest.approx(2 * 1050)


@pytest.mark.usefixtures("few")
def test_json_of_seeds(run):
    argv = ("book", "logistic", "--data", "digits", "--epochs", "1", "--json")
    lines = run(*argv, "--seed", "3", "--seeds", "2")
    result = json.loads(lines[-1])
    assert set(result) == JSON_FIELDS | {"mean"}
    assert result["seed"] == [3, 4]
    assert lines[1].endswith(", seed 3 to 4")
    for name in MEASURED:
        assert result["mean"][name] == pytest.approx(sum(result[name]) / 2)
    for seed, accuracy in zip(result["seed"], result["test_accuracy"], strict=True):
        assert json.loads(run(*argv, "--seed", str(seed))[-1])["test_accuracy"] == accuracy
    assert [line for line in lines if line.startswith("Seed: ")] == ["Seed: 3", "Seed: 4"]
    assert any(line.startswith(f"Mean Test Accuracy: {result['mean']['test_accuracy']:.4f} (2 seeds") for line in lines)
    assert json.loads(run(*argv, "--seeds", "1")[-1])["seed"] == [0]


@pytest.mark.usefixtures("few")
def test_result_is_that_of_the_api(run):
    result = json.loads(run("book", "mlp", "--data", "digits", "--epochs", "2", "--json")[-1])
    data = datasets.digits()
    trainer = mlp.fast(0.003, steps=22, seed=0)
    trainer.fit(data.train.x, data.train.y, epochs=2)
    assert trainer.step == 22
    assert trainer.evaluate(data.test.x, data.test.y)["accuracy"] == result["test_accuracy"]


@pytest.mark.usefixtures("few")
def test_the_listing_drops_the_ragged_batch(run):
    argv = ("book", "mlp", "--data", "digits", "--epochs", "1", "--json", "--recipe")
    for recipe, rows in (("listing", 1000), ("fast", 1050)):
        result = json.loads(run(*argv, recipe)[-1])
        assert result["seconds"] * result["samples_per_second"] == pytest.approx(rows)


@pytest.mark.usefixtures("few")
def test_threads_change_no_digit(run):
    argv = ("book", "mlp", "--data", "digits", "--epochs", "2", "--recipe", "best", "--threads")
    assert run(*argv, "1")[:-1] == run(*argv, "3")[:-1]


def test_recipes_are_those_of_the_book():
    net = logistic.listing(0.01, 1, 0).network
    assert [layer.units for layer in net.layers[1:]] == [10]
    assert not any(np.asarray(variable).any() for variable in net.variables.values())
    assert np.allclose(net.predict_proba(np.zeros((1, 784), np.uint8)), 0.1)
    listing = mlp.listing(0.01, 1, 0)
    assert [(layer.units, layer.activation) for layer in listing.network.layers[1:]] == [
        (256, "relu"),
        (256, "relu"),
        (10, "relu"),
    ]
    for name, n_in in (("hidden_1", 784), ("hidden_2", 256), ("output", 256)):
        assert np.std(listing.network.variables[f"{name}/W"]) == pytest.approx((2 / n_in) ** 0.5, rel=0.05)
        assert not np.asarray(listing.network.variables[f"{name}/b"]).any()
    assert listing.optimizer == fnn.SGD(0.01)
    fast = mlp.fast(0.5, 1000, 0).optimizer
    assert isinstance(fast, fnn.Adam)
    rates = fast.schedule.rates(0, 1000)
    assert (rates[0], rates[200], rates.argmax()) == (np.float32(0.05), np.float32(0.5), 200)
    assert rates[-1] == pytest.approx(0.5 / 800)
    best = mlp.best(0.05, 100, 0)
    assert best.network.n_parameters == 784 * 2048 + 2048 + 2048 * 2048 + 2048 + 2048 * 10 + 10
    assert best.optimizer == fnn.SGD(
        fnn.LinearWarmup(0.05, warmup_steps=10, total_steps=100), momentum=0.9, nesterov=True
    )


def test_cheques():
    assert _run.misread_cheques(0.919) == pytest.approx(0.287, abs=5e-4)
    assert _run.misread_cheques(1.0) == 0


@pytest.mark.parametrize("name", book.TRAININGS)
def test_on_digits_as_a_process(tmp_path, name):
    status, out, err = finished(tmp_path, "book", name, "--data", "digits", "--epochs", "1", "--json")
    assert (status, err) == (0, "")
    result = json.loads(out.splitlines()[-1])
    assert result["dataset"] == "synthetic digits"
    assert result["test_accuracy"] > {"logistic": 0.7, "mlp": 0.95}[name]


def test_lines_are_printed_above_a_bar(capsys):
    with _progress.bar(True, total=2) as shown:
        shown.update(1)
        capsys.readouterr()
        _progress.say("a line")
        out, err = capsys.readouterr()
    assert out == "a line\n"
    assert err.startswith("\r   ")  # cleared, then drawn again
    assert "1/2" in err


def test_lines_need_no_tqdm(capsys, monkeypatch):
    monkeypatch.delitem(sys.modules, "tqdm", raising=False)
    _progress.say("a line")
    assert capsys.readouterr() == ("a line\n", "")
    assert "tqdm" not in sys.modules


# ---- --plot ----


@pytest.mark.usefixtures("few")
@pytest.mark.parametrize(("flags", "title"), [((), "recipe listing"), (("--seeds", "2"), "mean of 2 seeds")])
def test_plot(run, tmp_path, monkeypatch, flags, title):
    figure = pytest.importorskip("matplotlib.figure").Figure
    titles = []
    monkeypatch.setattr(figure, "suptitle", lambda self, text: titles.append(text))
    path = tmp_path / "curves.png"
    lines = run("book", "logistic", "--data", "digits", "--epochs", "2", "--plot", str(path), *flags)
    assert lines[-1] == f"Curves saved: {path}"
    assert path.read_bytes().startswith(b"\x89PNG\r\n")
    assert titles[0].startswith("Logistic regression on synthetic digits, recipe listing")
    assert titles[0].endswith(title)


def test_plot_where_nothing_can_be_saved(refused, tmp_path):
    argv = ("book", "mlp", "--data", "digits", "--plot")
    lost = str(tmp_path / "no" / "curves.png")
    expected = "argument --plot: must be a file in a directory that exists"
    assert refused(*argv, lost).endswith(f"{expected}, got {lost!r}")
    assert refused(*argv, str(tmp_path)).endswith(f"{expected}, got {str(tmp_path)!r}")
    odd = str(tmp_path / "curves.odd")
    assert re.search(rf"argument --plot: must end in .*\.png.*, got {odd!r}$", refused(*argv, odd))


def test_plot_without_matplotlib(capsys, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert cli.main(["book", "mlp", "--data", "digits", "--plot", str(tmp_path / "curves.png")]) == 1
    assert capsys.readouterr() == ("", "fastnn: --plot needs matplotlib: pip install 'fastnn[plot]'\n")


# ---- wrong values ----


@pytest.mark.parametrize("name", book.TRAININGS)
@pytest.mark.parametrize(
    ("flag", "values", "expected"),
    [
        ("--epochs", ("0", "-1", "1.5", "ten", "1000001", ""), "an integer from 1 to 1000000"),
        ("--batch-size", ("0", "-3", "1e2"), "an integer from 1 to 9223372036854775807"),
        ("--learning-rate", ("0", "-0.1", "nan", "inf", "1e39", "fast"), "a positive finite number"),
        ("--seed", ("-1", "1.0", "18446744073709551616"), "an integer from 0 to 18446744073709551615"),
        ("--seeds", ("0", "1001", "x"), "an integer from 1 to 1000"),
        ("--threads", ("0", "257", "all"), "an integer from 1 to 256"),
        ("--device", ("gpu:99", "/gpu:98"), f"one of {', '.join(fnn.devices())}{NO_GPU}"),
        ("--device", ("cpu:1", "/cpu:9"), f"one of {', '.join(fnn.devices())}"),
        ("--device", ("tpu", "", "CPU:0"), "'auto' or a device such as 'cpu:0' or 'gpu:0'"),
        ("--data", ("/no/such/folder", "MNIST", ""), "auto, mnist, digits or a directory"),
    ],
)
def test_wrong_values(refused, name, flag, values, expected):
    for value in values:
        if flag == "--data" and value == "":
            continue  # names the current directory
        line = refused("book", name, flag, value)
        assert line == f"fastnn book {name}: error: argument {flag}: must be {expected}, got {value!r}"


@pytest.mark.parametrize("argv", [("logistic", "--recipe", "fast"), ("mlp", "--recipe", "slow"), ("cnn",)])
def test_wrong_names(refused, argv):
    line = refused("book", *argv)
    assert f"argument {'--recipe' if len(argv) > 1 else 'NAME'}: invalid choice: {argv[-1]!r} (choose from" in line


@pytest.mark.parametrize("flag", ["--epoch", "--bogus", "--logfile"])
def test_unknown_flags(refused, flag):
    assert refused("book", "mlp", flag, "3").endswith(f"unrecognized arguments: {flag} 3")


def test_seeds_beyond_the_last(refused):
    line = refused("book", "mlp", "--seed", str(2**64 - 1), "--seeds", "2")
    assert line.endswith(f"argument --seeds: the last seed must be at most {2**64 - 1}, got {2**64}")


@pytest.mark.usefixtures("few")
def test_batch_beyond_the_data(refused):
    line = refused("book", "mlp", "--data", "digits", "--batch-size", "1051")
    assert line.endswith("argument --batch-size: must be at most 1050, the examples to train on, got 1051")


# ---- where the data come from ----


def test_directory_without_mnist(refused, tmp_path):
    line = refused("book", "mlp", "--data", str(tmp_path))
    assert "argument --data: must be auto, mnist, digits or a directory with MNIST's files: " in line
    assert f"{tmp_path} lacks train-images-idx3-ubyte" in line


def test_mnist_that_cannot_be_had(capsys):
    assert cli.main(["book", "mlp", "--data", "mnist"]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("fastnn: MNIST was not found:")


@pytest.mark.usefixtures("few")
def test_auto_without_mnist(run, tmp_path):
    lines = run("book", "logistic", "--epochs", "1", "--json")
    assert lines[0] == (
        "MNIST cannot be had, training on synthetic digits instead: FASTNN_DATA is not set; "
        f"{tmp_path / 'cache-home' / 'fastnn' / 'mnist'} is not a directory; no mirror answered within 5 seconds"
    )
    assert lines[1].startswith("Logistic regression on synthetic digits: ")
    assert json.loads(lines[-1])["dataset"] == "synthetic digits"


@pytest.mark.usefixtures("few")
def test_auto_when_the_download_fails(run, monkeypatch):
    def mnist(*, download=True):
        raise OSError("the disk is full" if download else "nothing here")

    monkeypatch.setattr(datasets, "mnist", mnist)
    monkeypatch.setattr(_data, "_mirror_answers", lambda seconds: True)
    lines = run("book", "logistic", "--epochs", "1")
    assert lines[0] == "MNIST cannot be had, training on synthetic digits instead: the disk is full"


@pytest.mark.usefixtures("few")
def test_auto_downloads(run, monkeypatch):
    def mnist(*, download=True):
        if not download:
            raise FileNotFoundError("nothing here")
        return datasets.Dataset("MNIST", *(getattr(datasets.digits(), p) for p in ("train", "validation", "test")))

    monkeypatch.setattr(datasets, "mnist", mnist)
    monkeypatch.setattr(_data, "_mirror_answers", lambda seconds: True)
    assert run("book", "logistic", "--epochs", "1")[0].startswith("Logistic regression on MNIST: ")


def test_directory_is_the_only_place(monkeypatch, tmp_path, run):
    asked = []

    def mnist(directory=None):
        asked.append(directory)
        return datasets.digits(n_train=100, n_validation=10, n_test=10)

    monkeypatch.setattr(datasets, "mnist", mnist)
    run("book", "logistic", "--epochs", "1", "--data", str(tmp_path))
    run("book", "logistic", "--epochs", "1", "--data", "mnist")
    assert asked == [str(tmp_path), None]


@pytest.mark.parametrize(
    ("answer", "is_one"),
    [
        (None, True),
        (HTTPError("http://x", 404, "no such page", Message(), None), True),
        (URLError("no name"), False),
        (TimeoutError(), False),
    ],
)
def test_mirrors_that_answer(monkeypatch, answer, is_one):
    class Response:
        def close(self):
            pass

    def urlopen(request, timeout):
        assert timeout == 3
        if answer is not None:
            raise answer
        return Response()

    monkeypatch.setattr("urllib.request.urlopen", urlopen)
    monkeypatch.setattr(datasets, "_MIRRORS", ("http://one/", "http://two/"))
    assert _data._mirror_answers(3) is is_one


def test_mirrors_that_hang(monkeypatch):
    from threading import Event

    end = Event()
    monkeypatch.setattr(_data, "_answers", lambda url, seconds: end.wait(60))
    monkeypatch.setattr(datasets, "_MIRRORS", ("http://one/", "http://two/"))
    assert not _data._mirror_answers(0.05)
    end.set()


# ---- how it ends ----


@pytest.mark.usefixtures("few")
def test_divergence(capsys):
    assert cli.main(["book", "mlp", "--data", "digits", "--learning-rate", "1e30"]) == 1
    err = capsys.readouterr().err
    assert err.startswith("fastnn: training diverged: the loss is not finite in epoch 1, step ")
    assert err.count("\n") == 1


def endless(tmp_path: Path, **options) -> subprocess.Popen:
    """A training that goes on for hours, after its first epoch."""
    started = process(tmp_path, "book", "logistic", "--data", "digits", "--epochs", "1000000", **options)
    for line in started.stdout:
        if line.startswith("Epoch: 0001"):
            return started
    raise AssertionError(started.communicate())


def test_interrupt(tmp_path):
    # Heard even where the tests run in the background of a shell, which has them and their children ignore it.
    hearing = "import runpy, signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
    started = endless(tmp_path, python=("-c", f"{hearing}; runpy.run_module('fastnn', run_name='__main__')"))
    started.send_signal(signal.SIGINT)
    _, err = started.communicate(timeout=60)
    assert (started.returncode, err) == (130, "fastnn: interrupted\n")


def test_interrupt_in_this_process(monkeypatch, capsys):
    def interrupted(source):
        raise KeyboardInterrupt

    monkeypatch.setattr(_data, "load", interrupted)
    assert cli.main(["book", "mlp"]) == 130
    assert capsys.readouterr().err == "fastnn: interrupted\n"


def test_nobody_reads_any_more(tmp_path):
    started = endless(tmp_path)
    started.stdout.close()
    err = started.stderr.read()
    started.stderr.close()
    assert (started.wait(timeout=60), err) == (141, "")


# ---- README ----


def test_example_of_the_readme(tmp_path):
    example = re.search(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL).group(1)
    done = subprocess.run([sys.executable, "-c", example], cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.split()[-1] == example.split("# ")[-1].strip()  # the same digits on every machine


# ---- the results of the book ----


@pytest.fixture
def mnist_directory() -> str:
    for directory in (Path(GIVEN_DATA), Path(GIVEN_DATA, "mnist")) if GIVEN_DATA else ():
        try:
            datasets.mnist(directory)
        except OSError:
            continue
        return str(directory)
    pytest.skip("FASTNN_DATA names no MNIST")


@pytest.mark.mnist
def test_logistic_regression_soon(run, mnist_directory):
    argv = ("--data", mnist_directory, "--epochs", "20", "--seeds", "2", "--threads", "1", "--json")
    result = json.loads(run("book", "logistic", *argv)[-1])
    assert result["dataset"] == "MNIST"
    assert min(result["test_accuracy"]) >= 0.910


@pytest.mark.mnist
@pytest.mark.slow
def test_logistic_regression_of_the_book(run, mnist_directory):
    argv = ("--epochs", "100", "--learning-rate", "0.01", "--batch-size", "100", "--json")
    result = json.loads(run("book", "logistic", "--data", mnist_directory, *argv)[-1])
    assert result["test_accuracy"] >= 0.919


@pytest.mark.mnist
@pytest.mark.slow
def test_multilayer_perceptron_of_the_book(run, mnist_directory):
    result = json.loads(run("book", "mlp", "--data", mnist_directory, "--seeds", "3", "--json")[-1])
    assert min(result["test_accuracy"]) >= 0.982
