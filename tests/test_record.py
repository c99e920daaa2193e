"""Records of runs: what is damaged is named with its file."""

from __future__ import annotations

from pathlib import Path

import pytest

from nasformer._record import read_record
from nasformer.errors import NasformerError


@pytest.mark.parametrize(
    ("content", "words"),
    [("{", "cannot read .*run.json: "), ("[1]", r"run\.json is damaged: it holds \[1\], not a mapping")],
)
def test_a_damaged_record_is_one_line(content: str, words: str, tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text(content)
    with pytest.raises(NasformerError, match=words):
        read_record(tmp_path / "run.json")


def test_a_key_that_a_record_lacks_is_named(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text('{"loss": NaN}')
    record = read_record(tmp_path / "run.json")
    assert record.get("space") is None
    with pytest.raises(NasformerError, match=r"run\.json is damaged: it lacks 'space'"):
        record["space"]
    with pytest.raises(NasformerError, match=r"cannot read .*: No such file"):
        read_record(tmp_path / "other.json")
