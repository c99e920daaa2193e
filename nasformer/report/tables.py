"""Tables: what the page lists, as plain strings; the template escapes and lays them out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from nasformer.architecture import Architecture
from nasformer.report.accuracy import interval, split_size
from nasformer.report.experiment import Experiment, Group
from nasformer.report.finalist import Finalist
from nasformer.report.notation import MISSING, amount, cost_name, counted, duration, grouped, percent
from nasformer.space import Dimension
from nasformer.space.description import describe

Record = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Table:
    """A table of text.

    Args:
        name: Its id in the page.
        caption: What it shows.
        header: One title per column; the first column names the rows.
        rows: Cells, as many as titles.
        marked: Number of the row to set in bold; None: none.
        wide: Whether cells after the first are words, to be set flush left.
    """

    name: str
    caption: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    marked: int | None = None
    wide: bool = False


def finalists_table(finalists: Sequence[Finalist], data: Record | None) -> Table:
    """Return the winner beside what it is held against."""
    images = split_size(data, "test")
    header = ["", "parameters", "MACs", "search accuracy", "test accuracy", "95 % interval"]
    header += ["test accuracy, retrained", "95 % interval"]
    rows = []
    for finalist in finalists:
        inherited, retrained = finalist.inherited.get("test_accuracy"), finalist.retrained.get("test_accuracy")
        cells = [finalist.label, grouped(finalist.params), grouped(finalist.macs)]
        cells += [percent(finalist.inherited.get("search_accuracy"))]
        for accuracy in (inherited, retrained):
            known = accuracy is not None and images is not None
            cells += [percent(accuracy), str(interval(accuracy, images)) if known else MISSING]  # type: ignore[arg-type]
        rows.append(cells)
    caption = (
        "The winner and what it is held against. Search and test accuracy with weights inherited from the supernet; "
        "retrained: trained by itself from scratch. Test scores were computed after the choice and influenced nothing. "
        "Intervals (Wilson) are over test images alone, not over trainings; the search accuracy of a winner is "
        "flattered by having been the reason for the choice."
    )
    marked = next((index for index, finalist in enumerate(finalists) if finalist.chosen), None)
    return _without_empty(Table("finalists", caption, header, rows, marked))


def outcome_table(experiment: Experiment) -> Table:
    """Return what each strategy found, over its seeds."""
    rows = [
        [group.label, str(len(group.results)), *map(experiment.written, _spread(group.confirmed))]
        for group in experiment.groups
    ]
    caption = f"Confirmed {experiment.measure} of each strategy's winners, over its seeds."
    return Table("outcome", caption, ["strategy", "seeds", "median", "best", "worst"], rows)


def _spread(values: Sequence[float]) -> tuple[float, float, float]:
    return median(values), max(values), min(values)


def effort_table(experiment: Experiment) -> Table:
    """Return what each strategy spent."""
    header = ["strategy", "evaluations", "duplicates", "infeasible", "replaced", "failed"]
    header += ["evaluating", "in the strategy", "ask + tell"]
    caption = (
        "What each strategy spent. Counts are sums over its runs; duplicate and infeasible proposals cost no "
        "evaluation, replaced ones gave way to a random draw. Times are medians over its runs; ask + tell is the "
        "strategy's own time per evaluated architecture."
    )
    return Table("effort", caption, header, [_effort(group) for group in experiment.groups])


def _effort(group: Group) -> list[str]:
    counts = [grouped(group.count(name)) for name in ("duplicates", "infeasible", "replaced", "failed")]
    times = [duration(group.seconds("evaluation")), duration(group.seconds("strategy"))]
    each = f"{1000 * group.seconds_per_evaluation('strategy'):.2f} ms"
    return [group.label, grouped(group.evaluations), *counts, *times, each]


def runs_table(experiment: Experiment) -> Table:
    """Return every run's winner."""
    best = experiment.winner.result
    rows: list[list[str]] = []
    marked = None
    for group in experiment.groups:
        for result in group.results:
            marked = len(rows) if result is best else marked
            values = [experiment.written(result.best.fitness), _observed(experiment, result.best_observed.value)]
            costs = [grouped(result.best.params), grouped(result.best.macs)]
            rows.append([group.label, str(result.seed), *values, *costs, str(result.best.architecture)])
    header = ["strategy", "seed", "confirmed", "best observed", "parameters", "MACs", "architecture"]
    caption = (
        "Every run's winner. Where the fitness is noisy, the best observed value flatters; the confirmed one counts."
    )
    return Table("runs", caption, header, rows, marked)


def _observed(experiment: Experiment, value: float | None) -> str:
    return MISSING if value is None else experiment.written(value)


def space_table(experiment: Experiment) -> Table:
    """Return the space's dimensions, and its smallest, middle and largest member."""
    space = experiment.space
    dimensions = ("embed_dim", "depth", "num_heads", "mlp_ratio")
    rows = [["choices", *(_choices(getattr(space, name)) for name in dimensions), MISSING, MISSING]]
    for name, (architecture, costs) in describe(space).rows.items():
        rows.append([name, *_sizes(architecture), grouped(costs["params"]), grouped(costs["macs"])])
    caption = "The space. Heads and MLP ratio of the lower rows hold for every layer; the supernet holds the weights."
    return Table("space", caption, ["", *dimensions, "parameters", "MACs"], rows)


