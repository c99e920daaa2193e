"""SearchResult: trials, settings and winner of a search, with file and table formats."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import numpy as np

from nasformer._html import html_table
from nasformer._io import as_utf8, to_json, write_file
from nasformer._parse import parse_json, read_text
from nasformer.architecture import Architecture
from nasformer.cost import Bounds, LatencyTable, Limits, format_limits, within
from nasformer.errors import StudyError, did_you_mean
from nasformer.search.evaluation import Trial
from nasformer.search.front import undominated
from nasformer.search.rerank import reranking
from nasformer.space import SearchSpace

if TYPE_CHECKING:
    import pandas as pd

Module = TypeVar("Module", covariant=True)
RUNNING = "running"


class Extractor(Protocol[Module]):
    """The part of ``Supernet`` used here: ``extract(architecture)``."""

    def extract(self, architecture: Architecture, *arguments: Any, **options: Any) -> Module:
        """Return the standalone network."""
        ...


@dataclass(frozen=True, slots=True)
class FoundArchitecture:
    """The confirmed winner of a search.

    Args:
        architecture: The winner.
        fitness: Its confirmed fitness.
        loss: Its confirmed loss, if the fitness reports one.
        params: Number of parameters.
        macs: Multiply-accumulate operations per image.
    """

    architecture: Architecture
    fitness: float
    loss: float | None
    params: int
    macs: int

    @classmethod
    def from_trial(cls, trial: Trial) -> FoundArchitecture:
        """Return a successful trial as a winner."""
        assert trial.value is not None
        costs = trial.costs
        return cls(trial.architecture, trial.value, trial.metrics.get("loss"), int(costs["params"]), int(costs["macs"]))

    def extract(self, net: Extractor[Module], **options: Any) -> Module:
        """Return the standalone network with weights inherited from a supernet.

        Args:
            net: The supernet.
            **options: Options of its ``extract``, such as ``repair=images``.
        """
        return net.extract(self.architecture, **options)


@dataclass(frozen=True, repr=False)
class SearchResult:
    """A finished search.

    Args:
        space: The search space.
        limits: Bounds by cost; with several budgets, those that hold in all of them.
        settings: Settings that determine the search: strategy, options, seed, evaluations, fitness and more.
        trials: In the order asked.
        confirmed: The recommendations with confirmed values, best first.
        counts: Duplicates, infeasible and replaced proposals, failed and replayed trials.
        seconds: ``strategy``, ``evaluation``, ``confirmation`` and ``total``.
        stopped: Reason of the end: ``evaluations``, ``exhausted``, ``seconds``, ``paused`` or ``no gain``; before the
            end ``RUNNING``.
        feasible: Number of feasible architectures; 0 if unknown.
        versions: Versions of Python and relevant packages.
        findings: What the strategy found beyond the trials: plain figures by name, grouped by subject.
        budgets: Bounds by cost of each of several budgets; empty for one.
    """

    space: SearchSpace
    limits: Limits
    settings: Mapping[str, Any]
    trials: tuple[Trial, ...]
    confirmed: tuple[Trial, ...]
    counts: Mapping[str, int] = field(default_factory=dict)
    seconds: Mapping[str, float] = field(default_factory=dict)
    stopped: str = "evaluations"
    feasible: int = 0
    versions: Mapping[str, str] = field(default_factory=dict)
    findings: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    budgets: tuple[Limits, ...] = ()

    def __repr__(self) -> str:
        best = f", best {self.best.fitness:.4g}: {self.best.architecture}" if self.confirmed else ""
        return f"<SearchResult of {self.strategy}, seed {self.seed}: {len(self.trials)} trials{best}>"

    def _repr_html_(self) -> str:
        limits = [format_limits(own) or "none" for own in self.budgets or (self.limits,)]
        rows: dict[str, Any] = {"evaluations": len(self.trials), "ended by": self.stopped, "budget": limits}
        if self.confirmed:
            winners = self.winners
            rows |= {
                "winner": [str(each.architecture) for each in winners],
                "fitness": [f"{each.fitness:.4g}" for each in winners],
                "parameters": [f"{each.params:,}" for each in winners],
                "MACs": [f"{each.macs:,}" for each in winners],
            }
        return html_table(f"Search of {self.space.name} by {self.strategy}, seed {self.seed}", rows)

    @property
    def strategy(self) -> str:
        """Name of the strategy."""
        return str(self.settings["strategy"])

    @property
    def seed(self) -> int:
        """Seed of the search."""
        return int(self.settings["seed"])

    @property
    def best(self) -> FoundArchitecture:
        """The confirmed winner: the best value, then the lower loss, then fewer parameters; of all budgets."""
        return FoundArchitecture.from_trial(min((trial for trial in self.confirmed), key=lambda trial: trial.rank))

    @property
    def winners(self) -> tuple[FoundArchitecture, ...]:
        """The best confirmed architecture within each budget, in their order; with one budget, ``best`` alone."""
        inside = ([trial for trial in self.confirmed if within(trial.costs, own)] for own in self.budgets or ({},))
        return tuple(FoundArchitecture.from_trial(min(trials, key=lambda trial: trial.rank)) for trials in inside)

    @property
    def best_observed(self) -> Trial:
        """The trial with the highest observed value; with noise it may not be the best."""
        return min((trial for trial in self.trials if trial.eligible), key=lambda trial: trial.rank)

    @property
    def reranking(self) -> dict[str, Any] | None:
        """How a re-ranker, such as a short fine-tuning, changed the ranking (``rerank.reranking``); None: none."""
        return reranking(self.confirmed)

    @property
    def front(self) -> list[Trial]:
        """The Pareto front of value against ``budget_cost``, highest value first."""
        return self.pareto_front(self.budget_cost)

    @property
    def budget_cost(self) -> str:
        """The cost in which the budgets differ; of one budget, the first that it bounds, else ``params``."""
        first, *others = self.budgets or (self.limits,)
        varied = [name for name, bounds in first.items() if any(own.get(name) != bounds for own in others)]
        return next(iter([*varied, *first]), "params")

    @property
    def pareto(self) -> list[Trial]:
        """The Pareto front of value against the strategy's ``cost`` option, else against parameters."""
        return self.pareto_front(str(self.settings.get("options", {}).get("cost", "params")))

    def pareto_front(self, cost: str) -> list[Trial]:
        """Return the non-dominated trials without probes: no other has value and cost as good, and one of them better.

        Args:
            cost: A cost of the trials, such as ``params`` or ``macs``.

        Returns:
            The front, highest value first.

        Raises:
            StudyError: The trials have no such cost.
        """
        valued = [(_cost(trial, cost), trial.value or 0.0, trial) for trial in self.trials if trial.eligible]
        costs, values = np.array([each[:2] for each in valued], dtype=float).reshape(-1, 2).T
        best = set(map(tuple, undominated(costs, values).T.tolist()))
        front = [trial for own, value, trial in valued if (own, value) in best]
        return sorted(front, key=lambda trial: (-(trial.value or 0.0), trial.number))

    def to_frame(self) -> pd.DataFrame:
        """Return one row per trial: dimensions, value, metrics, costs, seconds and incumbent value."""
        import pandas as pd

        rows = []
        for trial in self.trials:
            row = trial.to_dict()
            nested = {**row.pop("architecture"), **row.pop("metrics"), **row.pop("costs")}
            rows.append({"strategy": self.strategy, "seed": self.seed, **row, **nested})
        frame = pd.DataFrame([{as_utf8(name): as_utf8(cell) for name, cell in row.items()} for row in rows])
        probes = pd.Series([trial.probe for trial in self.trials], dtype=bool)
        if probes.any():
            frame["probe"] = probes
        frame["best_so_far"] = frame["value"].astype(float).mask(probes).cummax().ffill()
        return frame

    def save(self, path: str | Path) -> Path:
        """Write the result as JSON lines: settings, then one per trial, one per confirmation.

        Latency tables of the space are written too; costs that are Python functions cannot be.

        Raises:
            StudyError: The file cannot be written; an existing one is kept.
        """
        path = Path(path)
        lines = [{"result": self._header()}]
        lines += [{"trial": trial.to_dict()} for trial in self.trials]
        lines += [{"confirmed": trial.to_dict()} for trial in self.confirmed]
        try:
            write_file(path, "".join(to_json(line) + "\n" for line in lines))
        except OSError as error:
            raise StudyError(f"cannot write the result to {str(path)!r}: {error.strerror}", path) from error
        return path

    def _header(self) -> dict[str, Any]:
        tables = {name: LatencyTable.of_cost(cost) for name, cost in self.space.known_costs.items()}
        return {
            "space": self.space.to_dict(),
            "latency_tables": {name: table.to_dict() for name, table in tables.items() if table is not None},
            "limits": _plain(self.limits),
            "settings": dict(self.settings),
            "counts": dict(self.counts),
            "seconds": dict(self.seconds),
            "stopped": self.stopped,
            "feasible": self.feasible,
            "versions": dict(self.versions),
            **({"findings": dict(self.findings)} if self.findings else {}),
            **({"budgets": list(map(_plain, self.budgets))} if self.budgets else {}),
            "trials": len(self.trials),
            "confirmed": len(self.confirmed),
        }

    @classmethod
    def load(cls, path: str | Path) -> SearchResult:
        """Read a file of ``save``.

        Raises:
            StudyError: The file is missing, truncated, or not a search result.
        """
        path = Path(path)
        try:
            lines = [parse_json(line, finite=False) for line in read_text(path).splitlines()]
            header = lines[0]["result"]
            trials = tuple(Trial.from_dict(line["trial"]) for line in lines if "trial" in line)
            confirmed = tuple(Trial.from_dict(line["confirmed"]) for line in lines if "confirmed" in line)
            expected = header.pop("trials"), header.pop("confirmed")
            tables = header.pop("latency_tables", {})  # absent in files of 0.1
            costs = [LatencyTable.from_dict(table).cost(name) for name, table in tables.items()]
            header["space"] = SearchSpace.from_dict(header["space"]).with_cost(*costs)
            header["limits"] = _limits(header["limits"])
            header["budgets"] = tuple(map(_limits, header.get("budgets", ())))
            header |= {name: dict(header[name]) for name in ("settings", "counts", "seconds")}
            header["settings"] |= {"options": dict(header["settings"].get("options", {}))}
            header["findings"] = {name: dict(found) for name, found in header.get("findings", {}).items()}
            header["feasible"] = header.get("feasible") or 0
            result = cls(trials=trials, confirmed=confirmed, **header)
        except OSError as error:
            raise StudyError(f"cannot read the result {str(path)!r}: {error.strerror}", path) from error
        except (ValueError, LookupError, TypeError, AttributeError, StudyError) as error:
            raise StudyError(f"{str(path)!r} is not a search result, or damaged ({error})", path) from error
        if expected != (len(trials), len(confirmed)):
            raise StudyError(
                f"{str(path)!r} is truncated: {len(trials)} of {expected[0]} trials, "
                f"{len(confirmed)} of {expected[1]} confirmations",
                path,
            )
        result._require_parts(path)
        return result

    def _require_parts(self, path: Path) -> None:
        """Raise StudyError if a part is missing on which reports and commands rely."""
        needed: list[tuple[Mapping[str, Any], str]] = [
            (self.settings, "strategy seed fitness"),
            (self.counts, "failed"),
        ]
        needed += [(self.seconds, "evaluation strategy"), *((trial.costs, "params macs") for trial in self.confirmed)]
        lacking = [name for known, names in needed for name in names.split() if name not in known]
        if not self.confirmed or any(trial.value is None for trial in self.confirmed):
            lacking.append("a confirmed value")
        if not all(any(within(trial.costs, own) for trial in self.confirmed) for own in self.budgets):
            lacking.append("the winner of a budget")
        if not isinstance(self.settings.get("seed", 0), int):
            lacking.append("an integer seed")
        if lacking:
            raise StudyError(f"{str(path)!r} is damaged: it lacks {lacking[0]}", path)


def _plain(limits: Limits) -> dict[str, list[float | None]]:
    return {name: list(bounds) for name, bounds in limits.items()}


def _limits(data: Mapping[str, Any]) -> Limits:
    return {name: Bounds(*bounds) for name, bounds in data.items()}


def _cost(trial: Trial, name: str) -> float:
    if name not in trial.costs:
        raise StudyError(f"trial {trial.number} has no cost {name!r}; {did_you_mean(name, trial.costs)}", name)
    return trial.costs[name]
