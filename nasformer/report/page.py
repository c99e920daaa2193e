"""Page: one self-contained HTML file, without network access, usable without JavaScript."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from importlib.resources import files
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from pydantic_core import to_jsonable_python

from nasformer._console import printable
from nasformer._io import without_formulas, write_file
from nasformer.compare import Comparison
from nasformer.errors import NasformerError
from nasformer.report import palette
from nasformer.report.tables.table import Table, as_cell
from nasformer.report.words import FILTERS

if TYPE_CHECKING:
    from nasformer.report.figures import Picture


@dataclass(frozen=True, slots=True)
class Download:
    """A file embedded in the page."""

    name: str
    words: str  # of the link
    kind: str  # media type
    text: str

    @classmethod
    def of_json(cls, name: str, figures: Any) -> Download:
        """Return figures as a JSON file."""
        text = json.dumps(plain(figures), indent=1) + "\n"
        return cls(name, "Download all figures as JSON", "application/json", text)

    @property
    def link(self) -> str:
        """Return the file as a data URL."""
        content = self.text.encode(errors="backslashreplace")
        return f"data:{self.kind};charset=utf-8;base64,{base64.b64encode(content).decode()}"


class Tile(NamedTuple):
    """A figure at the head of the page."""

    name: str
    value: str
    remark: str = ""


@dataclass(frozen=True, slots=True)
class Subject:
    """Header data of a page."""

    title: str
    command: str  # of the shell
    download: Download  # the data of the page
    labels: Sequence[str] = ()  # strategies, for highlighting

    @classmethod
    def of(cls, comparison: Comparison) -> Subject:
        """Return the header of a comparison, with its runs as data."""
        runs = Download(
            "cells.csv", "Download all runs as CSV", "text/csv", without_formulas(comparison.cells).to_csv(index=False)
        )
        return cls(comparison.title, comparison.command, runs, comparison.labels)


def plain(value: Any) -> Any:
    """Return nested data as plain JSON values; non-finite numbers become null.

    >>> plain({("a", "b"): (1.5, float("nan"))})
    {'a,b': [1.5, None]}
    """
    return to_jsonable_python(value, fallback=_plain, inf_nan_mode="null")


def _plain(value: Any) -> Any:
    """Return NumPy's values and our own objects as plain ones."""
    convert = getattr(value, "tolist", None) or getattr(value, "to_dict", None)
    return str(value) if convert is None else convert()


def render(
    template: str,
    subject: Subject,
    records: Sequence[Table],
    chapters: Sequence[tuple[str, str]] = (),
    **shown: Any,
) -> str:
    """Return the page of a template that extends ``base.html.j2``.

    ``records`` are tables for reproduction, ``chapters`` ids and titles for the contents, ``shown`` further variables.
    """
    script = resource("script.js")
    page = _environment().get_template(template)
    return page.render(
        subject=subject,
        records=records,
        numbers={"Figure": count(1), "Table": count(1)},
        chapters=chapters,
        policy=_policy(script),
        script=Markup(script),
        icon=Download("icon.svg", "", "image/svg+xml", resource("icon.svg")).link,
        style=Markup(resource("style.css")),
        light=palette.css(dark=False),
        dark=palette.css(dark=True),
        written=datetime.now().astimezone().strftime("%Y-%m-%d %H:%M %Z"),
        **shown,
    )


def resource(name: str) -> str:
    """Return a file of the templates."""
    return files("nasformer.report").joinpath("templates", name).read_text(encoding="utf-8")


def _policy(script: str) -> str:
    """Return the Content-Security-Policy: no network, and only our script, by hash."""
    rules = ("default-src 'none'", "style-src 'unsafe-inline'", f"script-src {script_policy(script)}", "img-src data:")
    return "; ".join((*rules, "base-uri 'none'", "form-action 'none'"))


def script_policy(script: str) -> str:
    """Return what allows a script in a Content-Security-Policy: its hash."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("nasformer.report"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_shown,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {**FILTERS, "cell": as_cell, "next": next}
    return environment


def _shown(value: object) -> object:
    return value if isinstance(value, Markup) else printable(str(value))


def write_files(folder: str | Path, texts: dict[str, str], pictures: Iterable[Picture | None]) -> Path:
    """Write files atomically, and figures as ``figures/NAME.svg`` and ``.png``; return the folder.

    Raises:
        NasformerError: The folder cannot be written.
    """
    folder = Path(folder)
    try:
        (folder / "figures").mkdir(parents=True, exist_ok=True)
        for picture in filter(None, pictures):
            picture.save(folder / "figures")
        for name, text in texts.items():
            write_file(folder / name, text)
    except OSError as error:
        raise NasformerError(f"cannot write the report to {str(folder)!r}: {error.strerror}", folder) from error
    return folder
