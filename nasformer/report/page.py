"""Page: the report as one HTML file that needs nothing else, with its figures beside it as files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from nasformer.compare.machine import machine
from nasformer.errors import NasformerError
from nasformer.report import palette, tables
from nasformer.report.experiment import Experiment
from nasformer.report.finalist import Finalist
from nasformer.report.history import last_validation
from nasformer.report.notation import budget, grouped, percent, printable
from nasformer.report.summary import caveats, summary
from nasformer.search.result import SearchResult

if TYPE_CHECKING:
    from nasformer.report.figures import Picture

Record = Mapping[str, Any]


def write_report(
    folder: str | Path,
    results: Sequence[SearchResult],
    *,
    title: str,
    finalists: Sequence[Finalist] = (),
    training: Record | None = None,
    data: Record | None = None,
    command: str = "",
) -> Path:
    """Write ``report.html`` and ``figures/NAME.svg`` and ``.png`` into a folder.

    Args:
        folder: Where to; it is made where it is absent.
        results: Of one or more strategies and seeds, on the same space and limits.
        title: Heading of the page.
        finalists: The winner, and what it is held against, scored on the test images after the choice.
        training: The supernet's training, as ``TrainingResult.to_dict`` gives it; its ``history`` is drawn.
        data: The dataset's record.
        command: What was typed to get here.

    Returns:
        The path of ``report.html``.

    Raises:
        NasformerError: The results do not belong together, or the folder cannot be written.
    """
    chosen = _chosen(finalists)
    experiment = Experiment.of(results, None if chosen is None else chosen.architecture)
    drawings, figures = _figures(experiment, finalists, training)
    html = (
        _environment()
        .get_template("report.html.j2")
        .render(
            title=title,
            summary=summary(experiment, finalists, data),
            caveats=caveats(experiment),
            key_figures=_key_figures(experiment, finalists),
            drawings=drawings,
            figures=figures,
            tables=_tables(experiment, finalists, training, data),
            command=command,
            written=datetime.now().astimezone().strftime("%Y-%m-%d %H:%M %Z"),
            light=palette.css(dark=False),
            dark=palette.css(dark=True),
        )
    )
    return _write(Path(folder), html, [*drawings, *figures.values()])


def _chosen(finalists: Sequence[Finalist]) -> Finalist | None:
    chosen = [finalist for finalist in finalists if finalist.chosen]
    if len(chosen) > 1:
        raise NasformerError(f"one finalist is chosen, got {len(chosen)}", chosen)
    return chosen[0] if chosen else None


def _environment() -> Environment:
    loader = PackageLoader("nasformer.report")
    return Environment(
        loader=loader,
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_shown,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _shown(value: object) -> object:
    return printable(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _figures(
    experiment: Experiment, finalists: Sequence[Finalist], training: Record | None
) -> tuple[list[Picture], dict[str, Picture]]:
    from nasformer.report import figures

    best = experiment.winner.found.architecture
    drawn = [(finalist.label, finalist.architecture) for finalist in finalists] or [("winner", best)]
    drawings = [
        figures.draw_architecture(experiment.space, architecture, f"architecture-{number}", label)
        for number, (label, architecture) in enumerate(drawn, start=1)
    ]
    shown = {
        "best_so_far": figures.draw_best_so_far(experiment),
        "cost_scatter": figures.draw_cost_scatter(experiment, finalists),
        "time_spent": figures.draw_time_spent(experiment),
        "images_seen": figures.draw_images_seen(experiment),
        "learning_curve": figures.draw_learning_curve(training or {}),
    }
    return drawings, {name: picture for name, picture in shown.items() if picture is not None}


def _tables(
    experiment: Experiment, finalists: Sequence[Finalist], training: Record | None, data: Record | None
) -> dict[str, tables.Table]:
    shown = {
        "outcome": tables.outcome_table(experiment),
        "effort": tables.effort_table(experiment),
        "runs": tables.runs_table(experiment),
        "space": tables.space_table(experiment),
        "geometry": tables.geometry_table(experiment),
        "settings": tables.settings_table(experiment),
        "versions": tables.versions_table(experiment, machine()),
    }
    if finalists:
        shown["finalists"] = tables.finalists_table(finalists, data)
    if training:
        shown["training"] = tables.training_table(training, last_validation(training))
    if data:
        shown["data"] = tables.data_table(data)
    return shown


def _key_figures(experiment: Experiment, finalists: Sequence[Finalist]) -> list[tuple[str, str, str]]:
    """Return the few numbers that a reader looks for first: what, how much, and a remark."""
    best, test = experiment.winner.found, _test_accuracy(finalists)
    shown = [(experiment.measure, experiment.written(best.fitness), "of the winner, confirmed")]
    if test is not None:
        shown.append(("test accuracy", percent(test[0]), test[1]))
    shown.append(("parameters", grouped(best.params), budget(experiment.limits)))
    runs = f"{len(experiment.results)} run{'s' if len(experiment.results) > 1 else ''}"
    shown.append(("evaluations", grouped(experiment.evaluations), f"in {runs}"))
    return shown


def _test_accuracy(finalists: Sequence[Finalist]) -> tuple[float, str] | None:
    chosen = _chosen(finalists)
    if chosen is None:
        return None
    if "test_accuracy" in chosen.retrained:
        return chosen.retrained["test_accuracy"], "trained by itself"
    accuracy = chosen.inherited.get("test_accuracy")
    return None if accuracy is None else (accuracy, "with inherited weights")


def _write(folder: Path, html: str, pictures: Sequence[Picture]) -> Path:
    path, draft = folder / "report.html", folder / "report.html.part"
    try:
        (folder / "figures").mkdir(parents=True, exist_ok=True)
        for picture in pictures:
            picture.save(folder / "figures")
        draft.write_text(html, encoding="utf-8")
        draft.replace(path)
    except OSError as error:
        raise NasformerError(f"cannot write the report to {str(folder)!r}: {error.strerror}", folder) from error
    return path
