"""Page: one HTML file that needs nothing else, may fetch nothing, and works without its script too."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from nasformer._io import write_file
from nasformer.compare import Comparison
from nasformer.errors import NasformerError
from nasformer.report import palette, tables
from nasformer.report.notation import printable

if TYPE_CHECKING:
    from nasformer.report.figures import Picture


@dataclass
class Numbering:
    """Numbers figures and tables in the order in which the page shows them."""

    figures: int = 0
    tables: int = 0

    def figure(self) -> int:
        """Return the next figure's number."""
        self.figures += 1
        return self.figures

    def table(self) -> int:
        """Return the next table's number."""
        self.tables += 1
        return self.tables


@dataclass(frozen=True, slots=True)
class Download:
    """A file that the page holds.

    Args:
        name: What it is saved as.
        words: What to click.
        kind: Its media type.
        text: What it says.
    """

    name: str
    words: str
    kind: str
    text: str

    @property
    def link(self) -> str:
        """Return the file as an address that holds it."""
        return f"data:{self.kind};charset=utf-8;base64,{base64.b64encode(self.text.encode()).decode()}"


@dataclass(frozen=True, slots=True)
class Subject:
    """What a page is about.

    Args:
        title: Its heading.
        command: What was typed to get here.
        download: The data behind the page.
        labels: Strategies, to be lit up in all figures.
    """

    title: str
    command: str
    download: Download
    labels: Sequence[str] = ()

    @classmethod
    def of(cls, comparison: Comparison) -> Subject:
        """Return a comparison's, whose data are its runs."""
        runs = Download("cells.csv", "Download all runs as CSV", "text/csv", comparison.cells.to_csv(index=False))
        return cls(comparison.title, comparison.command, runs, comparison.labels)


def render(
    template: str, subject: Subject, pictures: Iterable[Picture], records: Sequence[tables.Table], **shown: Any
) -> str:
    """Return the page.

    Args:
        template: Its file; it extends ``base.html.j2``.
        subject: Gives the title, the command, the data and the strategies.
        pictures: All figures of the page.
        records: What one needs to do it again.
        **shown: What the template asks for besides.
    """
    script = _resource("script.js")
    page = _environment().get_template(template)
    return page.render(
        subject=subject,
        records=records,
        traces={picture.name: picture.traces for picture in pictures if picture.traces},
        count=Numbering(),
        policy=_policy(script),
        script=Markup(script),
        style=Markup(_resource("style.css")),
        light=palette.css(dark=False),
        dark=palette.css(dark=True),
        written=datetime.now().astimezone().strftime("%Y-%m-%d %H:%M %Z"),
        **shown,
    )


def _resource(name: str) -> str:
    return files("nasformer.report").joinpath("templates", name).read_text(encoding="utf-8")


def _policy(script: str) -> str:
    """Return the Content-Security-Policy: no network at all, and no script but ours, known by its hash."""
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    rules = ("default-src 'none'", "style-src 'unsafe-inline'", f"script-src 'sha256-{digest}'", "img-src data:")
    return "; ".join((*rules, "base-uri 'none'", "form-action 'none'"))


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("nasformer.report"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_shown,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["cell"] = tables.as_cell
    return environment


def _shown(value: object) -> object:
    return printable(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def write_files(folder: str | Path, texts: dict[str, str], pictures: Iterable[Picture]) -> Path:
    """Write files, each whole or not at all, and figures as ``figures/NAME.svg`` and ``.png``.

    Returns:
        The folder.

    Raises:
        NasformerError: The folder cannot be written.
    """
    folder = Path(folder)
    try:
        (folder / "figures").mkdir(parents=True, exist_ok=True)
        for picture in pictures:
            picture.save(folder / "figures")
        for name, text in texts.items():
            write_file(folder / name, text)
    except OSError as error:
        raise NasformerError(f"cannot write the report to {str(folder)!r}: {error.strerror}", folder) from error
    return folder
