"""Every registered task passes the shipped suite; the registry is read, and a task without an example fails."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from nasformer.tasks import Task, get_task, task_names
from nasformer.testing import TaskConformance

Draw = Callable[[np.random.Generator, int], Any]
EXAMPLES: dict[str, list[tuple[tuple[Any, ...], Draw]]] = {
    "classification": [((tuple("abcdefg"),), lambda rng, n: rng.integers(7, size=n))],
    "forecasting": [((3,), lambda rng, n: rng.normal(size=(n, 3)))],
    "multi-label": [
        ((tuple("abc"),), lambda rng, n: rng.integers(2, size=(n, 3))),
        ((("single",),), lambda rng, n: rng.integers(2, size=(n, 1))),
    ],
    "regression": [
        ((("age", "mass"), (40.0, 7e4), (10.0, 1e4)), lambda rng, n: rng.normal((40, 7e4), (10, 1e4), (n, 2))),
        ((("age",), (40.0,), (10.0,), "smooth_l1"), lambda rng, n: rng.normal(40, 10, (n, 1))),
    ],
}
CASES = [(name, number) for name in task_names() for number in range(len(EXAMPLES.get(name, [()])))]


class TestRegistered(TaskConformance):
    @pytest.fixture(params=CASES, autouse=True, ids=lambda case: f"{case[0]}-{case[1]}")
    def _example(self, request: pytest.FixtureRequest) -> None:
        name, number = request.param
        assert name in EXAMPLES, f"add an example of the task {name!r} to EXAMPLES in {__file__}"
        fields, self.draw = EXAMPLES[name][number]
        self.task: Task = get_task(name)(*fields)

    def targets(self, rng: np.random.Generator, count: int) -> Any:
        return self.draw(rng, count)
