"""Studies that others wrote: nothing that they name runs or is reached, and what is no study of ours is one line."""

from __future__ import annotations

import copy
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nasformer.errors import StrategyError, StudyError
from nasformer.registry import make_fitness
from nasformer.search.study import Store, Study, export_study, import_study
from nasformer.searcher import Searcher
from nasformer.space import load_space

Lines = list[dict[str, Any]]
SETTINGS, SPEC = "nasformer:settings", "nasformer:recipe"


@pytest.fixture(scope="module")
def lines(tmp_path_factory: pytest.TempPathFactory) -> Lines:
    """A study that can be opened."""
    storage, spec = tmp_path_factory.mktemp("study") / "study.log", {"fitness": {"spec": "table:digits-exhaustive"}}
    fitness = make_fitness("table:digits-exhaustive", load_space("digits"))
    Searcher("digits", "random", fitness).run(
        60e3, evaluations=4, storage=storage, fitness_spec=spec, progress=False, confirm=1
    )
    return list(export_study(Study.load(storage)))


def changed(lines: Lines, change: Callable[[dict[str, Any]], object]) -> Lines:
    copied = copy.deepcopy(lines)
    change(copied[0]["study"]["attributes"])
    return copied


def kept(lines: Lines, folder: Path) -> str:
    """Write a study as who does not import it through us."""
    store = Store(folder / "evil.log")
    number = store.study_id("evil")
    for key, value in lines[0]["study"]["attributes"].items():
        store.optuna.set_study_user_attr(number, key, value)
    return str(folder / "evil.log")


SPECS: dict[str, dict[str, Any]] = {
    "ray": {"ray": "203.0.113.1:6379"},
    "workers": {"workers": 400},
    "readers": {"readers": 400},
    "device": {"device": "cuda:7"},
    "foo": {"foo": 1},
}


@pytest.mark.parametrize("key", SPECS)
def test_a_study_starts_no_processes_and_names_no_cluster(key: str, lines: Lines, tmp_path: Path) -> None:
    evil = changed(lines, lambda found: found[SPEC]["fitness"].update(SPECS[key]))
    words = f"recipe.fitness.{key}: no key of a study"
    with pytest.raises(StudyError, match=words):
        import_study(Store(tmp_path / "imported.log"), evil)
    with pytest.raises(StudyError, match=words):
        Searcher.open(kept(evil, tmp_path))
    with pytest.raises(StudyError, match=words):
        Searcher("digits", "random", len).run(
            storage=tmp_path / "own.log", fitness_spec={"fitness": {"spec": "inherited", **SPECS[key]}}, progress=False
        )


def test_a_study_imports_no_module_without_consent(
    lines: Lines, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "evil_module.py").write_text("raise SystemExit('it ran')")
    monkeypatch.syspath_prepend(tmp_path)
    evil = kept(changed(lines, lambda found: found[SETTINGS].update(strategy="evil_module:Any")), tmp_path)
    with pytest.raises(StrategyError, match=r"'evil_module:Any'.* not imported; .*nasformer --trust evil_module"):
        Searcher.open(evil)
    assert "evil_module" not in sys.modules


CHANGES: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "seed": (lambda found: found[SETTINGS].update(seed="x"), "settings.seed: .*'x'"),
    "batch size": (lambda found: found[SETTINGS].update(batch_size=10**12), "settings.batch_size: .*1000000000000"),
    "options": (lambda found: found[SETTINGS].update(options="x"), "settings.options: .*'x'"),
    "limits": (lambda found: found[SETTINGS].update(limits=3), "settings.limits: .*3"),
    "none": (lambda found: found[SETTINGS].pop("confirm"), "lacks confirm"),
    "space": (lambda found: found[SETTINGS].update(space=[]), r"settings.space: .*\[\]"),
    "rerank": (lambda found: found[SPEC].update(rerank={"epochs": 10**9, "top": 1}), "rerank.epochs: .*1000000000"),
    "warm start": (
        lambda found: found.update({"nasformer:warm-start": [{"a": 1}]}),
        "trial is damaged: 'architecture'",
    ),
    "confirmed": (lambda found: found.update({"nasformer:confirmed": [1]}), r"confirmed: .*\[1\]"),
    "reranked": (lambda found: found.update({"nasformer:reranked": {"a": 1}}), "reranked.a: .*1"),
    "total": (lambda found: found.update({"nasformer:evaluations": "x"}), "evaluations: .*'x'"),
    "long": (lambda found: found[SETTINGS].update(strategy="x" * 10**6), "settings.strategy: .*at most 10000"),
}


@pytest.mark.parametrize("case", CHANGES)
def test_a_study_that_means_something_else_is_one_line(case: str, lines: Lines, tmp_path: Path) -> None:
    change, words = CHANGES[case]
    with pytest.raises(StudyError) as caught:
        Searcher.open(kept(changed(lines, change), tmp_path))
    assert re.search(words, str(caught.value))
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 501
