"""Processes that share a study: nothing twice, nothing lost, the dead replaced, strangers left alone."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.trial import TrialState

from nasformer.architecture import Architecture
from nasformer.errors import DriftError, StudyError
from nasformer.search import Evaluation, Trial
from nasformer.search.study import Study, shown, workers
from nasformer.search.study.workers import LEASE, LivenessMonitor, ended, new_worker
from nasformer.space import FeasibleSet, SearchSpace
from tests.search import sitting
from tests.search.conftest import plain_optuna

SETTINGS = {"strategy": "random", "seed": 0}
MakeTrial = Callable[..., Trial]


def begin(url: str | None, space: SearchSpace) -> Study:
    return Study.begin(url, "mine", space, SETTINGS)


@pytest.fixture
def batch(feasible: FeasibleSet, make_trial: MakeTrial) -> list[Trial]:
    drawn = list(dict.fromkeys(feasible.sample(20, seed=0)))[:8]
    return [Trial(n, 0, each, None, costs=feasible.space.costs(each)) for n, each in enumerate(drawn)]


def told(trial: Trial, value: float = 1.0) -> Trial:
    return Trial(trial.number, trial.batch, trial.architecture, value, costs=trial.costs, seconds=0.5)


@pytest.fixture
def both(url: str, space: SearchSpace) -> Iterator[tuple[Study, Study]]:
    """Two workers of one study, at work."""
    one, other = begin(url, space), begin(url, space)
    with one.workers.session(), other.workers.session():
        yield one, other


# Claims


def test_a_batch_is_divided_and_each_trial_told_once(both: tuple[Study, Study], batch: list[Trial]) -> None:
    one, other = both
    first, second = one.claim(batch), other.claim(batch)
    assert [trial.number for trial in (*first.mine, *second.mine)] == [0, 1, 2, 3, 4, 5]
    assert one.claim(batch) == first, "what is ours already is ours"
    for study, share in ((one, first), (other, second)):
        assert all(study.tell(told(trial, trial.number)) for trial in share.mine)
    last = one.claim(batch), other.claim(batch)
    assert [[trial.number for trial in share.mine] for share in last] == [[6], [7]]
    assert one.tell(told(batch[6], 6))
    assert other.tell(told(batch[7], 7))
    assert [trial.value for trial in one.trials()] == list(range(8))
    assert one.trials() == other.trials()


def test_who_works_alone_takes_all(url: str, space: SearchSpace, batch: list[Trial]) -> None:
    study = begin(url, space)
    with study.workers.session():
        assert study.claim(batch).mine == tuple(batch)


def test_a_batch_that_must_stay_whole_goes_to_one(both: tuple[Study, Study], batch: list[Trial]) -> None:
    one, other = both
    assert one.claim(batch, whole=True).mine == tuple(batch)
    assert other.claim(batch, whole=True).mine == ()
    assert one.tell(told(batch[0]))
    share = other.claim(batch, whole=True)
    assert (share.mine, [trial.number for trial in share.settled]) == ((), [0])


def test_what_a_worker_leaves_is_taken_over_and_its_late_result_discarded(
    url: str, space: SearchSpace, batch: list[Trial]
) -> None:
    one, other = begin(url, space), begin(url, space)
    with one.workers.session():
        assert one.claim(batch).mine == tuple(batch)
        assert other.claim(batch).mine == ()
    assert other.claim(batch).mine == tuple(batch)
    assert not one.tell(told(batch[0], 77.0)), "it came late"
    assert other.tell(told(batch[0], 1.0))
    assert other.tell(told(batch[0], 2.0)), "told again, as after a lost connection: the first counts"
    assert [trial.value for trial in one.trials()] == [1.0]


def test_a_process_that_is_killed_is_replaced_at_once(
    url: str, space: SearchSpace, batch: list[Trial], root: Path
) -> None:
    claim = (
        "import json, sys, time; from tests.search import test_sharing as t; from nasformer.search import Trial;"
        "from nasformer.space import load_space; study = t.begin(sys.argv[1], load_space('digits'));"
        "batch = [Trial.from_dict(each) for each in json.loads(sys.argv[2])];"
        "session = study.workers.session(); session.__enter__(); study.claim(batch); print('claimed', flush=True);"
        "time.sleep(600)"
    )
    data = json.dumps([trial.to_dict() for trial in batch])
    process = subprocess.Popen([sys.executable, "-c", claim, url, data], cwd=root, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "claimed\n"
    study = begin(url, space)
    assert study.claim(batch).mine == ()
    process.kill()
    process.communicate()
    assert study.claim(batch).mine == tuple(batch)


# Confirmation


class WaitingError(Exception):
    """A worker would now wait for another."""


def test_one_worker_confirms_the_winners_and_the_others_wait_for_it(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The other comes to confirm while the one is about it, and again once it is done."""
    monkeypatch.setattr(workers, "HEARTBEAT", 600)  # no beat comes in between
    confirmed = list[str]()

    class Confirming(sitting.Noted):
        def __init__(self, name: str, meanwhile: Callable[[], None] = lambda: None) -> None:
            super().__init__()
            self.name, self.meanwhile = name, meanwhile

        def confirm(self, architectures: Sequence[Architecture]) -> Iterator[Evaluation]:
            confirmed.append(self.name)
            self.meanwhile()
            return (Evaluation(each, 1000 + sitting.worth(each)) for each in architectures)

    def stop(seconds: float) -> None:
        raise WaitingError

    def come() -> None:
        with monkeypatch.context() as patch:
            patch.setattr(time, "sleep", stop)
            with pytest.raises(WaitingError):
                sitting.search(url, "random", Confirming("other"), evaluations=10)

    one = sitting.search(url, "random", Confirming("one", come), evaluations=10)
    other = sitting.search(url, "random", Confirming("other"), evaluations=10)
    assert confirmed == ["one"]
    assert other.confirmed == one.confirmed
    assert all((trial.value or 0) > 1000 for trial in one.confirmed)


