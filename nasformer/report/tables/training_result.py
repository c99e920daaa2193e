"""Tables of a trained network: accuracy, classes, costs, speed and provenance."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from nasformer.report.accuracy import interval
from nasformer.report.notation import MISSING, PERCENT, duration, grouped
from nasformer.report.tables.table import Cell, JsonObject, Table, facts, flattened, measured, number

_FOLDED_FROM = 41
_CONFUSIONS = 12


def scores_table(figures: JsonObject, done: str) -> Table:
    """Return test accuracy and loss, also of the inherited weights if they were evaluated."""
    test, rows = figures["test"], []
    judged = [("inherited", figures.get("before")), (done, test)]
    for label, scores in judged:
        if scores:
            ends = interval(scores["accuracy"], test["images"])
            accuracy = measured(scores["accuracy"], PERCENT)
            rows.append([label, accuracy, Cell(str(ends), ends.low), number(scores.get("loss"))])
    caption = f"{test['images']:,} test images. Wilson intervals cover the sampling of images, not of trainings."
    header = ["", "test accuracy", "95 % interval", "loss, nats"]
    return Table("scores", caption, header, rows, marked=len(rows) - 1)


def classes_table(test: JsonObject) -> Table:
    """Return each class's images, accuracy with interval, precision, and most frequent confusion."""
    told, confusion = test["per_class"], test["confusion"]
    taken = [sum(column) for column in zip(*confusion, strict=True)]
    names = [str(row["class"]) for row in told]
    rows = []
    for place, row in enumerate(told):
        precision = 100.0 * confusion[place][place] / taken[place] if taken[place] else None
        cells = [names[place], number(row["images"], grouped(row["images"])), measured(row["accuracy"], PERCENT)]
        cells += [_interval(row), measured(precision, PERCENT), _mistaken(confusion[place], place, names)]
        rows.append(cells)
    caption = "Accuracy (recall) and precision of every class."
    header = ["class", "images", "accuracy", "95 % interval", "precision", "most often confused with"]
    folded = f"All {len(rows):,} classes" if len(rows) >= _FOLDED_FROM else ""
    return Table("classes", caption, header, rows, folded=folded)


def _interval(row: JsonObject) -> Cell:
    if row["accuracy"] is None:
        return Cell(MISSING)
    ends = interval(row["accuracy"], row["images"])
    return Cell(str(ends), ends.low)


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


def costs_table(figures: JsonObject) -> Table:
    """Return the network's costs: parameters, MACs, latency and throughput on this machine."""
    geometry, speed = figures.get("geometry") or {}, figures.get("speed") or {}
    rows = [["parameters", grouped(figures["params"])], ["MACs per image", grouped(figures["macs"])]]
    if geometry:
        rows.append(["images", f"{geometry['image_size']} × {geometry['image_size']}, {geometry['in_channels']} ch."])
        rows.append(["patches", f"{geometry['patch_size']} × {geometry['patch_size']}"])
    if speed:
        rows += [
            ["latency of one image", duration(speed["latency_ms"] / 1000)],
            ["throughput", f"{speed['images_per_second']:,.0f} images/s with batch size {speed['batch_size']}"],
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
