"""Inherited against retrained values of the same architectures: over the whole range, and in a band of one budget."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from nasformer.architecture import Architecture
from nasformer.diagnose.bench import Bench
from nasformer.diagnose.intervals import IntervalEstimate, mean_of, ranks
from nasformer.diagnose.jobs import Alone, Doing, JobResult, seconds_of
from nasformer.diagnose.piece import (
    CHANCE,
    TOLERANCE,
    Chapter,
    Claim,
    Context,
    JsonObject,
    Piece,
    Verdict,
    architecture_text,
    estimate_cell,
    estimate_tile,
)
from nasformer.report.notation import grouped, sentence
from nasformer.report.tables.table import Table, columns, folded, in_unit, number
from nasformer.report.words import say
from nasformer.tasks import Metric

PARTS = {"range": "whole range", "band": "within 10 %"}
"""Names of the samples of architectures."""

_FIGURES = {"params": "number of parameters", "macs": "number of MACs"}

Rows = Sequence[JsonObject]


def fidelity(bench: Bench, do: Doing) -> JobResult:
    """Measure inherited and retrained values of random architectures, their rank correlations, and the gap."""
    plan = bench.plan
    samples = {
        "range": bench.spread(plan.architectures, "range"),
        "band": bench.sample(plan.band, "band", bench.band) if plan.band else [],
    }
    everything = [each for sample in samples.values() for each in sample]
    short = {**plan.recipe, "epochs": plan.epochs or plan.recipe["epochs"]}
    long = {**plan.recipe, "epochs": bench.training["recipe"]["epochs"]}
    long |= {key: bench.training["recipe"][key] for key in ("epoch_images", "warmup_epochs")}
    jobs = [Alone(each, short) for each in everything]
    jobs += [Alone(each, long) for each in samples["range"][: plan.long]]
    found = do(bench, jobs, "trained alone")
    alone, longer = found[: len(everything)], found[len(everything) :]
    rows = _rows(bench, everything, alone)
    parts = {"range": rows[: plan.architectures], "band": rows[plan.architectures :]}
    for row, result in zip(parts["range"], longer, strict=False):
        row["long"] = bench.value(result)
    gaps = [row["long"] - row["inherited"] for row in parts["range"] if "long" in row]
    return {
        "seconds": seconds_of(found),
        "images": len(bench.data.test),
        "epochs": {"supernet": bench.epochs, "retrained": alone[0]["epochs"]},
        "ranked_by": bench.ranking or bench.metric.name,
        "parts": [{"name": name, "rows": own, "ranks": _ranks(own)} for name, own in parts.items() if own],
        "gap": {"n": len(gaps), "mean": mean_of(gaps)} if gaps else None,
    }


def _rows(bench: Bench, architectures: Sequence[Architecture], alone: Sequence[JobResult]) -> list[dict[str, Any]]:
    space, ranking = bench.net.space, bench.ranking
    return [
        {
            "architecture": architecture.to_dict(),
            **space.costs(architecture),
            "inherited": before.value,
            "ranking": -before.metrics[ranking] if ranking and ranking in before.metrics else before.value,
            "retrained": bench.value(after),
        }
        for architecture, before, after in zip(
            architectures, bench.judged(architectures, bench.data.test), alone, strict=True
        )
    ]


def _ranks(rows: Rows) -> list[JobResult]:
    """Return the rank correlation of each figure with the retrained values."""
    retrained = [row["retrained"] for row in rows]
    figures = ("ranking", "inherited", "params", "macs")
    return [{"of": of, "n": len(rows), **ranks([row[of] for row in rows], retrained)} for of in figures]


def claims(piece: JsonObject, metric: Metric) -> Iterator[Claim]:
    """Test whether inherited values rank like retraining, and whether they are as good."""
    for part in piece["parts"]:
        tau = {row["of"]: row["kendall"] for row in part["ranks"]}
        found = tau["ranking"]
        verdict: Verdict = "not decided"
        if found["p"] < CHANCE:
            verdict = "holds" if found["value"] > 0 else "does not hold"
        yield {"claim": f"ranks_{part['name']}", "effect": found, "params": tau["params"]["value"], "verdict": verdict}
    if piece["gap"] is not None:
        tolerance = TOLERANCE
        if metric.unit != "%":
            known = [row["long"] for part in piece["parts"] for row in part["rows"] if "long" in row]
            tolerance *= abs(sum(known) / len(known)) / 100
        found = piece["gap"]["mean"]
        yield {"claim": "gap", "effect": found, "n": piece["gap"]["n"], "verdict": _equal(found, tolerance)}


def _equal(found: IntervalEstimate, tolerance: float) -> Verdict:
    low, high = found["low"], found["high"]
    if low is None or high is None:
        return "not decided"
    if -tolerance <= low and high <= tolerance:
        return "holds"
    return "does not hold" if low > tolerance or high < -tolerance else "not decided"


def chapter(piece: JsonObject, context: Context) -> Chapter:
    """Return the chapter."""
    from nasformer.report.figures import Cloud, Row, draw_agreement, draw_rows

    metric, gap, clouds, tiles = context.metric, piece["gap"], [], []
    for part in piece["parts"]:
        tau = {row["of"]: row["kendall"] for row in part["ranks"]}
        before, after = ([row[name] for row in part["rows"]] for name in ("inherited", "retrained"))
        clouds.append(Cloud(PARTS[part["name"]], before, after, f"τ {tau['inherited']['value']:.2f}"))
        tiles.append(estimate_tile(f"τ, {PARTS[part['name']]}", tau["ranking"]))
    title, caption = f"Retrained against inherited {metric.title}", "Each point is an architecture, with Kendall's τ."
    x, y = (f"{kind}: test {metric.heading}" for kind in ("inherited", "retrained"))
    first, figures = draw_agreement("fidelity", title, caption, clouds, context.series, x=x, y=y), []
    if gap:
        known = [row for part in piece["parts"] for row in part["rows"] if "long" in row]
        box = (gap["mean"]["low"], gap["mean"]["value"], gap["mean"]["high"])
        row = Row("gap", [each["long"] - each["inherited"] for each in known], box)
        title, caption = f"Retrained minus inherited {metric.title} at equal epochs", say("figure_gap")
        x = f"retrained − inherited, {metric.heading}"
        figures.append(draw_rows("gap", title, caption, [row], context.series, x=x, mark=0))
    words = say("piece_fidelity", piece=piece, metric=metric)
    return Chapter(words, figures, [_ranks_table(piece), _fidelity_table(piece, metric)], tiles, first)


def _ranks_table(piece: JsonObject) -> Table:
    """Return the rank correlations of each figure with retraining, by sample."""
    names = {"ranking": f"inherited {piece['ranked_by']}", "inherited": "inherited objective", **_FIGURES}
    items = [(PARTS[part["name"]], row) for part in piece["parts"] for row in part["ranks"]]
    cells = {
        "ranked by": lambda item: f"{sentence(item[0])}: {names[item[1]['of']]}",
        "architectures": lambda item: number(item[1]["n"]),
        "Kendall τ": lambda item: estimate_cell(item[1]["kendall"]),
        "p of τ": lambda item: number(item[1]["kendall"]["p"], "{:.2g}"),
        "Spearman ρ": lambda item: estimate_cell(item[1]["spearman"]),
        "p of ρ": lambda item: number(item[1]["spearman"]["p"], "{:.2g}"),
    }
    return columns("ranks", say("table_ranks"), items, cells)


def _fidelity_table(piece: JsonObject, metric: Metric) -> Table:
    """Return every architecture with its values."""
    items = [(PARTS[part["name"]], row) for part in piece["parts"] for row in part["rows"]]
    cells = {
        "architecture": lambda item: architecture_text(item[1]["architecture"]),
        "sample": lambda item: item[0],
        "parameters": lambda item: number(item[1]["params"], grouped),
        "MACs": lambda item: number(item[1]["macs"], grouped),
        "inherited": lambda item: in_unit(item[1]["inherited"], metric),
        "retrained": lambda item: in_unit(item[1]["retrained"], metric),
        "retrained as long": lambda item: in_unit(item[1].get("long"), metric),
    }
    caption = f"Test {metric.title} of every architecture, over {piece['images']:,} examples."
    return columns("fidelity", caption, items, cells, folded=folded(len(items), "architectures"))


SIZES = ("recipe", "epochs", "architectures", "band", "long", "budgets", "seed")
FIDELITY = Piece("Inherited against retrained", SIZES, fidelity, chapter, claims)
