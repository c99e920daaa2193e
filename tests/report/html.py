"""A page as its reader's program sees it: text, tags, ids, links, scripts."""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path


class Page(HTMLParser):
    """Collects the text, the tags and what the page would fetch; what scripts and styles say is no text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.words: list[str] = []
        self.scripts: list[str] = []
        self.inside = ""
        self.tags: list[str] = []
        self.ids: list[str] = []
        self.policy = ""
        self.links: list[tuple[str, str, str]] = []
        self.feed(html)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.inside = tag if tag in ("script", "style") else ""
        self.ids += [value or "" for name, value in attributes if name == "id"]
        if ("http-equiv", "Content-Security-Policy") in attributes:
            self.policy = dict(attributes)["content"] or ""
        addresses = ("src", "href", "xlink:href", "srcset", "data")
        self.links += [(tag, name, value or "") for name, value in attributes if name in addresses]

    def handle_endtag(self, tag: str) -> None:
        self.inside = ""

    def handle_data(self, data: str) -> None:
        if self.inside == "script":
            self.scripts.append(data)
        elif not self.inside:
            self.words.append(data)


def read(path: Path) -> Page:
    return Page(path.read_text(encoding="utf-8"))
