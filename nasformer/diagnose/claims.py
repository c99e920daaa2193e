"""The paper's claims about supernets, tested by a diagnosis.

The paper's figures are those of AutoFormer-S on ImageNet (Chen et al., ICCV 2021, tables 2, 4 and 6): inherited and
retrained top-1 at about 23 M parameters. The decision rules are fixed in advance. *Equal* holds if the whole
95 % interval of the difference is within ``TOLERANCE`` of zero, and does not hold if the interval is beyond it;
*better* holds if the interval is above zero, and does not hold if it is below; *better than chance* holds if the
p-value of the rank correlation is below ``CHANCE``. All else is not decided. Explanations are
hypotheses, labelled as such.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from nasformer.diagnose.intervals import IntervalEstimate
from nasformer.tasks import Metric

Verdict = Literal["holds", "does not hold", "not decided"]
Claim = dict[str, str]

TOLERANCE = 0.5
"""Equivalence margin in percentage points, of metrics in other units in percent of the inherited mean; the paper's own
accuracies differ by up to 0.1."""


CHANCE = 0.05
"""Significance level of rank correlations."""

ABLATION = {
    ("classical", "random"): (69.7, 80.1),
    ("classical", "evolution"): (71.5, 80.4),
    ("entangled", "random"): (81.3, 81.4),
    ("entangled", "evolution"): (81.7, 81.7),
}
"""The paper's ablation: ImageNet top-1 with inherited weights and retrained, by sharing and search."""


def claims(pieces: Mapping[str, Any], metric: Metric) -> list[Claim]:
    """Return every claim that the given pieces test, of which ``metric`` is measured."""
    told = (_no_gap, _fine_tuning, _ranks, _entangled, _evolution, _winner)
    return [claim for tell in told if (claim := tell(pieces, metric)) is not None]


def _no_gap(pieces: Mapping[str, Any], metric: Metric) -> Claim | None:
    found = _difference(pieces.get("gap"), "retrained", "inherited")
    if found is None:
        return None
    tolerance = _tolerance(pieces["gap"], metric)
    brief = found["high"] is not None and found["high"] < -tolerance
    why = {
        "holds": "Hypothesis: every subnet was trained in enough steps of the supernet.",
        "does not hold": "Hypothesis: weights are trained only when sampled; the paper has 500 epochs.",
        "not decided": "Retraining was too short to serve as the reference."
        if brief
        else "The interval reaches beyond the tolerance.",
    }
    return _claim(
        "Inherited weights are as good as retrained ones",
        "81.7 inherited, 81.7 retrained",
        f"retrained − inherited {_shown(found, metric)}{_epochs(pieces['gap'], 'retrained', 'of retraining')}",
        "not decided" if brief else _equal(found, tolerance),
        why,
    )


def _fine_tuning(pieces: Mapping[str, Any], metric: Metric) -> Claim | None:
    found = _difference(pieces.get("gap"), "finetuned", "inherited")
    if found is None:
        return None
    why = {
        "holds": "Hypothesis: a few epochs add little to the training of the supernet.",
        "does not hold": "Fine-tuning made it worse. Hypothesis: too few steps for the learning rate."
        if found["high"] is not None and found["high"] < 0
        else "Hypothesis: weights shared by all subnets are optimal for none, and fine-tuning specialises them.",
        "not decided": "The interval reaches beyond the tolerance.",
    }
    return _claim(
        "Fine-tuning adds almost nothing",
        "81.7 inherited, 81.8 after 40 epochs",
        f"fine-tuned − inherited {_shown(found, metric)}{_epochs(pieces['gap'], 'finetuned', 'of fine-tuning')}",
        _equal(found, _tolerance(pieces["gap"], metric)),
        why,
    )


def _ranks(pieces: Mapping[str, Any], metric: Metric) -> Claim | None:
    piece = pieces.get("fidelity")
    if piece is None:
        return None
    tau = {(row["of"], row["against"]): row["kendall"] for row in piece["ranks"]}
    found, plain = tau["inherited", "retrained"], tau.get(("params", "retrained"))
    beside = f" Kendall τ of the number of parameters: {_number(plain['value'])}." if plain else ""
    why = {
        "holds": f"Better than chance.{beside}",
        "does not hold": f"Worse than chance.{beside}",
        "not decided": f"Not significant with {len(piece['architectures'])} architectures, each trained once.{beside}",
    }
    return _claim(
        "Inherited weights rank architectures",
        "assumed; no coefficient given",
        f"Kendall τ {_number(found['value'])} ({_number(found['low'])} to {_number(found['high'])}), "
        f"p = {found['p']:.2g}",
        ("holds" if found["value"] > 0 else "does not hold") if found["p"] < CHANCE else "not decided",
        why,
    )


