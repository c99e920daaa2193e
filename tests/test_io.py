"""Files that are there whole or not at all, and hashes that others were kept under."""

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from nasformer._io import atomic, digest, text_digest, write_file


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
