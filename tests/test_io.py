"""Files that are there whole or not at all, and hashes that others were kept under."""

import json
import os
import platform
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from nasformer._io import atomic, digest, grouped, text_digest, to_json, without_formulas, write_file


def test_a_file_comes_into_place_whole_and_its_folder_with_it(tmp_path: Path) -> None:
    path = tmp_path / "new" / "kept.txt"
    write_file(path, "naïve\n")
    assert path.read_bytes() == "naïve\n".encode()
    assert list(path.parent.iterdir()) == [path]


def test_a_failure_keeps_what_was_there_and_leaves_no_draft(tmp_path: Path) -> None:
    path = tmp_path / "kept.txt"
    write_file(path, "before")
    with pytest.raises(OSError, match="disk is full"):
        _fail_half_way(path)
    assert path.read_text() == "before"
    assert list(tmp_path.iterdir()) == [path]


def _fail_half_way(path: Path) -> None:
    with atomic(path) as draft:
        draft.write_text("half")
        raise OSError("the disk is full")


def test_a_folder_comes_into_place_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "folder"
    for fails in (True, False):
        try:
            with atomic(path) as draft:
                draft.mkdir()
                (draft / "part").write_text("one")
                assert not path.exists()
                if fails:
                    raise ValueError("stopped")
        except ValueError:
            assert not list(tmp_path.iterdir())
    assert [each.name for each in path.iterdir()] == ["part"]
    assert list(tmp_path.iterdir()) == [path]


def test_below_a_file_nothing_can_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file"):
        write_file(tmp_path / "file" / "kept.txt", "text")


def test_what_a_killed_process_left_is_removed(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        ended.wait()
    left = [tmp_path / f".a[1].npy.{host}{ended.pid}-1.part" for host in ("", f"{platform.node()}.")]
    others = [tmp_path / f".a[1].npy.elsewhere.{ended.pid}-1.part", tmp_path / f".b.npy.{ended.pid}-1.part"]
    others += [tmp_path / f".a[1].npy.{platform.node()}.{os.getpid()}-1.part", tmp_path / ".a[1].npy.x.part"]
    left[0].mkdir()
    for path in (left[0] / "part of a folder", left[1], *others):
        path.write_text("")
    write_file(tmp_path / "a[1].npy", "text")
    assert set(tmp_path.iterdir()) == {tmp_path / "a[1].npy", *others}


def test_hashes_stay_what_others_were_kept_under() -> None:
    assert digest([1, "a", {"b": None, "a": 0.5}]) == "c04d391de8748445"
    assert digest(Path("x")) == text_digest('"x"')


def test_numbers_that_json_lacks_become_null() -> None:
    value = {"a": (1.5, float("nan")), "b": [np.float64("inf")], "c": {"d": -float("inf")}, "e": 10**5000, "f": 10**30}
    assert json.loads(to_json(value)) == {"a": [1.5, None], "b": [None], "c": {"d": None}, "e": None, "f": 10**30}
    assert to_json({"a": [1, 0.1]}, indent=1) == json.dumps({"a": [1, 0.1]}, indent=1)


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0"), (22113, "22,113"), (10**30, "1" + ",000" * 10), (4 * 10**5000, "4.0e+5000")],
    ids=["none", "some", "many", "huge"],
)
def test_a_count_of_any_size_is_written(count: int, text: str) -> None:
    assert grouped(count) == text


def test_texts_in_csv_are_no_formulas() -> None:
    cells = {"label": ["=1+1", "@x", "a-b", None], "=name": [-1.0, 2.0, 3.0, 4.0], "any": ["+1", -1, {"a": 1}, "\tx"]}
    text = without_formulas(pd.DataFrame(cells)).to_csv(index=False)
    assert text.splitlines() == ["label,'=name,any", "'=1+1,-1.0,'+1", "'@x,2.0,-1", "a-b,3.0,{'a': 1}", ",4.0,'\tx"]


def test_names_that_are_not_utf_8_are_hashed_and_written(tmp_path: Path) -> None:
    name = os.fsdecode(b"caf\xe9.png")
    assert text_digest(name) != text_digest("café.png")
    write_file(tmp_path / "names.txt", name)
    assert (tmp_path / "names.txt").read_text() == r"caf\udce9.png"
