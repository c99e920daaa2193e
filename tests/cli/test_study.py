"""``nasformer study``: a search made, run in parts, looked at, carried elsewhere and removed."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import pytest

from nasformer.search import SearchResult
from nasformer.search.study import Study
from tests.cli.conftest import Command

Refused = Callable[..., None]
SEARCH = "digits --strategy tpe --params 60e3 -n 40 --batch-size 5 --seed 3 --fitness training-free"


@pytest.fixture(autouse=True)
def _narrow_and_empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def study(nasformer: Command) -> Command:
    """Run a study command, which has to succeed, and check that what it prints fits."""

    def call(*arguments: object) -> Any:
        done = nasformer("study", *arguments)
        assert done.code == 0, done.err
        assert all(len(line) <= 80 for line in done.out.splitlines() if "--json" not in arguments), done.out
        return json.loads(done.out) if "--json" in arguments else done

    return call


@pytest.fixture
def made(study: Command) -> str:
    study("create", *SEARCH.split(), "--storage", "study.log")
    return "study.log"


def what(trials: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    return [(t["number"], t["batch"], t["architecture"], t["value"], t["costs"]) for t in trials]


def test_a_study_run_in_parts_equals_a_search(made: str, study: Any, nasformer: Command) -> None:
    assert nasformer("search", *SEARCH.split(), "--out", "plain", "--quiet").code == 0
    plain = SearchResult.load("plain/result.jsonl")
    paused = study("run", "--storage", made, "-n", 12, "--json")
    assert (paused["evaluations"], paused["stopped"]) == (15, "paused")
    assert study("best", "--storage", made, "--json")["trials"] == 15
    done = study("run", "--storage", made, "--json", "--out", "runs")
    assert (done["evaluations"], done["stopped"], done["counts"]["replayed"]) == (40, "evaluations", 15)
    trials = study("trials", "--storage", made, "--json")
    assert what(trials) == what([trial.to_dict() for trial in plain.trials])
    best = study("best", "--storage", made, "--json")
    assert best["confirmed"]
    assert best["architecture"] == done["architecture"] == plain.best.architecture.to_dict()
    assert SearchResult.load("runs/result.jsonl").best == plain.best
    assert Path("runs/report.html").is_file()


def test_a_study_goes_on_beyond_its_end(made: str, study: Any, nasformer: Command) -> None:
    longer = SEARCH.replace("-n 40", "-n 60")
    assert nasformer("search", *longer.split(), "--out", "plain", "--quiet").code == 0
    study("run", "--storage", made, "-q")
    done = study("run", "--storage", made, "-n", 60, "--json")
    assert (done["evaluations"], done["counts"]["replayed"]) == (60, 40)
    plain = SearchResult.load("plain/result.jsonl")
    assert what(study("trials", "--storage", made, "--json")) == what([trial.to_dict() for trial in plain.trials])
    assert "60 of 60" in study("best", "--storage", made).out
    assert study("run", "--storage", made, "--json")["counts"]["replayed"] == 60, "the new end is the study's"
    assert nasformer("search", *SEARCH.split(), "--out", "plain", "--quiet").code == 0, "a smaller end looks back"
    assert len(SearchResult.load("plain/result.jsonl").trials) == 40


def test_what_an_earlier_search_found_is_told_first(
    made: str, study: Any, nasformer: Command, refused: Refused
) -> None:
    study("run", "--storage", made, "-n", 20, "--out", "run", "-q")
    fresh = [*SEARCH.replace("-n 40", "-n 5").split(), "--seed", 4, "-q", "--json"]
    for source in ("study.log", "run/result.jsonl"):
        done = nasformer("search", *fresh, "--out", f"out-{len(source)}", "--warm-start", source)
        assert json.loads(done.out)["counts"]["warm_start"] == 20
    refused("No such file", "search", *fresh, "--out", "other", "--warm-start", "nothing.csv")


def test_the_next_command_can_be_pasted(study: Any) -> None:
    command = study("create", *SEARCH.split(), "--storage", "my study's.log", "--study", "a b").out.splitlines()[-1]
    words = shlex.split(command)
    assert words == ["nasformer", "study", "run", "--storage", "my study's.log", "--study", "a b"]
    assert study(*words[2:], "--json")["evaluations"] == 40


def test_who_leads_is_one_line(made: str, refused: Refused) -> None:
    with Study.begin(made, "digits-tpe-seed3", Study.load(made).settings):
        for command in ("run", "delete --yes", "create " + SEARCH):
            refused(
                rf"study 'digits-tpe-seed3' is led by process {os.getpid()} on .* since .*--wait",
                *("study", *command.split(), "--storage", made),
            )
    refused("is not a regular file", "study", "run", "--storage", ".")


def test_a_result_that_could_not_be_written_is_refused_before_the_search(
    made: str, study: Any, refused: Refused
) -> None:
    Path("file").write_text("")
    refused("file", "study", "run", "--storage", made, "--out", "file/below", "-q")
    assert study("trials", "--storage", made, "--json") == []


def test_what_is_printed_fits_in_80_columns(made: str, study: Any) -> None:
    assert "Run it, here or on any machine" in study("create", *SEARCH.split(), "--storage", "other.log").out
    assert "paused after the requested evaluations" in study("run", "--storage", made, "-n", 20, "-q").out
    for command in ("best", "trials", "pareto", "importance"):
        assert "MACs" in (printed := study(command, "--storage", made).out) or "macs" in printed or command[0] in "pi"
    shown = study("trials", "--storage", made, "--last", 3).out.splitlines()
    assert [line.split()[0] for line in shown[-3:]] == ["17", "18", "19"]
    assert len(shown) == 5, "a header of two lines"


def test_a_search_stops_once_nothing_better_comes(made: str, study: Any) -> None:
    done = study("run", "--storage", made, "--until-no-gain", 10, "--json")
    trials = study("trials", "--storage", made, "--json")
    values = [trial["value"] for trial in trials]
    gains = [n for n in range(len(values)) if n == 0 or values[n] > max(values[:n])]
    stop = next(n for n in range(5, 41, 5) if n == 40 or n - 1 - max(g for g in gains if g < n) >= 10)
    assert (done["evaluations"], done["stopped"]) == (stop, "no gain" if stop < 40 else "evaluations")


def test_the_front_is_that_of_the_trials(made: str, study: Any) -> None:
    study("run", "--storage", made, "-q")
    trials = study("trials", "--storage", made, "--json")
    front = study("pareto", "--storage", made, "--cost", "macs", "--json")
    points = [(trial["value"], -trial["costs"]["macs"]) for trial in trials]
    beaten = {n for n, (v, c) in enumerate(points) if any(p != (v, c) and p[0] >= v and p[1] >= c for p in points)}
    assert sorted(t["number"] for t in front) == sorted(set(range(40)) - beaten)


@pytest.mark.parametrize("evaluator", ["fanova", "mdi", "ped-anova"])
def test_importance_by_dimension_and_layer(evaluator: str, made: str, study: Any) -> None:
    study("run", "--storage", made, "-q")
    shares = study("importance", "--storage", made, "--evaluator", evaluator, "--out", "figures", "--json")
    layers = {f"{name}.{layer}" for name in ("num_heads", "mlp_ratio") for layer in range(2)}
    assert set(shares) == {"embed_dim", "depth", *layers}
    assert sum(shares.values()) == pytest.approx(1)
    assert {path.name for path in Path("figures").iterdir()} == {"importance.svg", "importance.png"}


@pytest.mark.parametrize("target", ["copy.log", "sqlite:///copy.db"])
def test_a_study_is_carried_elsewhere_and_goes_on_there(target: str, made: str, study: Any) -> None:
    study("run", "--storage", made, "-n", 20, "-q")
    study("export", "first.jsonl", "--storage", made)
    study("import", "first.jsonl", "--storage", target)
    study("export", "second.jsonl", "--storage", target)
    assert Path("second.jsonl").read_bytes() == Path("first.jsonl").read_bytes()
    assert study("run", "--storage", target, "--json")["counts"]["replayed"] == 20
    study("run", "--storage", made, "-q")
    first, second = (study("trials", "--storage", storage, "--json") for storage in (made, target))
    assert what(first) == what(second)
    study("export", "table.csv", "--storage", target)
    assert Path("table.csv").read_text().count("\n") == 41


def test_a_study_is_deleted_only_with_yes(made: str, study: Any, refused: Refused) -> None:
    refused("study 'digits-tpe-seed3' in 'study.log' would be deleted.*--yes", "study", "delete", "--storage", made)
    study("trials", "--storage", made)
    study("delete", "--storage", made, "--yes")
    refused("name a study with --study; it holds none", "study", "run", "--storage", made)


def test_plain_optuna_shows_the_study(made: str, study: Any, program: str) -> None:
    """Its command line takes a journal's path as it takes a database's URL."""
    study("import", _exported(study, made), "--storage", "sqlite:///study.db")
    study("run", "--storage", "sqlite:///study.db", "-q")
    best = study("best", "--storage", "sqlite:///study.db", "--json")
    command = [str(Path(program).with_name("optuna")), "best-trial", "--storage", "sqlite:///study.db"]
    shown = subprocess.run(
        [*command, "--study-name", "digits-tpe-seed3", "-f", "json"], capture_output=True, text=True, check=True
    )
    found = json.loads(shown.stdout)
    assert (found["number"], found["values" if "values" in found else "value"]) in (
        (best["number"], best["value"]),
        (best["number"], [best["value"]]),
    )
    loaded = optuna.load_study(study_name="digits-tpe-seed3", storage="sqlite:///study.db")
    assert [trial.number for trial in loaded.trials] == list(range(40))


def _exported(study: Any, storage: str) -> str:
    study("export", "study.jsonl", "--storage", storage)
    return "study.jsonl"


def test_a_study_of_weights_runs_where_those_weights_are(
    weights: Path, study: Any, refused: Refused, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    study("create", "digits", "--params", "60e3", "-n", 4, "--supernet", weights, "--storage", "study.log")
    elsewhere = shutil.copy(weights, tmp_path / "moved.safetensors")
    monkeypatch.setenv("NASFORMER_HOME", str(tmp_path / "nothing"))
    done = study("run", "--storage", "study.log", "--supernet", elsewhere, "--device", "cpu", "--json")
    assert done["evaluations"] == 4
    _perturb(Path(elsewhere))
    refused(
        "study 'digits-thompson-seed0' was made with fitness.weights=.*, now",
        *("study", "run", "--storage", "study.log", "--supernet", elsewhere),
    )


def _perturb(checkpoint: Path) -> None:
    import nasformer as nf

    net = nf.Supernet.load(checkpoint)
    for parameter in net.parameters():
        parameter.data += 1e-3
    net.save(checkpoint)


REFUSALS: dict[str, tuple[str, str]] = {
    "no storage": ("study run", "Missing option '--storage'"),
    "absent": ("study best --storage nope.log", "'nope.log' does not exist"),
    "name": ("study best --storage study.log --study digit", "no study 'digit'"),
    "nothing yet": ("study best --storage study.log", "has no trial with a value yet"),
    "too few": ("study importance --storage study.log", "importance needs 10 trials"),
    "evaluator": ("study importance --storage study.log --evaluator anova", "unknown evaluator 'anova'; did you mean"),
    "cost": ("study create digits --storage new.log --params 1", "params <= 1; the nearest reachable"),
    "format": ("study export study.txt --storage study.log", "as FILE.jsonl or FILE.csv, got 'study.txt'"),
    "no file": ("study import nope.jsonl --storage new.log", "cannot read the study 'nope.jsonl': No such file"),
    "no study": ("study import letter.jsonl --storage new.log", "line 1 of the exported study is not JSON"),
    "there already": ("study import study.jsonl --storage study.log", "already has a study 'digits-tpe-seed3'"),
    "other settings": (f"study create {SEARCH} --storage study.log --batch-size 7", "made with batch_size=5, now 7"),
    "no time": ("study run --storage study.log --seconds 0", "seconds must be positive"),
    "foreign fitness": ("study run --storage python.log", "made in Python with the fitness.*Searcher"),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_what_cannot_be_done_is_one_line(case: str, made: str, study: Any, refused: Refused) -> None:
    import nasformer as nf

    _exported(study, made)
    Path("letter.jsonl").write_text("Dear all,\n")
    nf.Searcher("digits", "random", lambda architecture: 1.0).create("python.log", evaluations=3)
    command, message = REFUSALS[case]
    refused(message, *command.split())


def test_a_dashboard_that_is_not_installed_is_one_line(
    made: str, refused: Refused, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "optuna_dashboard", None)
    refused(r"pip install 'nasformer\[dashboard\]'", "study", "dashboard", "--storage", made)


def test_the_dashboard_answers_under_its_own_names_only(tmp_path: Path) -> None:
    """A page elsewhere whose name leads to this machine (DNS rebinding) would delete studies."""
    from nasformer.cli.serving import only_for

    told: list[str] = []
    served = only_for("box.lan", lambda environ, start_response: [b"studies"])
    for host, answered in {
        "127.0.0.1:8080": True,
        "localhost": True,
        "[::1]:8080": True,
        "box.lan:8080": True,
        "192.0.2.1": True,
        "evil.example:8080": False,
        "": False,
    }.items():
        assert (list(served({"HTTP_HOST": host}, lambda status, _: told.append(status))) == [b"studies"]) == answered
    assert told == ["403 Forbidden"] * 2


def test_a_module_is_trusted_by_name(tmp_path: Path, nasformer: Any, refused: Any, monkeypatch: Any) -> None:
    (tmp_path / "my_search.py").write_text("from nasformer.strategies.random import Random as Mine")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    create = ("study", "create", "digits", "--storage", "a.log", "--fitness", "training-free", "-n", 2)
    assert nasformer(*create, "--strategy", "my_search:Mine").code == 0
    monkeypatch.delitem(sys.modules, "my_search")
    Path("e.yaml").write_text("tasks: [{space: digits, fitness: training-free}]\nstrategies: [my_search:Mine, random]")
    refused("'my_search:Mine' is named by a file.*--trust my_search", "study", "run", "--storage", "a.log", "-q")
    refused("'my_search:Mine' is named by a file.*--trust my_search", "compare", "e.yaml")
    refused("--trust no_such: No module named 'no_such'", "--trust", "no_such", "spaces")
    assert nasformer("--trust", "my_search", "study", "run", "--storage", "a.log", "-q").code == 0
