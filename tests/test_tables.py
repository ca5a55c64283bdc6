"""Tables: files of examples in, saved networks and predictions out."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

import fastnn as fnn
from fastnn.cli import main
from fastnn.tables import Settings, Table, learn, read_table


def write(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def line(path: Path, n: int = 300) -> Path:
    """y = 2000 + 30 a - 5 b of features far from zero."""
    rng = np.random.default_rng(0)
    a, b = rng.normal(1000, 3, n), rng.normal(-50, 20, n)
    rows = [f"{u:.4f},{v:.4f},{2000 + 30 * (u - 1000) - 5 * v:.4f}" for u, v in zip(a, b, strict=True)]
    return write(path, "a,b,y", *rows)


def flowers(path: Path, n: int = 300) -> Path:
    rng = np.random.default_rng(1)
    kinds = rng.integers(0, 3, n)
    x = rng.normal(0, 0.3, (n, 2)) + np.stack([kinds, kinds % 2], axis=1)
    rows = [f"{u:.3f};{('rose', 'iris', 'lily')[k]};{v:.3f}" for (u, v), k in zip(x, kinds, strict=True)]
    return write(path, *rows)


# ---- reading --------------------------------------------------------------------------------------------------------


def test_a_feature_that_is_no_number(tmp_path: Path) -> None:
    write(tmp_path / "t.csv", "a,b,c", "1,2,x", "", "3, 4,y")
    with pytest.raises(ValueError, match="finite numbers as features, got 'x' in row 1 of values, column 'c'"):
        read_table(tmp_path / "t.csv", "b")


@pytest.mark.parametrize("target", ["kind", "2", "-1", None])
def test_the_target_by_name_and_number(tmp_path: Path, target: str | None) -> None:
    table = read_table(write(tmp_path / "t.csv", "a,b,kind", "1,2,x", "3,4,y"), target)
    assert table.columns == ("a", "b")
    assert table.target == "kind"
    assert table.x.tolist() == [[1, 2], [3, 4]]
    assert table.y is not None
    assert table.y.tolist() == ["x", "y"]


def test_csv_without_names(tmp_path: Path) -> None:
    table = read_table(write(tmp_path / "t.csv", "1\t2\t3", "4\t5\t6"), "0")
    assert table.columns == ("column_1", "column_2")
    assert table.y is not None
    assert table.y.tolist() == [1, 4]
    table = read_table(write(tmp_path / "u.csv", "1,2,red", "4,5,red"))  # a text in the first line alone is no name
    assert len(table) == 2


def test_features_for_a_model(tmp_path: Path) -> None:
    named = write(tmp_path / "t.csv", "y,b,a", "0,1,2", "0,3,4")
    assert read_table(named, columns=["a", "b"]).x.tolist() == [[2, 1], [4, 3]]
    with pytest.raises(ValueError, match="must have the columns that the model knows, got none named c"):
        read_table(named, columns=["a", "c"])
    bare = write(tmp_path / "u.csv", "1,2,3")
    assert read_table(bare, columns=["p", "q", "r"]).x.tolist() == [[1, 2, 3]]
    assert read_table(bare, columns=["column_2", "column_0"]).x.tolist() == [[3, 1]]
    for file, names in ((named, ("y", "b", "a")), (bare, ("column_0", "column_1", "column_2"))):
        assert read_table(file, columns=3).columns == names
        with pytest.raises(ValueError, match="must have 2 columns, as many as the model reads, got 3"):
            read_table(file, columns=2)
    with pytest.raises(ValueError, match="must have 2 columns, those that the model knows, got 3"):
        read_table(bare, columns=["p", "q"])


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["a,b"], "must have at least one row of values, got none"),
        (["a,b", "1,2", "3"], "must have 2 columns in every row, got 1 in row 2 of values"),
        (["a,b", "1,2", "nan,2"], "must have finite numbers as features, got 'nan' in row 2 of values, column 'a'"),
        (["a,b", ",2"], "must have finite numbers as features, got '' in row 1 of values, column 'a'"),
        (["a,b", "1e39,2"], "must have finite numbers as features, got '1e39' in row 1 of values, column 'a'"),
        (["a,b", "1,2", "1,"], "must have a target in every row, got '' in row 2 of values"),
        (["a,b", "1,2", "1,NA"], "must have a target in every row, got 'NA' in row 2 of values"),
        (["a,b", "1,x", "1,"], "must have a target in every row, got '' in row 2 of values"),
        (["a,b,a", "1,2,3"], "must have another name for every column, got 'a' twice"),
        (["a", "1"], "must have at least one column besides the target 'a', got none"),
    ],
)
def test_a_csv_that_is_no_table(tmp_path: Path, lines: list[str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_table(write(tmp_path / "t.csv", *lines))


def test_texts_that_a_csv_may_hold(tmp_path: Path) -> None:
    lines = ['"größe, cm";"a, b, c";art', '1;2;"weiß, hell"', '3;4;"ein ""NA"""', "5;6;NA"]
    table = read_table(write(tmp_path / "t.csv", *lines))
    assert table.columns == ("größe, cm", "a, b, c")
    assert table.y is not None
    assert table.y.tolist() == ["weiß, hell", 'ein "NA"', "NA"]
    (tmp_path / "latin.csv").write_text("größe,art\n1,2\n", encoding="latin-1")
    with pytest.raises(ValueError, match="must be text in UTF-8, got 'utf-8' codec can't decode byte 0xf6"):
        read_table(tmp_path / "latin.csv")


