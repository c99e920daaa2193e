"""HTML of objects in notebooks: one small table each, in the notebook's own colours, every text escaped."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

_CELL = "text-align: left; padding: 0.1em 0.8em 0.1em 0; border: none; background: none; color: inherit"


def html_table(title: str, rows: Mapping[str, object]) -> str:
    """Return a table of names and values; a sequence has a cell for each of its values.

    >>> html_table("<b>", {"heads": (2, 4)}).count("&lt;b&gt;")
    1
    """
    body = "".join(_row(name, value) for name, value in rows.items())
    return f"<div><strong>{_text(title)}</strong><table style='border-collapse: collapse'>{body}</table></div>"


def _row(name: str, value: object) -> str:
    values = value if isinstance(value, Sequence) and not isinstance(value, str) else [value]
    cells = "".join(f"<td style='{_CELL}'>{_text(each)}</td>" for each in values)
    return f"<tr><th scope='row' style='{_CELL}; opacity: 0.7; font-weight: normal'>{_text(name)}</th>{cells}</tr>"


def _text(value: object) -> str:
    from nasformer._console import printable  # Rich is behind it

    return escape(printable(str(value)))
