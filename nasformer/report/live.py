"""Live: the page of a run as of now: its report, or while it works what its trials, epochs and stages tell so far."""

from __future__ import annotations

import json
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from markupsafe import escape

from nasformer._io import text_digest
from nasformer._provenance import versions
from nasformer._record import read_record
from nasformer.compare.comparison import VALUE
from nasformer.compare.results import metric_of
from nasformer.cost import LatencyTable, within
from nasformer.report.page import Download, Subject, render, resource, script_policy
from nasformer.report.search import search_page
from nasformer.report.tables.table import facts
from nasformer.report.words import say
from nasformer.search.result import RUNNING, SearchResult
from nasformer.search.study import Store, Study
from nasformer.tasks import task_of

if TYPE_CHECKING:
    from nasformer.report.figures import Picture

JsonObject = dict[str, Any]
PAGE, STUDY, LOG, RECORD, STAGES = "report.html", "study.log", "log.jsonl", "training.json", "fit.json"
WEIGHTS = "supernet.safetensors"  # a training's last file, which has no page


def state_of(folder: Path) -> str:
    """Return a text that changes whenever a run writes trials, epochs, stages or its page."""
    stats = [(str(path), path.stat()) for path in [*_work(folder), folder / PAGE, folder / WEIGHTS] if path.is_file()]
    return text_digest(str([(name, stat.st_mtime_ns, stat.st_size) for name, stat in stats]), 16)


def live_page(folder: Path, seconds: float) -> str:
    """Return the page of a run: its report if nothing was written after it, else one of what is known.

    Args:
        folder: The run's folder.
        seconds: Time after which the page asks whether something changed.

    Raises:
        NasformerError: A file of the run is damaged.
    """
    state, work, page = state_of(folder), _work(folder), folder / PAGE
    worked = max((path.stat().st_mtime for path in work if path.name != STAGES), default=0.0)  # fit writes those last
    done = [path for path in (page, folder / WEIGHTS) if path.is_file() and path.stat().st_mtime >= worked]
    html = page.read_text(encoding="utf-8") if page in done else _so_far(folder, work)
    time = f"{datetime.fromtimestamp(work[-1].stat().st_mtime):%H:%M:%S}" if work else ""
    return _followed(html, say("watch_ended" if done else "watch_goes_on", time=time), state, seconds)


def fault_page(folder: Path, fault: Exception, seconds: float) -> str:
    """Return a page that says why a run cannot be shown, and looks again as ``live_page`` does."""
    name = folder.resolve().name
    about = Subject(name, "", Download.of_json("run.json", {"error": str(fault)}))
    shown: JsonObject = {"tiles": [], "warnings": [], "curves": [], "scatter": None, "stages": facts("stages", "", [])}
    html = render("live.html.j2", about, [], summary=[str(fault)], **shown)
    return _followed(html, say("watch_goes_on", time=""), state_of(folder), seconds)


def _work(folder: Path) -> list[Path]:
    """Return the files that a run adds to, the latest last."""
    below = folder.rglob if (folder / STAGES).is_file() else folder.glob  # a fit has folders of its stages
    found = [path for name in (STUDY, LOG, STAGES) for path in below(name) if path.is_file()]
    return sorted(found, key=lambda path: path.stat().st_mtime_ns)


def _followed(html: str, line: str, state: str, seconds: float) -> str:
    """Return a page with a line that says it is live, and the script that loads it again when it has changed."""
    script = resource("live.js")
    banner = f'<p class="live" role="status" data-state="{state}" data-seconds="{seconds:.1f}">{escape(line)}</p>'
    allowed = f"connect-src 'self'; script-src {script_policy(script)}"
    html = html.replace("script-src", allowed, 1).replace("<main>", f"<main>\n{banner}", 1)
    return html.replace("</body>", f"<script>{script}</script>\n</body>", 1)


def _so_far(folder: Path, work: list[Path]) -> str:
    """Return the page of a run that is not finished: of one search as ``report`` writes it."""
    logs, studies = ([path for path in work if path.name == name] for name in (LOG, STUDY))
    result = next(filter(None, map(search_so_far, reversed(studies))), None)
    if result is not None and work == [folder / STUDY]:
        return search_page(result, title=f"{result.strategy} on {result.space.name}")[0][PAGE]
    training = next(filter(None, map(training_so_far, reversed(logs))), None)
    known = read_record(folder / STAGES)["stages"] if (folder / STAGES).is_file() else {}
    stages = {name: stage["line"] for name, stage in known.items()}
    name = folder.resolve().name
    return render(
        "live.html.j2",
        Subject(name, "", Download.of_json("run.json", {"stages": stages, "training": training})),
        [],
        summary=[say("watched", stages=stages, result=result, training=training)],
        tiles=[],
        warnings=[],
        curves=_curves(training) if training else [],
        scatter=_scatter(result) if result else None,
        stages=facts("stages", "What each stage decided.", [[name, line] for name, line in stages.items()]),
    )


def search_so_far(storage: Path) -> SearchResult | None:
    """Return the latest search of a journal, with the best of each budget as its winners; None before a value."""
    store = Store(storage, create=False)
    names = [each.study_name for each in store.run(store.optuna.get_all_studies)]
    if not names:
        return None
    study = Study.load(store, names[-1])
    table, trials = study.fitness_spec.get("latency_table"), study.trials()
    space = study.space.with_cost(LatencyTable.from_dict(table).cost()) if table else study.space
    valued = [trial for trial in study.confirmation() or trials if trial.eligible]
    told = [own for own in study.budgets or (study.limits,) if any(within(trial.costs, own) for trial in valued)]
    if not told or not all(name in space.known_costs for own in told for name in own):
        return None
    best = [min((t for t in valued if within(t.costs, own)), key=lambda trial: trial.rank) for own in told]
    return SearchResult(
        space,
        study.limits,
        {**study.settings, "evaluations": study.evaluations},
        tuple(trials),
        tuple({trial.number: trial for trial in best}.values()),
        counts={"failed": sum(trial.value is None for trial in trials)},
        seconds={"evaluation": sum(trial.seconds for trial in trials)},
        stopped=RUNNING,
        versions=versions(),
        budgets=tuple(told) if study.budgets else (),
    )


def training_so_far(log: Path) -> JsonObject | None:
    """Return the recipe, data and epochs of a training, and the name of its folder; None before the first epoch."""
    rows = [row for row in map(_row, log.read_text(encoding="utf-8").splitlines()) if row]
    record = read_record(log.with_name(RECORD)) if log.with_name(RECORD).is_file() else {}
    return {**record, "history": rows, "name": log.parent.resolve().name} if rows else None


def _row(line: str) -> JsonObject:
    """Return the row of an epoch; empty if it diverged, or is being written."""
    with suppress(ValueError):
        row = json.loads(line)
        if isinstance(row, dict) and row.get("train_loss") is not None:
            return row
    return {}


def _curves(training: JsonObject) -> list[Picture | None]:
    """Return the curves of a network, or of a supernet's subnets and its training loss."""
    from nasformer.report.figures import draw_learning_curve, draw_progress

    task, history = task_of(training.get("data") or {}), training["history"]
    if any("network" in (row.get("validation") or {}) for row in history):
        return draw_progress(task, history)
    bare = [{**row, "validation": None} for row in history]
    return [draw_learning_curve(training), *draw_progress(task, bare)]


def _scatter(result: SearchResult) -> Picture | None:
    from nasformer.report.figures import draw_cost_scatter

    return draw_cost_scatter(result, metric_of([result]) or VALUE)
