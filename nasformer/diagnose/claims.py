"""Claims: what the paper says of its supernets, beside what a diagnosis found here.

The paper's figures are those of AutoFormer-S on ImageNet (Chen et al., ICCV 2021, tables 2, 4 and 6): inherited and
retrained top-1 at about 23 M parameters. A claim holds where the interval of our figure leaves no other
reading, does not hold where it excludes the claim, and is not decided in between.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

Verdict = Literal["holds", "does not hold", "not decided"]
Claim = dict[str, str]

TOLERANCE = 0.5
"""Percentage points within which accuracies are called equal; the paper's own differ by up to 0.1."""


ABLATION = {
    ("classical", "random"): (69.7, 80.1),
    ("classical", "evolution"): (71.5, 80.4),
    ("entangled", "random"): (81.3, 81.4),
    ("entangled", "evolution"): (81.7, 81.7),
}
"""The paper's ablation: ImageNet top-1 with inherited weights and retrained, by sharing and search."""


def claims(pieces: Mapping[str, Any]) -> list[Claim]:
    """Return every claim that the pieces at hand can speak to."""
    told = (_no_gap, _fine_tuning, _ranks, _entangled, _evolution, _winner)
    return [claim for tell in told if (claim := tell(pieces)) is not None]


def _no_gap(pieces: Mapping[str, Any]) -> Claim | None:
    found = _difference(pieces.get("gap"), "retrained", "inherited")
    if found is None:
        return None
    why = {
        "holds": "The supernet was trained long enough for every subnet to be nearly as good as alone.",
        "does not hold": "A subnet's weights see only a part of the steps; the paper has 500 epochs of them.",
        "not decided": "Alone they were trained too briefly to be the measure."
        if found["high"] < -TOLERANCE
        else "The interval is too wide, or the gap too near to the tolerance.",
    }
    return _claim(
        "Inherited weights are as good as trained ones",
        "81.7 inherited, 81.7 retrained",
        f"retrained − inherited {_shown(found)}",
        _within(found),
        why,
    )


def _fine_tuning(pieces: Mapping[str, Any]) -> Claim | None:
    found = _difference(pieces.get("gap"), "finetuned", "inherited")
    if found is None:
        return None
    why = {
        "holds": "There is little left to learn that a few epochs could.",
        "does not hold": "Weights that serve all subnets serve none best: a short training of one alone frees it.",
        "not decided": "The interval is too wide, or the gain too near to the tolerance.",
    }
    return _claim(
        "Fine-tuning adds next to nothing",
        "81.7 inherited, 81.8 after 40 epochs",
        f"fine-tuned − inherited {_shown(found)}",
        _within(found),
        why,
    )


def _ranks(pieces: Mapping[str, Any]) -> Claim | None:
    piece = pieces.get("fidelity")
    if piece is None:
        return None
    found = next(row for row in piece["ranks"] if (row["of"], row["against"]) == ("inherited", "retrained"))["kendall"]
    verdict: Verdict = "holds" if found["low"] > 0 else "not decided" if found["high"] > 0 else "does not hold"
    why = {
        "holds": "The order is better than chance; how much better the coefficient says, "
        "and what retraining's own scatter allows.",
        "does not hold": "The supernet prefers other architectures than training alone does.",
        "not decided": f"{len(piece['architectures'])} architectures of much the same quality, each trained once.",
    }
    return _claim(
        "Inherited accuracy ranks architectures as retraining does",
        "assumed; no coefficient given",
        f"Kendall τ {found['value']:.2f} ({found['low']:.2f} to {found['high']:.2f})",
        verdict,
        why,
    )


def _entangled(pieces: Mapping[str, Any]) -> Claim | None:
    piece = pieces.get("sharing")
    if piece is None:
        return None
    why = {
        "holds": "Every step trains the leading slices of all; a classical weight waits for its choice to be drawn.",
        "does not hold": "Weights that serve one choice alone have had enough steps here, and need no compromise.",
        "not decided": "The interval includes none at all.",
    }
    return _claim(
        "Entangled weights inherit better than classical ones",
        "81.3 entangled, 69.7 classical (random search)",
        f"entangled − classical {_shown(piece['difference']['mean'])}",
        _above(piece["difference"]["mean"]),
        why,
    )


def _evolution(pieces: Mapping[str, Any]) -> Claim | None:
    piece = pieces.get("strategies")
    found = next((row["mean"] for row in (piece or {}).get("differences", ()) if row["of"] == "evolution"), None)
    if piece is None or found is None:
        return None
    evaluations, seeds = piece["evaluations"], piece["seeds"]
    why = {
        "holds": f"After {evaluations} evaluations each, over {seeds} seeds.",
        "does not hold": f"After {evaluations} evaluations each, over {seeds} seeds.",
        "not decided": f"{seeds} seeds of {evaluations} evaluations; the best architectures differ by less than "
        "the test images can tell.",
    }
    return _claim(
        "Evolution finds better than random search",
        "81.7 evolution, 81.3 random",
        f"evolution − random {_shown(found)}",
        _above(found),
        why,
    )


def _winner(pieces: Mapping[str, Any]) -> Claim | None:
    piece = pieces.get("winner")
    if piece is None or piece["difference"]["mean"]["low"] is None:
        return None
    seeds = piece["difference"]["n"]
    why = {
        "holds": f"Trained alone with {seeds} seeds each.",
        "does not hold": f"Trained alone with {seeds} seeds each; the plain shape is not the worse one in this space.",
        "not decided": f"{seeds} seeds each leave an interval that includes none at all.",
    }
    return _claim(
        "The winner beats the plain ViT of its size",
        "81.7 against DeiT-S's 79.9",
        f"winner − uniform {_shown(piece['difference']['mean'])}",
        _above(piece["difference"]["mean"]),
        why,
    )


def _claim(claim: str, paper: str, here: str, verdict: Verdict, why: Mapping[str, str]) -> Claim:
    return {"claim": claim, "paper": paper, "here": here, "verdict": verdict, "why": why[verdict]}


def _difference(gap: Mapping[str, Any] | None, of: str, minus: str) -> dict[str, float] | None:
    rows = (gap or {}).get("differences", ())
    return next((row["mean"] for row in rows if (row["of"], row["minus"]) == (of, minus)), None)


def _within(found: Mapping[str, float]) -> Verdict:
    """Whether a difference is at most the tolerance, and does not speak against its own measure."""
    if found["high"] <= TOLERANCE:
        return "not decided" if found["high"] < -TOLERANCE else "holds"
    return "does not hold" if found["low"] > TOLERANCE else "not decided"


def _above(found: Mapping[str, float]) -> Verdict:
    """Whether a difference is above none."""
    if found["low"] > 0:
        return "holds"
    return "does not hold" if found["high"] < 0 else "not decided"


def _shown(found: Mapping[str, float]) -> str:
    return f"{found['value']:+.2f} points ({found['low']:+.2f} to {found['high']:+.2f})".replace("-", "−")
