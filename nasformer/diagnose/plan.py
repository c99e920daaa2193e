"""Plan: measurements of a diagnosis and their size. Retraining dominates the cost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from nasformer._io import digest
from nasformer.errors import DiagnosisError, did_you_mean

PIECES = ("images", "curse", "strategies", "fidelity", "sharing", "winner")
"""The pieces of a diagnosis, cheap ones first; each can be requested separately."""

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
    """The measurements of a diagnosis.

    Attributes:
        recipe: Retraining recipe, from ``Recipe.to_dict``.
        finetuning: Fine-tuning recipe.
        sharing: Recipe of the two supernets that compare weight sharing.
        final: Retraining recipe of the winner and the uniform ViT; empty: ``recipe``.
        budget: Cost bounds, as in ``SearchSpace.feasible``; empty: the space's constraints.
        architectures: Number of architectures retrained for the rank correlations.
        finetuned: Number of these that are also fine-tuned.
        pool: Number of architectures evaluated per image.
        search_images: Search images per evaluation of a search.
        evaluations: Evaluations per search.
        searches: Seeds per strategy.
        retrainings: Seeds of the winner and of the uniform ViT.
        seed: Random seed.
        pieces: Names of the pieces.

    Raises:
        DiagnosisError: A size is too small, or a piece is unknown.
        RecipeError: A recipe is invalid.
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
        """Retraining recipe of the winner."""
        return self.final or self.recipe

    def identity(self, *names: str) -> str:
        """Return a hash of some attributes."""
        return digest({name: value for name, value in asdict(self).items() if name in names})


def _whole(recipe: Mapping[str, Any]) -> dict[str, Any]:
    """Return a recipe with defaults filled in."""
    from nasformer.training import Recipe

    return Recipe(**recipe).to_dict()
