"""Words: the sentences of reports, each a macro of ``words.j2``, filled with what was found."""

from __future__ import annotations

from functools import cache
from types import FunctionType
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from nasformer.report import notation

FILTERS = {name: of for name, of in vars(notation).items() if isinstance(of, FunctionType)}
"""The number formats by name, for every template."""


def say(macro: str, **values: Any) -> str:
    """Return the sentences of a macro as plain text on one line.

    >>> say("caution_single")
    'There is only one strategy, so nothing is compared.'
    """
    return " ".join(str(getattr(_macros(), macro)(**values)).split())


@cache
def _macros() -> Any:
    environment = Environment(loader=PackageLoader("nasformer.report"), undefined=StrictUndefined)
    environment.filters |= FILTERS
    return environment.get_template("words.j2").module
