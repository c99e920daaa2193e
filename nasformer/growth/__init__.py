"""Growth: networks of several budgets from one supernet, each from what the smaller ones have learnt."""

from nasformer.growth.front import GrownFront, grow_front
from nasformer.growth.growth import GrownNetwork

__all__ = ["GrownFront", "GrownNetwork", "grow_front"]