def _entangled(pieces: Mapping[str, Any], metric: Metric) -> Claim | None:
    piece = pieces.get("sharing")
    if piece is None:
        return None
    one = "One supernet of each kind: the interval covers architectures, not training seeds."
    why = {
        "holds": f"Hypothesis: classical weights are trained only when their choice is sampled. {one}",
        "does not hold": f"Hypothesis: all classical weights were trained in enough steps. {one}",
        "not decided": one,
    }
    return _claim(
        "Entangled weights are better than classical ones",
        "81.3 entangled, 69.7 classical (random search)",
        f"entangled − classical {_shown(piece['difference']['mean'], metric)}, {piece['epochs']} epochs each",
        _above(piece["difference"]["mean"]),
        why,
    )


def _evolution(pieces: Mapping[str, Any], metric: Metric) -> Claim | None:
    piece = pieces.get("strategies")
    found = next((row["mean"] for row in (piece or {}).get("differences", ()) if row["of"] == "evolution"), None)
    if piece is None or found is None:
        return None
    size = f"{piece['seeds']} seeds of {piece['evaluations']} evaluations each"
    return _claim(
        "Evolution is better than random search",
        "81.7 evolution, 81.3 random",
        f"evolution − random {_shown(found, metric)}",
        _above(found),
        dict.fromkeys(("holds", "does not hold"), f"{size}.")
        | {"not decided": f"{size}: the difference of the winners is not significant."},
    )


def _winner(pieces: Mapping[str, Any], metric: Metric) -> Claim | None:
    piece = pieces.get("winner")
    if piece is None or piece["difference"]["mean"]["low"] is None:
        return None
    size = f"{piece['difference']['n']} seeds each, {piece['epochs']} epochs of retraining"
    return _claim(
        "The winner is better than a uniform ViT of its size",
        "81.7 against DeiT-S's 79.9",
        f"winner − uniform {_shown(piece['difference']['mean'], metric)}",
        _above(piece["difference"]["mean"]),
        dict.fromkeys(("holds", "does not hold"), f"{size}.")
        | {"not decided": f"{size}: the difference is not significant."},
    )


def _claim(claim: str, paper: str, here: str, verdict: Verdict, why: Mapping[str, str]) -> Claim:
    return {"claim": claim, "paper": paper, "here": here, "verdict": verdict, "why": why[verdict]}


def _difference(gap: Mapping[str, Any] | None, of: str, minus: str) -> IntervalEstimate | None:
    rows = (gap or {}).get("differences", ())
    return next((row["mean"] for row in rows if (row["of"], row["minus"]) == (of, minus)), None)


def _tolerance(gap: Mapping[str, Any], metric: Metric) -> float:
    if metric.unit == "%":
        return TOLERANCE
    inherited: float = next(row["mean"]["value"] for row in gap["rows"] if row["name"] == "inherited")
    return abs(TOLERANCE / 100 * inherited)


def _equal(found: IntervalEstimate, tolerance: float) -> Verdict:
    """Verdict on equality, within the tolerance."""
    if found["low"] is None or found["high"] is None:
        return "not decided"
    if found["low"] >= -tolerance and found["high"] <= tolerance:
        return "holds"
    return "does not hold" if found["low"] > tolerance or found["high"] < -tolerance else "not decided"


def _above(found: IntervalEstimate) -> Verdict:
    """Verdict on a positive difference."""
    if found["low"] is None or found["high"] is None:
        return "not decided"
    if found["low"] > 0:
        return "holds"
    return "does not hold" if found["high"] < 0 else "not decided"


def _epochs(gap: Mapping[str, Any], name: str, how: str) -> str:
    """Return the numbers of epochs as text."""
    epochs = gap["epochs"]
    shared = "" if epochs["supernet"] is None else f", {epochs['supernet']} of the supernet"
    return f"; {epochs[name]} epoch{'s' * (epochs[name] != 1)} {how}{shared}"


def _shown(found: IntervalEstimate, metric: Metric) -> str:
    value, low, high = (None if each is None else f"{each:+.{metric.digits}f}" for each in found.values())
    unit = " points" if metric.unit == "%" else f" {metric.unit}".rstrip()
    of = "" if metric.higher_is_better else f" of {metric.fitness.title}"
    return f"{value}{unit}{'' if low is None else f' ({low} to {high})'}{of}".replace("-", "−")


def _number(value: float) -> str:
    return f"{value:.2f}".replace("-", "−")
