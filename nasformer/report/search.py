"""Report of the searches of one task: winner, baselines and provenance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nasformer._io import without_formulas
from nasformer._provenance import machine
from nasformer.architecture import Architecture
from nasformer.compare import from_results
from nasformer.report.interval import split_size
from nasformer.report.notation import listed, short_budget
from nasformer.report.page import Subject, render, write_files
from nasformer.report.searches import Finalist, Searches, gains_of
from nasformer.report.section import series_of, task_section
from nasformer.report.tables import record, winners
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
    comparison = from_results(results, title=title, command=command, machine=machine())
    html, pictures = _html(Searches(results, comparison), finalists, training, data)
    texts = {"cells.csv": without_formulas(comparison.cells).to_csv(index=False), "report.html": html}
    return write_files(folder, texts, pictures) / "report.html"


def _html(
    searches: Searches, finalists: Sequence[Finalist], training: JsonObject | None, data: JsonObject | None
) -> tuple[str, list[Picture | None]]:
    from nasformer.report import figures
    from nasformer.report.statistics import analyse

    comparison, examples = searches.comparison, split_size(data, "test")
    analysis, several = analyse(comparison), len(comparison.entrants) > 1
    section = task_section(comparison, analysis.tasks[0], 1, series_of(comparison), draw=False)
    drawings, learning = _drawings(searches), figures.draw_learning_curve(training or {})
    scatter, seen = figures.draw_cost_scatter(searches), figures.draw_images_seen(searches)
    tested = figures.draw_finalists(finalists, searches, examples)
    pictures = [tested, scatter, *drawings, seen, *section["pictures"], learning]
    html = render(
        "search.html.j2",
        Subject.of(comparison),
        pictures,
        [*([record.data_table(data)] if data else []), *record.run_tables(comparison)],
        summary=[*searches.summary(finalists, examples), *(analysis.summary if several else ())],
        searches=searches,
        tuned=BEFORE in searches.winner.trial.metrics,
        gains=gains_of(finalists),
        warnings=[*searches.caveats(), *(analysis if several else analysis.tasks[0]).warnings],
        front=[tested, scatter if searches.budgets else None],
        winners=winners.winners_table(searches) if searches.budgets else None,
        drawings=drawings,
        search_figures=[None if searches.budgets else scatter, seen],
        section=section,
        finalists=winners.finalists_table(searches.finalist_metric, finalists, examples) if finalists else None,
        checklist=record.checklist_table(analysis.checklist if several else ()),
        space=record.space_table(searches.space),
        geometry=record.geometry_table(searches.space),
        training=record.training_table(training) if training else None,
        learning_curve=learning,
    )
    return html, pictures


def _drawings(searches: Searches) -> list[Picture]:
    from nasformer.report.figures import draw_architecture

    drawn: dict[Architecture, list[str]] = {}
    for own, winner in zip(searches.budgets, searches.winners, strict=True):
        drawn.setdefault(winner.trial.architecture, []).append(short_budget(own))
    return [
        draw_architecture(searches.space, architecture, f"architecture-{number}", listed(labels))
        for number, (architecture, labels) in enumerate(
            (drawn or {searches.winner.trial.architecture: ["winner"]}).items(), start=1
        )
    ]
