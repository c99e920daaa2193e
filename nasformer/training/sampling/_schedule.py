"""SamplingSchedule: which choices are open at each step, and the subnets that a sampler draws of them."""

from __future__ import annotations

from functools import cached_property
from itertools import groupby
from typing import TYPE_CHECKING

from nasformer.architecture import Architecture
from nasformer.errors import BudgetError
from nasformer.space import SearchSpace
from nasformer.training.randomness import derived
from nasformer.training.sampling._parts import opened, opening_order
from nasformer.training.sampling._sampler import Subnets, SubnetSampler

if TYPE_CHECKING:
    from nasformer.training.recipe import Recipe

_LARGEST = -1


class SamplingSchedule:
    """Draws the subnets of each step: first the largest alone, then of ever more choices, then of all.

    A step depends on seed, epoch, place in the epoch and the rows learnt alone, so a resumed training draws the same
    subnets. The sampler of all choices learns; those of a part draw as at the start.

    Args:
        space: The space.
        recipe: Sampling with its options, budget and seed.

    Raises:
        BudgetError: The budget cannot be parsed, or nothing meets it.
        RecipeError: The sampling is unknown.

    >>> from nasformer.space import load_space
    >>> from nasformer.training import Recipe
    >>> space = load_space("digits")
    >>> draws = SamplingSchedule(space, Recipe(sampling="sandwich", sandwich_random=1))
    >>> first, second, third = draws(epoch=0, steps=5)[0]
    >>> first == space.largest, third == space.smallest
    (True, True)
    """

    def __init__(self, space: SearchSpace, recipe: Recipe) -> None:
        from nasformer.training.sampling import get_sampler

        self._space, self._recipe, self._sampler = space, recipe, get_sampler(recipe.sampling)
        self._order = opening_order(space) if recipe.open_choices else []
        self.sampler = self._sampler(space, recipe)
        """The sampler of all choices."""
        self._samplers = {len(self._order): self.sampler}

    def __call__(self, epoch: int, steps: int) -> list[Subnets]:
        """Return the subnets of each step of an epoch."""
        stages = [self._stage((epoch + step / steps) / self._recipe.epochs) for step in range(steps)]
        drawn: list[Subnets] = []
        for number, (stage, group) in enumerate(groupby(stages)):
            drawn += self._draw(stage, len(list(group)), derived(self._recipe.seed, epoch, 2 + number))
        return drawn

    def _stage(self, done: float) -> int:
        """Return how many values below the largest are open when a share of the training is done."""
        first, until, count = self._recipe.largest_first, self._recipe.open_choices, len(self._order)
        if done < first:
            return _LARGEST
        return count if done >= until else int(count * (done - first) / (until - first))

    def _draw(self, stage: int, steps: int, seed: int) -> list[Subnets]:
        if stage == _LARGEST:
            return [(self._largest,)] * steps
        sampler = self._within(stage)
        if sampler.space.size() == 1:
            return [(sampler.space.largest,)] * steps
        return sampler.draw(steps, seed)

    def _within(self, stage: int) -> SubnetSampler:
        """Return the sampler of a stage; if the budget leaves nothing of it, of the next that has something."""
        if stage not in self._samplers:
            try:
                self._samplers[stage] = self._sampler(opened(self._space, self._order[:stage]), self._recipe)
            except BudgetError:
                self._samplers[stage] = self._within(stage + 1)
        return self._samplers[stage]

    @cached_property
    def _largest(self) -> Architecture:
        return self.sampler.references()["largest"]
