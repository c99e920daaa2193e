"""The storage under bad luck: locks left behind, lines cut off, connections lost, disks full."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from optuna.storages.journal import JournalFileBackend, JournalFileSymlinkLock

from nasformer.errors import StudyError
from nasformer.search.study import Store, Study
from nasformer.search.study.journal import StudyJournal
from nasformer.space import SearchSpace

Disk = Callable[[int], AbstractContextManager[None]]
GRACE_SECONDS = 30
LINE = {"op_code": 2, "study_id": 0, "user_attr": {"key": "value"}}


def begin(url: object, space: SearchSpace, name: str = "mine") -> Study:
    return Study.begin(url, name, space, {"seed": 0})  # type: ignore[arg-type]


def test_a_process_killed_with_the_lock_stops_nobody(tmp_path: Path, space: SearchSpace) -> None:
    begin(tmp_path / "study.log", space)
    hold = (
        "import sys, time; from nasformer.search.study.journal import StudyJournal;"
        "held = StudyJournal(sys.argv[1]).together(); held.__enter__(); print('held', flush=True); time.sleep(600)"
    )
    command = [sys.executable, "-c", hold, str(tmp_path / "study.log")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        process.kill()
    assert os.path.lexists(tmp_path / "study.log.lock"), "its lock is still there"
    other = threading.Thread(target=begin, args=(tmp_path / "study.log", space, "another"))
    other.start()
    other.join(GRACE_SECONDS - 5)
    assert not other.is_alive(), "it waits for the grace period of plain Optuna's lock"
    assert not os.path.lexists(tmp_path / "study.log.lock")


def test_a_lock_of_plain_optuna_is_waited_for(tmp_path: Path) -> None:
    journal, theirs = StudyJournal(tmp_path / "study.log"), JournalFileSymlinkLock(str(tmp_path / "study.log"))
    theirs.acquire()
    writer = threading.Thread(target=journal.append_logs, args=([LINE],))
    writer.start()
    writer.join(0.2)
    assert writer.is_alive()
    assert (tmp_path / "study.log").read_bytes() == b""
    theirs.release()
    writer.join(60)
    assert list(JournalFileBackend(str(tmp_path / "study.log")).read_logs(0)) == [LINE]


def test_plain_optuna_waits_for_our_lock(tmp_path: Path) -> None:
    journal, theirs = StudyJournal(tmp_path / "study.log"), JournalFileBackend(str(tmp_path / "study.log"))
    writer = threading.Thread(target=theirs.append_logs, args=([LINE],))
    with journal.together():
        writer.start()
        writer.join(0.2)
        assert writer.is_alive()
        assert (tmp_path / "study.log").read_bytes() == b""
    writer.join(60)
    assert list(journal.read_logs(0)) == [LINE]


@pytest.mark.parametrize("torn", [b'{"op_c', b'{"op_code":2,"study_id":0,"user_attr":{"key":"va', b"{"])
@pytest.mark.parametrize("before", [0, 3])
def test_a_line_cut_off_is_removed_before_the_next_is_written(torn: bytes, before: int, tmp_path: Path) -> None:
    path = tmp_path / "study.log"
    journal = StudyJournal(path)
    journal.append_logs([LINE] * before)
    with path.open("ab") as file:
        file.write(torn)
    assert list(journal.read_logs(0)) == [LINE] * before
    journal.append_logs([LINE])
    assert list(StudyJournal(path).read_logs(0)) == list(journal.read_logs(0)) == [LINE] * (before + 1)


def test_a_file_that_is_no_journal_is_left_as_it_is(tmp_path: Path, space: SearchSpace) -> None:
    path = tmp_path / "letter.txt"
    path.write_text("Dear all,\nno line ends here")
    with pytest.raises(StudyError, match=r"letter\.txt"):
        begin(path, space)
    assert path.read_text() == "Dear all,\nno line ends here"


def test_a_full_disk_leaves_no_half_line(tmp_path: Path, disk: Disk) -> None:
    journal = StudyJournal(tmp_path / "study.log")
    journal.append_logs([LINE])
    kept = (tmp_path / "study.log").read_bytes()
    with disk(len(kept) + 10), pytest.raises(OSError, match="File too large"):
        journal.append_logs([LINE, LINE])
    assert (tmp_path / "study.log").read_bytes() == kept
    journal.append_logs([LINE])
    assert list(journal.read_logs(0)) == [LINE, LINE]


def test_looking_at_what_is_not_there_makes_nothing(tmp_path: Path) -> None:
    for url in (str(tmp_path / "study.log"), f"sqlite:///{tmp_path}/study.db"):
        with pytest.raises(StudyError, match=r"study\.\w+' does not exist; create it with 'nasformer study create'"):
            Store(url, create=False)
    assert list(tmp_path.iterdir()) == []


def test_a_lost_connection_is_made_again(postgresql: str, space: SearchSpace) -> None:
    import psycopg

    study = begin(postgresql, space)
    for attempt in range(3):
        with psycopg.connect(postgresql, autocommit=True) as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE pid <> pg_backend_pid() AND datname = current_database()"
            )
        if attempt % 2:
            study.store.change(study.id, lambda: study.store.optuna.set_study_user_attr(study.id, "key", "value"))
        else:
            assert study.trials() == []
    assert study.store.read(lambda: study.store.optuna.get_study_user_attrs(study.id))["key"] == "value"


def test_a_server_that_is_gone_is_one_line_without_the_password(postgresql: str) -> None:
    gone = postgresql.replace("tester@", "tester:secret@").rpartition("/")[0] + "/nowhere"
    with pytest.raises(StudyError, match=r'tester:\*\*\*@127.*database "nowhere" does not exist') as caught:
        Store(gone)
    assert "\n" not in str(caught.value)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("url", ["sqlite", "postgresql"], indirect=True)
def test_a_change_to_a_database_is_made_whole_or_not_at_all(url: str, space: SearchSpace) -> None:
    study = begin(url, space)

    def body() -> None:
        study.store.optuna.set_study_user_attr(study.id, "key", "value")
        raise RuntimeError("in the middle")

    with pytest.raises(StudyError, match="RuntimeError: in the middle"):
        study.store.change(study.id, body)
    assert "key" not in study.store.read(lambda: study.store.optuna.get_study_user_attrs(study.id))
