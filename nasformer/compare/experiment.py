"""Experiment: tasks × strategies × seeds, declared in YAML or by command-line options.

Paths in a declaration may contain ``~`` and environment variables ``${NAME}``; other relative paths are relative to
the declaration's folder. A ``fitness`` with a ``*`` is a task for each file that it matches. An ``optional`` task is
skipped if its files are missing.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from glob import glob
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from nasformer._console import printable
from nasformer._parse import parse_document, read_text
from nasformer._spec import Spec
from nasformer.compare.comparison import Entrant
from nasformer.data.names import OPTIONS as DATA_OPTIONS
from nasformer.errors import ExperimentError, did_you_mean, first_fault, shown
from nasformer.registry import FITNESS_OPTIONS, check_strategy_of_file

_MOST = 10**9
_MOST_SEEDS = 10_000


class _Declared(BaseModel):
    """Base model; unknown keys are refused with a suggestion."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    @model_validator(mode="before")
    @classmethod
    def _known(cls, values: Any) -> Any:
        for key in values if isinstance(values, Mapping) else ():
            if key not in cls.model_fields:
                raise ValueError(f"there is no {key!r} here; {did_you_mean(str(key), cls.model_fields)}")
        return values


class TaskDeclaration(_Declared):
    """A space, a fitness and a budget.

    ``supernet``, ``data``, ``root``, ``objective`` and ``racing`` are options of ``inherited``, as in ``make_fitness``;
    without a ``fitness`` they imply it.
    """

    name: str = Field("", pattern=r"^[^\n]*$")  # unique
    space: str  # built-in name, or path of a declaration
    fitness: str | None = None  # for make_fitness; None: default weights of the space, else the number of parameters
    budget: Any = None  # cost bounds: a number, a (lower, upper) pair, a mapping by cost, or a line
    evaluations: int | None = Field(None, ge=1, le=_MOST)  # most distinct ones per run; None: the experiment's
    noise: float | None = Field(None, ge=0, allow_inf_nan=False)  # None: that of a table's repeated rows
    target: float | None = Field(None, allow_inf_nan=False)  # of "evaluations to target"; None: derived from the runs
    in_percent: bool | None = None  # of values; None: true for inherited metrics in percent and top1 of tables
    supernet: str | None = None
    data: str | None = None
    root: str | None = None
    objective: str | None = None
    racing: bool = False
    latency_table: str | None = None  # file of `nasformer latency`, for a budget in latency_ms
    optional: bool = False  # whether to skip the task if its files are missing
    aggregates_only: bool = False  # whether the report omits architectures, as of tables that must not be passed on
    held_out: bool = False  # whether no strategy was developed on the task

    @property
    def label(self) -> str:
        """The name, else space and kind of fitness."""
        space = Path(self.space).stem if Path(self.space).suffix else self.space
        return self.name or " ".join([space, *([self.fitness.partition(":")[0]] if self.fitness else [])])


class EntrantDeclaration(_Declared):
    """A strategy with options; its label in the report is by default its name, with its options."""

    name: str
    label: str | None = None
    options: dict[str, Any] = Field(default_factory=dict)

    @property
    def entrant(self) -> Entrant:
        """The entrant of the comparison."""
        chosen = ", ".join(f"{key}={value}" for key, value in self.options.items())
        return Entrant(self.label or (f"{self.name} ({chosen})" if chosen else self.name), self.name, self.options)


class Experiment(_Declared):
    """Tasks × strategies × seeds; a plain name is a strategy without options, a number of seeds those from 0."""

    title: str = "Strategies compared"
    tasks: tuple[TaskDeclaration, ...] = Field(min_length=1)
    strategies: tuple[EntrantDeclaration, ...] = Field(min_length=1)
    seeds: tuple[int, ...] = Field(tuple(range(10)), min_length=1)
    evaluations: int = Field(200, ge=1, le=_MOST)  # most distinct ones per run
    batch_size: int = Field(1, ge=1, le=_MOST)  # architectures per ask
    confirm: int = Field(5, ge=1, le=_MOST)  # recommendations that compete for the run's winner
    initial_design: int = Field(0, ge=0, le=_MOST)  # random first architectures shared by all strategies of a seed

    @model_validator(mode="before")
    @classmethod
    def _written_short(cls, values: Any) -> Any:
        values = dict(values)
        seeds, strategies = values.get("seeds"), values.get("strategies")
        if isinstance(seeds, int) and not isinstance(seeds, bool):
            if not 1 <= seeds <= _MOST_SEEDS:
                raise ValueError(f"seeds are 1 to {_MOST_SEEDS:,}, got {shown(seeds)}")
            values["seeds"] = range(seeds)
        if isinstance(strategies, (list, tuple)):
            values["strategies"] = [{"name": each} if isinstance(each, str) else each for each in strategies]
        return values

    @model_validator(mode="after")
    def _consistent(self) -> Experiment:
        labels = [each.entrant.label for each in self.strategies]
        for what, names in (("task", [task.label for task in self.tasks]), ("strategy", labels), ("seed", self.seeds)):
            _require_unique(what, names, ValueError)
        for seed in self.seeds:
            if not 0 <= seed < 2**63:
                raise ValueError(f"seeds are 0 or more, got {shown(seed)}; take one below 2**63")
        if self.initial_design >= min(self.evaluations_of(task) for task in self.tasks):
            raise ValueError(f"an initial_design of {self.initial_design} leaves no evaluations to the strategies")
        return self

    def evaluations_of(self, task: TaskDeclaration) -> int:
        """Return the number of evaluations per run of a task."""
        return task.evaluations or self.evaluations

    @property
    def entrants(self) -> tuple[Entrant, ...]:
        """The entrants of the comparison."""
        return tuple(each.entrant for each in self.strategies)

    @classmethod
    def of(cls, values: Mapping[Any, Any], where: str = "the experiment", folder: Path | None = None) -> Experiment:
        """Validate plain data.

        Args:
            values: Content of a YAML or JSON file.
            where: Name of the source in messages.
            folder: Base of relative paths; None: the working folder.

        Raises:
            ExperimentError: It is invalid; the message names the first error.
        """
        try:
            declared = cls(**{str(key): value for key, value in values.items()})
        except ValidationError as error:
            raise ExperimentError(f"{where}: {_one_line(error)}", values) from None
        tasks = tuple(each for task in declared.tasks for each in _of_pattern(_with_paths(task, folder)))
        _require_unique(
            "task", [task.name for task in tasks], lambda words: ExperimentError(f"{where}: {words}", values)
        )
        return declared.model_copy(update={"tasks": tasks})

    @classmethod
    def load(cls, path: str | Path) -> Experiment:
        """Read a YAML or JSON file.

        Raises:
            ExperimentError: The file is missing, unreadable, or invalid.
        """
        path = Path(path)
        return cls.of(read_declaration(path), path.name, path.parent)

    def to_dict(self) -> dict[str, Any]:
        """Return plain data without default values."""
        return self.model_dump(mode="json", exclude_defaults=True)


