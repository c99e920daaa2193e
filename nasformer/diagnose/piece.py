"""Piece: a measurement of a diagnosis, the claims that it tests, and its chapter of the page.

Values are of the task's default objective, negated unless higher is better, on the test split unless named search;
``seconds`` are the sequential time of a piece's trainings and searches, whichever piece ran them first.

The decision rules of claims are fixed in advance. *Equal* holds if the whole 95 % interval of the difference is within
``TOLERANCE`` of zero, and does not hold if it is beyond; *ranks* holds if the rank correlation is above zero with a
p-value below ``CHANCE``, and does not hold if it is below with such a p-value. All else is not decided.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from nasformer.architecture import Architecture
from nasformer.report.notation import estimate
from nasformer.report.page import Tile
from nasformer.report.tables.table import Cell, Series, Table
from nasformer.report.words import say
from nasformer.space import SearchSpace
from nasformer.tasks import Metric, Task

if TYPE_CHECKING:
    from nasformer.diagnose.bench import Bench
    from nasformer.diagnose.jobs import Doing
    from nasformer.report.figures import Picture
    from nasformer.report.figures.lines import Line

JsonObject = Mapping[str, Any]
Verdict = Literal["holds", "does not hold", "not decided"]

Claim = dict[str, Any]
"""``claim``, its name; ``effect``, an estimate, where there is one; further figures by name; ``verdict``."""

TOLERANCE = 0.5
"""Equivalence margin in percentage points, of metrics in other units in percent of the retrained mean."""

CHANCE = 0.05
"""Significance level of rank correlations."""


class Context(NamedTuple):
    """What a diagnosis is of: its task and space; and the number of each label in figures."""

    task: Task
    space: SearchSpace
    series: Series

    @property
    def metric(self) -> Metric:
        """The metric of values, as of a fitness: negated, unless higher is better."""
        return self.task.objective().fitness


class Chapter(NamedTuple):
    """The chapter of a piece: what was done, in words; figures, tables, and the tiles at the head of the page."""

    words: str
    figures: Sequence[Picture | None]
    tables: Sequence[Table]
    tiles: Sequence[Tile] = ()
    first: Picture | None = None
    """The figure that answers the question of the diagnosis, beside the claims."""


def _describe_claim(claim: Claim, metric: Metric) -> tuple[str, str]:
    return say("claim", told=claim), say("here", told=claim, metric=metric)


class Piece(NamedTuple):
    """A piece of a diagnosis."""

    title: str  # heading of its chapter
    sizes: tuple[str, ...]  # the attributes of the plan that it reads
    measure: Callable[[Bench, Doing], dict[str, Any]]  # from a bench, by running jobs, to plain values
    chapter: Callable[[JsonObject, Context], Chapter]  # presents these values
    claims: Callable[[JsonObject, Metric], Iterable[Claim]] = lambda piece, metric: ()  # tests with values of a metric
    describe: Callable[[Claim, Metric], tuple[str, str]] = _describe_claim  # a claim in words, and what was measured


def spread_line(label: str, x: Sequence[float], values: Sequence[Sequence[float]]) -> Line:
    """Return the line of means over seeds, with a band from the least to the most."""
    from nasformer.report.figures import Line

    mean = [sum(each) / len(each) for each in values]
    return Line(label, x, mean, list(map(min, values)), list(map(max, values)))


def estimate_cell(found: JsonObject, metric: Metric | None = None, *, sign: bool = False, hint: str = "") -> Cell:
    """Return an estimate with its interval as a cell."""
    return Cell(estimate(found, metric, sign), found["value"], hint=hint)


def estimate_tile(name: str, found: JsonObject, metric: Metric | None = None, unit: str = "") -> Tile:
    """Return an estimate as a tile: the value, and below it the interval."""
    value, _, ends = estimate(found, metric, metric is not None).partition(" ")
    return Tile(name, value, (ends.strip("()") or "no interval") + unit)


def architecture_text(told: JsonObject) -> str:
    """Return an architecture, from plain values, in words."""
    return str(Architecture.from_dict(dict(told)))