def test_targets_and_features_of_arrays(tmp_path: Path) -> None:
    x = np.eye(2)
    for y, expected in ((np.array([b"a", "ß".encode()]), ["a", "ß"]), (np.array([[3], [4]]), [3, 4])):
        np.savez(tmp_path / "t.npz", x=x, y=y)
        table = read_table(tmp_path / "t.npz")
        assert table.y is not None
        assert table.y.tolist() == expected
    for bad in (np.array(["1", "2"]), np.array([1, np.nan]), np.array([1, 1e39])):
        np.savez(tmp_path / "t.npz", x=bad, y=[0, 1])
        with pytest.raises(ValueError, match="must have finite numbers as features, got others in an array of"):
            read_table(tmp_path / "t.npz")


def test_npz_and_idx(tmp_path: Path) -> None:
    x, y = np.arange(24, dtype=np.uint8).reshape(4, 2, 3), np.array([0, 1, 0, 1])
    np.savez(tmp_path / "t.npz", x=x, y=y, other=y + 1)
    for target, expected in ((None, y), ("other", y + 1)):
        table = read_table(tmp_path / "t.npz", target)
        assert table.x.dtype == np.uint8
        assert table.x.shape == (4, 6)
        np.testing.assert_array_equal(table.y, expected)
    with pytest.raises(ValueError, match="must have an array 'z', got x, y, other"):
        read_table(tmp_path / "t.npz", "z")
    (tmp_path / "bad.npz").write_bytes(b"PK\x03\x04 nothing")
    with pytest.raises(ValueError, match="is not a file of arrays"):
        read_table(tmp_path / "bad.npz")
    header = bytes([0, 0, 8, 1, 0, 0, 0, 4])
    (tmp_path / "labels.idx").write_bytes(header + bytes([3, 1, 3, 1]))
    table = read_table(tmp_path / "labels.idx", str(tmp_path / "labels.idx"))
    assert table.x.tolist() == [[3], [1], [3], [1]]
    assert table.y is not None
    assert table.y.tolist() == [3, 1, 3, 1]


# ---- learning -------------------------------------------------------------------------------------------------------


def test_a_regression_reads_and_gives_plain_values(tmp_path: Path) -> None:
    table = read_table(line(tmp_path / "t.csv"))
    learned = learn(table, Settings(hidden=(), epochs=60, learning_rate=0.02))
    assert learned.validation["r2"] > 0.999
    prediction = learned.net.predict(np.array([[1001.0, -40.0]], np.float32))[0, 0]
    assert prediction == pytest.approx(2000 + 30 + 200, rel=1e-3)
    assert learned.net.metadata == {"columns": ["a", "b"], "target": "y", "classes": None}


