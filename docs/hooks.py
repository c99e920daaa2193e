"""Hooks of MkDocs: pages from the code, and links as they stand on GitHub.

A page shows ``<!-- generated: NAME -->`` where ``_reference.NAME`` returns Markdown. Pages of the API are made from the
``__all__`` of each package. Files outside docs/ that pages link to become part of the site.
"""

from __future__ import annotations

import os
import posixpath
import re
import sys
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files, InclusionLevel
from mkdocs.structure.pages import Page

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from docs import _reference

ROOT = Path(__file__).resolve().parent.parent

_PAGES = {"CONTRIBUTING.md": "contributing.md", "CHANGELOG.md": "changelog.md", "README.md": "index.md"}
"""Pages of the site for files of the root."""
_LINKED = ("LICENSE", "benchmarks/results/*", "benchmarks/experiments/*.yaml", "docs/tutorials/*.ipynb")
_MARK = re.compile(r"<!-- generated: (\w+) -->")
_LINK = re.compile(r"(\]\()([^)#\s]+)(#[^)\s]*)?(\))")
_FROM_NETWORK = re.compile(r"""<(?:script|img|iframe)[^>]*\ssrc="?https?:|<link[^>]*stylesheet[^>]*href="?https?:""")


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Add the pages of the API to the navigation."""
    nav: list[dict[str, Any]] = config.nav  # type: ignore[assignment]
    (reference,) = (section["Reference"] for section in nav if "Reference" in section)
    reference.append({"Python API": [_api_page(package) for package in _reference.packages()]})
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages of the API, those of the root, and linked files."""
    for package in _reference.packages():
        files.append(File.generated(config, _api_page(package), content=_reference.api(package)))
    for source in ("CONTRIBUTING.md", "CHANGELOG.md"):
        files.append(File.generated(config, _PAGES[source], content=(ROOT / source).read_text(encoding="utf-8")))
    for pattern in _LINKED:
        for path in sorted(ROOT.glob(pattern)):
            target = path.relative_to(ROOT).as_posix().removeprefix("docs/")
            if not files.get_file_from_path(target) or target.endswith(".ipynb"):
                files.append(
                    File.generated(config, target, abs_src_path=str(path), inclusion=InclusionLevel.NOT_IN_NAV)
                )
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Fill in what is generated, and point links to files of the root at their place in the site."""
    source = page.file.src_uri
    root_file = {target: name for name, target in _PAGES.items() if name != "README.md"}.get(source, f"docs/{source}")
    if source.startswith("benchmarks/"):
        root_file = source

    def on_site(match: re.Match[str]) -> str:
        before, link, anchor, after = match.groups()
        if ":" in link:
            return match[0]
        target = posixpath.normpath(posixpath.join(posixpath.dirname(root_file), link))
        target = _PAGES.get(target, target.removeprefix("docs/"))
        return f"{before}{os.path.relpath(target, posixpath.dirname(source) or '.')}{anchor or ''}{after}"

    filled = _MARK.sub(lambda match: getattr(_reference, match[1])(), markdown)
    return _LINK.sub(on_site, filled) if not source.startswith("reference/api/") else filled


def on_post_page(output: str, page: Page, config: MkDocsConfig) -> str:
    """Refuse a page that loads anything over the network."""
    if found := _FROM_NETWORK.search(output):
        raise PluginError(f"{page.file.src_uri} loads {found[0]}… over the network")
    return output


def _api_page(package: str) -> str:
    return f"reference/api/{package}.md"
