"""Testing: the conformance suites of strategies and tasks, plug-ins included.

In your own package, three lines run the suite on your strategy, and five on your task::

    from nasformer.testing import StrategyConformance, TaskConformance

    class TestMine(StrategyConformance):
        strategy = "mypackage.mymodule:MyStrategy"

    class TestCounting(TaskConformance):
        task = Counting()

        def targets(self, rng, count):
            return rng.poisson(3.0, (count, 1)).astype("float32")
"""

from typing import TYPE_CHECKING, Any

from nasformer.testing.conformance import StrategyConformance
from nasformer.testing.stream import Judge, stream

if TYPE_CHECKING:
    from nasformer.testing.tasks import TaskConformance as TaskConformance

__all__ = ["Judge", "StrategyConformance", "TaskConformance", "stream"]


def __getattr__(name: str) -> Any:
    if name != "TaskConformance":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from nasformer.testing.tasks import TaskConformance  # torch is behind it

    return TaskConformance
