"""Tables of a trained network: metrics, parts such as classes, costs, speed and provenance."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from nasformer.cost import Geometry
from nasformer.report.interval import interval
from nasformer.report.notation import MISSING, duration, grouped
from nasformer.report.tables.record import input_rows
from nasformer.report.tables.table import Cell, JsonObject, Table, facts, flattened, in_unit, number, without_empty
from nasformer.tasks import Metric, Task

_FOLDED_FROM = 41
_CONFUSIONS = 12


def start_of(figures: JsonObject) -> str:
    """Return what a fine-tuning began with: "inherited" weights, or those "repaired" after cutting."""
    return "repaired" if (figures.get("repair") or {}).get("kept") else "inherited"


def scores_table(task: Task, figures: JsonObject, done: str) -> Table:
    """Return every metric on the test examples, also of the inherited weights if they were evaluated."""
    test = figures["test"]
    examples = test[task.examples]
    judged = [(start_of(figures), figures.get("before")), (done, test)]
    rows = [[label, *(_score(each, scores, examples) for each in task.metrics)] for label, scores in judged if scores]
    caption = (
        f"{examples:,} test {task.examples}. Below values: 95 % intervals of the sampling of {task.examples}, not of "
        "trainings."
    )
    header = ["", *(metric.title for metric in task.metrics)]
    return without_empty(Table("scores", caption, header, rows, marked=len(rows) - 1))


def _score(metric: Metric, scores: JsonObject, examples: int) -> Cell:
    return in_unit(scores.get(metric.name), metric, interval(metric, scores, examples))


def parts_table(task: Task, part: str, rows: Sequence[JsonObject]) -> Table:
    """Return the figures of each output, such as a label; a column that ends the name of a metric has its unit."""
    titles = {"f1": "F1", **{metric.name: metric.title for metric in task.metrics}}
    header = [titles.get(key, key.replace("_", " ")) for key in rows[0]]
    cells = [[str(row[part]), *(_figure(task, key, row[key]) for key in row if key != part)] for row in rows]
    return Table("parts", f"Every {part}.", header, cells, folded=_folded(rows, f"{part}s"))


def _figure(task: Task, key: str, value: float | None) -> Cell:
    metric = next((each for each in task.metrics if each.name.endswith(key)), None)
    if metric is not None:
        return in_unit(value, metric)
    return number(value, grouped(value) if isinstance(value, int) else None)


def _folded(rows: Sequence[object], what: str) -> str:
    return f"All {len(rows):,} {what}" if len(rows) >= _FOLDED_FROM else ""


def classes_table(task: Task, test: JsonObject) -> Table:
    """Return each class's images, accuracy with interval, precision, and most frequent confusion."""
    told, confusion, main = test["per_class"], test["confusion"], task.metrics[0]
    taken = [sum(column) for column in zip(*confusion, strict=True)]
    names = [str(row["class"]) for row in told]
    rows = []
    for place, row in enumerate(told):
        precision = 100.0 * confusion[place][place] / taken[place] if taken[place] else None
        ends = interval(main, row, row["images"])
        cells = [names[place], number(row["images"], grouped(row["images"])), in_unit(row["accuracy"], main)]
        cells += [Cell(MISSING) if ends is None else Cell(str(ends), ends.low), in_unit(precision, main)]
        rows.append([*cells, _mistaken(confusion[place], place, names)])
    caption = "Accuracy (recall) and precision of every class."
    header = ["class", "images", "accuracy", "95 % interval", "precision", "most often confused with"]
    return Table("classes", caption, header, rows, folded=_folded(rows, "classes"))


def _mistaken(counts: Sequence[int], place: int, names: Sequence[str]) -> Cell:
    others = [(count, -at) for at, count in enumerate(counts) if at != place and count]
    if not others:
        return Cell(MISSING)
    count, at = max(others)
    return Cell(f"{names[-at]} ({count:,})", count)


def confusions_table(test: JsonObject) -> Table:
    """Return the most frequent errors."""
    found = sorted(_mistakes(test), key=lambda mistake: (-mistake[2], mistake[:2]))
    errors, shown = sum(count for *_, count in found), found[:_CONFUSIONS]
    rows = [
        [a, b, number(count, grouped(count)), number(100 * count / errors, f"{100 * count / errors:.1f} %")]
        for a, b, count in shown
    ]
    caption = f"The most frequent of {errors:,} errors." if found else "No test image was misclassified."
    return Table("confusions", caption, ["true class", "predicted", "images", "of all errors"], rows)


def _mistakes(test: JsonObject) -> Iterator[tuple[str, str, int]]:
    names = [str(row["class"]) for row in test["per_class"]]
    for row, counts in enumerate(test["confusion"]):
        for column, count in enumerate(counts):
            if count and row != column:
                yield names[row], names[column], count


def costs_table(task: Task, figures: JsonObject) -> Table:
    """Return the network's costs: parameters, MACs, latency and throughput on this machine."""
    geometry, speed = figures.get("geometry"), figures.get("speed")
    rows = [["parameters", grouped(figures["params"])], [f"MACs per {task.example}", grouped(figures["macs"])]]
    rows += input_rows(Geometry.from_dict(geometry)) if geometry else []
    if speed:
        many = f"{speed['images_per_second']:,.0f} {task.examples}/s with batch size {speed['batch_size']}"
        rows += [
            [f"latency of one {task.example}", duration(speed["latency_ms"] / 1000)],
            ["throughput", many],
            ["measured on", str(speed["device"])],
            ["medians of", f"{speed['repeats']} measurements"],
        ]
    return facts("costs", "Costs of the network, with speed on the machine that trained it.", rows)


def origin_table(figures: JsonObject) -> Table:
    """Return the provenance of the network, and its training time."""
    training = figures.get("training") or {}
    known = ("kind", "freeze", "start", "source", "teacher")
    rows = flattened({key: figures[key] for key in known if key in figures})
    if "seconds" in training:
        rows.append(["time", duration(training["seconds"])])
    rows += flattened({key: training[key] for key in ("steps", "device", "processes") if key in training})
    return facts("origin", "Provenance; hashes identify weights.", rows)


def recipe_table(recipe: JsonObject) -> Table:
    """Return the recipe."""
    return facts("recipe", "The recipe.", flattened(recipe))
