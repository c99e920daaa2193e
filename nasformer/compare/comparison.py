"""Comparison: what an experiment found, as two tidy tables, and what one must know to read them.

``trials`` has a row for each evaluation:

==============  ==========================================================================================
task            name of the task
strategy        label of the strategy
seed            seed of the run
evaluation      1 for the first evaluation of the run
architecture    its dimensions, as JSON
value           what the strategy was told, higher is better; missing where the evaluation failed
true            the same without noise, where the task knows it
loss            loss told with it, where there is one
params, macs    costs; further costs of the budget in columns of their names
seconds         time of the evaluation
==============  ==========================================================================================

``cells`` has a row for each run, that is each task, strategy and seed:

====================  ====================================================================================
task, strategy, seed  as above
architecture          the confirmed winner's dimensions, as JSON; empty where the task keeps them to itself
params, macs          its costs; missing where the architecture is
confirmed             its confirmed value (whole search split, or fresh noise)
true                  its value without noise, where the task knows it
test                  its value on the test split, where the task knows it; it influenced nothing
observed              highest value that the run was told
regret                ``optimum - true``, never below 0, where the task knows both
evaluations           distinct architectures evaluated
duplicates            proposals that had been evaluated before; like the next two they are not charged
infeasible            proposals beyond the budget
replaced              proposals given up for a random draw
failed                evaluations without a value
strategy_seconds      time in the strategy
evaluation_seconds    time in the evaluation
total_seconds         time of the run
stopped               why it ended, as in ``SearchResult``
====================  ====================================================================================
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from nasformer.cost import Limits
from nasformer.space import SearchSpace

if TYPE_CHECKING:
    import pandas as pd

TRIAL_COLUMNS = (
    "task",
    "strategy",
    "seed",
    "evaluation",
    "architecture",
    "value",
    "true",
    "loss",
    "params",
    "macs",
    "seconds",
)
CELL_COLUMNS = (
    "task",
    "strategy",
    "seed",
    "architecture",
    "params",
    "macs",
    "confirmed",
    "true",
    "test",
    "observed",
    "regret",
    "evaluations",
    "duplicates",
    "infeasible",
    "replaced",
    "failed",
    "strategy_seconds",
    "evaluation_seconds",
    "total_seconds",
    "stopped",
)


@dataclass(frozen=True)
class TaskRecord:
    """What a comparison says of one task.

    Args:
        name: Of the task, unique in the comparison.
        space: The space that was searched.
        limits: Bounds by cost.
        fitness: What the fitness says of itself.
        evaluations: Most distinct evaluations of a run.
        optimum: The highest true value within the limits, where it is known exactly; else None.
        in_percent: Whether values are accuracies in percent.
        noise: Standard deviation of the noise that was added to what strategies are told; 0: none.
        feasible: Number of architectures within the limits; 0 where it is not known.
        target: The value that "evaluations to target" asks for; None: derived from the runs.
        remarks: What a reader must know of it, a sentence each: where values come from, how they were split.
    """

    name: str
    space: SearchSpace
    limits: Limits
    fitness: Mapping[str, Any]
    evaluations: int
    optimum: float | None = None
    in_percent: bool = False
    noise: float = 0.0
    feasible: int = 0
    target: float | None = None
    remarks: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return plain data, ready for JSON."""
        limits = {name: list(bounds) for name, bounds in self.limits.items()}
        plain = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return {**plain, "space": self.space.to_dict(), "limits": limits, "remarks": list(self.remarks)}


@dataclass(frozen=True)
class Entrant:
    """A strategy that takes part.

    Args:
        label: Its name in the tables, unique in the comparison.
        strategy: A strategy's name or ``module:Class``.
        options: Of the strategy.
    """

    label: str
    strategy: str
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class LeftOut:
    """What could not take part, and why.

    Args:
        task: Name of the task.
        strategy: Label of the strategy.
        reason: In one line.
        seed: Of the run that failed; None: none was begun.
    """

    task: str
    strategy: str
    reason: str
    seed: int | None = None


@dataclass(frozen=True, eq=False)
class Comparison:
    """Several strategies on several tasks with several seeds, run to run paired by the seed.

    Args:
        title: Heading of the report.
        tasks: In the order given.
        entrants: In the order given.
        seeds: Of every strategy on every task.
        trials: One row per evaluation; columns as in the module's table.
        cells: One row per run that is complete; columns as in the module's table.
        left_out: Strategies that cannot search a task, and runs that failed.
        command: What was typed.
        settings: What else decided the runs: batch size, places confirmed and the like.
        versions: Of Python and of the packages that matter.
        machine: What computed.
    """

    title: str
    tasks: tuple[TaskRecord, ...]
    entrants: tuple[Entrant, ...]
    seeds: tuple[int, ...]
    trials: pd.DataFrame
    cells: pd.DataFrame
    left_out: tuple[LeftOut, ...] = ()
    command: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    machine: Mapping[str, str] = field(default_factory=dict)

    @property
    def labels(self) -> list[str]:
        """Labels of the strategies."""
        return [entrant.label for entrant in self.entrants]

    @property
    def missing(self) -> int:
        """How many runs are not complete, of those that were to be."""
        impossible = sum(len(self.seeds) if each.seed is None else 0 for each in self.left_out)
        return len(self.tasks) * len(self.entrants) * len(self.seeds) - impossible - len(self.cells)
