"""Words: the sentences of reports, each a macro of ``words.j2``, filled with what was found."""

from __future__ import annotations

from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from nasformer.report import notation

FILTERS = {
    name: getattr(notation, name)
    for name in (
        *(
            "amount",
            "budget",
            "compact",
            "cost_name",
            "counted",
            "duration",
            "estimate",
            "grouped",
            "listed",
            "p_value",
        ),
        *("points", "sentence", "signed", "worded", "worth", "written"),
    )
}
"""Number formats by name, for every template."""


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
