"""Images seen: number of images evaluated per architecture in a racing search."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from nasformer.report.figures.picture import Picture, picture
from nasformer.report.figures.text import compact_ticks, key_above
from nasformer.report.notation import grouped
from nasformer.report.palette import PAPER, style
from nasformer.report.searches import Group, Searches
from nasformer.search.evaluation import Trial


def draw_images_seen(searches: Searches) -> Picture | None:
    """Return the images of every architecture in each strategy's first run; None if none was dropped early."""
    raced = {group.label: _raced(group) for group in searches.groups}
    if not any(trial.dropped for trials in raced.values() for trial in trials):
        return None

    def paint(figure: Figure) -> None:
        axes = figure.add_subplot()
        for index, trials in enumerate(raced.values()):
            _dots(axes, [trial for trial in trials if trial.dropped], index, filled=False)
            _dots(axes, [trial for trial in trials if not trial.dropped], index, filled=True)
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter(compact_ticks)
        axes.yaxis.set_minor_formatter(lambda value, position: "")
        axes.set_xlabel("evaluated architectures")
        axes.set_ylabel("images seen")
        if len(raced) > 1:
            key_above(
                figure,
                [
                    (label, axes.plot([], [], style(index).marker, color=style(index).colour)[0])
                    for index, label in enumerate(raced)
                ],
            )

    runs = "" if len(searches.results) == len(raced) else " of the first run"
    caption = f"Images evaluated per architecture{runs}, in the order asked: all (filled), or up to the "
    caption += f"look that dropped it (open). {_spent(raced)}"
    return picture("images-seen", "Images spent on each architecture", caption, paint)


def _raced(group: Group) -> list[Trial]:
    return [trial for trial in group.results[0].trials if trial.images is not None]


def _dots(axes: Axes, trials: Sequence[Trial], index: int, *, filled: bool) -> None:
    look = style(index)
    axes.plot(
        [trial.number + 1 for trial in trials],
        [trial.images or 0 for trial in trials],
        look.marker,
        color=look.colour,
        markerfacecolor=look.colour if filled else PAPER.light,
        markersize=3.2,
        markeredgewidth=0.7,
        linestyle="none",
    )


def _spent(raced: dict[str, list[Trial]]) -> str:
    shown = {label: trials for label, trials in raced.items() if trials}
    texts = []
    for label, trials in shown.items():
        seen, most = sum(trial.images or 0 for trial in trials), max(trial.images or 0 for trial in trials)
        name = f"{label}: " if len(shown) > 1 else ""
        texts.append(f"{name}{grouped(seen)} of {grouped(most * len(trials))} images")
    return f"{'; '.join(texts)}."
