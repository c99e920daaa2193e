"""Tables of pairwise comparisons, paired by seed."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median
from typing import TYPE_CHECKING

from nasformer.report.notation import MISSING, counted, signed
from nasformer.report.tables.outcome import Series, difference, named
from nasformer.report.tables.table import Cell, Table, count, number, without_empty

if TYPE_CHECKING:
    from nasformer.report.statistics import Across, Pair, TaskAnalysis

_SIGNS = {"better": "▲", "worse": "▼", "no difference shown": "○", "identical": "=", "untested": "·"}
_MOODS = {"better": "good", "worse": "bad"}


def matrix_table(task: TaskAnalysis, series: Series, name: str) -> Table:
    """Return the verdicts as a matrix, the row's strategy against the column's."""
    labels = [standing.label for standing in task.ranking]
    sides = {(pair.a, pair.b): pair for each in task.pairs for pair in (each, each.mirrored())}
    rows = [[named(row, series), *(_verdict(sides.get((row, column))) for column in labels)] for row in labels]
    caption = (
        "Each strategy (row) against each other (column): ▲ better, ▼ worse, ○ no difference shown, = identical runs, "
        "· untested; with the median paired difference, the probability that a run of the row beats one of the column "
        "(A: Vargha and Delaney's A₁₂, 0.5 is a draw) and the Holm-corrected p-value of Wilcoxon's signed-rank test."
    )
    header = ["", *(named(label, series) for label in labels)]
    return Table(name, caption, header, rows, sortable=False)


def _verdict(pair: Pair | None) -> Cell:
    if pair is None or pair.median_difference is None:
        return Cell("")
    effect = "" if pair.effect_a12 is None else f"A {pair.effect_a12:.2f}"
    chance = "" if pair.p_holm is None else f"p {_probability(pair.p_holm)}"
    text = f"{_SIGNS[pair.verdict]} {signed(pair.median_difference)}"
    return Cell(text, mood=_MOODS.get(pair.verdict, ""), hint=" · ".join(filter(None, (effect, chance))))


def pairs_table(task: TaskAnalysis, series: Series, name: str) -> Table:
    """Return each pair's test in detail."""
    header = ["strategy", "against", "verdict", "median difference", "95 % interval", "A₁₂", "p, Holm", "p"]
    header += ["wins", "ties", "losses", "seeds"]
    rows = [_pair(pair, series) for pair in task.pairs]
    caption = (
        "Paired test of every pair. The difference is the median of the first strategy's "
        f"{task.record.metric.fitness.title} minus the second's with the same seed; its interval is exact and "
        "uncorrected; wins, ties and losses count seeds."
    )
    folded = f"All {len(rows)} pairs with their tests" if len(rows) > 6 else ""
    return Table(name, caption, header, rows, folded=folded)


def _pair(pair: Pair, series: Series) -> list[str]:
    interval = pair.interval
    return [
        named(pair.a, series),
        named(pair.b, series),
        Cell(f"{_SIGNS[pair.verdict]} {pair.verdict}", mood=_MOODS.get(pair.verdict, "")),
        difference(pair.median_difference),
        Cell(MISSING) if interval is None else Cell(f"{signed(interval[0])} to {signed(interval[1])}", interval[0]),
        number(pair.effect_a12, None if pair.effect_a12 is None else f"{pair.effect_a12:.2f}"),
        _probability(pair.p_holm),
        _probability(pair.p),
        *map(count, (pair.wins, pair.ties, pair.losses, pair.n)),
    ]


def _probability(p: float | None) -> Cell:
    """Return a probability with two digits, or "< 0.0001"."""
    if p is None:
        return Cell(MISSING)
    return number(p, "< 0.0001" if p < 1e-4 else f"{p:.2g}" if p < 0.0995 else f"{p:.2f}")


def leaderboard_table(across: Across, tasks: Sequence[TaskAnalysis], series: Series) -> Table:
    """Return the strategies by their average rank over the tasks."""
    header = ["strategy", "average rank", "wins", "ties", "losses", "untested", "ask + tell"]
    labels = list(dict.fromkeys([*across.ranks, *across.tallies]))
    rows = [_leader(label, across, tasks, series) for label in labels]
    caption = (
        f"Over {counted(len(tasks), 'task')}. Average rank of the median over seeds, 1 is best; wins and losses are "
        "significant paired tests against each other strategy on each task, ties are tests without significant "
        "difference. Ask + tell: the strategy's time per evaluated architecture, median over tasks."
    )
    return without_empty(Table("leaderboard", caption, header, rows))


def _leader(label: str, across: Across, tasks: Sequence[TaskAnalysis], series: Series) -> list[str]:
    rank, tallies = across.ranks.get(label), across.tallies[label].values()
    sums = [sum(tally[place] for tally in tallies) for place in range(4)]
    asks = [s.ms_per_ask for task in tasks for s in task.ranking if s.label == label and s.ms_per_ask is not None]
    own = median(asks) if asks else None
    return [
        named(label, series),
        number(rank, None if rank is None else f"{rank:.2f}"),
        *map(count, sums[:3]),
        count(sums[3] or None),
        number(own, None if own is None else f"{own:.2f} ms"),
    ]


def tally_table(across: Across, series: Series) -> Table:
    """Return wins, ties and losses over tasks of each strategy (row) against each other (column)."""
    labels = list(dict.fromkeys([*across.ranks, *across.tallies]))
    rows = [[named(a, series), *(_tally(across, a, b) for b in labels)] for a in labels]
    caption = (
        "Wins–ties–losses of the row against the column, in tasks, by the paired tests on each task; "
        "a tie is a test without significant difference."
    )
    return Table("tally", caption, ["", *(named(label, series) for label in labels)], rows, sortable=False)


def _tally(across: Across, a: str, b: str) -> Cell:
    if a == b:
        return Cell("")
    tally = across.tallies[a][b]
    mood = "good" if tally.wins > tally.losses else "bad" if tally.wins < tally.losses else ""
    return Cell(f"{tally.wins}–{tally.ties}–{tally.losses}", mood=mood)
