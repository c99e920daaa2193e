"""Every command at tiny size: what it prints, what it writes, and JSON that other programs can read."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nasformer.architecture import Architecture
from nasformer.data import load_dataset
from nasformer.fitness import InheritedFitness
from nasformer.search import SearchResult
from nasformer.space import load_space, space_names
from nasformer.supernet import Supernet
from nasformer.training import evaluate, find_weights

Command = Callable[..., Any]


def ran(output: Any) -> str:
    assert (output.code, output.err) == (0, ""), output.err
    assert max(map(len, output.out.splitlines()), default=0) <= 80 or "/" in output.out
    return str(output.out)


COMMANDS = ("", "demo", "spaces", "cost", "train", "search", "evaluate", "weights", "weights name", "weights remove")


@pytest.mark.parametrize("command", COMMANDS)
def test_help_has_examples_and_fits_80_columns(command: str, nasformer: Command) -> None:
    code, out, err = nasformer(*command.split(), "--help")
    assert (code, err) == (0, "")
    assert max(map(len, out.splitlines())) <= 80
    assert command == "" or f"nasformer {command}" in out


def test_version(nasformer: Command) -> None:
    assert nasformer("--version").out.count(".") == 2


def test_spaces(nasformer: Command) -> None:
    out = ran(nasformer("spaces"))
    assert all(name in out for name in space_names())
    assert "1,056,964,608" in out
    listed = json.loads(ran(nasformer("spaces", "--json")))
    assert len(listed) == len(space_names())
    feasible = load_space("digits").feasible(params=60e3).count()
    assert f"{feasible:,} with params <= 60000" in ran(nasformer("spaces", "digits", "--params", "60e3"))
    (described,) = json.loads(ran(nasformer("spaces", "digits", "--params", "60e3", "--json")))
    assert feasible in described.values() or str(feasible) in json.dumps(described)


def test_cost(nasformer: Command, tmp_path: Path) -> None:
    space = load_space("digits")
    figures = json.loads(ran(nasformer("cost", "digits", "largest", "--params", "60e3", "--json")))
    assert Architecture.from_dict(figures["architecture"]) == space.largest
    assert (figures["params"], figures["macs"]) == (space.params(space.largest), space.macs(space.largest))
    assert (figures["member"], figures["feasible"]) == (True, False)
    out = ran(nasformer("cost", "digits", "smallest", "--params", "60e3"))
    assert f"{space.params(space.smallest):,}" in out
    assert "within the budget" in out
    stranger = Architecture(40, (2, 9), (1, 1))
    (tmp_path / "a.json").write_text(stranger.to_json())
    for given in (tmp_path / "a.json", stranger.to_json(), json.dumps({"architecture": stranger.to_dict()})):
        figures = json.loads(ran(nasformer("cost", "digits", given, "--json")))
        assert (figures["params"], figures["member"]) == (space.params(stranger), False)
        assert "40" in figures["why_not"]


def test_train_leaves_weights_a_log_and_says_what_is_next(trained: Path, weights: Path) -> None:
    out = (trained / "out.txt").read_text()
    assert "1,078 train, 360 search, 359 test images" in out
    assert "nasformer search digits" in out
    net = Supernet.load(weights, load_space("digits"))
    kept = find_weights(net.space)
    assert kept is not None
    assert kept.read_bytes() == weights.read_bytes()
    rows = [json.loads(line) for line in (weights.parent / "log.jsonl").read_text().splitlines()]
    assert [row["epoch"] for row in rows] == sorted(row["epoch"] for row in rows)
    assert len(rows) == 2
    largest = evaluate(net, load_dataset("digits").search, net.space.largest)
    assert net.metadata["training"]["validation"]["largest"]["accuracy"] == pytest.approx(largest.accuracy)


def test_train_prints_json_and_resume_finds_nothing_left(
    trained: Path, weights: Path, nasformer: Command, tmp_path: Path
) -> None:
    for name in ("training.pt", "log.jsonl"):
        (tmp_path / name).write_bytes((trained / "out" / name).read_bytes())
    done = nasformer("train", "digits", "--epochs", 2, "--out", tmp_path, "--device", "cpu", "--resume", "--json")
    data = json.loads(ran(done))
    again = Supernet.load(data["checkpoint"])
    assert (again.head.weight == Supernet.load(weights).head.weight).all()
    assert {"smallest", "centroid", "largest"} <= set(data["validation"])


def test_search_then_evaluate(weights: Path, nasformer: Command, tmp_path: Path) -> None:
    found = nasformer("search", "digits", "--strategy", "tpe", "--params", "60e3", "-n", 10, "-q", "--out", "run")
    assert "nasformer evaluate run" in ran(found)
    folder = tmp_path / "run"
    assert {"report.html", "result.jsonl", "study.log", "winner.json"} <= {path.name for path in folder.iterdir()}
    result = SearchResult.load(folder / "result.jsonl")
    assert len(result.trials) == 10
    assert result.settings["fitness"]["kind"] == "inherited"
    assert max(trial.costs["params"] for trial in result.trials) <= 60e3
    assert Architecture.from_json((folder / "winner.json").read_text()) == result.best.architecture
    scores = json.loads(ran(nasformer("evaluate", "run", "--split", "search", "--json")))
    assert scores["results"][0]["accuracy"] == result.best.fitness
    test = json.loads(ran(nasformer("evaluate", "run", "--json")))
    net, data = Supernet.load(weights), load_dataset("digits")
    for row in test["results"]:
        by_hand = evaluate(net, data.test, Architecture.from_dict(row["architecture"]))
        assert {key: row[key] for key in by_hand} == pytest.approx(by_hand, rel=1e-5)
        assert row["params"] <= 60e3
    assert (test["split"], test["images"]) == ("test", 359)
    assert "report: run" in ran(nasformer("evaluate", "run"))
    page = (folder / "report.html").read_text()
    assert "On the test split, after the selection: winner" in page
    assert "nasformer search digits --strategy tpe" in page, "the command of the search"


def test_a_folder_with_the_name_of_a_space_is_not_in_its_way(weights: Path, nasformer: Command, tmp_path: Path) -> None:
    (tmp_path / "digits").mkdir()
    assert "architecture" in ran(nasformer("evaluate", "digits", "smallest"))
    (tmp_path / "other").mkdir()
    assert nasformer("evaluate", "other").code == 2


def test_search_races_on_loss(weights: Path, nasformer: Command) -> None:
    command = ["search", "digits", "--supernet", weights, "-n", 30, "--batch-size", 15, "--out", "run", "--json"]
    data = json.loads(
        ran(
            nasformer(
                *command,
                "--objective",
                "loss",
                "--racing",
                "--dtype",
                "bfloat16",
                "--strategy",
                "evolution",
                "-o",
                "parents=3",
            )
        )
    )
    result = SearchResult.load(data["result"])
    described = result.settings["fitness"]
    assert (described["objective"], described["racing"]["error"]) == ("loss", 0.05)
    assert described["dtype"] == "bfloat16"
    assert data["fitness"] == -data["loss"]
    page = (Path(data["result"]).parent / "report.html").read_text(encoding="utf-8")
    assert f"{-data['fitness']:.4f}" in page
    assert f"{data['fitness']:.2f} %" not in page
    assert {trial.images for trial in result.confirmed} == {360}
    assert all(0 < (trial.images or 0) <= 360 for trial in result.trials)


def test_search_again_is_the_same_and_json(weights: Path, nasformer: Command) -> None:
    command = ["search", "digits", "--supernet", weights, "-n", 5, "--seed", 4, "--out", "run", "--json"]
    first, again = (json.loads(ran(nasformer(*command))) for _ in range(2))
    changing = ("seconds", "counts")
    assert {k: v for k, v in first.items() if k not in changing} == {
        k: v for k, v in again.items() if k not in changing
    }
    assert again["counts"]["replayed"] == 5
    (score,) = InheritedFitness(Supernet.load(weights), load_dataset("digits").search).evaluate(
        [Architecture.from_dict(first["architecture"])]
    )
    assert (first["fitness"], first["loss"]) == (score.value, pytest.approx(score.metrics["loss"], rel=1e-6))


def test_search_a_table_with_options_and_a_database(
    nasformer: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    space = load_space("digits")
    archs = list(dict.fromkeys(space.sample(30, seed=1)))
    rows = [{**a.to_dict(), "top1": float(space.params(a) % 97)} for a in archs]
    Path("t.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    command = ["search", "digits", "--fitness", "table:t.jsonl", "-n", 100, "--storage", "sqlite:///s.db"]
    done = nasformer(
        *command, "--strategy", "evolution", "-o", "population=5", "-o", "mutants=2", "-o", "crossovers=2", "--json"
    )
    summary = json.loads(ran(done))
    assert summary["fitness"] == max(row["top1"] for row in rows)
    assert (summary["stopped"], summary["evaluations"]) == ("exhausted", len(archs))
    assert (tmp_path / "s.db").is_file()
    assert (tmp_path / "runs" / "digits-evolution-seed0" / "result.jsonl").is_file()


def test_search_without_weights_warns(
    nasformer: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    summary = json.loads(ran(nasformer("search", "digits", "-n", 2, "--json")))
    assert summary["evaluations"] == 2
    (warning,) = [record.message for record in caplog.records if record.levelname == "WARNING"]
    assert "training-free" in warning
    assert "nasformer train" in warning


@pytest.mark.slow
def test_demo(nasformer: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    done = nasformer("demo", "--epochs", 2, "-n", 6, "--out", "demo", "--json")
    assert done.code == 0, done.err
    data = json.loads(done.out)
    page = Path(data["report"]).read_text()
    assert page.startswith("<!DOCTYPE html>")
    assert 'id="front"' in page
    assert "uniform ViT, alone" in page
    for most, model in zip((1e5, 4e5, 1.6e6), data["models"], strict=True):
        assert max(model["costs"]["macs"], model["rival"]["costs"]["macs"]) <= most
        assert Path(model["file"]).is_file()


def test_a_declaration_is_printed_to_be_changed(nasformer: Command, tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(nasformer("spaces", "photos", "--yaml").out)
    assert load_space(file) == load_space("photos")