# Workers


def test_a_worker_of_this_machine_has_ended_when_its_process_has() -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", "from nasformer.search.study.workers import *; print(new_worker())"],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    worker = process.communicate()[0].strip()
    assert ended(worker)
    assert not ended(new_worker())
    assert new_worker() != new_worker()
    host, number, started, tag = new_worker().split("|")
    assert ended(f"{host}|{number}|{int(started) - 1}|{tag}"), "its number was given to another"
    assert not ended(f"elsewhere|{number}|{started}|{tag}")


def test_a_worker_elsewhere_is_dead_once_its_lease_is_out() -> None:
    now = 0.0
    monitor = LivenessMonitor(lambda: now)
    assert monitor.alive({"elsewhere|1|1|a": 5}) == {"elsewhere|1|1|a": 5}
    now = LEASE - 1
    assert monitor.alive({"elsewhere|1|1|a": 5})
    now = LEASE + 1
    assert monitor.alive({"elsewhere|1|1|a": 6}), "it has beaten since"
    now = 2 * LEASE + 2
    assert not monitor.alive({"elsewhere|1|1|a": 6})


def test_a_worker_beats_while_it_works(url: str, space: SearchSpace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "HEARTBEAT", 0.05)
    study, other = begin(url, space), begin(url, space)
    with study.workers.session():
        first = other.workers.alive()[study.workers.worker]
        deadline = time.monotonic() + 60
        while other.workers.alive()[study.workers.worker] < first + 3 and time.monotonic() < deadline:
            time.sleep(0.02)
        assert other.workers.alive()[study.workers.worker] >= first + 3
    assert other.workers.alive() == {}


# Strangers


def test_trials_that_plain_optuna_adds_break_nothing(url: str, space: SearchSpace) -> None:
    sitting.search(url, "evolution", pause_after=15)
    with plain_optuna(url) as storage:
        study = optuna.load_study(study_name="digits-evolution-seed3", storage=storage)
        stranger = study.ask()
        study.tell(stranger, 1e9)
        study.ask()
    whole = sitting.search(url, "evolution")
    assert sitting.what(whole.trials) == sitting.what(sitting.search(None, "evolution").trials)


