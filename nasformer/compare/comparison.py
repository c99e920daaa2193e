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
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from nasformer.architecture import Architecture
from nasformer.cost import Limits
from nasformer.search import SearchResult, Trial
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

Judge = Callable[[Architecture], float | None]
"""Returns the true or test value of an architecture; None if unknown."""

VALUE = Metric("value", "value", higher_is_better=True)
"""Values of an unknown metric."""


@dataclass(frozen=True)
class TaskRecord:
    """The record of a task in a comparison."""

    name: str  # unique
    space: SearchSpace
    limits: Limits
    fitness: Mapping[str, Any]  # its description
    evaluations: int  # most distinct evaluations per run
    optimum: float | None = None  # highest true value within the limits, if known exactly
    metric: Metric = VALUE  # what values are, up to their sign
    noise: float = 0.0  # standard deviation of the noise on told values; 0: none
    feasible: int = 0  # number of feasible architectures; 0: unknown
    target: float | None = None  # of "evaluations to target"; None: derived from the runs
    tested: bool | None = None  # whether winners have values on a held-out test split; None: not recorded
    held_out: bool = False  # whether no strategy was developed on the task
    source: str = ""  # hash of what values are read from: tasks of one table, surrogate or supernet are not independent
    additivity: Mapping[str, float] | None = None  # cross-validated R² of an additive model and of trees; None: unknown

    @property
    def title(self) -> str:
        """The name, marked if held out."""
        return f"{self.name} (held out)" if self.held_out else self.name

    @property
    def nearly_additive(self) -> bool | None:
        """Whether an additive model explains 95 % of what trees explain; None: unknown."""
        found = self.additivity
        return None if found is None else found["additive"] >= 0.95 * max(found.values())

    def to_dict(self) -> dict[str, Any]:
        """Return plain data, ready for JSON."""
        limits = {name: list(bounds) for name, bounds in self.limits.items()}
        plain = {name: getattr(self, name) for name in self.__dataclass_fields__}
        plain |= {"metric": asdict(self.metric), "in_percent": self.metric.unit == "%"}
        return {**plain, "space": self.space.to_dict(), "limits": limits}


@dataclass(frozen=True)
class Entrant:
    """A compared strategy: its unique label in the tables, its name or ``module:Class``, and its options."""

    label: str
    strategy: str
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class LeftOut:
    """An excluded strategy or failed run."""

    task: str
    strategy: str
    reason: str  # in one line
    seed: int | None = None  # of the failed run; None: excluded from the task


@dataclass(frozen=True, eq=False)
class Comparison:
    """Several strategies on several tasks, with runs paired by seed."""

    title: str
    tasks: tuple[TaskRecord, ...]
    entrants: tuple[Entrant, ...]
    seeds: tuple[int, ...]  # of every strategy on every task
    trials: pd.DataFrame  # a row per evaluation; columns as in the module's table
    cells: pd.DataFrame  # a row per complete run; columns as in the module's table
    left_out: tuple[LeftOut, ...] = ()
    command: str = ""  # of the shell
    settings: Mapping[str, Any] = field(default_factory=dict)  # further ones, such as batch size and confirmation
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


def trial_columns(result: SearchResult, task: str, label: str, truth: Judge | None = None) -> dict[str, Any]:
    """Return the columns of a run in ``trials``, as plain values; ``truth`` is the value without noise."""
    trials = result.trials
    costs = {name for trial in trials[:1] for name in trial.costs}
    return {
        "task": task,
        "strategy": label,
        "seed": result.seed,
        "evaluation": list(range(1, len(trials) + 1)),
        "architecture": [json.dumps(trial.architecture.to_dict()) for trial in trials],
        "value": [None if trial.probe else trial.value for trial in trials],
        "true": [truth(trial.architecture) if truth and not trial.probe else None for trial in trials],
        "loss": [trial.metrics.get("loss") for trial in trials],
        **{name: [trial.costs.get(name) for trial in trials] for name in ("params", "macs", *sorted(costs))},
        "seconds": [trial.seconds for trial in trials],
    }


def trial_table(runs: Sequence[dict[str, Any]]) -> pd.DataFrame:
    """Return the columns of several runs as one table."""
    import pandas as pd

    if not runs:
        return pd.DataFrame(columns=list(TRIAL_COLUMNS))
    table = pd.concat([pd.DataFrame(columns) for columns in runs], ignore_index=True)
    texts = (*_RUN, "evaluation", "architecture")
    return table.astype({name: float for name in table.columns if name not in texts})  # None: missing


def cell_row(
    result: SearchResult,
    task: str,
    label: str,
    *,
    truth: Judge | None = None,
    test: Judge | None = None,
    optimum: float | None = None,
) -> dict[str, Any]:
    """Return the row of a run in ``cells``.

    ``truth`` is the value of an architecture without noise, ``test`` that on the test split, used for the winner only.
    """
    best = result.best
    true = truth(best.architecture) if truth else None
    regret = None if true is None or optimum is None else max(0.0, optimum - true)
    counts, seconds = result.counts, result.seconds
    return {
        "task": task,
        "strategy": label,
        "seed": result.seed,
        "architecture": json.dumps(best.architecture.to_dict()),
        "params": best.params,
        "macs": best.macs,
        "confirmed": best.fitness,
        "true": true,
        "test": test(best.architecture) if test else None,
        "observed": _observed(result.trials),
        "regret": regret,
        "evaluations": len(result.trials),
        **{name: counts.get(name, 0) for name in ("duplicates", "infeasible", "replaced", "failed")},
        **{f"{name}_seconds": seconds.get(name, 0.0) for name in ("strategy", "evaluation", "total")},
        "stopped": result.stopped,
    }


def cell_table(rows: Sequence[dict[str, Any]]) -> pd.DataFrame:
    """Return the rows of several runs as one table; unknown values are missing."""
    import pandas as pd

    numbers = dict.fromkeys(("confirmed", "true", "test", "observed", "regret"), float)
    return pd.DataFrame(list(rows), columns=list(CELL_COLUMNS)).astype(numbers)


def _observed(trials: Sequence[Trial]) -> float | None:
    return max((trial.value for trial in trials if trial.value is not None and not trial.probe), default=None)
