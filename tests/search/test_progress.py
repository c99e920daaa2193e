"""The bar of a search says how fast images are seen, where the fitness counts them."""

from __future__ import annotations

import io

import pytest
from rich.console import Console
from rich.progress import Progress

from nasformer.architecture import uniform
from nasformer.search.evaluation import Trial
from nasformer.search.progress import ProgressBar, Speed


def test_the_speed_is_that_of_this_sitting() -> None:
    work, now = {"images": 500}, 0.0
    screen = io.StringIO()
    progress = Progress(Speed(work), console=Console(file=screen, width=80), get_time=lambda: now, auto_refresh=False)
    progress.add_task("search")
    now, work["images"] = 4.0, 500 + 24_000
    progress.console.print(progress.get_renderable())
    assert screen.getvalue().strip() == "6,000 images/s"


@pytest.mark.parametrize(("work", "shown"), [({"images": 0}, True), (None, False)])
def test_only_a_fitness_that_counts_has_a_speed(work: dict[str, int] | None, shown: bool) -> None:
    bar = ProgressBar("search", 10, shown=False, work=work)
    assert any(isinstance(column, Speed) for column in bar.columns) is shown


def test_the_best_is_written_as_its_metric() -> None:
    bar = ProgressBar("search", 10, shown=False, text=lambda value: f"MSE {-value:.3f}")
    for value, best in ((None, "-"), (-1.25, "MSE 1.250"), (-1.5, "MSE 1.250")):
        bar.update(Trial(0, 0, uniform(8, 1, 1, 1), value))
        assert bar._bar.tasks[0].fields["best"] == best