def _choices(dimension: Dimension) -> str:
    values = ", ".join(f"{value:g}" for value in dimension)
    return f"{values} per layer" if dimension.kind == "per_layer" else values


def _sizes(architecture: Architecture) -> list[str]:
    sizes = (architecture.embed_dim, architecture.depth, architecture.num_heads[0], architecture.mlp_ratio[0])
    return [f"{size:g}" for size in sizes]


def geometry_table(experiment: Experiment) -> Table:
    """Return what all architectures of the space share, and how many there are."""
    space, g = experiment.space, experiment.space.geometry
    size, feasible = space.size(), experiment.results[0].feasible
    number = f"{grouped(feasible)} of {grouped(size)} ({_share(feasible, size)})" if feasible else MISSING
    rows = [
        ["space", space.name],
        ["fingerprint", space.fingerprint],
        ["architectures within the budget", number],
        *([f"limit on {cost_name(name)}", f"{_end(low)} to {_end(high)}"] for name, (low, high) in _limits(experiment)),
        ["images", f"{g.image_size} × {g.image_size}, {counted(g.in_channels, 'channel')}"],
        ["patches", f"{g.patch_size} × {g.patch_size}, {g.patches} an image"],
        ["head width", str(g.head_dim)],
        ["classes", grouped(g.num_classes)],
        ["pooling", space.pooling],
        ["relative positions", "none" if g.max_distance is None else f"clipped at {g.max_distance}"],
    ]
    return Table("geometry", "What all architectures of the space share.", ["", ""], rows, wide=True)


def _limits(experiment: Experiment) -> Iterable[tuple[str, tuple[float | None, float | None]]]:
    return experiment.limits.items()


def _end(bound: float | None) -> str:
    return "any" if bound is None else amount(bound)


def _share(part: int, whole: int) -> str:
    return f"{100 * part / whole:.3g} %"


def training_table(training: Record, last: Mapping[str, float | None]) -> Table:
    """Return how the supernet was trained, and the last validation of its smallest, middle and largest subnet."""
    rows = [[f"{name} subnet", percent(accuracy)] for name, accuracy in last.items()]
    if isinstance(training.get("seconds"), (int, float)):
        rows.append(["time", duration(training["seconds"])])
    known = ("history", "validation", "seconds", "data", "recipe")
    rows += flattened({key: value for key, value in training.items() if key not in known})
    rows += flattened(training.get("recipe") or {})
    caption = "How the supernet was trained. Accuracies are those of the last validation, on the search images."
    return Table("training", caption, ["", ""], rows, wide=True)


def data_table(data: Record) -> Table:
    """Return the dataset's record."""
    caption = "The images. The splits share none: train images train, search images rank, test images wait for the end."
    return Table("data", caption, ["", ""], flattened(data), wide=True)


def settings_table(experiment: Experiment) -> Table:
    """Return what decided the searches; where runs differ, every value."""
    told: dict[str, list[str]] = {}
    for result in experiment.results:
        shown = {key: value for key, value in result.settings.items() if key not in ("strategy", "options", "space")}
        for key, value in flattened(shown):
            told.setdefault(key, []).append(value)
    rows = [[key, ", ".join(dict.fromkeys(values))] for key, values in told.items()]
    rows += [[f"options of {group.label}", _options(group)] for group in experiment.groups]
    return Table("settings", "What decided the searches, seeds included.", ["", ""], rows, wide=True)


def _options(group: Group) -> str:
    options = group.results[0].settings.get("options") or {}
    return ", ".join(f"{key} = {value}" for key, value in flattened(options)) or "defaults"


def versions_table(experiment: Experiment, machine: Mapping[str, str]) -> Table:
    """Return versions of software, and the machine that wrote the page."""
    told: dict[str, list[str]] = {}
    for result in experiment.results:
        for name, version in result.versions.items():
            told.setdefault(name, []).append(str(version))
    rows = [[name, ", ".join(dict.fromkeys(versions))] for name, versions in told.items()]
    rows += [[name, value] for name, value in machine.items()]
    return Table("versions", "Versions, and the machine on which this page was written.", ["", ""], rows, wide=True)


def flattened(record: Mapping[str, Any], prefix: str = "") -> list[list[str]]:
    """Return nested plain data as rows of two cells.

    >>> flattened({"name": "digits", "splits": {"train": 1078, "test": 360}, "betas": [0.9, 0.999]})
    [['name', 'digits'], ['splits train', '1,078'], ['splits test', '360'], ['betas', '0.9, 0.999']]
    """
    rows: list[list[str]] = []
    for key, value in record.items():
        if isinstance(value, Mapping):
            rows += flattened(value, f"{prefix}{key} ")
        else:
            rows.append([f"{prefix}{key}".replace("_", " "), _cell(value, grouping="seed" not in str(key))])
    return rows


def _cell(value: object, grouping: bool = True) -> str:
    if value is None:
        return MISSING
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int) and grouping:
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:g}"
    return ", ".join(_cell(item) for item in value) if isinstance(value, (list, tuple)) else str(value)


def _without_empty(table: Table) -> Table:
    """Leave out columns that hold no value at all."""
    kept = [i for i in range(len(table.header)) if i == 0 or any(row[i] != MISSING for row in table.rows)]
    header = [table.header[index] for index in kept]
    rows = [[row[index] for index in kept] for row in table.rows]
    return Table(table.name, table.caption, header, rows, table.marked, table.wide)
