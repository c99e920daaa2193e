"""Tables of pairwise comparisons, paired by seed."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median
from typing import TYPE_CHECKING, Any

from nasformer.report.notation import MISSING, signed
from nasformer.report.tables.table import Cell, Series, Table, columns, count, folded, named, number
from nasformer.report.words import say

if TYPE_CHECKING:
    from nasformer.report.statistics import Across, Pair, TaskAnalysis

_SIGNS = {"better": "▲", "worse": "▼", "no difference shown": "○", "identical": "=", "untested": "·"}
_MOODS = {"better": "good", "worse": "bad"}


def matrix_table(task: TaskAnalysis, series: Series, name: str) -> Table:
    """Return the verdicts as a matrix, the row's strategy against the column's."""
    labels = [standing.label for standing in task.ranking]
    rows = [[named(row, series), *(_verdict(task, row, column) for column in labels)] for row in labels]
    header = ["", *(named(label, series) for label in labels)]
    return Table(name, say("table_matrix"), header, rows, sortable=False)


def _verdict(task: TaskAnalysis, row: str, column: str) -> Cell:
    pair = None if row == column else task.pair(row, column)
    if pair is None or pair.median_difference is None:
        return Cell("")
    effect = "" if pair.effect_a12 is None else f"A {pair.effect_a12:.2f}"
    chance = "" if pair.p_holm is None else f"p {_probability(pair.p_holm)}"
    text = f"{_SIGNS[pair.verdict]} {signed(pair.median_difference)}"
    return Cell(text, mood=_MOODS.get(pair.verdict, ""), hint=" · ".join(filter(None, (effect, chance))))


def pairs_table(task: TaskAnalysis, series: Series, name: str) -> Table:
    """Return each pair's test in detail."""
    cells = {
        "strategy": lambda pair: named(pair.a, series),
        "against": lambda pair: named(pair.b, series),
        "verdict": lambda pair: Cell(f"{_SIGNS[pair.verdict]} {pair.verdict}", mood=_MOODS.get(pair.verdict, "")),
        "median difference": lambda pair: number(pair.median_difference, signed),
        "95 % interval": _interval,
        "A₁₂": lambda pair: number(pair.effect_a12, "{:.2f}"),
        "p, Holm": lambda pair: _probability(pair.p_holm),
        "p": lambda pair: _probability(pair.p),
        "wins": lambda pair: count(pair.wins),
        "ties": lambda pair: count(pair.ties),
        "losses": lambda pair: count(pair.losses),
        "seeds": lambda pair: count(pair.n),
    }
    caption, pairs = say("table_pairs", metric=task.record.metric), task.pairs
    return columns(name, caption, pairs, cells, folded=folded(len(pairs), "pairs with their tests", 6))


def _interval(pair: Pair) -> Cell:
    ends = pair.interval
    return Cell(MISSING) if ends is None else Cell(f"{signed(ends[0])} to {signed(ends[1])}", ends[0])


def _probability(p: float | None) -> Cell:
    """Return a probability with two digits, or "< 0.0001"."""
    return number(p, lambda p: "< 0.0001" if p < 1e-4 else f"{p:.2g}" if p < 0.0995 else f"{p:.2f}")


def leaderboard_table(
    across: Across, tasks: Sequence[TaskAnalysis], series: Series, name: str = "leaderboard"
) -> Table:
    """Return the strategies by their average rank over the tasks."""
    tasks = [task for task in tasks if name == "leaderboard" or task.record.held_out]

    def total(label: str, outcome: str) -> int:
        return sum(getattr(tally, outcome) for tally in across.tallies[label].values())

    def own(label: str) -> float | None:
        asks = [s.ms_per_ask for task in tasks for s in task.ranking if s.label == label and s.ms_per_ask is not None]
        return median(asks) if asks else None

    cells: dict[str, Any] = {
        "strategy": lambda label: named(label, series),
        "average rank": lambda label: number(across.ranks.get(label), "{:.2f}"),
        "wins": lambda label: count(total(label, "wins")),
        "ties": lambda label: count(total(label, "ties")),
        "losses": lambda label: count(total(label, "losses")),
        "untested": lambda label: count(total(label, "untested") or None),
        "ask + tell": lambda label: number(own(label), "{:.2f} ms"),
    }
    caption = say("table_leaderboard", tasks=len(tasks), held_out=name != "leaderboard")
    return columns(name, caption, across.labels, cells)


def tally_table(across: Across, series: Series) -> Table:
    """Return wins, ties and losses over tasks of each strategy (row) against each other (column)."""
    labels = across.labels
    rows = [[named(a, series), *(_tally(across, a, b) for b in labels)] for a in labels]
    return Table("tally", say("table_tally"), ["", *(named(label, series) for label in labels)], rows, sortable=False)


def _tally(across: Across, a: str, b: str) -> Cell:
    if a == b:
        return Cell("")
    tally = across.tallies[a][b]
    mood = "good" if tally.wins > tally.losses else "bad" if tally.wins < tally.losses else ""
    return Cell(f"{tally.wins}–{tally.ties}–{tally.losses}", mood=mood)