def test_whole_numbers_are_classes_unless_a_task_is_named(tmp_path: Path) -> None:
    table = read_table(write(tmp_path / "t.csv", "a,y", *(f"{i},{i % 3}" for i in range(30))))
    assert learn(table, Settings(epochs=1)).net.metadata["classes"] == ["0", "1", "2"]
    assert learn(table, Settings(epochs=1, task="regression")).net.n_out == 1
    table = read_table(write(tmp_path / "u.csv", "a,y", *(f"{i},{i}" for i in range(30))))  # no class repeats
    assert learn(table, Settings(epochs=1)).net.metadata["classes"] is None


@pytest.mark.parametrize(("first", "second", "classes"), [("-1", "1", ["-1", "1"]), ("0.0", "1.0", ["0", "1"])])
def test_numbers_as_names_of_classes(tmp_path: Path, first: str, second: str, classes: list[str]) -> None:
    table = read_table(write(tmp_path / "t.csv", "a,y", *(f"{i},{(first, second)[i % 2]}" for i in range(20))))
    assert learn(table, Settings(epochs=1)).net.metadata["classes"] == classes


def test_a_constant_feature_says_nothing(tmp_path: Path) -> None:
    # the mean of many 0.1 is not 0.1: standardised by that deviation, 1e-17, the column would count
    rows = line(tmp_path / "t.csv").read_text().splitlines()
    table = read_table(write(tmp_path / "u.csv", f"c,d,{rows[0]}", *(f"0.1,1e9,{row}" for row in rows[1:])))
    learned = learn(table, Settings(hidden=(), epochs=60, learning_rate=0.02))
    assert learned.validation["r2"] > 0.999
    assert learned.net.variables["output/W"].value[:2].tolist() == [[0], [0]]


@pytest.mark.parametrize(
    ("feature", "target", "least", "most", "farthest"),
    [
        (0, 0, 0, 1e-5, ""),
        (1e5, 0, 1e-3, 0.1, "feature 'a' has mean"),
        (1e9, 0, 0.1, 1e3, "feature 'a' has mean"),
        (0, 1e9, 0.1, 1e3, "target 'y' has mean"),
    ],
)
def test_what_float32_loses_far_from_zero(
    feature: float, target: float, least: float, most: float, farthest: str
) -> None:
    x = np.random.default_rng(0).normal(size=(200, 2))
    table = Table(x + np.array([feature, 0]), ("a", "b"), x.sum(axis=1) + target, "y")
    learned = learn(table, Settings(epochs=5))
    assert least <= learned.rounding < most
    assert learned.farthest.startswith(farthest)


def test_patience_keeps_the_best_epoch() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(60, 5))
    table = Table(x, tuple("abcde"), x[:, 0] + rng.normal(size=60), "y")  # noise, which it learns by heart
    learned = learn(table, Settings(epochs=400, patience=5, learning_rate=0.01))
    losses = learned.history["val_loss"]
    assert learned.history.epochs == len(losses) < 400
    assert learned.best_epoch == int(np.argmin(losses)) + 1 == len(losses) - 5
    with pytest.raises(ValueError, match="patience must come with held-out rows, whose loss it watches, got none"):
        learn(table, Settings(patience=5, validation=0))


