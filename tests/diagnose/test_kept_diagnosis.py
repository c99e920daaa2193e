"""The tables of a diagnosis go where they belong, and none is typed by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks import _marks, diagnosis

Json = dict[str, Any]
RESULTS = diagnosis.HERE / "results"


def test_the_tables_say_what_was_found(found: Json) -> None:
    told = diagnosis.tables(found)
    assert set(told) == {"varied claims", "varied compute"}
    assert told["varied claims"].count("\n") == 2 + len(found["claims"])
    assert told["varied compute"].startswith("| network | 0.02 M | 0.04 M |")
    for row in found["pieces"]["compute"]["rows"]:
        for entry in row["networks"]:
            assert f" {sum(entry['test']) / 2:.1f} |" in told["varied compute"]


def test_a_diagnosis_without_equal_compute_has_its_claims(found: Json) -> None:
    pieces = {name: piece for name, piece in found["pieces"].items() if name != "compute"}
    assert set(diagnosis.tables({**found, "pieces": pieces})) == {"varied claims"}


@pytest.mark.parametrize("space", sorted(diagnosis.BUDGETS))
def test_the_documents_have_a_place_for_each_table(space: str) -> None:
    text = diagnosis.DOCUMENT.read_text()
    for name in ("claims", "compute"):
        assert f"<!-- {space} {name} -->" in text
        assert f"<!-- /{space} {name} -->" in text


@pytest.mark.parametrize("space", sorted(diagnosis.BUDGETS))
def test_the_documents_show_what_is_kept(space: str) -> None:
    """No figure is typed by hand, and none is left behind by a later diagnosis."""
    path = RESULTS / f"diagnosis-{space}.json"
    if not path.exists():
        pytest.skip(f"{path.name} is not kept yet: python benchmarks/diagnosis.py {space} --write")
    kept = json.loads(path.read_text())
    tables = diagnosis.tables(kept)
    for name, table in tables.items():
        assert _marks.between(diagnosis.DOCUMENT, name) == table
    page = Path(RESULTS / f"diagnosis-{space}.html").read_text()
    found = [row.split("|")[2].partition(";")[0].strip() for row in tables[f"{space} claims"].splitlines()[2:]]
    assert len(found) == len(kept["claims"])
    assert all(each in page for each in found)
