"""Conclusions from the tests, in sentences that claim no more than was tested."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from nasformer.report.notation import counted, listed, points
from nasformer.report.statistics.across import Across
from nasformer.report.statistics.pairs import BETTER, IDENTICAL, NOT_SHOWN, UNTESTED, WORSE, Pair
from nasformer.report.statistics.task import TaskAnalysis

_MOST_NAMED = 4


def conclude(tasks: Sequence[TaskAnalysis], across: Across | None, level: float) -> Iterator[str]:
    """Yield sentences, the conclusion first."""
    compared = [task for task in tasks if len(task.ranking) > 1]
    if not tasks:
        yield "No run is complete, so there is no conclusion."
        return
    if not compared:
        yield "No two strategies have results on the same task; nothing is compared."
        return
    if across is not None:
        yield from _over_tasks(across, level)
    for task in compared:
        yield _on_task(task, level)
    if any(pair.verdict in (NOT_SHOWN, UNTESTED) for task in compared for pair in task.pairs):
        yield (
            "Strategies without a significant difference may still differ, by less than the detectable difference "
            "stated for each task."
        )


def _over_tasks(across: Across, level: float) -> Iterator[str]:
    if len(across.tallies) == 2:
        yield _two(across)
    elif across.p is None:
        yield f"There is no conclusion over all tasks. {across.words}"
    elif across.p > level:
        yield f"No strategy ranks significantly above another over these tasks. {across.words}"
    else:
        yield f"{_leader(across)}. {across.words}"


def _two(across: Across) -> str:
    first, second = across.tallies
    tally = across.tallies[first][second]
    wins, ties, losses, untested = (_tasks(count) for count in tally)
    also = f", {untested} untested" if tally.untested else ""
    return (
        f"{first} is significantly better than {second} on {wins} and worse on {losses}; {ties} without significant "
        f"difference{also}."
    )


def _tasks(count: int) -> str:
    return counted(count, "task") if count else "no task"


def _leader(across: Across) -> str:
    best, *others = across.ranks
    level_with = [label for label in others if any({best, label} <= set(group) for group in across.groups)]
    below = [label for label in others if label not in level_with]
    rank = f"{best} has the best average rank over {counted(len(across.tasks), 'task')} ({across.ranks[best]:.2f})"
    if not below:
        return f"{rank}, but not significantly above any other strategy"
    if not level_with:
        return f"{rank} and ranks significantly above {_all_others(below)}"
    return f"{rank} and ranks significantly above {_some(below)}, but not above {listed(level_with)}"


def _on_task(task: TaskAnalysis, level: float) -> str:
    best, *others = task.ranking
    pairs = {standing.label: task.pair(best.label, standing.label) for standing in others}
    beaten = [label for label, pair in pairs.items() if pair.verdict == BETTER]
    if len(beaten) < len(others):
        equal = [standing.label for standing in others if abs(standing.median - best.median) <= task.resolution]
        shared = f", shared with {_some(equal)}" if equal else ""
        clauses = "".join(f", {clause}" for clause in _unbeaten(pairs))
        also = f"; it is better than {_some(beaten)}" if beaten else ""
        return f"On {task.record.name}, {best.label} has the best median{shared}{clauses}{also}."
    return (
        f"On {task.record.name}, {best.label} is better than {_all_others(beaten)} (paired signed-rank "
        f"tests over {counted(task.power.seeds, 'seed')}, corrected for {counted(task.power.pairs, 'pair')} at "
        f"{level:g}){_gap(task, pairs[beaten[0]])}."
    )


def _unbeaten(pairs: Mapping[str, Pair]) -> Iterator[str]:
    words = {
        NOT_SHOWN: "but is not significantly better than {}",
        IDENTICAL: "with runs identical to those of {}",
        UNTESTED: "but there are too few seeds to test it against {}",
        WORSE: "but the paired test favours {}",
    }
    for verdict, text in words.items():
        labels = [label for label, pair in pairs.items() if pair.verdict == verdict]
        if labels:
            yield text.format(listed(labels))


def _gap(task: TaskAnalysis, pair: Pair) -> str:
    """Return the lead of the best over the second in the ranking."""
    lead = f"{pair.median_difference:.3g}{points(task.record.metric)}"
    return f"; median lead over {pair.b}, the second: {lead} (A₁₂ {pair.effect_a12:.2f})"


def _some(labels: list[str]) -> str:
    return listed(labels) if len(labels) <= _MOST_NAMED else f"{len(labels)} others"


def _all_others(labels: list[str]) -> str:
    if len(labels) == 1:
        return labels[0]
    return "both others" if len(labels) == 2 else f"all {counted(len(labels), 'other')}"
