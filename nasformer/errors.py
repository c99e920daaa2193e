"""Exceptions: one family; each has a one-line message and carries the offending value.

A message names the problem, its place, the value received and the remedy. The command line prints
that line and exits with code 2; library users catch ``NasformerError`` or a subclass and
read the offending value from ``.value``.
"""

from __future__ import annotations

import difflib
import sys
import warnings
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pydantic import ValidationError


_MAX_MESSAGE, _HEAD, _TAIL = 500, 300, 180


class NasformerError(Exception):
    """Base of all errors that a caller can cause.

    Args:
        message: One line: problem, place, value received, remedy. The middle of a long one is left out.
        value: The offending value.
    """

    def __init__(self, message: str, value: object = None, *, offender: object = None) -> None:
        if offender is not None:
            warnings.warn("offender= is now value=", DeprecationWarning, stacklevel=2)
        super().__init__(message if len(message) <= _MAX_MESSAGE else f"{message[:_HEAD]} … {message[-_TAIL:]}")
        self.value = value if offender is None else offender

    @property
    def offender(self) -> object:
        """The former name of ``value``; deprecated."""
        warnings.warn(".offender is now .value", DeprecationWarning, stacklevel=2)
        return self.value


def deprecated_names(module: str, new: Mapping[str, str]) -> Callable[[str], Any]:
    """Return a module's ``__getattr__`` that warns for one version of names by their new ones."""

    def getter(name: str) -> Any:
        if name not in new:
            raise AttributeError(f"module {module!r} has no attribute {name!r}")
        warnings.warn(f"{module}.{name} is now {new[name]}", DeprecationWarning, stacklevel=2)
        return getattr(sys.modules[module], new[name])

    return getter


class ArchitectureError(NasformerError, ValueError):
    """An architecture that is invalid, or outside the space."""


class SpaceError(NasformerError, ValueError):
    """An invalid search space declaration."""


class BudgetError(NasformerError, ValueError):
    """A budget that cannot be parsed, or that no architecture of the space meets."""


class RejectionError(BudgetError):
    """Rejection sampling under a black-box cost used up its attempts."""


class StrategyError(NasformerError):
    """A strategy that is unknown, misconfigured, or violates its protocol."""


class FitnessError(NasformerError):
    """A fitness that cannot evaluate the requested architectures, or failed too often."""


class StudyError(NasformerError):
    """A study that cannot be opened, resumed or saved."""


class LeaderError(StudyError):
    """Another process leads the study."""


class DriftError(StudyError):
    """A resumed search asks for another architecture than its study holds."""


class DataError(NasformerError):
    """A dataset that is missing, unreadable or of the wrong shape."""


class RecipeError(NasformerError, ValueError):
    """An invalid training recipe."""


class DivergenceError(RecipeError):
    """A training whose loss or weights are no longer finite."""


class ExperimentError(NasformerError, ValueError):
    """An invalid experiment declaration, or runs made with other settings."""


class DiagnosisError(NasformerError, ValueError):
    """An invalid diagnosis plan, or parts made with other settings."""


class DistributedError(NasformerError):
    """A process of a distributed training lost the others."""


class CheckpointError(NasformerError):
    """A checkpoint that is unreadable, or that belongs to another space."""


class ExportError(NasformerError):
    """A network that cannot be exported, or an export that cannot be opened or was altered."""


_MAX_LISTED = 32
_MAX_SHOWN = 80


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return a hint that names the closest of ``known``, or else lists them, abbreviated if there are many.

    >>> did_you_mean("evolutoin", ["random", "evolution"])
    "did you mean 'evolution'?"
    >>> did_you_mean("lr", ["learning_rate", "epochs"])
    "did you mean 'learning_rate'?"
    >>> did_you_mean("xyz", ["random", "evolution"])
    'known: evolution, random'
    >>> did_you_mean("xyz", [f"choice{number}" for number in range(40)])
    'known: choice0, choice1, choice10, choice11, choice12, choice13, choice14, choice15 and 32 more'
    """
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=1) or [each for each in names if name and _initials(each) == name]
    if close:
        return f"did you mean {close[0]!r}?"
    shown = names if len(names) <= _MAX_LISTED else names[: _MAX_LISTED // 4]
    more = len(names) - len(shown)
    return f"known: {', '.join(shown)}{f' and {more} more' if more else ''}"


def _initials(name: str) -> str:
    return "".join(part[:1] for part in name.split("_")) if "_" in name else ""


def first_fault(error: ValidationError) -> tuple[str, str, str, Any]:
    """Return location, type, message and input of pydantic's first error."""
    first = error.errors()[0]
    words = str(first["msg"]).removeprefix("Value error, ")
    return ".".join(map(str, first["loc"])), first["type"], words, first["input"]


def shown(value: object) -> str:
    """Return the ``repr`` of a value as one line of at most 80 characters.

    >>> shown("a"), len(shown([1] * 100))
    ("'a'", 80)
    """
    try:
        text = " ".join(repr(value).splitlines())
    except (ValueError, RecursionError):  # more digits or levels than Python writes
        return f"{type(value).__name__} …"
    return text if len(text) <= _MAX_SHOWN else f"{text[: _MAX_SHOWN - 2]} …"
