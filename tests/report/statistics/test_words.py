"""Warnings, summary and checklist: what they say, and what they must not say."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from nasformer.compare.comparison import VALUE, Comparison, LeftOut
from nasformer.errors import NasformerError
from nasformer.report.statistics import Analysis, analyse
from tests.report.statistics.comparisons import compared, finals

NAN = float("nan")
RNG = np.random.default_rng(0)
NOISE = RNG.normal(size=(3, 12))


def said(*tasks: object, **kwargs: object) -> Analysis:
    return analyse(compared(*tasks, **kwargs), resamples=50)  # type: ignore[arg-type]


def changed(comparison: Comparison, **fields: object) -> Comparison:
    return Comparison(**{**vars(comparison), **fields})


def test_a_clear_best_is_called_better_and_by_how_much() -> None:
    summary = said(finals(a=NOISE[0] + 9, b=NOISE[1], c=NOISE[2]), metric=replace(VALUE, unit="%")).summary
    assert summary[0].startswith("On task0, a is better than both others (paired signed-rank tests over 12 seeds")
    assert " points (A₁₂ 1.00)." in summary[0]


def test_the_highest_median_is_not_called_better_without_a_test() -> None:
    analysis = said(finals(a=NOISE[0] + 0.01, b=NOISE[0][::-1], c=NOISE[1] - 9))
    best, second = (standing.label for standing in analysis.tasks[0].ranking[:2])
    assert analysis.summary[0] == (
        f"On task0, {best} has the best median, but is not significantly better than {second}; it is better than c."
    )
    assert "may still differ" in analysis.summary[-1]


def test_equal_medians_are_shared() -> None:
    assert "b has the best median, shared with a, but" in said(finals(a=[5, 5, 5, 1], b=[5, 5, 5, 2])).summary[0]


def test_over_tasks_the_conclusion_is_of_the_ranks() -> None:
    tasks = [finals(**{label: NOISE[0] + 9 * place for place, label in enumerate("abcd")}) for _ in range(6)]
    summary = said(*tasks).summary
    assert summary[0].startswith("d has the best average rank over six tasks (1.00) and ranks significantly above ")
    assert "but not above c" in summary[0]
    shuffled = [
        finals(**dict(zip(order, np.add(NOISE, [[2], [1], [0]]), strict=True))) for order in ("abc", "bca", "cab")
    ]
    assert said(*shuffled).summary[0].startswith("No strategy ranks significantly above another over these tasks.")


def test_two_strategies_over_tasks_are_tallied_first() -> None:
    win, tie = finals(a=NOISE[0] + 9, b=NOISE[1]), finals(a=NOISE[0], b=NOISE[0])
    assert said(win, win, tie).summary[0] == (
        "a is significantly better than b on two tasks and worse on no task; one task without significant difference."
    )


def test_a_test_that_favours_another_than_the_median_is_reported() -> None:
    often_a_little, seldom_a_lot = np.r_[np.ones(20), np.full(21, 10.0)], np.r_[np.full(20, 9.0), np.full(21, 9.99)]
    summary = said(finals(a=often_a_little, b=seldom_a_lot)).summary
    assert summary[0] == "On task0, a has the best median, but the paired test favours b."


@pytest.mark.parametrize(
    ("tasks", "options", "kind", "values"),
    [
        (finals(a=NOISE[0][:5], b=NOISE[1][:5]), {}, "few_seeds", {"seeds": 5, "pairs": 1, "fewest": 6}),
        ({"a": np.ones((6, 4)), "b": np.ones((6, 3))}, {}, "unequal", {"medians": {"a": 4.0, "b": 3.0}}),
        (finals(a=[9] * 6, b=[9] * 6), {"optimum": 9.0}, "all_optimal", {}),
        (finals(a=[9] * 6, b=[9] * 6), {}, "all_equal", {}),
        (finals(a=[9] * 6, b=[9, 9, 9, 1, 2, 3]), {"optimum": 9.0}, "mostly_optimal", {}),
        ({"a": [[NAN, 2.0]] * 6, "b": [[1.0, 2.0]] * 6}, {}, "failures", {"counts": {"a": 6.0}}),
        ({"a": [[NAN]] * 6, "b": [[1.0]] * 6}, {}, "lost", {"names": ["a"], "count": 6}),
        ({"a": [[1.0, 2.0]] * 6, "b": NOISE[:, :6].T}, {}, "copies", {"names": ["a"]}),
        (finals(a=NOISE[0], b=NOISE[1]), {"noise": 0.5}, "unconfirmed", {}),
        (finals(a=NOISE[0], b=NOISE[1]), {"cells": {"stopped": "seconds"}}, "cut_short", {"names": ["a", "b"]}),
    ],
)  # fmt: skip
def test_what_is_unsafe_is_warned_of(
    tasks: dict[str, object], options: dict[str, object], kind: str, values: dict[str, object]
) -> None:
    found = said(tasks, **options).warnings
    assert values in [each.values for each in found if each.kind == kind], found
    for each in found:
        assert str(each).startswith("task0: ")
        assert str(each).endswith(".")


def test_a_sound_comparison_has_no_warnings() -> None:
    runs = {"a": RNG.normal(size=(12, 8)), "b": RNG.normal(size=(12, 8))}
    assert said(runs, runs, optimum=9.0).warnings == ()


def test_runs_that_exhaust_their_set_are_not_unequal() -> None:
    found = said(
        {"a": np.ones((6, 4)), "b": NOISE[:, :6].T}, cells={"stopped": ["exhausted"] * 6 + ["evaluations"] * 6}
    )
    assert "unequal" not in {each.kind for each in found.warnings}


def test_the_checklist_answers_from_the_comparison() -> None:
    comparison = compared(finals(a=NOISE[0], random=NOISE[1]), finals(a=NOISE[0], random=NOISE[1]), optimum=9.0)
    full = changed(comparison, command="nasformer compare", versions={"python": "3"}, machine={"cpu": "x"})
    answers = {check.name: check.answer for check in analyse(full, resamples=20).checklist}
    assert answers == {
        "Same space and budget for all": "yes",
        "Same number of evaluations for all": "yes",
        "Every run complete, paired by seed": "yes",
        "Enough seeds for a test": "yes",
        "Random search included": "yes",
        "More than one task": "yes",
        "Tasks held out from development": "no",
        "Options tuned with equal effort": "unknown",
        "Winners re-evaluated after the selection": "yes",
        "Winners evaluated on held-out test data": "yes",
        "Optimum known": "yes",
        "Differences tested, with correction for multiple comparisons": "yes",
        "Anytime performance reported": "yes",
        "Tasks that are not additive": "unknown",
        "Tasks distinguish the strategies": "yes",
        "Overhead of the strategies reported": "yes",
        "Reproducible from the report": "yes",
        "Values measured by retraining": "unknown",
        "Code of all strategies available": "yes",
    }


def test_the_checklist_admits_what_is_lacking() -> None:
    comparison = compared(
        {"a": [[1.0]] * 4, "b:B": [[1.0, NAN]] * 4}, noise=1.0, fitness={"kind": "inherited"}, cells={"test": None}
    )
    short = changed(comparison, cells=comparison.cells.iloc[:-1])
    answers = {check.name: check.answer for check in analyse(short, resamples=20).checklist}
    lacking = {
        "Same number of evaluations for all": "no",
        "Every run complete, paired by seed": "partly",
        "Enough seeds for a test": "no",
        "Random search included": "no",
        "More than one task": "no",
        "Winners re-evaluated after the selection": "partly",
        "Winners evaluated on held-out test data": "no",
        "Optimum known": "no",
        "Differences tested, with correction for multiple comparisons": "no",
        "Tasks distinguish the strategies": "no",
        "Reproducible from the report": "no",
        "Values measured by retraining": "no",
        "Code of all strategies available": "unknown",
    }
    assert {name: answers[name] for name in lacking} == lacking


def test_the_page_of_the_checklist_names_its_points(root: Path) -> None:
    page = (root / "docs" / "how-to" / "compare.md").read_text()
    for check in said(finals(a=NOISE[0], b=NOISE[1])).checklist:
        assert f"**{check.name}.**" in page, check.name


def test_nothing_complete_is_nothing_concluded() -> None:
    comparison = compared(finals(a=NOISE[0], b=NOISE[1]))
    empty = changed(comparison, trials=comparison.trials.iloc[:0], cells=comparison.cells.iloc[:0])
    analysis = analyse(empty, resamples=20)
    assert (analysis.tasks, analysis.across) == ((), None)
    assert analysis.summary == ["No run is complete, so there is no conclusion."]
    assert str(analysis.warnings[0]).startswith("24 of 24 runs are missing")


def test_trials_without_a_complete_run_are_left_out() -> None:
    comparison = compared(finals(a=NOISE[0], b=NOISE[1]))
    stray = comparison.trials.iloc[:1].assign(strategy="c", value=99.0, seed=77)
    more = changed(comparison, trials=pd.concat([comparison.trials, stray]))
    assert analyse(more, resamples=20).tasks[0].ranking == analyse(comparison, resamples=20).tasks[0].ranking


@pytest.mark.parametrize(
    ("level", "resamples", "words"), [(1.5, 9, "got 1.5"), (0.0, 9, "got 0.0"), (0.05, 0, "got 0")]
)
def test_impossible_options_are_refused(level: float, resamples: int, words: str) -> None:
    with pytest.raises(NasformerError, match=words):
        analyse(compared(finals(a=NOISE[0])), level=level, resamples=resamples)


def test_what_was_left_out_is_told_with_its_reason() -> None:
    whole = compared(finals(a=NOISE[0], b=NOISE[1]))
    left = (LeftOut("task0", "grid", "the set is too large."), LeftOut("task0", "b", "ZeroDivisionError: no luck", 3))
    warnings = [*map(str, analyse(changed(whole, left_out=left), resamples=20).warnings)]
    assert "task0: grid is excluded: the set is too large." in warnings
    assert "task0: b with seed 3 failed: ZeroDivisionError: no luck." in warnings
