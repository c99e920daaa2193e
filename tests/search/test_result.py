"""SearchResult: the file holds everything, a damaged one is refused, and the winner is the right one."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from nasformer.architecture import Architecture
from nasformer.cost import FunctionCost, LatencyTable
from nasformer.errors import StudyError
from nasformer.search import Evaluation, SearchResult
from nasformer.searcher import Searcher
from nasformer.space import load_space

Judge = Callable[[Architecture], float]


class Rated:
    """Gives a value and a loss, and fails where the heads of the first layer are four."""

    def __init__(self, worth: Judge) -> None:
        self.worth, self.count = worth, 0

    def evaluate(self, architectures: Sequence[Architecture]) -> Iterator[Evaluation]:
        for architecture in architectures:
            self.count += 1
            value = None if architecture.num_heads[0] == 4 else self.worth(architecture)
            yield Evaluation(architecture, value, metrics={} if value is None else {"loss": 1 / value})


class Confirming(Rated):
    """What a search sees is deceptive; ``confirm`` tells the truth, and notes what it was asked."""

    def __init__(self, worth: Judge) -> None:
        super().__init__(worth)
        self.asked: list[list[Architecture]] = []

    def confirm(self, architectures: Sequence[Architecture]) -> Iterator[Evaluation]:
        self.asked.append(list(architectures))
        for architecture in architectures:
            yield Evaluation(architecture, 100 - self.worth(architecture), metrics={"loss": 0.0})


def run(fitness: Any, **further: Any) -> SearchResult:
    return Searcher("digits", "random", fitness, seed=1).run(
        (40e3, 80e3), **{"evaluations": 12, "progress": False, **further}
    )


@pytest.fixture
def result(worth: Judge) -> SearchResult:
    return run(Rated(worth))


def test_a_result_comes_back_from_its_file_as_it_was(result: SearchResult, tmp_path: Path) -> None:
    assert any(trial.value is None for trial in result.trials)
    path = result.save(tmp_path / "new" / "result.jsonl")
    assert SearchResult.load(path) == result
    assert [p.name for p in path.parent.iterdir()] == ["result.jsonl"]


def test_latency_tables_come_back_and_python_functions_do_not(worth: Judge, tmp_path: Path) -> None:
    space = load_space("digits")
    sizes = [(int(e), int(h), int(e * r)) for e in space.embed_dim for h in space.num_heads for r in space.mlp_ratio]
    table = LatencyTable("a phone", space.geometry, {int(e): 9 for e in space.embed_dim}, {s: sum(s) for s in sizes})
    timed = space.with_cost(table.cost(), table.cost("phone_ms"), FunctionCost("heads", lambda each: each.num_heads[0]))
    found = Searcher(timed, "random", worth).run({"phone_ms": 0.8, "heads": 3}, evaluations=3, progress=False)
    loaded = SearchResult.load(found.save(tmp_path / "result.jsonl"))
    assert {*loaded.space.known_costs} == {"params", "macs", "latency_ms", "phone_ms"}
    best = found.best.architecture
    assert loaded.space.costs(best)["phone_ms"] == timed.costs(best)["phone_ms"]
    assert loaded.limits == found.limits


def test_a_file_cut_anywhere_is_refused(result: SearchResult, tmp_path: Path) -> None:
    path = result.save(tmp_path / "result.jsonl")
    content = path.read_bytes()
    line_ends = [at + 1 for at, byte in enumerate(content[:-1]) if byte == ord("\n")]
    for end in [*range(0, len(content) - 1, 97), *line_ends]:
        path.write_bytes(content[:end])
        with pytest.raises(StudyError, match=r"result.jsonl' is") as caught:
            SearchResult.load(path)
        assert "\n" not in str(caught.value)


def test_a_file_without_its_confirmations_says_what_is_missing(result: SearchResult, tmp_path: Path) -> None:
    path = result.save(tmp_path / "result.jsonl")
    path.write_text("".join(path.read_text().splitlines(keepends=True)[: 1 + len(result.trials)]))
    with pytest.raises(StudyError, match=rf"truncated: .*0 of {len(result.confirmed)} confirm"):
        SearchResult.load(path)


@pytest.mark.parametrize(
    "content",
    ["", "[]", "3", "{}", '{"result": null}', '{"result": {}}', '{"result": {"trials": 0, "confirmed": 0}}', "\0"],
    ids=repr,
)
def test_what_is_no_result_is_refused(content: str, tmp_path: Path) -> None:
    path = tmp_path / "result.jsonl"
    path.write_text(content)
    with pytest.raises(StudyError, match=r"result.jsonl' is not a search result"):
        SearchResult.load(path)


@pytest.mark.parametrize("changed", [{"limits": None}, {"surplus": 1}, {"space": {"name": "x"}}, {"limits": {"a": 3}}])
def test_a_damaged_header_is_refused(changed: dict[str, Any], result: SearchResult, tmp_path: Path) -> None:
    path = result.save(tmp_path / "result.jsonl")
    header, *rest = path.read_text().splitlines()
    damaged = json.dumps({"result": {**json.loads(header)["result"], **changed}})
    path.write_text("\n".join([damaged, *rest]))
    with pytest.raises(StudyError, match=r"result.jsonl' is not a search result, or damaged"):
        SearchResult.load(path)


def test_a_file_that_cannot_be_read_or_written_is_named(
    result: SearchResult, tmp_path: Path, disk: Callable[[int], AbstractContextManager[None]]
) -> None:
    with pytest.raises(StudyError, match=r"cannot read the result '.*absent.jsonl': No such file"):
        SearchResult.load(tmp_path / "absent.jsonl")
    path = result.save(tmp_path / "result.jsonl")
    with disk(500), pytest.raises(StudyError, match=r"cannot write the result to '.*result.jsonl': File too large"):
        replace(result, seconds={}).save(path)
    assert SearchResult.load(path) == result, "the earlier file is kept"
    assert [p.name for p in tmp_path.iterdir()] == ["result.jsonl"], "no draft is left"


def test_the_frame_has_a_row_for_each_trial(result: SearchResult) -> None:
    frame = result.to_frame()
    dimensions = ["embed_dim", "depth", "num_heads", "mlp_ratio"]
    known = [
        "strategy",
        "seed",
        "number",
        "batch",
        "value",
        "error",
        "seconds",
        "loss",
        "params",
        "macs",
        "best_so_far",
    ]
    assert set(frame.columns) == {*dimensions, *known}
    assert len(frame) == len(result.trials)
    for (_, row), trial in zip(frame.iterrows(), result.trials, strict=True):
        assert Architecture.from_dict({key: row[key] for key in dimensions}) == trial.architecture
        assert (row["strategy"], row["seed"], row["params"]) == ("random", 1, trial.costs["params"])
        assert row["value"] == trial.value or trial.value is None
    values = [-1e9 if trial.value is None else trial.value for trial in result.trials]
    assert list(frame["best_so_far"].fillna(-1e9)) == [max(values[: n + 1]) for n in range(len(values))]


def test_names_that_are_no_utf8_are_escaped_in_the_frame(result: SearchResult) -> None:
    odd = replace(result.trials[0], metrics={"caf\udce9": 1.0}, error="\ud800")
    frame = replace(result, trials=(odd, *result.trials[1:])).to_frame()
    assert frame["caf\\udce9"][0] == 1.0
    assert frame["error"][0] == "\\ud800"


def test_the_best_is_confirmed_and_the_best_observed_is_told(result: SearchResult, worth: Judge) -> None:
    told = max((t for t in result.trials if t.value is not None), key=lambda t: t.value or 0)
    assert result.best_observed == told
    assert result.best.architecture == told.architecture
    assert (result.best.fitness, result.best.loss) == (worth(told.architecture), 1 / worth(told.architecture))
    assert result.best.params == result.space.params(told.architecture)
    assert result.best.macs == result.space.macs(told.architecture)


@pytest.mark.parametrize(
    ("first", "second"),
    [((80.0, 2.0), (79.0, 0.1)), ((80.0, 0.5), (80.0, 0.6)), ((80.0, 0.5), (80.0, None))],
    ids=["value", "loss", "no loss"],
)
def test_ties_go_to_the_lower_loss(
    first: tuple[float, float], second: tuple[float, float | None], result: SearchResult, make_trial: Any
) -> None:
    small, large = result.space.smallest, result.space.largest
    winner, loser = (
        make_trial(n, a, value, metrics={} if loss is None else {"loss": loss})
        for n, (a, (value, loss)) in enumerate([(large, first), (small, second)])
    )
    for confirmed in ((winner, loser), (loser, winner)):
        both = replace(result, trials=confirmed, confirmed=confirmed)
        assert both.best.architecture == both.best_observed.architecture == large


def test_a_full_tie_goes_to_fewer_parameters(result: SearchResult, make_trial: Any) -> None:
    trials = tuple(make_trial(n, a, 80.0) for n, a in enumerate([result.space.largest, result.space.smallest]))
    assert replace(result, confirmed=trials).best.architecture == result.space.smallest


@pytest.mark.parametrize("confirm", [1, 4])
def test_the_recommended_are_confirmed_where_the_fitness_can(confirm: int, worth: Judge, tmp_path: Path) -> None:
    fitness = Confirming(worth)
    result = run(fitness, confirm=confirm)
    ranked = sorted((t for t in result.trials if t.value is not None), key=lambda t: -(t.value or 0))
    recommended = [trial.architecture for trial in ranked[:confirm]]
    assert fitness.asked == [recommended]
    assert result.best.architecture == min(recommended, key=worth)
    assert result.best.fitness == 100 - min(map(worth, recommended))
    assert result.best_observed == ranked[0]
    numbers = {trial.architecture: trial.number for trial in result.trials}
    assert all(numbers[trial.architecture] == trial.number for trial in result.confirmed)
    assert SearchResult.load(result.save(tmp_path / "result.jsonl")) == result


def test_without_confirm_nothing_is_evaluated_twice(worth: Judge) -> None:
    fitness = Rated(worth)
    result = run(fitness)
    assert fitness.count == 12
    assert len(result.confirmed) == 5
    assert all(trial in result.trials for trial in result.confirmed)


def test_a_metric_that_is_no_number_is_null_in_the_file(tmp_path: Path) -> None:
    result = run(lambda architecture: float(architecture.depth))
    odd = replace(result, trials=(replace(result.trials[0], metrics={"loss": float("nan")}), *result.trials[1:]))
    path = odd.save(tmp_path / "result.jsonl")
    assert "NaN" not in path.read_text()
    assert str(SearchResult.load(path).trials[0].metrics) == "{'loss': nan}"


@pytest.mark.parametrize(
    ("line", "change", "words"),
    [
        ("trial", {"metrics": {"loss": "low"}}, "loss of trial 0 is a number, got 'low'"),
        ("trial", {"value": [1]}, r"value of trial 0 is a number, got \[1\]"),
        ("result", {"settings": {"strategy": "random", "seed": 1}}, "lacks fitness"),
        ("result", {"counts": {}}, "lacks failed"),
        ("result", {"seconds": 3}, "damaged"),
        ("confirmed", {"value": None}, "lacks a confirmed value"),
        ("confirmed", {"costs": {}}, "lacks params"),
    ],
)
def test_a_part_that_is_damaged_is_one_line(line: str, change: dict[str, Any], words: str, tmp_path: Path) -> None:
    path = run(lambda architecture: float(architecture.depth)).save(tmp_path / "result.jsonl")
    rows = [json.loads(row) for row in path.read_text().splitlines()]
    place = next(number for number, row in enumerate(rows) if line in row)
    rows[place][line] |= change
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(StudyError, match=words) as caught:
        SearchResult.load(path)
    assert "\n" not in str(caught.value)
