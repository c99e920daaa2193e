"""The best epoch by a metric of the search images is kept, also over a kill."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from nasformer.data import Dataset
from nasformer.errors import FitnessError
from nasformer.space import SearchSpace
from nasformer.supernet import Supernet
from nasformer.training import Recipe, TrainingResult, evaluate, train_subnet


def trained(
    space: SearchSpace, data: Dataset, recipe: Recipe, **options: Any
) -> tuple[torch.nn.Module, TrainingResult]:
    net = Supernet(space).extract(space.largest)
    return net, train_subnet(net, data, recipe, device="cpu", progress=False, **options)


def values(result: TrainingResult, metric: str) -> list[float]:
    return [row["validation"]["network"][metric] for row in result.history]


@pytest.mark.parametrize("metric", ["accuracy", "loss", "balanced_accuracy", "macro_f1"])
@pytest.mark.parametrize("ema", [None, 0.5])
def test_the_weights_are_those_of_the_best_epoch(
    space: SearchSpace, data: Dataset, recipe: Recipe, metric: str, ema: float | None
) -> None:
    recipe = recipe.replace(epochs=5, warmup_epochs=0, learning_rate=0.05, ema_decay=ema, keep_best=metric)
    net, result = trained(space, data, recipe)
    best = (min if metric == "loss" else max)(values(result, metric))
    assert result.kept == values(result, metric).index(best) + 1
    assert evaluate(net, data.search)[metric] == pytest.approx(best, abs=1e-4)
    assert result.validation["network"][metric] == best
    last, whole = trained(space, data, recipe.replace(keep_best=None))
    assert (whole.kept, values(whole, metric)) == (5, values(result, metric))
    assert evaluate(last, data.search)[metric] == pytest.approx(values(whole, metric)[-1], abs=1e-4)


def test_a_kill_loses_no_best_epoch(space: SearchSpace, data: Dataset, recipe: Recipe, tmp_path: Path) -> None:
    recipe = recipe.replace(epochs=4, warmup_epochs=0, learning_rate=0.05, keep_best="loss")
    net, result = trained(space, data, recipe)

    def stop(row: dict[str, Any]) -> None:
        if row["epoch"] == max(1, (result.kept or 0)):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        trained(space, data, recipe, out=tmp_path, callback=stop)
    resumed, again = trained(space, data, recipe, out=tmp_path, resume=True)
    assert again.kept == result.kept
    assert all(torch.equal(value, resumed.state_dict()[key]) for key, value in net.state_dict().items())


def test_an_unknown_metric_is_refused_before_the_training(space: SearchSpace, data: Dataset, recipe: Recipe) -> None:
    with pytest.raises(FitnessError, match=r"objective is .* got 'speed'"):
        trained(space, data, recipe.replace(keep_best="speed"))
