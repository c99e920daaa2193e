"""Files that are there whole or not at all, and hashes that others were kept under."""

from pathlib import Path

import pytest

from nasformer._io import abandoned, atomic, digest, text_digest, write_file


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


def test_what_a_killed_process_left_is_found_by_the_file_it_was_for(tmp_path: Path) -> None:
    with atomic(tmp_path / "a.npy") as mine:
        mine.write_text("")
        (tmp_path / ".b.npy.1-1.part").write_text("")
        assert list(abandoned(tmp_path / "a.npy")) == [mine]


def test_hashes_stay_what_others_were_kept_under() -> None:
    assert digest([1, "a", {"b": None, "a": 0.5}]) == "c04d391de8748445"
    assert digest(Path("x")) == text_digest('"x"')
