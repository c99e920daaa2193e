"""Console: Rich's console and progress bars for plain text: what users typed or files are named is no markup."""

from __future__ import annotations

import io
import unicodedata
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.progress import Progress, ProgressColumn, Task, TextColumn
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


class PlainProgress(Progress):
    """Progress bars on standard error; in a notebook one output that is updated in place, without widgets."""

    def __init__(self, *columns: ProgressColumn, shown: bool, console: Console | None = None) -> None:
        console = console or PlainConsole(stderr=True)
        in_notebook = console.is_jupyter
        if in_notebook:
            console = Console(file=io.StringIO(), width=100, force_jupyter=False)
        super().__init__(*columns, console=console, disable=not shown)
        if in_notebook:
            self.live = _NotebookLive(get_renderable=self.get_renderable, console=console, refresh_per_second=2)


class _NotebookLive(Live):
    """Rich's own needs ipywidgets, and shows nothing without."""

    _output: Any = None

    def refresh(self) -> None:
        """Show the bars, or update them."""
        from IPython.display import display

        with self.console.capture() as text:
            self.console.print(self.get_renderable())
        shown = {"text/plain": text.get().rstrip()}
        if self._output is None:
            self._output = display(shown, raw=True, display_id=True)  # type: ignore[no-untyped-call]
        else:
            self._output.update(shown, raw=True)
