"""pyproject.toml says what the project promises."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture(scope="module")
def project(root: Path) -> dict[str, Any]:
    tables: dict[str, Any] = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    return tables


def test_torch_is_never_held_back(project: dict[str, Any]) -> None:
    (torch,) = [line for line in project["dependencies"] if re.match(r"torch\b", line)]
    assert not re.search(r"<|==|~=", torch)


def test_extras(project: dict[str, Any]) -> None:
    extras = set(project["optional-dependencies"])
    known = {"dev", "docs", "ray", "onnx", "dashboard", "postgresql", "parquet", "cmaes", "browser", "datasets"}
    assert extras == known | {"transformers"}


def test_changelog_names_the_version(root: Path, project: dict[str, Any]) -> None:
    assert f"## {project['version']}" in (root / "CHANGELOG.md").read_text()


def test_the_citation_names_the_version(root: Path, project: dict[str, Any]) -> None:
    assert f"\nversion: {project['version']}\n" in (root / "CITATION.cff").read_text()
