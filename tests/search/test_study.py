"""The study: every storage keeps the same trials, plain Optuna reads them, and damage is one clear line."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState

from nasformer.errors import StudyError
from nasformer.search import Trial
from nasformer.search.study import Study, as_parameters
from nasformer.space import FeasibleSet, SearchSpace, load_space
from tests.search.conftest import plain_optuna

SETTINGS = {"strategy": "random", "seed": 0, "options": {"population": (3, 4)}, "space": load_space("digits").to_dict()}
SETTINGS |= {"limits": "40000 <= params <= 80000", "evaluations": 9}


@pytest.fixture
def trials(feasible: FeasibleSet, make_trial: Callable[..., Trial]) -> list[Trial]:
    drawn = list(dict.fromkeys(feasible.sample(9, seed=0)))[:5]
    values = [70.0, None, 91.25, 80.5, -3.0]
    metrics: list[dict[str, float]] = [{"loss": 0.5}, {}, {"loss": 0.25}, {}, {}]
    return [
        make_trial(n, a, v, metrics=m, seconds=0.5)
        for n, (a, v, m) in enumerate(zip(drawn, values, metrics, strict=True))
    ]


def keep(url: object, trials: list[Trial], name: str = "mine") -> None:
    """Add trials, as a leader does."""
    with Study.begin(url, name, SETTINGS) as study:  # type: ignore[arg-type]
        for trial in trials:
            study.add(trial)


def again(url: object, settings: dict[str, Any] = SETTINGS) -> Study:
    with Study.begin(url, "mine", settings) as study:  # type: ignore[arg-type]
        return study


def test_trials_are_there_again_when_the_study_is_reopened(url: str, trials: list[Trial]) -> None:
    keep(url, trials[2:] + trials[:2])
    assert again(url).trials() == trials
    with Study.begin(url, "another", {**SETTINGS, "seed": 9}) as another:
        assert another.trials() == []


def test_settings_that_cannot_be_recorded_are_named(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match=r"options must be numbers, strings, lists or mappings: .* function"):
        Study.begin(tmp_path / "study.log", "mine", {**SETTINGS, "options": {"gamma": lambda count: count}})


def test_of_two_with_one_number_the_first_counts(url: str, trials: list[Trial]) -> None:
    """As after a connection that was lost while it told that a write was made."""
    keep(url, [*trials[:2], replace(trials[0], value=99.0)])
    with Study.begin(url, "mine", SETTINGS) as study:
        for value in (None, 5.0, 7.0):
            study.add(replace(trials[1], value=value, error=None if value else "again"), retried_after=2)
    assert [trial.value for trial in again(url).trials()] == [trials[0].value, 5.0]
    assert len(again(url).retried) == 2


def test_unfinished_trials_of_nasformer_0_1_are_evaluated_again(url: str, trials: list[Trial]) -> None:
    keep(url, trials[:2])
    asked = {"number": 2, "batch": 2, "architecture": trials[2].architecture.to_dict(), "costs": {}}
    with plain_optuna(url) as storage:
        study = optuna.load_study(study_name="mine", storage=storage)
        for state in (TrialState.RUNNING, TrialState.WAITING, TrialState.FAIL):
            study.add_trial(optuna.trial.create_trial(state=state, user_attrs={"nasformer:trial": asked}))
    assert again(url).trials() == trials[:2]
    keep(url, trials[2:])
    assert again(url).trials() == trials


def test_plain_optuna_reads_the_study(url: str, space: SearchSpace, trials: list[Trial]) -> None:
    keep(url, trials)
    with plain_optuna(url) as storage:
        study = optuna.load_study(study_name="mine", storage=storage)
        assert study.direction == optuna.study.StudyDirection.MAXIMIZE
        assert (study.best_trial.number, study.best_value) == (2, 91.25)
        assert study.best_params == as_parameters(trials[2].architecture)
        assert [t.state == TrialState.FAIL for t in study.trials] == [False, True, False, False, False]
        assert study.best_trial.user_attrs["params"] == space.params(trials[2].architecture)
        assert study.best_trial.user_attrs["loss"] == 0.25
        params = space.params(trials[2].architecture)
        assert study.best_trial.constraints == {
            "params at most 80000": params - 80e3,
            "params at least 40000": 40e3 - params,
        }
        frame = study.trials_dataframe()
        assert list(frame["params_embed_dim"]) == [t.architecture.embed_dim for t in trials]


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"seed": 1}, "seed=0, now 1"),
        ({"strategy": "tpe"}, '"random", now "tpe"'),
        ({"new": True}, "new=null, now true"),
    ],
)
def test_other_settings_are_refused_naming_the_key(
    changed: dict[str, Any], named: str, url: str, space: SearchSpace, trials: list[Trial]
) -> None:
    keep(url, trials)
    with pytest.raises(StudyError, match=f"study 'mine' was made with .*{named}"):
        again(url, {**SETTINGS, **changed})
    with pytest.raises(StudyError, match="options="):
        again(url, {key: value for key, value in SETTINGS.items() if key != "options"})
    assert again(url).trials() == trials


def test_a_trial_cut_short_is_dropped_and_the_study_goes_on(
    tmp_path: Path, space: SearchSpace, trials: list[Trial]
) -> None:
    """A kill or a full disk leaves half a line at the journal's end."""
    path = tmp_path / "study.log"
    keep(path, trials[:3])
    path.write_bytes(path.read_bytes()[:-40])
    assert again(path).trials() == trials[:2]
    keep(path, trials[2:])
    assert again(path).trials() == trials


