"""``nasformer weights``, and searches of a space whose supernets were trained on several datasets."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from nasformer.data import load_dataset
from nasformer.fitness import InheritedFitness
from nasformer.search import SearchResult
from nasformer.searcher import Searcher
from nasformer.space import load_space
from nasformer.supernet import Supernet
from nasformer.training import bind_weights, find_weights
from nasformer.training.weights import keep_weights

Command = Callable[..., Any]
Refused = Callable[..., None]


@pytest.fixture
def folder(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An own copy of the kept weights of digits, which may be changed."""
    shutil.copytree(trained / "home", tmp_path / "home")
    monkeypatch.setenv("NASFORMER_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    return tmp_path / "home" / "supernets"


def keep(data: str, seed: int = 0) -> Path:
    """Keep untrained weights of digits as those of other data."""
    net = Supernet(load_space("digits"), seed=seed)
    net.metadata = {"training": {"data": {"name": data, "fingerprint": "1"}}}
    return keep_weights(net)


def test_no_weights(nasformer: Command) -> None:
    assert "no supernets in" in nasformer("weights").out
    assert json.loads(nasformer("weights", "--json").out) == []


def test_a_list_fits_80_columns_and_holds_damaged_files(nasformer: Command, folder: Path) -> None:
    long = keep("table:/home/someone/photographs of animals/labels.csv?targets=age,weight&loss=smooth_l1")
    (folder / f"{load_space('digits').fingerprint}.safetensors").write_bytes(long.read_bytes()[:500])
    (folder / "notes.txt").touch()
    code, out, err = nasformer("weights")
    assert (code, err) == (0, "")
    *table, fault = out.splitlines()
    assert max(map(len, table)) <= 80
    assert "damaged" in table[1]
    assert re.fullmatch(r"[0-9a-f]{8}: cannot read the checkpoint .*", fault)
    damaged, other, digits = json.loads(nasformer("weights", "--json").out)
    assert (damaged["space"], damaged["data"], damaged["bytes"]) == (None, None, 500)
    assert damaged["fault"] in fault
    assert (other["space"], other["name"], other["fault"], other["file"]) == ("digits", None, None, str(long))
    assert other["data"].startswith("table:/home/someone")
    assert digits["data"] == "digits"


def test_a_name_is_used_as_a_file(nasformer: Command, refused: Refused, folder: Path) -> None:
    (kept,) = json.loads(nasformer("weights", "--json").out)
    assert nasformer("weights", "name", kept["id"][:4], "good").code == 0
    assert "good" in nasformer("weights").out
    keep("digits", seed=5)
    search = ("search", "digits", "--strategy", "random", "-n", 2, "-q")
    assert nasformer(*search, "--supernet", "good", "--out", "named").code == 0
    assert nasformer("evaluate", "digits", "--supernet", "good").code == 0
    assert nasformer("study", "create", "digits", "--supernet", "good", "--storage", "s.log").code == 0
    refused("neither a file nor a kept supernet 'god'; did you mean 'good'", *search, "--supernet", "god")
    shutil.copy(next(folder.glob("*.good.safetensors")), "fine")
    Supernet(load_space("digits"), seed=7).save("good")
    refused("good does not record its dataset", *search, "--supernet", "good")
    refused("another supernet has the name 'good'", "weights", "name", kept["id"], "good")
    refused("a name is a letter, .*got '../x'", "weights", "name", kept["id"], "../x")


def test_removal(nasformer: Command, refused: Refused, folder: Path) -> None:
    keep("other")
    (folder / f"{load_space('digits').fingerprint}.safetensors").write_text("damaged")
    first, *others = (each["id"] for each in json.loads(nasformer("weights", "--json").out))
    refused("no kept supernet has the name or id 'nope'", "weights", "remove", first, "nope")
    assert len(list(folder.iterdir())) == 3, "nothing is removed before all are found"
    assert nasformer("weights", "remove", *others, others[0]).out.count("removed") == 2
    assert [path.read_text() for path in folder.iterdir()] == ["damaged"]
    assert "damaged" in nasformer("weights", "remove", first).out
    assert not list(folder.iterdir())


def test_a_search_names_its_weights_and_their_data(nasformer: Command, folder: Path) -> None:
    search = ("search", "digits", "--strategy", "random", "-n", 2, "--out", "run")
    line = f"space digits, weights {find_weights(load_space('digits'))}, trained on digits"
    assert line in nasformer(*search).err
    assert line not in nasformer(*search, "-q").err + nasformer(*search, "--json").err


def test_searches_use_the_weights_of_their_data(nasformer: Command, refused: Refused, folder: Path) -> None:
    """A space of another name than its data: the weights of two datasets are kept side by side."""
    Path("mine.yaml").write_text(yaml.safe_dump({**load_space("digits").to_dict(), "name": "mine"}))
    search = ("search", "mine.yaml", "--strategy", "random", "-n", 2, "-q")
    assert nasformer(*search, "--out", "first", "--storage", "s.log").code == 0
    keep("fashion-mnist")
    refused(r"space 'mine' has weights of digits, fashion-mnist; choose with --data or --supernet", *search)
    assert nasformer(*search, "--data", "digits", "--out", "second").code == 0
    first, second = (SearchResult.load(f"{name}/result.jsonl").settings["fitness"] for name in ("first", "second"))
    assert first == second
    for command in (
        ("evaluate", "first"),
        ("study", "run", "--storage", "s.log", "-q"),
        ("finetune", "first", "--epochs", 1, "-q", "--out", "fine"),
        ("retrain", "first", "--epochs", 1, "-q", "--out", "scratch"),
        ("evaluate", "mine.yaml", "--data", "digits"),
        (*search, "--fitness", "training-free", "--out", "free"),
    ):
        done = nasformer(*command)
        assert done.code == 0, done.err
    refused("weights of digits, fashion-mnist", "retrain", "mine.yaml", "largest")


def test_a_search_remembers_its_supernet(
    nasformer: Command, refused: Refused, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Later commands take it from where it was, else from the kept ones with the same weights."""
    monkeypatch.setenv("NASFORMER_HOME", "home")
    shutil.copy(weights, "mine.safetensors")
    net = Supernet.load("mine.safetensors")
    judge = InheritedFitness(net, load_dataset("digits").search, device="cpu")
    result = Searcher(net.space, "random", judge).run(evaluations=2, progress=False)
    assert result.settings["supernet"] == str(Path("mine.safetensors").absolute())
    result.save("run/result.jsonl")
    quick = ("--epochs", 1, "--device", "cpu", "-q")
    for command in (("finetune", "run", *quick), ("evaluate", "run"), ("export", "run"), ("retrain", "run", *quick)):
        done = nasformer(*command)
        assert done.code == 0, done.err
    Path("mine.safetensors").rename("moved.safetensors")
    lost = "used the weights .* of .*mine.safetensors, which is not there; give its supernet with --supernet FILE"
    for command in (("finetune", "run", *quick), ("evaluate", "run"), ("export", "run")):
        refused(lost, *command)
    done = nasformer("evaluate", "run", "--supernet", "moved.safetensors")
    assert done.code == 0, done.err
    bind_weights(net.space, "moved.safetensors")
    (kept,) = json.loads(nasformer("weights", "--json").out)
    assert nasformer("weights", "name", kept["id"], "mine").code == 0
    assert nasformer("evaluate", "run").code == 0, "the kept supernet has the same weights"


def test_a_study_remembers_its_supernet(nasformer: Command, weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NASFORMER_HOME", "home")
    shutil.copy(weights, "mine.safetensors")
    made = ("study", "create", "digits", "--storage", "s.log", "--supernet", "mine.safetensors", "-n", 2)
    assert nasformer(*made).code == 0
    assert nasformer("study", "run", "--storage", "s.log", "-q").code == 0
    done = nasformer("export", "s.log", "--out", "exported")
    assert done.code == 0, done.err
    Path("mine.safetensors").rename("moved.safetensors")
    done = nasformer("study", "run", "--storage", "s.log", "-n", 3, "-q", "--supernet", "moved.safetensors")
    assert done.code == 0, done.err