def read_declaration(path: Path) -> Any:
    """Return the content of a YAML or JSON file.

    Raises:
        ExperimentError: It is missing, unreadable, or not a mapping.
        StrategyError: It names a strategy of a module that is not imported.
    """
    try:
        values = parse_document(read_text(path), path.suffix)
    except OSError as error:
        raise ExperimentError(f"cannot read the experiment {str(path)!r}: {error.strerror}", path) from error
    except ValueError as error:
        raise ExperimentError(
            f"{str(path)!r} is not valid {path.suffix[1:].upper() or 'YAML'}: {error}", path
        ) from error
    if not isinstance(values, Mapping):
        raise ExperimentError(f"{path.name} must be a mapping with 'tasks' and 'strategies', got {shown(values)}", path)
    strategies = values.get("strategies")
    for each in strategies if isinstance(strategies, list) else ():
        check_strategy_of_file(str(each.get("name") if isinstance(each, Mapping) else each))
    return values


_FILES = ("supernet", "root", "latency_table")
_VARIABLE = re.compile(r"\$\{?(\w+)\}?")


def _with_paths(task: TaskDeclaration, folder: Path | None) -> TaskDeclaration:
    changes = {key: _path(getattr(task, key), folder) for key in _FILES if getattr(task, key)}
    changes |= {key: str(spec._replace(path=_path(spec.path, folder))) for key, spec in _specs(task).items()}
    if Path(task.space).suffix:
        changes["space"] = _path(task.space, folder)
    return task.model_copy(update={**changes, "name": printable(task.label)})


def _specs(task: TaskDeclaration) -> dict[str, Spec]:
    """Return the specifications of a task that name a file, by key."""
    known: dict[str, Mapping[str, Sequence[str]]] = {"fitness": FITNESS_OPTIONS, "data": DATA_OPTIONS}
    found = {key: Spec.parse(getattr(task, key) or "", options, ExperimentError) for key, options in known.items()}
    return {key: spec for key, spec in found.items() if Path(spec.path).suffix or os.sep in spec.path}


def _of_pattern(task: TaskDeclaration) -> list[TaskDeclaration]:
    """Return a task for each table that the pattern of a task's fitness matches, named by its file."""
    spec = _specs(task).get("fitness")
    if spec is None or "*" not in spec.path:
        return [task]
    changes = (
        {"fitness": str(spec._replace(path=path)), "name": printable(Path(path).stem)}
        for path in sorted(glob(spec.path))
    )
    return [task.model_copy(update=each) for each in changes] or [task]


def _require_unique(what: str, names: Iterable[object], refusal: Callable[[str], Exception]) -> None:
    name, times = Counter(names).most_common(1)[0]
    if times > 1:
        raise refusal(f"the {what} {name!r} occurs {times} times; names must be unique")


def _path(text: str, folder: Path | None) -> str:
    path = Path(os.path.expandvars(text)).expanduser()
    return str(path if folder is None or path.is_absolute() or _VARIABLE.search(text) else folder / path)


def absent_files(task: TaskDeclaration) -> Sequence[str]:
    """Return the missing files of a task, each with a remedy."""
    named = [getattr(task, key) for key in _FILES] + [task.space if Path(task.space).suffix else None]
    named += [spec.path for spec in _specs(task).values()]
    found = []
    for path in filter(None, named):
        unset = [name for name in _VARIABLE.findall(path) if name not in os.environ]
        if unset:
            found.append(f"{path} (set {unset[0]})")
        elif not Path(path).exists():
            found.append(path)
    return found


def _one_line(error: ValidationError) -> str:
    where, kind, words, value = first_fault(error)
    got = "" if kind == "value_error" or isinstance(value, (Mapping, list)) else f", got {shown(value)}"
    return f"{where}: {words}{got}" if where else words
