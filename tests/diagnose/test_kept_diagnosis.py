"""The tables of a diagnosis go where they belong, and none is typed by hand."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from benchmarks import _marks, diagnosis, winner

Json = dict[str, Any]


def test_the_tables_say_what_was_found(found: Json) -> None:
    told = diagnosis.tables(found)
    assert told["claims"].count("\n") == 2 + len(found["claims"])
    for row in found["pieces"]["sharing"]["ablation"]:
        assert f"| {row['inherited']:.2f} | {row['retrained']:.2f} |" in told["ablation"]
    assert "| entangled | evolution | 81.7 | 81.7 |" in told["ablation"]
    assert "5 retrained for 3 epochs, 3 fine-tuned for 1" in told["pieces"]


def test_they_are_kept_together(
    found: Json, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "results").mkdir()
    document = tmp_path / "diagnosis.md"
    document.write_text("".join(f"<!-- {name} -->\n<!-- /{name} -->\n" for name in diagnosis.tables(found)))
    monkeypatch.setattr(diagnosis, "HERE", tmp_path)
    for place in ("README", "DOCUMENT"):
        monkeypatch.setattr(diagnosis, place, document)
    source = tmp_path / "run"
    source.mkdir()
    shutil.copy(folder / "diagnosis.json", source)
    (source / "report.html").write_text("page")
    assert diagnosis.main([str(source), "--write"]) == 0
    printed = capsys.readouterr().out
    for name, table in diagnosis.tables(found).items():
        assert _marks.between(document, name) == table
        assert table in printed
    assert json.loads((tmp_path / "results" / "diagnosis.json").read_text()) == found
    assert diagnosis.main([str(tmp_path)]) == 2
    (source / "diagnosis.json").write_text(json.dumps({**found, "pieces": {"images": {}}}))
    capsys.readouterr()
    assert diagnosis.main([str(source)]) == 2
    assert "has no curse, strategies, fidelity, sharing, winner yet" in capsys.readouterr().err


def test_the_documents_show_what_is_kept() -> None:
    """No figure is typed by hand, and none is left behind by a later diagnosis."""
    kept = json.loads((diagnosis.HERE / "results" / "diagnosis.json").read_text())
    for name, table in diagnosis.tables(kept).items():
        assert _marks.between(diagnosis.README if name == "verdicts" else diagnosis.DOCUMENT, name) == table
    rows = json.loads(winner.RESULT.read_text())["rows"]
    assert _marks.between(winner.WALK, "winner") == winner.shown(rows)
    page = (diagnosis.HERE / "results" / "diagnosis.html").read_text()
    assert all(claim["here"].split(";")[0] in page for claim in kept["claims"])