@pytest.mark.parametrize(
    ("lines", "task", "message"),
    [
        (["a,y", "1,x", "2,z"], "regression", "target 'y' must hold finite numbers for a regression"),
        (["a,y", "1,1e39", "2,0.5"], "auto", "target 'y' must hold finite numbers for a regression, got 1e\\+39"),
        (["a,y", "1,inf", "2,0"], "classification", "target 'y' must hold finite numbers or texts for classes"),
        (["a,y", "1e-40,1", "2e-40,2"], "auto", "'a' must have a standard deviation of at least 1e-30, got 5e-41"),
        (["a,y", "1,x", "2,x"], "auto", "target 'y' must hold at least two classes, got 1"),
    ],
)
def test_a_target_that_does_not_suit_the_task(tmp_path: Path, lines: list[str], task: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        learn(read_table(write(tmp_path / "t.csv", *lines)), Settings(task=task))


# ---- commands -------------------------------------------------------------------------------------------------------


def test_train_and_predict(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data, model = flowers(tmp_path / "t.csv"), tmp_path / "t.safetensors"
    flags = ["--target", "1", "--learning-rate", "0.01", "--plot", str(tmp_path / "t.png"), "--json"]
    assert main(["train", str(data), *flags]) == 0
    result = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert result["classes"] == ["iris", "lily", "rose"]
    assert result["validation"]["accuracy"] > 0.95
    assert (tmp_path / "t.png").stat().st_size > 1000

    assert main(["predict", str(model), str(data)]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0] == "column_1"
    meant = [row.split(";")[1] for row in data.read_text().splitlines()]
    assert np.mean([a == b for a, b in zip(said[1:], meant, strict=True)]) > 0.95

    assert main(["predict", str(model), str(data), "--proba", "--output", str(tmp_path / "p.csv")]) == 0
    probabilities = read_table(tmp_path / "p.csv", columns=["iris", "lily", "rose"]).x
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-5)


@pytest.mark.skipif(not fnn.cuda.is_available(), reason="there is no CUDA module, or no GPU")
def test_train_and_predict_on_a_gpu(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    data, model = flowers(tmp_path / "t.csv", 60), tmp_path / "t.safetensors"
    load, nets, said = fnn.load, [], []
    monkeypatch.setattr("fastnn.network.load", lambda *path, **options: nets.append(load(*path, **options)) or nets[-1])
    for device in ("cpu:0", "gpu:0"):
        flags = ["--target", "1", "--epochs", "2", "--device", device]
        assert main(["train", str(data), *flags, "--json"]) == 0
        assert json.loads(capsys.readouterr().out.splitlines()[-1])["device"] == device
        assert main(["predict", str(model), str(data), "--proba", "--device", device]) == 0
        assert nets[-1].device == device
        said.append((model.read_bytes(), capsys.readouterr().out))
    assert said[0] == said[1]


def test_names_survive_train_and_predict(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [f'{i};"{("weiß, hell", "rot")[i % 2]}"' for i in range(20)]
    data = write(tmp_path / "t.csv", '"größe, cm";"art, Blüte"', *rows)
    assert main(["train", str(data), "--epochs", "1"]) == 0
    assert main(["predict", str(tmp_path / "t.safetensors"), str(data), "--output", str(tmp_path / "p.csv")]) == 0
    capsys.readouterr()
    with open(tmp_path / "p.csv", newline="", encoding="utf-8") as file:
        (name,), *said = csv.reader(file)
    assert name == "art, Blüte"
    assert len(said) == 20
    assert {kind for (kind,) in said} <= {"weiß, hell", "rot"}


def test_several_targets_in_every_digit(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    x = np.random.default_rng(0).normal(size=(50, 3)).astype(np.float32)
    np.savez(tmp_path / "t.npz", x=x, y=np.stack([3 * x[:, 0], x[:, 1] - 100], axis=1))
    assert main(["train", str(tmp_path / "t.npz"), "--epochs", "3"]) == 0
    assert main(["predict", str(tmp_path / "t.safetensors"), str(tmp_path / "t.npz")]) == 0
    names, *lines = capsys.readouterr().out.splitlines()[-51:]
    assert names == "y_0,y_1"
    said = np.array([line.split(",") for line in lines]).astype(np.float32)
    np.testing.assert_array_equal(said, fnn.load(tmp_path / "t.safetensors").predict(x))


def test_a_network_of_your_own_reads_by_position(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data, model = write(tmp_path / "t.csv", "a,b", "1,2", "3,-4"), tmp_path / "m.safetensors"
    net = fnn.Network(2, [fnn.Dense(2, "softmax", name="d")], seed=0)
    net.variables["d/W"] = np.eye(2, dtype=np.float32)
    net.save(model)
    assert main(["predict", str(model), str(data)]) == 0
    assert capsys.readouterr().out.splitlines() == ["prediction", "1", "0"]


def test_a_loss_of_precision_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = write(tmp_path / "t.csv", "a,y", *(f"{10**9 + i % 7},{i % 7}.5" for i in range(50)))
    assert main(["train", str(data), "--epochs", "3"]) == 0
    said = capsys.readouterr().err
    assert said.startswith("fastnn: rounding to float32 moves predictions by up to ")
    assert "feature 'a' has mean 1e+09 and standard deviation 1.95; subtract a constant from it\n" in said
    assert main(["train", str(line(tmp_path / "u.csv")), "--epochs", "3"]) == 0
    assert capsys.readouterr().err == ""


def test_export(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = tmp_path / "n.safetensors"
    fnn.Network(3, [fnn.Dense(2)], seed=0).save(model)
    assert main(["export", str(model), "--c", str(tmp_path / "n.c"), "--onnx", str(tmp_path / "n.onnx")]) == 0
    assert "n_outputs" in (tmp_path / "n.c").read_text()
    assert (tmp_path / "n.onnx").stat().st_size > 100
    capsys.readouterr()
    with pytest.raises(SystemExit, match="2"):
        main(["export", str(model)])
    assert "one of the arguments --onnx --c is required" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train", "t.csv", "--target", "q"], "target must be a column of 't.csv': a, y; got 'q'"),
        (["train", "t.csv", "--hidden", "8,x"], "must be positive integers with commas between them, got '8,x'"),
        (["train", "t.csv", "--keep-prob", "0"], "must be a number from 1/65536 to 1, got '0'"),
        (["train", "t.csv", "--output", "none/m"], "argument --output: must be a file in a directory that exists"),
        (["train", "t.csv", "--activation", "sine"], "activation must be one of"),
        (["train", "t.csv", "--patience", "0"], "argument --patience: must be an integer from 1 to"),
        (["train", "t.csv", "--device", "gpu:99"], "argument --device: must be one of cpu:0"),
        (["predict", "m.safetensors", "t.csv", "--device", "gpu:99"], "argument --device: must be one of cpu:0"),
        (["train", "t.csv", "--patience", "2"], "patience must come with held-out rows"),
        (["predict", "m.safetensors", "t.csv"], "'m.safetensors' must have a link, which the loss of a trainer gives"),
        (["predict", "m.safetensors", "t.csv", "--proba"], "argument --proba: the network is no classifier"),
    ],
)
def test_wrong_arguments(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "t.csv", "a,y", "1,2", "2,3")
    fnn.Network(1, [fnn.Dense(1)], seed=0).save("m.safetensors")
    with pytest.raises(SystemExit, match="2"):
        main(arguments)
    assert message in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["m.safetensors", "t.csv"]


@pytest.mark.parametrize(
    ("flag", "arguments"),
    [
        ("--output", ["train", "t.csv", "--output", "./t.csv"]),
        ("--output", ["predict", "m", "t.csv", "--output", "t.csv"]),
        ("--output", ["predict", "m", "t.csv", "--output", "m"]),
        ("--onnx", ["export", "m", "--onnx", "m"]),
        ("--c", ["export", "m", "--c", "m"]),
    ],
)
def test_what_is_read_is_not_written_over(
    flag: str,
    arguments: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    line(Path("t.csv"))
    net = fnn.Network(3, [fnn.Dense(1)], seed=0)
    fnn.Trainer(net, "squared_error")
    net.save("m")
    before = Path("t.csv").read_bytes(), Path("m").read_bytes()
    with pytest.raises(SystemExit, match="2"):
        main(arguments)
    assert f"argument {flag}: must not be a file that is read, got" in capsys.readouterr().err
    assert (Path("t.csv").read_bytes(), Path("m").read_bytes()) == before


def test_a_file_that_is_missing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", str(tmp_path / "none.csv")]) == 1
    assert "No such file" in capsys.readouterr().err


def test_metadata_is_saved_with_the_network(tmp_path: Path) -> None:
    net = fnn.Network(1, [fnn.Dense(1)], seed=0)
    net.metadata["unit"] = "m/s"
    net.save(tmp_path / "n.safetensors")
    assert fnn.load(tmp_path / "n.safetensors").metadata == {"unit": "m/s"}
