"""Chapter on entangled against classical weight sharing."""

from __future__ import annotations

from nasformer.report.chapters.chapter import (
    Chapter,
    Pieces,
    Series,
    drawn,
    finding,
    note,
    time_taken,
)
from nasformer.report.notation import counted
from nasformer.report.tables import diagnosis as tables
from nasformer.space import SearchSpace
from nasformer.tasks import Metric


def sharing(pieces: Pieces, space: SearchSpace, series: Series, metric: Metric) -> Chapter:
    """Return the chapter on both kinds of weight sharing."""
    from nasformer.report.figures import Cloud, draw_agreement

    piece = pieces["sharing"]
    first, second = piece["rows"][:2]
    pairs = list(zip(first["architectures"], second["architectures"], strict=True))
    xs, ys = [b["inherited"] for _, b in pairs], [a["inherited"] for a, _ in pairs]
    cloud = Cloud(first["name"], xs, ys, [note(a) for a, _ in pairs])
    figure = draw_agreement(
        "sharing",
        f"Inherited {metric.title}, entangled against classical weights",
        f"Each point is an architecture in both supernets, trained for {counted(piece['epochs'], 'epoch')} each.",
        [cloud],
        series,
        x=f"inherited from {second['name']} weights: {metric.heading}",
        y=f"inherited from {first['name']} weights: {metric.heading}",
    )
    difference = piece["difference"]
    words = f"{finding(difference, metric)} of inherited {metric.title} "
    words += f"over {counted(len(pairs), 'architecture')}, of one supernet of each kind."
    shown = [tables.sharing_table(piece, metric), tables.shared_table(piece, metric)]
    shown += [tables.ablation_table(piece["ablation"], metric)] if piece.get("ablation") else []
    return Chapter("sharing", "Entangled or classical weights", [words, *time_taken(piece)], shown, drawn(figure))