def test_a_full_disk_is_one_line_and_loses_nothing_that_was_kept(
    tmp_path: Path,
    space: SearchSpace,
    trials: list[Trial],
    disk: Callable[[int], AbstractContextManager[None]],
) -> None:
    path = tmp_path / "study.log"
    with Study.begin(path, "mine", SETTINGS) as study:
        study.add(trials[0])
        study.add(trials[1])
        with disk(path.stat().st_size + 100), pytest.raises(StudyError, match=r"study.log.*File too large") as caught:
            study.add(trials[2])
    assert "\n" not in str(caught.value)
    assert again(path).trials() == trials[:2]
    keep(path, trials[2:])
    assert again(path).trials() == trials


@pytest.mark.parametrize(
    ("url", "content"),
    [
        ("study.log", b"no journal\n" * 3),
        ("study.log", b"\xff\xfe\x00\n"),
        ("study.log", b"3\n[]\n"),
        ("sqlite:///study.db", b"no database" * 200),
        (".", None),
        ("sqlite:///absent/study.db", None),
        ("/proc/nasformer/study.log", None),
        ("/dev/full", None),
        ("redis://localhost", None),
        ("postgres://localhost/x", None),
        ("sqlite://///\0", None),
    ],
    ids=str,
)
def test_a_storage_that_cannot_be_used_is_one_line_with_its_name(
    url: str, content: bytes | None, tmp_path: Path, space: SearchSpace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    if content is not None:
        (tmp_path / url.removeprefix("sqlite:///")).write_bytes(content)
    if url == "/dev/full":
        _refuse_endless_reads(monkeypatch)
    with pytest.raises(StudyError) as caught:
        again(url)
    assert repr(url) in str(caught.value)
    assert "\n" not in str(caught.value)
    left = [path.name for path in tmp_path.iterdir()]
    assert left == ([url.removeprefix("sqlite:///")] if content else []), "nothing is made, nothing is lost"


def _refuse_endless_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fail at once, where a device that never ends would be read as a journal."""

    def read_logs(backend: JournalFileBackend, log_number_from: int) -> Any:
        pytest.fail("a device is read as a journal, for ever")

    monkeypatch.setattr(JournalFileBackend, "read_logs", read_logs)
