"""Every sentence that is said is there, and every one that is there is said."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from jinja2 import UndefinedError

from nasformer.report.words import say


def test_no_sentence_is_missing_and_none_is_left_behind(root: Path) -> None:
    report = root / "nasformer" / "report"
    words = (report / "templates" / "words.j2").read_text(encoding="utf-8")
    sources = [path for part in ("report", "diagnose") for path in (root / "nasformer" / part).rglob("*.py")]
    code = "\n".join(path.read_text(encoding="utf-8") for path in sources)
    macros = set(re.findall(r"{% macro (\w+)\(", words))
    said = set(re.findall(r'say\(\s*"(\w+)"', code))
    assert said <= macros
    kinds = {name for name in macros if re.search(rf'"{name.removeprefix("caution_")}"', code)}
    helpers = {name for name in macros if len(re.findall(rf"\b{name}\(", words)) > 1}
    assert macros - said - kinds - helpers == set()


def test_sentences_are_one_line_without_holes() -> None:
    medians = {"random": 12.0, "evolution": 1200.0}
    assert say("caution_unequal", medians=medians) == (
        "the strategies have different numbers of evaluations (medians: random 12 and evolution 1,200)."
    )
    with pytest.raises(UndefinedError, match=r"parameter 'medians' was not provided"):
        say("caution_unequal")
