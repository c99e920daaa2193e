"""Console output of commands: text and tables, or JSON with ``--json``."""

from __future__ import annotations

import functools
import os
import shlex
import signal
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from rich.table import Table

from nasformer._console import PlainConsole
from nasformer._io import grouped, to_json

console = PlainConsole()
"""Standard output, for results."""

messages = PlainConsole(stderr=True)
"""Standard error, for progress and errors."""


_TYPED: ContextVar[tuple[str, ...]] = ContextVar("typed", default=())


def remember(arguments: Sequence[str]) -> None:
    """Store the command-line arguments for ``command_line``."""
    _TYPED.set(tuple(arguments))


def command_line() -> str:
    """Return the shell command of this process, without the password of a storage."""
    return shlex.join(["nasformer", *(_shown(each) if "://" in each else each for each in _TYPED.get())])


def _shown(argument: str) -> str:
    from nasformer.search.study import shown

    return shown(argument)


class Stopped(Exception):  # noqa: N818 - no error
    """Ctrl-C, with a message how to resume; Typer would swallow a KeyboardInterrupt and its message."""


def stoppable(command: Callable[..., None]) -> Callable[..., None]:
    """Return a command that raises Stopped when interrupted."""

    @functools.wraps(command)
    def run(*arguments: Any, **options: Any) -> None:
        try:
            command(*arguments, **options)
        except KeyboardInterrupt as stop:
            raise Stopped(*stop.args) from None

    return run


@contextmanager
def resumable(kept: str) -> Iterator[None]:
    """Tell whoever interrupts what is kept, and the command that resumes."""
    try:
        yield
    except KeyboardInterrupt:
        raise KeyboardInterrupt(f"{kept}; resume with: {command_line()}") from None


def should_report_error() -> bool:
    """Whether this process reports why the command ends; under torchrun exactly one does."""
    if "TORCHELASTIC_RUN_ID" not in os.environ:
        return True
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # torchrun forwards a Ctrl-C that all have received
    from nasformer.training import should_report

    return should_report()


def say(text: str, style: str | None = None) -> None:
    """Print a final line on standard error."""
    if should_report_error():
        messages.print(text, style=style, soft_wrap=True)


def print_json(data: Mapping[str, Any] | Sequence[Any]) -> None:
    """Print data as JSON and nothing else."""
    console.print(to_json(data, indent=2), soft_wrap=True)


def print_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]], *, left: int = 1) -> None:
    """Print a table; the first ``left`` columns are left-aligned text, the others right-aligned numbers."""
    table = Table(title=title, title_justify="left", title_style="bold", header_style="bold", box=None, pad_edge=False)
    for index, column in enumerate(columns):
        table.add_column(column, justify="left" if index < left else "right")
    for row in rows:
        table.add_row(*map(_text, row))
    console.print(table)


def _text(cell: object) -> str:
    return grouped(cell) if isinstance(cell, int) else _number(cell) if isinstance(cell, float) else str(cell)


def _number(value: float) -> str:
    """Format a number with two decimals; with four significant digits if below 1.

    >>> _number(96.944), _number(-0.54464), _number(0.0)
    ('96.94', '-0.5446', '0.00')
    """
    return f"{value:.2f}" if abs(value) >= 1 or value == 0 else f"{value:.4g}"
