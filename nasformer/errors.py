"""Exceptions: one family, one clear line each, and the object that gave offence.

Every message says what is wrong, where, the value received and the way out. The command line prints
that line and exits with code 2; a library user catches ``NasformerError`` or one of its kinds and
finds the offending object in ``.offender``.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pydantic import ValidationError


class NasformerError(Exception):
    """Base of all errors that a caller can cause.

    Args:
        message: One line: what, where, the value received, the way out.
        offender: The object that the message is about.
    """

    def __init__(self, message: str, offender: object = None) -> None:
        super().__init__(message)
        self.offender = offender


class ArchitectureError(NasformerError, ValueError):
    """An architecture that is no architecture, or not one of this space."""


class SpaceError(NasformerError, ValueError):
    """A search space that is declared wrongly."""


class BudgetError(NasformerError, ValueError):
    """A budget that cannot be read, or that no architecture of the space meets."""


class RejectionError(BudgetError):
    """A set bounded by a cost that must be asked for, of which too many architectures were asked in vain."""


class StrategyError(NasformerError):
    """A strategy that is unknown, misconfigured, or breaks its protocol."""


class FitnessError(NasformerError):
    """A fitness that cannot judge what it is asked about, or failed too often."""


class StudyError(NasformerError):
    """A recorded search that cannot be opened, continued or saved."""


class DriftError(StudyError):
    """A search that is continued asks for another architecture than its record holds."""


class DataError(NasformerError):
    """A dataset that is absent, unreadable or of the wrong shape."""


class RecipeError(NasformerError, ValueError):
    """A training recipe that is declared wrongly."""


class ExperimentError(NasformerError, ValueError):
    """A comparison that is declared wrongly, or whose runs were made in another way."""


class DiagnosisError(NasformerError, ValueError):
    """A diagnosis that is asked for wrongly, or whose parts were made in another way."""


class DistributedError(NasformerError):
    """Processes that train together and have lost each other."""


class CheckpointError(NasformerError):
    """A checkpoint that is unreadable, or that belongs to another space."""


class ExportError(NasformerError):
    """A network that cannot be exported, or an exported one that cannot be opened or is not what it was."""


_MOST_LISTED = 32


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return a hint that names the nearest of ``known``, or lists them, the first where they are many.

    >>> did_you_mean("evolutoin", ["random", "evolution"])
    "did you mean 'evolution'?"
    >>> did_you_mean("xyz", ["random", "evolution"])
    'known: evolution, random'
    >>> did_you_mean("xyz", [f"choice{number}" for number in range(40)])
    'known: choice0, choice1, choice10, choice11, choice12, choice13, choice14, choice15 and 32 more'
    """
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=1)
    if close:
        return f"did you mean {close[0]!r}?"
    shown = names if len(names) <= _MOST_LISTED else names[: _MOST_LISTED // 4]
    more = len(names) - len(shown)
    return f"known: {', '.join(shown)}{f' and {more} more' if more else ''}"


def first_fault(error: ValidationError) -> tuple[str, str, str, Any]:
    """Return where the first fault is that pydantic found, its kind, what is wrong, and the value received."""
    first = error.errors()[0]
    words = str(first["msg"]).removeprefix("Value error, ")
    return ".".join(map(str, first["loc"])), first["type"], words, first["input"]