def test_plain_optuna_may_evaluate_what_waits(both: tuple[Study, Study], batch: list[Trial], url: str) -> None:
    one, other = both
    assert len(one.claim(batch).mine) == 4
    with plain_optuna(url) as storage:
        study = optuna.load_study(study_name="mine", storage=storage)
        asked = study.ask()
        assert one.space.suggest(asked) == batch[4].architecture
        assert other.claim(batch).mine == tuple(batch[5:7])
        study.tell(asked, 55.5)
        assert not other.tell(told(batch[4]))
        failed = study.ask()
        study.tell(failed, state=TrialState.FAIL)
    assert [(t.number, t.value) for t in one.trials()] == [(4, 55.5), (7, None)]
    assert one.trials()[1].error == "another program marked it FAIL"


def test_an_objective_of_ones_own_suggests_from_our_space(space: SearchSpace) -> None:
    def objective(trial: optuna.Trial) -> float:
        return sitting.worth(space.suggest(trial))

    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=0))
    study.optimize(objective, n_trials=30)
    assert space.suggest(optuna.trial.FixedTrial(study.best_params)) in space


# Drift, formats


def test_a_drift_stops_the_search_unless_it_is_accepted(tmp_path: Path) -> None:
    url = str(tmp_path / "study.log")
    sitting.search(url, "random", pause_after=10)
    _change_a_trial(url, number=7)
    judged = Counter[Architecture]()

    class Counting(sitting.Noted):
        def evaluate(self, architectures: Sequence[Architecture]) -> Iterator[Evaluation]:
            judged.update(architectures)
            return super().evaluate(architectures)

    with pytest.raises(DriftError, match=r"its trial 7 is .*, but the strategy now asks for .*--accept-drift"):
        sitting.search(url, "random", Counting())
    assert not judged
    result = sitting.search(url, "random", Counting(), accept_drift=True)
    assert len(result.trials) == len({trial.architecture for trial in result.trials}) == 40
    assert judged.total() == 30
    with pytest.raises(DriftError, match="its trial 7 is"):
        sitting.search(url, "random", Counting())


def _change_a_trial(url: str, number: int) -> None:
    """Make the record hold another architecture, as a strategy of another version would have asked it."""
    study = Study.load(url)
    lines = list(sitting.exported(study))
    asked = lines[1 + number]["trial"]["user_attrs"]["nasformer:trial"]["architecture"]
    asked["mlp_ratio"] = [4.0 - ratio for ratio in asked["mlp_ratio"]]
    sitting.replaced(study, lines)


@pytest.mark.parametrize(
    ("kept", "named"), [(1, "format 1, made by a nasformer before"), (99, "format 99, made by nas")]
)
def test_a_study_of_another_format_is_refused_with_the_version_named(
    kept: int, named: str, url: str, space: SearchSpace
) -> None:
    study = begin(url, space)
    attributes: dict[str, Any] = {**study.settings, "format": kept}
    if kept == 1:
        del attributes["package"]
    study.store.change(
        study.id, lambda: study.store.optuna.set_study_user_attr(study.id, "nasformer:settings", attributes)
    )
    message = rf"study 'mine' has {named}.* reads format 2"
    with pytest.raises(StudyError, match=message):
        begin(url, space)
    with pytest.raises(StudyError, match=message):
        Study.load(url)


def test_a_study_that_is_not_ours_is_refused(url: str) -> None:
    with plain_optuna(url) as storage:
        optuna.create_study(storage=storage, study_name="theirs")
    with pytest.raises(StudyError, match=r"study 'theirs' .* was not made by nasformer"):
        Study.load(url)


def test_a_study_that_others_run_in_step_is_not_let_free(both: tuple[Study, Study]) -> None:
    one, _ = both
    with pytest.raises(StudyError, match="other processes run study 'mine' synchronously"):
        one.set_asynchronous()


def test_a_password_is_not_shown() -> None:
    assert "secret" not in shown("postgresql+psycopg://me:secret@host:5432/db?sslmode=off")
