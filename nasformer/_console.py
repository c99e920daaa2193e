"""Console: Rich's console and progress columns for plain text: what users typed or files are named is no markup."""

from __future__ import annotations

import unicodedata
from typing import Any

from rich.console import Console
from rich.progress import Task, TextColumn
from rich.text import Text


def printable(text: str) -> str:
    r"""Return text with backslash escapes for control characters and for bytes of names that are not UTF-8.

    >>> print(printable("\x1b[31m caf\udce9 名\n[red]:cat:"))
    \u001b[31m caf\udce9 名
    [red]:cat:
    """
    return text if text.isprintable() else "".join(map(_printable, text))


def _printable(character: str) -> str:
    if character.isprintable() or character == "\n" or unicodedata.category(character) == "Zs":
        return character
    code = ord(character)
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


class PlainConsole(Console):
    """A console that prints text as it is, without markup and emoji codes, and its control characters escaped."""

    def __init__(self, *, stderr: bool = False) -> None:
        super().__init__(stderr=stderr, highlight=False, markup=False, emoji=False)

    def render_str(self, text: str, **options: Any) -> Text:
        """Return text for printing; also that of table cells."""
        return super().render_str(printable(text), **options)


class PlainColumn(TextColumn):
    """A column of a progress bar with the same text."""

    def render(self, task: Task) -> Text:
        """Return the text of a task."""
        return Text(printable(self.text_format.format(task=task)), style=self.style, justify=self.justify)
