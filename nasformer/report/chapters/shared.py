"""Chapter on entangled against classical weight sharing."""

from __future__ import annotations

from nasformer.report.chapters.chapter import (
    POINTS,
    Chapter,
    Pieces,
    Series,
    between,
    drawn,
    note,
    sentence,
    time_taken,
)
from nasformer.report.notation import counted
from nasformer.report.tables import diagnosis as tables
from nasformer.report.tables.diagnosis import written
from nasformer.space import SearchSpace


def sharing(pieces: Pieces, space: SearchSpace, series: Series) -> Chapter:
    """Return the chapter on both kinds of weight sharing."""
    from nasformer.report.figures import Cloud, draw_agreement

    piece = pieces["sharing"]
    first, second = piece["rows"][:2]
    pairs = list(zip(first["architectures"], second["architectures"], strict=True))
    xs, ys = [b["inherited"] for _, b in pairs], [a["inherited"] for a, _ in pairs]
    cloud = Cloud(first["name"], xs, ys, [note(a) for a, _ in pairs])
    figure = draw_agreement(
        "sharing",
        "Inherited accuracy, entangled against classical weights",
        f"Each point is an architecture in both supernets, trained for {counted(piece['epochs'], 'epoch')} each.",
        [cloud],
        series,
        x=f"inherited from {second['name']} weights, %",
        y=f"inherited from {first['name']} weights, %",
    )
    difference = piece["difference"]
    words = f"{sentence(between(difference))}: {written(difference['mean'], sign=True)} {POINTS} of inherited accuracy "
    words += f"over {counted(len(pairs), 'architecture')}, of one supernet of each kind."
    shown = [tables.sharing_table(piece), tables.shared_table(piece)]
    shown += [tables.ablation_table(piece["ablation"])] if piece.get("ablation") else []
    return Chapter("sharing", "Entangled or classical weights", [words, *time_taken(piece)], shown, drawn(figure))
