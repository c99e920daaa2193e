"""What others do to a study: trials of plain Optuna, other versions of the strategy, formats that came before."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import optuna
import pytest

from nasformer.architecture import Architecture
from nasformer.errors import DriftError, StudyError
from nasformer.search import Evaluation
from nasformer.search.study import Study, shown
from nasformer.space import SearchSpace
from tests.search import sitting
from tests.search.conftest import plain_optuna


def test_trials_that_plain_optuna_adds_break_nothing(url: str, space: SearchSpace) -> None:
    sitting.search(url, "evolution", pause_after=15)
    with plain_optuna(url) as storage:
        study = optuna.load_study(study_name="digits-evolution-seed3", storage=storage)
        stranger = study.ask()
        study.tell(stranger, 1e9)
        study.ask()
    whole = sitting.search(url, "evolution")
    assert sitting.what(whole.trials) == sitting.what(sitting.search(None, "evolution").trials)


def test_an_objective_of_ones_own_suggests_from_our_space(space: SearchSpace) -> None:
    def objective(trial: optuna.Trial) -> float:
        return sitting.worth(space.suggest(trial))

    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=0))
    study.optimize(objective, n_trials=30)
    assert space.suggest(optuna.trial.FixedTrial(study.best_params)) in space


class Counting(sitting.Noted):
    """Counts what it evaluates."""

    def __init__(self) -> None:
        super().__init__()
        self.judged = Counter[Architecture]()

    def evaluate(self, architectures: Sequence[Architecture]) -> Iterator[Evaluation]:
        self.judged.update(architectures)
        return super().evaluate(architectures)


@pytest.mark.parametrize("stored", [10, 8], ids=["whole batches", "half a batch"])
def test_a_drift_stops_the_search_unless_it_is_accepted(stored: int, tmp_path: Path) -> None:
    url = str(tmp_path / "study.log")
    sitting.search(url, "random", pause_after=10)
    _keep(url, stored, changed=7)
    fitness = Counting()
    with pytest.raises(DriftError, match=r"its trial 7 is .*, but the strategy now asks for .*--accept-drift"):
        sitting.search(url, "random", fitness)
    assert not fitness.judged
    result = sitting.search(url, "random", fitness, accept_drift=True)
    assert len(result.trials) == len({trial.architecture for trial in result.trials}) == 40
    assert fitness.judged.total() == 40 - stored
    with pytest.raises(DriftError, match="its trial 7 is"):
        sitting.search(url, "random")
    again = sitting.search(url, "random", idle := Counting(), accept_drift=True)
    assert not idle.judged
    assert sitting.what(again.trials) == sitting.what(result.trials)


def _keep(url: str, number: int, changed: int) -> None:
    """Keep so many trials, one with another architecture, as a strategy of another version would have asked it."""
    study = Study.load(url)
    lines = list(sitting.exported(study))[: 1 + number]
    asked = lines[1 + changed]["trial"]["user_attrs"]["nasformer:trial"]["architecture"]
    asked["mlp_ratio"] = [4.0 - ratio for ratio in asked["mlp_ratio"]]
    sitting.replaced(study, lines)


@pytest.mark.parametrize(
    ("kept", "named"), [(1, "format 1, made by a nasformer before"), (99, "format 99, made by nas")]
)
def test_a_study_of_another_format_is_refused_with_the_version_named(kept: int, named: str, url: str) -> None:
    sitting.search(url, "random", pause_after=5)
    study = Study.load(url)
    attributes: dict[str, Any] = {**study.settings, "format": kept}
    if kept == 1:
        del attributes["package"]
    study.store.run(lambda: study.store.optuna.set_study_user_attr(study.id, "nasformer:settings", attributes))
    message = rf"study 'digits-random-seed3' has {named}.* reads format 2"
    with pytest.raises(StudyError, match=message):
        sitting.search(url, "random")
    with pytest.raises(StudyError, match=message):
        Study.load(url)


def test_a_study_that_is_not_ours_is_refused(url: str) -> None:
    with plain_optuna(url) as storage:
        optuna.create_study(storage=storage, study_name="theirs")
    with pytest.raises(StudyError, match=r"study 'theirs' .* was not made by nasformer"):
        Study.load(url)


@pytest.mark.parametrize("password", ["secret", "se/cr:et"])
def test_a_password_is_not_shown(password: str) -> None:
    text = shown(f"postgresql+psycopg://me:{password}@host:5432/db?sslmode=off")
    assert "cr" not in text.partition("me:")[2]
    assert text.startswith("postgresql+psycopg://me:***@host:5432/db")
