"""Report of the searches of one task: winner, baselines and provenance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nasformer._io import without_formulas
from nasformer._provenance import machine
from nasformer.architecture import Architecture
from nasformer.compare import Comparison, from_results
from nasformer.report import tables
from nasformer.report.finalist import Finalist
from nasformer.report.notation import budget, counted, grouped, listed, points, short_budget
from nasformer.report.page import Subject, render, write_files
from nasformer.report.searches import Searches
from nasformer.report.section import series_of, task_section
from nasformer.report.summary import caveats, gains_of, summary
from nasformer.search.rerank import BEFORE
from nasformer.search.result import SearchResult

if TYPE_CHECKING:
    from nasformer.report.figures import Picture

JsonObject = Mapping[str, Any]


def write_report(
    folder: str | Path,
    results: Sequence[SearchResult],
    *,
    title: str,
    finalists: Sequence[Finalist] = (),
    training: JsonObject | None = None,
    data: JsonObject | None = None,
    command: str = "",
) -> Path:
    """Write ``report.html``, ``cells.csv``, and ``figures/NAME.svg`` and ``.png`` into a folder.

    Args:
        folder: Output folder, created if missing.
        results: Results of one or more strategies and seeds, on the same space and limits.
        title: Heading of the page.
        finalists: The winner and baselines, evaluated on the test split after the selection.
        training: The supernet's training, from ``TrainingResult.to_dict``; its ``history`` is plotted.
        data: The dataset's record.
        command: The shell command.

    Returns:
        The path of ``report.html``.

    Raises:
        NasformerError: The results do not belong together, or the folder cannot be written.
    """
    searches = Searches.of(results)
    comparison = from_results(results, title=title, command=command, machine=machine())
    html, pictures = _html(searches, comparison, finalists, training, data)
    texts = {"cells.csv": without_formulas(comparison.cells).to_csv(index=False), "report.html": html}
    return write_files(folder, texts, pictures) / "report.html"


def _html(
    searches: Searches,
    comparison: Comparison,
    finalists: Sequence[Finalist],
    training: JsonObject | None,
    data: JsonObject | None,
) -> tuple[str, list[Picture]]:
    from nasformer.report.figures import draw_finalists, draw_learning_curve
    from nasformer.report.statistics import analyse

    analysis = analyse(comparison)
    several = len(comparison.entrants) > 1
    section = task_section(comparison, analysis.tasks[0], 1, series_of(comparison), draw=False)
    drawings, figures = _drawings(searches), _search_figures(searches)
    tested = draw_finalists(finalists, searches, data)
    front = [*([tested] if tested else []), *([figures.pop(0)] if searches.budgets else [])]
    learning = draw_learning_curve(training or {})
    pictures = [*front, *drawings, *figures, *section.pictures, *([learning] if learning else [])]
    html = render(
        "search.html.j2",
        Subject.of(comparison),
        pictures,
        _records(comparison, data),
        summary=[*summary(searches, finalists, data), *(analysis.summary if several else ())],
        key_figures=_key_figures(searches, finalists),
        warnings=[*caveats(searches), *(analysis if several else analysis.tasks[0]).warnings],
        chapters=[],
        front=front,
        winners=tables.winners_table(searches) if searches.budgets else None,
        drawings=drawings,
        search_figures=figures,
        section=section,
        finalists=tables.finalists_table(searches.finalist_metric, finalists, data) if finalists else None,
        checklist=tables.checklist_table(analysis.checklist if several else ()),
        space=tables.space_table(searches.space),
        geometry=tables.geometry_table(searches.space),
        training=tables.training_table(training) if training else None,
        learning_curve=learning,
    )
    return html, pictures


def _drawings(searches: Searches) -> list[Picture]:
    from nasformer.report.figures import draw_architecture

    best = searches.winner.found.architecture
    drawn: dict[Architecture, list[str]] = {}
    for own, winner in zip(searches.budgets, searches.winners, strict=True):
        drawn.setdefault(winner.found.architecture, []).append(short_budget(own))
    return [
        draw_architecture(searches.space, architecture, f"architecture-{number}", listed(labels))
        for number, (architecture, labels) in enumerate((drawn or {best: ["winner"]}).items(), start=1)
    ]


def _search_figures(searches: Searches) -> list[Picture]:
    from nasformer.report.figures import draw_cost_scatter, draw_images_seen

    shown = (draw_cost_scatter(searches), draw_images_seen(searches))
    return [picture for picture in shown if picture is not None]


def _records(comparison: Comparison, data: JsonObject | None) -> list[tables.Table]:
    settings, versions = tables.settings_table(comparison), tables.versions_table(comparison)
    return [*([tables.data_table(data)] if data else []), settings, versions]


def _key_figures(searches: Searches, finalists: Sequence[Finalist]) -> list[tuple[str, str, str]]:
    """Return the key figures: name, value and remark."""
    best, metric = searches.winner.found, searches.finalist_metric
    how = "fine-tuned" if BEFORE in searches.winner.trial.metrics else "confirmed"
    shown = [(searches.measure, searches.written(best.fitness), f"of the winner, {how}")]
    gains = [gain for _, gain in gains_of(finalists)]
    if gains:
        unit = points(metric).replace(" percentage", "")
        mean = f"{sum(gains) / len(gains):+.{metric.digits}f}{unit}".replace("-", "−")
        shown.append((f"test {metric.title} over rivals", mean, f"mean of {counted(len(gains), 'budget')}"))
    limits = f"the best of {counted(len(searches.budgets), 'budget')}" if searches.budgets else budget(searches.limits)
    shown.append(("parameters", grouped(best.params), limits))
    runs = f"{len(searches.results)} run{'s' if len(searches.results) > 1 else ''}"
    shown.append(("evaluations", grouped(searches.evaluations), f"in {runs}"))
    return shown
