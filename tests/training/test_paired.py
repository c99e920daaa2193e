"""The paired test of two networks: McNemar's as in statsmodels, Wilcoxon's, and none of windows that overlap."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from statsmodels.stats.contingency_tables import mcnemar

from nasformer.report import paired_verdict
from nasformer.tasks import get_task
from nasformer.training.paired import paired_test

CLASSES = get_task("classification")(("a", "b"))
AGE = get_task("regression")(("age",), (40.0,), (10.0,))


def classified(right: np.ndarray[Any, Any], targets: torch.Tensor) -> torch.Tensor:
    """Return logits that are right where they are to be."""
    told = torch.where(torch.from_numpy(right), targets, 1 - targets)
    return torch.nn.functional.one_hot(told, 2).float()


@pytest.mark.parametrize("counts", [(30, 2, 9, 4), (0, 5, 5, 0), (10, 0, 0, 3), (1, 0, 12, 0)])
def test_of_classes_it_is_mcnemars_exact_test(counts: tuple[int, ...]) -> None:
    both, only_before, only_after, neither = counts
    before, after = (np.repeat(each, counts) for each in ([True, True, False, False], [True, False, True, False]))
    targets = torch.arange(sum(counts)) % 2
    found = paired_test(CLASSES, classified(before, targets), classified(after, targets), targets)
    assert found is not None
    expected = mcnemar([[both, only_before], [only_after, neither]], exact=True).pvalue
    assert found.pop("p") == pytest.approx(float(expected) if only_before + only_after else 1.0)
    assert found == {
        "metric": "accuracy",
        "test": "McNemar",
        **{"both": both, "only_before": only_before, "only_after": only_after, "neither": neither},
    }


def test_of_numbers_it_is_wilcoxons() -> None:
    targets = torch.full((8, 1), 40.0)
    before, after = torch.tensor([[4.0, 3, 2, 1, 4, 3, 2, 1]]).T, torch.tensor([[1.0, 1, 1, 1.5, 1, 1, 1, 1]]).T
    found = paired_test(AGE, before, after, targets)
    assert found == {
        "metric": "mae",
        "test": "Wilcoxon",
        "better": 6,
        "worse": 1,
        "equal": 1,
        "p": found and found["p"],
    }
    assert found is not None
    assert found["p"] < 0.05, "less error is better"
    assert paired_test(AGE, after, after, targets) == {**found, "better": 0, "worse": 0, "equal": 8, "p": 1.0}
    verdict = "MAE is better on 6 images, worse on 1 (Wilcoxon's signed-rank test, p = 0.0"
    assert paired_verdict(AGE, found).startswith(verdict)
    assert paired_verdict(AGE, found).endswith("the difference is significant.")
    assert paired_verdict(AGE, {**found, "p": 0.05}).endswith("p = 0.05): the difference is not significant.")


def test_of_windows_that_overlap_there_is_none() -> None:
    assert paired_test(get_task("forecasting")(1), torch.zeros(9, 1), torch.ones(9, 1), torch.ones(9, 1)) is None
