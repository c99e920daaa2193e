"""Conclusion: what follows from the tests, in sentences that claim no more than was tested."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from nasformer.report.notation import counted, listed
from nasformer.report.statistics.across import Across
from nasformer.report.statistics.pairs import BETTER, IDENTICAL, NOT_SHOWN, UNTESTED
from nasformer.report.statistics.task import TaskAnalysis


def conclude(tasks: Sequence[TaskAnalysis], across: Across | None, level: float) -> Iterator[str]:
    """Yield sentences, the conclusion first."""
    if not tasks:
        yield "No run is complete; there is nothing to conclude."
        return
    if all(len(task.ranking) < 2 for task in tasks):
        yield "No two strategies have results on the same task; nothing is compared."
        return
    if across is not None:
        yield from _over_tasks(across, level)
    for task in tasks:
        yield from _on_task(task, level)
    yield from _caveat(tasks)


def _over_tasks(across: Across, level: float) -> Iterator[str]:
    if across.p is None:
        yield f"{across.words} What was found is said task by task."
        return
    best, *others = across.ranks
    if across.p > level:
        yield f"{across.words} No strategy is shown to be better than the others over these tasks."
        return
    level_with = [label for label in others if any({best, label} <= set(group) for group in across.groups)]
    below = [label for label in others if label not in level_with]
    rank = f"{best} has the best average rank over {counted(len(across.tasks), 'task')} ({across.ranks[best]:.2f})"
    if not below:
        yield f"{rank}, but is not told apart from any other strategy by Nemenyi's test."
    elif level_with:
        yield f"{rank} and is shown to rank above {listed(below)}; it is not told apart from {listed(level_with)}."
    else:
        yield f"{rank} and is shown to rank above {_every(below)}."
    yield across.words


def _on_task(task: TaskAnalysis, level: float) -> Iterator[str]:
    if len(task.ranking) < 2:
        return
    best, *others = (standing.label for standing in task.ranking)
    verdicts = {label: task.pair(best, label).verdict for label in others}
    beaten = [label for label in others if verdicts[label] == BETTER]
    seeds = counted(task.power.seeds, "seed")
    named = task.record.name
    if len(beaten) == len(others):
        yield (
            f"On {named}, {best} is better than {_every(others)} (paired signed-rank tests over {seeds}, "
            f"corrected for {counted(task.power.pairs, 'pair')} at {level:g})."
        )
        return
    yield f"On {named}, {best} has the highest median{_not_beaten(verdicts)}{_beaten(beaten)}."


def _not_beaten(verdicts: dict[str, str]) -> str:
    words = {
        NOT_SHOWN: "but is not shown to be better than {}",
        IDENTICAL: "and did the same as {}",
        UNTESTED: "but too few seeds were run to test it against {}",
    }
    parts = []
    for verdict, text in words.items():
        labels = [label for label, found in verdicts.items() if found == verdict]
        if labels:
            parts.append(text.format(listed(labels)))
    odd = [label for label, found in verdicts.items() if found not in (*words, BETTER)]
    if odd:
        parts.append(f"but the paired test favours {listed(odd)}")
    return "".join(f", {part}" for part in parts)


def _beaten(labels: list[str]) -> str:
    return f"; it is better than {listed(labels)}" if labels else ""


def _every(labels: list[str]) -> str:
    return (
        labels[0] if len(labels) == 1 else f"each of the other {counted(len(labels), 'strategy').replace('ys', 'ies')}"
    )


def _caveat(tasks: Sequence[TaskAnalysis]) -> Iterator[str]:
    if any(pair.verdict in (NOT_SHOWN, UNTESTED) for task in tasks for pair in task.pairs):
        yield (
            "Where no difference is shown the strategies may still differ, by less than the smallest difference that "
            "these seeds could show; each task states it."
        )
