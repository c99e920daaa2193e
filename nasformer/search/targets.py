"""Targets: what a search is for: the feasible set of its budget, or those of several, with a winner within each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from nasformer.architecture import Architecture
from nasformer.cost import Limits, as_budgets, between, format_limits, hull, within
from nasformer.errors import BudgetError, FitnessError, StrategyError
from nasformer.search.evaluation import Trial
from nasformer.search.strategy import Strategy
from nasformer.space import FeasibleSet, SearchSpace


class Targets(NamedTuple):
    """The feasible sets of a search.

    Attributes:
        feasible: The set to search, which contains the others.
        budgets: The set of each of several budgets; none for one budget.
        turns: The sets that the strategy is asked for in turn: those of several budgets, and between them.
    """

    feasible: FeasibleSet
    budgets: Sequence[FeasibleSet] = ()
    turns: Sequence[FeasibleSet] = ()

    @classmethod
    def of(
        cls,
        budget: object,
        budgets: object,
        space: SearchSpace,
        bound: Callable[[object], FeasibleSet],
        midway: bool,
    ) -> Targets:
        """Return the targets of a budget, or of several.

        Args:
            budget: One budget.
            budgets: Several, as ``as_budgets`` takes them; None: one.
            space: The space.
            bound: Makes the feasible set of a budget.
            midway: Whether to take turns between the budgets too, for the front there.

        Raises:
            BudgetError: Both are given, or one cannot be met.
        """
        if budgets is None:
            return cls(bound(budget))
        if budget is not None:
            raise BudgetError(f"give budget or budgets, got {budget!r} and {budgets!r}", budgets)
        limits = as_budgets(budgets, space.known_costs, space.constraints)
        if len(limits) == 1:
            return cls(bound(limits[0]))
        sets = []
        for number, own in enumerate(limits, 1):
            try:
                sets.append(bound(own))
            except BudgetError as error:
                named = f"budget {number} of {len(limits)}, {format_limits(own)}: {error}"
                raise BudgetError(named, error.value) from None
        return cls(bound(hull(limits)), sets, [*sets, *map(bound, between(limits) if midway else ())])

    @property
    def limits(self) -> tuple[Limits, ...]:
        """The limits of each of several budgets; none for one budget."""
        return tuple(each.limits for each in self.budgets)

    def recommended(self, strategy: Strategy, k: int, name: str) -> list[Architecture]:
        """Return the ``k`` that a strategy recommends for each budget.

        Raises:
            StrategyError: It recommends one outside the budget.
        """
        found: dict[Architecture, None] = {}
        for feasible in self.budgets or [self.feasible]:
            if self.budgets:
                strategy.focus(feasible)  # type: ignore[attr-defined]
            best = dict.fromkeys(strategy.recommend(k))
            if outside := [each for each in best if each not in feasible]:
                raise StrategyError(f"{name} recommended {outside[0]}, outside {feasible.describe()}", outside[0])
            found |= best
        return list(found)

    def check_winners(self, confirmed: Sequence[Trial]) -> None:
        """Check that there is one within each budget.

        Raises:
            FitnessError: There is none.
        """
        for own in self.limits:
            if not any(within(trial.costs, own) for trial in confirmed):
                raise FitnessError(f"no architecture within {format_limits(own)} has a fitness", own)
