"""Plan: what a diagnosis measures, and at which size. Its cost is that of the networks that are trained alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from nasformer._io import digest
from nasformer.errors import DiagnosisError, did_you_mean

PIECES = ("images", "curse", "strategies", "fidelity", "sharing", "winner")
"""The pieces of a diagnosis, cheap ones first; each can be asked for alone."""

_LEAST = {
    "architectures": 3,
    "finetuned": 2,
    "pool": 3,
    "search_images": 1,
    "evaluations": 1,
    "searches": 2,
    "retrainings": 1,
}


@dataclass(frozen=True)
class Plan:
    """What is measured.

    Attributes:
        recipe: How a network is trained alone, as ``Recipe.to_dict`` gives it.
        finetuning: How one goes on from inherited weights.
        sharing: How the two supernets of the comparison of weight sharing are trained.
        final: How the winner and the uniform ViT beside it are trained alone; empty: as the others.
        budget: What architectures may cost, as ``SearchSpace.feasible`` takes it; empty: the space's constraints.
        architectures: How many are trained alone for the rank correlations.
        finetuned: How many of these are fine-tuned from inherited weights too.
        pool: How many are judged image by image, for what the number of images does.
        search_images: Search images that a strategy's evaluation sees.
        evaluations: Of each strategy.
        searches: Seeds of each strategy.
        retrainings: Seeds of the winner, and of the uniform ViT beside it.
        seed: Of what is drawn.
        pieces: Which pieces.

    Raises:
        DiagnosisError: A size is too small, or there is no such piece.
        RecipeError: A recipe is none.
    """

    recipe: Mapping[str, Any]
    finetuning: Mapping[str, Any]
    sharing: Mapping[str, Any]
    final: Mapping[str, Any] = field(default_factory=dict)
    budget: Mapping[str, Any] = field(default_factory=dict)
    architectures: int = 20
    finetuned: int = 10
    pool: int = 100
    search_images: int = 2000
    evaluations: int = 100
    searches: int = 6
    retrainings: int = 3
    seed: int = 0
    pieces: tuple[str, ...] = PIECES

    def __post_init__(self) -> None:
        for name, bound in _LEAST.items():
            if getattr(self, name) < bound:
                raise DiagnosisError(f"{name} must be at least {bound}, got {getattr(self, name)}", self)
        if self.finetuned > self.architectures:
            raise DiagnosisError(
                f"finetuned is {self.finetuned}, of {self.architectures} architectures; take fewer", self
            )
        if not self.pieces:
            raise DiagnosisError(f"a diagnosis has at least one piece of {', '.join(PIECES)}", self.pieces)
        if self.seed < 0:
            raise DiagnosisError(f"seed must be at least 0, got {self.seed}", self.seed)
        for name in ("recipe", "finetuning", "sharing", "final"):
            if given := getattr(self, name):
                object.__setattr__(self, name, _whole(given))
        for piece in self.pieces:
            if piece not in PIECES:
                raise DiagnosisError(f"a diagnosis has no piece {piece!r}; {did_you_mean(piece, PIECES)}", piece)

    @property
    def last(self) -> Mapping[str, Any]:
        """How the winner is trained alone."""
        return self.final or self.recipe

    def identity(self, *names: str) -> str:
        """Return a hash of some attributes."""
        return digest({name: value for name, value in asdict(self).items() if name in names})


def _whole(recipe: Mapping[str, Any]) -> dict[str, Any]:
    """Return a recipe with every value, those that were not given as they are by default."""
    from nasformer.training import Recipe

    return Recipe(**recipe).to_dict()
