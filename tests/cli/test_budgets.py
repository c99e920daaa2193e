"""``nasformer search --budgets``: what it prints and writes, what takes its winners, resuming, and what it refuses."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nasformer.architecture import Architecture
from nasformer.search import SearchResult
from nasformer.space import load_space
from tests.cli.conftest import Command

Refused = Callable[..., None]
SPACE = load_space("digits")
SEARCH = ("digits", "--strategy", "thompson", "--fitness", "table:accuracies.jsonl", "--seed", 1)
QUICK = ("--epochs", 1, "--device", "cpu", "-q")


@pytest.fixture(autouse=True)
def _narrow_folder_with_a_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.chdir(tmp_path)
    members = dict.fromkeys([*SPACE.sample(300, seed=0), SPACE.smallest])
    rows = [{**each.to_dict(), "top1": each.embed_dim + each.depth} for each in members]
    Path("accuracies.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))


@pytest.fixture
def ran(nasformer: Command) -> Command:
    """Run a command, which has to succeed, and check that what it prints fits."""

    def call(*arguments: object) -> Any:
        done = nasformer(*arguments)
        assert done.code == 0, done.err
        assert "--json" in arguments or all(len(line) <= 80 for line in done.out.splitlines()), done.out
        return json.loads(done.out) if "--json" in arguments else done.out

    return call


@pytest.mark.parametrize(
    ("budgets", "cost", "bounds"),
    [("20k,40k", "params", (20e3, 40e3)), ("macs <= 0.3M, 0.6M", "macs", (0.3e6, 0.6e6))],
)
def test_a_winner_for_each_budget(budgets: str, cost: str, bounds: tuple[float, ...], ran: Any) -> None:
    other = ("--macs", "5M") if cost == "params" else ("--params", "80k")
    shown = ran("search", *SEARCH, "--budgets", budgets, *other, "-n", 12, "--out", "run", "-q")
    assert "winners: run/winners.json" in shown
    found = SearchResult.load("run/result.jsonl")
    assert len(found.trials) == 12
    written = json.loads(Path("run/winners.json").read_text())
    for number, (winner, own, most) in enumerate(zip(found.winners, written, bounds, strict=True), 1):
        assert SPACE.costs(winner.architecture)[cost] <= most
        assert f"{cost} <= {most:.0f}" in own["budget"]
        assert own[cost] == SPACE.costs(winner.architecture)[cost]
        assert Architecture.from_json(Path(f"run/winner-{number}.json").read_text()) == winner.architecture
        assert f"embed {winner.architecture.embed_dim}, depth {winner.architecture.depth}" in shown
    assert not Path("run/winner.json").exists()


def test_a_search_resumes_and_refuses_other_budgets(ran: Any, refused: Refused) -> None:
    how = ("--budgets", "20k,40k", "--json")
    first = ran("search", *SEARCH, *how, "-n", 10, "--out", "run")
    again = ran("search", *SEARCH, *how, "-n", 10, "--out", "run")
    assert again["winners"] == first["winners"]
    assert (len(again["winners"]), again["counts"]["replayed"]) == (2, 10)
    assert [own["budget"] for own in again["winners"]] == ["params <= 20000", "params <= 40000"]
    refused("budgets", "search", *SEARCH, "--budgets", "20k,30k,40k", "-n", 10, "--out", "run")
    refused("budgets", "search", *SEARCH, "--params", "40k", "-n", 10, "--out", "run")


def test_a_study_of_several_budgets(ran: Any) -> None:
    assert "study made" in ran(
        "study", "create", *SEARCH, "--budgets", "20k,40k", "-n", 12, "--storage", "s.log", "--study", "made"
    )
    assert "params <= 20000" in ran("study", "best", "--storage", "s.log")
    paused = ran("study", "run", "--storage", "s.log", "-n", 5, "--json")
    assert paused["stopped"] == "paused"
    done = ran("study", "run", "--storage", "s.log", "--json", "--out", "run")
    plain = ran("search", *SEARCH, "--budgets", "20k,40k", "-n", 12, "--out", "plain", "--json")
    assert done["winners"] == plain["winners"]
    assert Path("run/winner-2.json").is_file()
    best = ran("study", "best", "--storage", "s.log", "--json")
    assert [each["architecture"] for each in best["winners"]] == [each["architecture"] for each in done["winners"]]
    assert "confirmed" in ran("study", "best", "--storage", "s.log")


def test_commands_take_a_winner(weights: Path, ran: Any, refused: Refused) -> None:
    ran("search", "digits", "--strategy", "random", "--budgets", "20k,80k", "-n", 4, "--out", "run", "-q")
    found = SearchResult.load("run/result.jsonl")
    rows = ran("evaluate", "run", "--json")["results"]
    assert [(row["name"], row["params"]) for row in rows] == [
        (f"winner {number}", winner.params) for number, winner in enumerate(found.winners, 1)
    ]
    small, uniform = ran("evaluate", "run/winner-1.json", "--json")["results"]
    assert small["architecture"] == found.winners[0].architecture.to_dict()
    assert uniform["params"] <= 20e3
    assert "winner 2" in ran("evaluate", "run")
    ran("export", "run/winner-1.json", "--format", "safetensors", "--out", "exported", "--json")
    ran("finetune", "run/winner-1.json", *QUICK, "--out", "fine", "--json")
    ran("retrain", "run/winner-1.json", *QUICK, "--out", "again", "--json")
    for record in ("fine/finetune.json", "again/retrain.json"):
        made = json.loads(Path(record).read_text())
        assert made["params"] == found.winners[0].params
        assert made["source"]["strategy"] == "random"
    refused("run/winner-3.json: the search has the winners of 2 budgets", "finetune", "run/winner-3.json")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--budgets", ""), "''"),
        (("--budgets", "20k,,40k"), "''"),
        (("--budgets", "20k,few"), "few"),
        (("--budgets", "20k, 20000"), "budgets 1 and 2 are the same, params <= 20000; leave one out"),
        (("--budgets", "20k,10"), "budget 2 of 2, params <= 10: "),
        (("--budgets", "20k,40k", "--params", "50k"), "--params 50k: --budgets bounds params already; leave one out"),
        (("--budgets", "20k,40k", "-n", 1), "2 budgets take as many evaluations, got 1"),
    ],
)
def test_bad_budgets_are_one_line(arguments: tuple[object, ...], message: str, refused: Refused) -> None:
    refused(message, "search", *SEARCH, *arguments)
