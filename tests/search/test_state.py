"""A search goes on from the saved state of its strategy as if it had never stopped, and without one is replayed."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar

import pytest

from nasformer.architecture import Architecture
from nasformer.errors import DriftError, StrategyError
from nasformer.registry import get_strategy, strategy_names
from nasformer.search import BaseStrategy, SearchResult, resume
from nasformer.search.study import Store, Study, delete_study, export_study, import_study, study
from nasformer.searcher import Searcher
from nasformer.space import FeasibleSet
from nasformer.strategies.evolution import Evolution

Judge = Callable[[Architecture], float]


@pytest.fixture(autouse=True)
def _after_every_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resume, "SAVE_AFTER_S", 0.0)
    monkeypatch.setattr(resume, "_SHARE", float("inf"))


class Counted(Evolution):
    """Evolution whose asks are counted."""

    asks = 0
    saved = Evolution.saved

    def ask(self, n: int = 1) -> list[Architecture]:
        Counted.asks += 1
        return super().ask(n)


def run(strategy: Any, worth: Judge, evaluations: int = 40, **how: Any) -> SearchResult:
    def judge(architecture: Architecture) -> float:
        if sum(architecture.num_heads) % 5 == 0:
            raise ValueError("a failure")
        return worth(architecture)

    known = {"budget": (40e3, 80e3), "batch_size": 4, "max_failures": 100, "progress": False}
    if how.get("budgets"):
        del known["budget"]
    Counted.asks = 0
    return Searcher("digits", strategy, judge, seed=3).run(evaluations=evaluations, **{**known, **how})


def what(result: SearchResult) -> list[tuple[Any, ...]]:
    found = [*result.trials, *result.confirmed]
    return [(trial.number, trial.batch, trial.architecture, trial.value, trial.error) for trial in found]


def saved_in(folder: Path) -> Path:
    (path,) = folder.glob("*.state")
    return path


@pytest.mark.parametrize("strategy", strategy_names())
@pytest.mark.parametrize("more", [{}, {"budgets": [30e3, 50e3, 80e3]}], ids=["one budget", "several budgets"])
def test_every_strategy_goes_on_to_the_same_trials(
    strategy: str, more: dict[str, Any], worth: Judge, tmp_path: Path
) -> None:
    whole = run(strategy, worth, **more)
    for pause in (13, 24, None):
        found = run(strategy, worth, storage=tmp_path / "study.log", pause_after=pause, **more)
    assert what(found) == what(whole)
    assert {**found.counts, "replayed": 0} == whole.counts
    made: Any = get_strategy(strategy)(found.space.feasible(), seed=0)
    has_state = made.state() is not None
    assert bool(list(tmp_path.glob("*.state"))) == has_state


def test_nothing_but_new_batches_is_asked_on_every_storage(url: str, worth: Judge) -> None:
    whole = run(Counted, worth, 12)
    run(Counted, worth, 12, storage=url, pause_after=8)
    found = run(Counted, worth, 12, storage=url)
    assert Counted.asks == 1
    assert what(found) == what(whole)
    assert run(Counted, worth, 12, storage=url).counts["replayed"] == 12
    assert Counted.asks == 0, "a search that has ended is read from the record"


def test_retries_are_told_before_and_after_a_saved_state(worth: Judge, tmp_path: Path) -> None:
    def going_on(storage: Path, forget: bool) -> SearchResult:
        for how in ({"pause_after": 12}, {"retry_failed": True, "pause_after": 16}, {"retry_failed": True}):
            found = run(Counted, worth, storage=storage, **how)
            for path in storage.parent.glob(f"{storage.name}.*.state") if forget else ():
                path.unlink()
        return found

    assert what(going_on(tmp_path / "a.log", False)) == what(going_on(tmp_path / "b.log", True))


def test_a_look_back_and_a_cut_batch_are_replayed(worth: Judge, tmp_path: Path) -> None:
    whole, storage = run(Counted, worth), tmp_path / "study.log"
    run(Counted, worth, evaluations=18, storage=storage)
    found = run(Counted, worth, storage=storage)
    assert Counted.asks == 6, "the batch that the end had cut is asked again"
    assert what(found) == what(whole)
    assert run(Counted, worth, evaluations=10, storage=storage).trials == found.trials[:10]
    assert Counted.asks == 3


def _flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def _other_fields(path: Path) -> None:
    """Seal what is no state of the strategy."""
    from nasformer._io import digest

    saved = json.loads(path.read_text())
    saved["fields"]["strategy"]["rng"] = [3, [1, 2], None]
    del saved["checksum"]
    record = saved.pop("record")
    path.write_text(json.dumps({**saved, "record": record, "checksum": digest([record, saved])}))


def _as_a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


DAMAGES: dict[str, Callable[[Path], object]] = {
    "a flipped bit": _flip,
    "cut off": lambda path: path.write_bytes(path.read_bytes()[:-9]),
    "empty": lambda path: path.write_bytes(b""),
    "no object": lambda path: path.write_text("[]"),
    "lost": lambda path: path.unlink(),
    "a folder": _as_a_folder,
    "other fields": _other_fields,
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_state_is_replaced_by_a_replay_without_a_word(
    damage: Callable[[Path], object], worth: Judge, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    storage = tmp_path / "study.log"
    run(Counted, worth, storage=storage, pause_after=20)
    damage(saved_in(tmp_path))
    found = run(Counted, worth, storage=storage)
    assert Counted.asks == 10
    assert what(found) == what(run(Counted, worth))
    assert not caplog.text


def test_a_state_of_other_trials_or_versions_is_not_taken(
    worth: Judge, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(Counted, worth, storage=tmp_path / "a.log", pause_after=20)
    run(Counted, lambda architecture: 2 * worth(architecture), storage=tmp_path / "b.log", pause_after=20)
    first, second = sorted(tmp_path.glob("*.state"))
    second.write_bytes(first.read_bytes())
    assert Study.load(tmp_path / "a.log").state() is not None
    assert Study.load(tmp_path / "b.log").state() is None
    monkeypatch.setattr(study, "versions", lambda *_: {"numpy": "0"})
    assert Study.load(tmp_path / "a.log").state() is None


def test_a_state_is_no_part_of_an_export_and_goes_with_its_study(worth: Judge, tmp_path: Path, url: str) -> None:
    run(Counted, worth, 4, storage=url)
    made = Study.load(url)
    assert made.state() is not None
    lines = list(export_study(made))
    assert "nasformer:state" not in lines[0]["study"]["attributes"]
    other = Store(tmp_path / "other.log")
    import_study(other, lines)
    assert Study.load(other).state() is None
    delete_study(made.store, made.name)
    assert not list(tmp_path.glob("*.state"))


def test_a_state_has_the_permissions_of_its_storage_and_follows_no_link(worth: Judge, tmp_path: Path) -> None:
    storage = tmp_path / "study.log"
    run(Counted, worth, storage=storage, pause_after=8)
    storage.chmod(0o600)
    path = saved_in(tmp_path)
    path.unlink()
    (tmp_path / "precious").write_text("mine")
    path.symlink_to(tmp_path / "precious")
    run(Counted, worth, storage=storage, pause_after=16)
    assert (tmp_path / "precious").read_text() == "mine"
    assert not path.is_symlink()
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_subclass_with_attributes_of_its_own_is_replayed(worth: Judge, tmp_path: Path) -> None:
    class Own(Evolution):
        pass

    run(Own, worth, 8, storage=tmp_path / "study.log")
    assert not list(tmp_path.glob("*.state"))


def test_a_strategy_without_the_base_class_is_replayed(worth: Judge, tmp_path: Path) -> None:
    class Plain:
        def __init__(self, feasible: Any, **_: Any) -> None:
            self.left = list(dict.fromkeys(feasible.sample(200, seed=1)))

        def ask(self, n: int = 1) -> list[Architecture]:
            return [self.left.pop() for _ in range(n)]

        def tell(self, trials: Sequence[Any]) -> None:
            self.told = getattr(self, "told", 0) + len(trials)

        def recommend(self, k: int = 1) -> list[Architecture]:
            return []

    with pytest.raises(StrategyError, match="recommended nothing after 40 trials"):
        run(Plain, worth, storage=tmp_path / "study.log")
    assert not list(tmp_path.glob("*.state"))


class Counting(BaseStrategy):
    """Random draws; what was seen is in a mapping and a list."""

    saved: ClassVar[tuple[str, ...] | None] = ("seen", "values")

    def __init__(self, feasible: FeasibleSet, **how: Any) -> None:
        super().__init__(feasible, **how)
        self.seen: dict[str, int] = {}
        self.values: list[float] = []

    def propose(self) -> Architecture:
        return self.draw()

    def observe(self, architecture: Architecture, value: float | None) -> None:
        self.seen[str(architecture.depth)] = self.seen.get(str(architecture.depth), 0) + 1
        self.values.append(value or 0.0)


def test_mappings_that_grow_and_lists_of_numbers_are_restored(worth: Judge, tmp_path: Path) -> None:
    made: list[Counting] = []

    class Kept(Counting):
        saved = Counting.saved

        def __init__(self, feasible: FeasibleSet, **how: Any) -> None:
            super().__init__(feasible, **how)
            made.append(self)

    run(Kept, worth, 12)
    run(Kept, worth, 12, storage=tmp_path / "study.log", pause_after=8)
    run(Kept, worth, 12, storage=tmp_path / "study.log")
    whole, _, again = made
    assert (again.seen, again.values) == (whole.seen, whole.values)
    assert len(again.values) == 12


def test_an_attribute_of_that_name_is_no_state(worth: Judge, tmp_path: Path) -> None:
    class Own(Counting):
        state: Any = "its own"

    assert len(run(Own, worth, 12, storage=tmp_path / "study.log").trials) == 12
    assert not list(tmp_path.glob("*.state"))


def test_a_state_that_is_no_plain_data_is_told_once_and_replayed(
    worth: Judge, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    class Numbers(Counting):
        saved = ("numbers",)
        numbers = frozenset({1})

    assert len(run(Numbers, worth, 12, storage=tmp_path / "study.log").trials) == 12
    told = "the state of a strategy is plain data: Object of type frozenset is not JSON serializable"
    assert [record.message for record in caplog.records] == [f"{told}; a resumed search replays it"]


def test_a_strategy_whose_code_changed_is_checked_against_the_record(
    worth: Judge, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(Counting, worth, 12, storage=tmp_path / "study.log", pause_after=8)
    monkeypatch.setattr(resume, "own_source", lambda kind: ("changed",))
    monkeypatch.setattr(Counting, "propose", lambda self: (self.draw(), self.draw())[1])
    with pytest.raises(DriftError, match="trial 0"):
        run(Counting, worth, 12, storage=tmp_path / "study.log")
