"""Comparison: the results of an experiment as two tidy tables, with metadata.

``trials`` has a row for each evaluation:

==============  ==========================================================================================
task            name of the task
strategy        label of the strategy
seed            seed of the run
evaluation      1 for the first evaluation of the run
architecture    its dimensions, as JSON
value           value told to the strategy, higher is better; missing if the evaluation failed, and of probes
true            the value without noise, if known
loss            reported loss, if any
params, macs    costs; further costs of the budget in columns of their names
seconds         time of the evaluation
==============  ==========================================================================================

``cells`` has a row for each run, that is each task, strategy and seed:

====================  ====================================================================================
task, strategy, seed  as above
architecture          the confirmed winner's dimensions, as JSON; empty if the task reports aggregates only
params, macs          its costs; missing if the architecture is
confirmed             its confirmed value (whole search split, or fresh noise)
true                  its value without noise, if known
test                  its value on the test split, if known; it influenced nothing
observed              highest value told in the run, without probes
regret                ``optimum - true``, at least 0, if both are known
evaluations           distinct architectures evaluated
duplicates            duplicate proposals; like the next two they cost no evaluation
infeasible            infeasible proposals
replaced              proposals replaced by random samples
failed                failed evaluations
strategy_seconds      time in the strategy
evaluation_seconds    time in the evaluation
total_seconds         time of the run
stopped               reason of the end, as in ``SearchResult``
====================  ====================================================================================
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from nasformer.cost import Limits
from nasformer.space import SearchSpace
from nasformer.tasks import Metric

if TYPE_CHECKING:
    import pandas as pd

_RUN = ("task", "strategy", "seed")
TRIAL_COLUMNS = (*_RUN, "evaluation", "architecture", "value", "true", "loss", "params", "macs", "seconds")
CELL_COLUMNS = (
    *(*_RUN, "architecture", "params", "macs", "confirmed", "true", "test", "observed", "regret", "evaluations"),
    *("duplicates", "infeasible", "replaced", "failed"),
    *("strategy_seconds", "evaluation_seconds", "total_seconds", "stopped"),
)

VALUE = Metric("value", "value", higher_is_better=True)
"""Values of an unknown metric."""


@dataclass(frozen=True)
class TaskRecord:
    """The record of a task in a comparison.

    Args:
        name: Unique name of the task.
        space: The search space.
        limits: Bounds by cost.
        fitness: Description of the fitness.
        evaluations: Maximal number of distinct evaluations per run.
        optimum: The highest true value within the limits, if known exactly; else None.
        metric: The metric that values are, up to its sign.
        noise: Standard deviation of the noise on told values; 0: none.
        feasible: Number of feasible architectures; 0 if unknown.
        target: Target value of "evaluations to target"; None: derived from the runs.
        remarks: Notes for readers, a sentence each: origin of values, splits.
        held_out: Whether no strategy was developed on the task.
        additivity: Cross-validated R² of an ``additive`` model of the values and of boosted ``trees``; None: unknown.
    """

    name: str
    space: SearchSpace
    limits: Limits
    fitness: Mapping[str, Any]
    evaluations: int
    optimum: float | None = None
    metric: Metric = VALUE
    noise: float = 0.0
    feasible: int = 0
    target: float | None = None
    remarks: tuple[str, ...] = ()
    held_out: bool = False
    additivity: Mapping[str, float] | None = None

    @property
    def title(self) -> str:
        """The name, marked if held out."""
        return f"{self.name} (held out)" if self.held_out else self.name

    @property
    def nearly_additive(self) -> bool | None:
        """Whether an additive model explains 95 % of what trees explain; None: unknown."""
        found = self.additivity
        return None if found is None else found["additive"] >= 0.95 * max(found.values())

    @property
    def source(self) -> str:
        """What the values are read from, if known: tasks of one table, surrogate or supernet are not independent."""
        known = [self.fitness[name] for name in ("file", "weights", "sha256") if name in self.fitness][:1]
        return json.dumps([self.space.fingerprint, *known], default=str) if known else self.name

    def to_dict(self) -> dict[str, Any]:
        """Return plain data, ready for JSON."""
        limits = {name: list(bounds) for name, bounds in self.limits.items()}
        plain = {name: getattr(self, name) for name in self.__dataclass_fields__}
        plain |= {"metric": asdict(self.metric), "in_percent": self.metric.unit == "%"}
        return {**plain, "space": self.space.to_dict(), "limits": limits, "remarks": list(self.remarks)}


@dataclass(frozen=True)
class Entrant:
    """A compared strategy.

    Args:
        label: Its unique name in the tables.
        strategy: A strategy's name or ``module:Class``.
        options: Options of the strategy.
    """

    label: str
    strategy: str
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class LeftOut:
    """An excluded strategy or failed run.

    Args:
        task: Name of the task.
        strategy: Label of the strategy.
        reason: Reason, in one line.
        seed: Seed of the failed run; None: excluded from the task.
    """

    task: str
    strategy: str
    reason: str
    seed: int | None = None


@dataclass(frozen=True, eq=False)
class Comparison:
    """Several strategies on several tasks, with runs paired by seed.

    Args:
        title: Heading of the report.
        tasks: Tasks in the given order.
        entrants: Strategies in the given order.
        seeds: Seeds of every strategy on every task.
        trials: One row per evaluation; columns as in the module's table.
        cells: One row per complete run; columns as in the module's table.
        left_out: Excluded strategies and failed runs.
        command: The shell command.
        settings: Further settings of the runs, such as batch size and confirmation.
        versions: Versions of Python and relevant packages.
        machine: Description of the machine.
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
        """Number of incomplete runs."""
        impossible = sum(len(self.seeds) if each.seed is None else 0 for each in self.left_out)
        return len(self.tasks) * len(self.entrants) * len(self.seeds) - impossible - len(self.cells)
