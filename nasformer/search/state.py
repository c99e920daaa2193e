"""StrategyState: what a strategy knows beyond its told trials, as plain data.

Random generators, queues, fitted variances. It holds between two batches, for the trials told until then.
"""

from __future__ import annotations

import random
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from nasformer.architecture import Architecture
from nasformer.space import SearchSpace

_ARCHITECTURES = "architectures"
"""Key of the codes of a list of architectures."""


class StrategyState(BaseModel):
    """State of a strategy between two batches.

    Attributes:
        trials: Number of trials told.
        retried: Number of repeated evaluations told.
        seconds: Time in ask and tell.
        fields: Plain data of the strategy.
    """

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    trials: int = Field(ge=0)
    retried: int = Field(ge=0)
    seconds: float = Field(ge=0)
    fields: dict[str, Any]


def as_plain(value: Any, space: SearchSpace) -> Any:
    """Return an attribute of a strategy as plain data.

    Args:
        value: Plain data itself (mappings with text keys), a list of architectures, a random generator, or an object
            with ``state()``.
        space: The search space.
    """
    if isinstance(value, random.Random):
        return value.getstate()
    if isinstance(value, np.random.Generator):
        return value.bit_generator.state
    if hasattr(value, "state"):
        return value.state()
    if isinstance(value, list) and value and isinstance(value[0], Architecture):
        return {_ARCHITECTURES: space.encode(value).tolist()}
    return value


def from_plain(plain: Any, now: Any, space: SearchSpace) -> Any:
    """Return the attribute that ``as_plain`` was given.

    Args:
        plain: Its result, also after a round trip through JSON.
        now: The attribute of a new strategy, which stays as it is; an object with ``state()`` has
            ``with_state(plain)``.
        space: The search space.

    Raises:
        NasformerError, LookupError, TypeError, ValueError, OverflowError: It is no such state.
    """
    if isinstance(now, random.Random):
        version, words, gauss = plain
        made = random.Random()
        made.setstate((version, tuple(words), gauss))
        return made
    if isinstance(now, np.random.Generator):
        generator = np.random.default_rng(0)
        generator.bit_generator.state = plain
        return generator
    if hasattr(now, "with_state"):
        return now.with_state(plain)
    if isinstance(plain, dict) and _ARCHITECTURES in plain:
        return space.decode(np.array(plain[_ARCHITECTURES]))
    if plain is not None and now is not None and type(plain) is not type(now):
        raise TypeError(f"expected {type(now).__name__}, got {type(plain).__name__}")
    return plain
