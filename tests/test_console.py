"""Names are printed as they are: neither markup nor emoji, and no control character reaches the terminal."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from rich.table import Table

from nasformer._console import PlainConsole
from nasformer.compare.pool import progress_bar
from nasformer.search.progress import ProgressBar

NAME = "[red]a[/] :cat: \x1b[31m\x07\x9b\x7f \udcff 名"
SHOWN = r"[red]a[/] :cat: \u001b[31m\u0007\u009b\u007f \udcff 名"


def test_text_and_cells(capsys: pytest.CaptureFixture[str]) -> None:
    console = PlainConsole()
    table = Table(NAME, title=NAME, box=None)
    table.add_row(NAME)
    console.print(NAME)
    console.print(table)
    assert capsys.readouterr().out.count(SHOWN) == 4


def search() -> None:
    with ProgressBar(NAME, 1, True):
        pass


def comparison() -> None:
    with progress_bar(True) as bar:
        bar.add_task("runs", total=1, last=NAME)


@pytest.mark.parametrize("show", [search, comparison])
def test_progress(
    show: Callable[[], None], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    show()
    assert SHOWN in capsys.readouterr().err
