"""Record: provenance of the results: spaces, images, training, settings, versions, and the checklist."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from nasformer.compare import Comparison, Entrant, TaskRecord
from nasformer.cost import Geometry
from nasformer.fitness.tables import table_names, table_record
from nasformer.report.notation import MISSING, amount, cost_name, counted, duration, extent, grouped
from nasformer.report.tables.table import JsonObject, Table, facts, flattened
from nasformer.report.words import say
from nasformer.space import Dimension, SearchSpace
from nasformer.space.description import describe
from nasformer.tasks import task_of

if TYPE_CHECKING:
    from nasformer.report.statistics import Check

_ANSWERS = {"yes": "●", "partly": "◐", "no": "○", "unknown": "?"}


def space_table(space: SearchSpace) -> Table:
    """Return the space's dimensions, and its smallest, centroid and largest member."""
    rows = [["choices", *map(_choices, space.dimensions), MISSING, MISSING]]
    for name, (architecture, costs) in describe(space).rows.items():
        sizes = [getattr(architecture, dimension.name) for dimension in space.dimensions]
        shown = [f"{size[0] if isinstance(size, tuple) else size:g}" for size in sizes]
        rows.append([name, *shown, grouped(costs["params"]), grouped(costs["macs"])])
    caption = "The space. In the lower rows, layer dimensions are equal in all layers; the supernet holds the weights."
    header = ["", *(dimension.name for dimension in space.dimensions), "parameters", "MACs"]
    return Table(f"space-{space.fingerprint}", caption, header, rows, sortable=False)


def _choices(dimension: Dimension) -> str:
    values = ", ".join(f"{value:g}" for value in dimension.values)
    return values if dimension.tied else f"{values} per layer"


def geometry_table(space: SearchSpace) -> Table:
    """Return the geometry of a space."""
    g = space.geometry
    rows = [
        ["space", space.name],
        ["fingerprint", space.fingerprint],
        *input_rows(g, space.codec.values),
        ["head width", str(g.head_dim)],
        ["outputs", grouped(g.num_classes)],
        ["pooling", space.pooling],
        ["relative positions", "none" if g.max_distance is None else f"clipped at {g.max_distance}"],
    ]
    caption = "What all architectures of the space share."
    return facts(f"geometry-{space.fingerprint}", caption, rows)


def input_rows(geometry: Geometry, choices: Mapping[str, Sequence[Any]] | None = None) -> list[list[str]]:
    """Return the sizes of inputs and patches; of a space with the choices of searched ones."""
    searched = {name: sizes for name, sizes in (choices or {}).items() if name in ("image_size", "patch_size")}
    size, patch = (
        " or ".join(extent(each, geometry.axes) for each in searched.get(name, (getattr(geometry, name),)))
        for name in ("image_size", "patch_size")
    )
    stride = f" at stride {geometry.stride}" if geometry.stride else ""
    return [
        ["series" if geometry.series else "images", f"{size}, {counted(geometry.in_channels, 'channel')}"],
        ["patches", f"{patch}{stride}, {'at most ' if searched else ''}{geometry.patches} in all"],
    ]


def task_table(record: TaskRecord, name: str = "task") -> Table:
    """Return the task: space, budget, evaluations and fitness."""
    size, feasible, limits = record.space.size(), record.feasible, record.limits.items()
    within = f"{grouped(feasible)} of {grouped(size)} ({100 * feasible / size:.3g} %)" if feasible else MISSING
    rows = [
        ["space", record.space.name],
        ["architectures within the budget", within],
        *([f"limit on {cost_name(name)}", f"{_end(low)} to {_end(high)}"] for name, (low, high) in limits),
        ["evaluations of a run", grouped(record.evaluations)],
        ["optimum", "unknown" if record.optimum is None else f"{record.optimum:.6g}, known exactly"],
        ["additivity", _additivity(record.additivity)],
        ["held out from development", "yes" if record.held_out else "not declared so"],
        ["noise", f"standard deviation {record.noise:g}" if record.noise else "none"],
        *(["fitness" if key == "kind" else f"fitness {key}", value] for key, value in flattened(record.fitness)),
        *([] if record.tested is None else [["remarks", _remarks(record)]]),
    ]
    return facts(name, "The task: space, budget and fitness.", rows)


def _remarks(record: TaskRecord) -> str:
    """Return the origin of a task's values, and the splits, in words."""
    file = str(record.fitness.get("file"))
    return say("task_remarks", task=record, table=table_record(file)["remark"] if file in table_names() else "")


def _additivity(found: Mapping[str, float] | None) -> str:
    """Return what models explain of the variance."""
    if found is None:
        return "unknown"
    return (
        ", ".join(f"{name} {100 * share:.0f} %" for name, share in found.items()) + " of the variance, cross-validated"
    )


def _end(bound: float | None) -> str:
    return "any" if bound is None else amount(bound)


def training_table(training: JsonObject) -> Table:
    """Return the supernet's training, and the validation of its smallest, centroid and largest subnet."""
    metric, kept = task_of(training.get("data") or {}).objective(), training.get("validation") or {}
    rows = [[f"{name} subnet", metric.text(scores[metric.name])] for name, scores in kept.items()]
    known = ("history", "validation", "seconds", "data", "recipe", "candidates")
    rows += effort_rows(training, [key for key in training if key not in known])
    rows += flattened(training.get("recipe") or {})
    caption = f"The supernet's training. Of subnets the {metric.title} of the kept weights, on the search split."
    return facts("training", caption, rows)


def effort_rows(training: JsonObject, known: Sequence[str]) -> list[list[str]]:
    """Return the time of a training, and some of its figures."""
    seconds = training.get("seconds")
    time = [["time", duration(seconds)]] if isinstance(seconds, (int, float)) else []
    return time + flattened({key: training[key] for key in known if key in training})


def data_table(data: JsonObject) -> Table:
    """Return the dataset's record."""
    caption = "The data, in disjoint splits: train to train, search to rank, test only at the end."
    return facts("data", caption, flattened(data))


def run_tables(comparison: Comparison) -> list[Table]:
    """Return the settings of the searches, all values if runs differ, and software versions and the machine."""
    seeds = [["seeds", ", ".join(map(str, comparison.seeds))]]
    options = [[f"options of {entrant.label}", _options(entrant)] for entrant in comparison.entrants]
    rows = [*seeds, *flattened(comparison.settings), *options]
    settings = facts("settings", "Settings of the searches, including seeds.", rows)
    return [settings, versions_table({**comparison.versions, **comparison.machine})]


def _options(entrant: Entrant) -> str:
    name = "" if entrant.label.startswith(entrant.strategy) else f"{entrant.strategy}, "
    return name + (", ".join(f"{key} = {value}" for key, value in flattened(entrant.options)) or "defaults")


def versions_table(versions: JsonObject) -> Table:
    """Return software versions and the machine."""
    return facts("versions", "Software versions and machine.", flattened(versions))


def checklist_table(checks: Sequence[Check]) -> Table:
    """Return the checklist of good comparison practice."""
    rows = [[check.name, f"{_ANSWERS[check.answer]} {check.answer}", check.detail] for check in checks]
    caption = "Checklist of good comparison practice, as far as the data show."
    return Table("checklist", caption, ["", "", ""], rows, wide=True, sortable=False)
