"""The storage under bad luck: locks left behind, lines cut off, connections lost, servers stopped, disks full."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
from optuna.storages.journal import JournalFileBackend, JournalFileSymlinkLock

from nasformer.errors import StudyError
from nasformer.search.study import Store, Study, storage
from nasformer.search.study import journal as journal_module
from nasformer.search.study.journal import JournalLock
from nasformer.space import SearchSpace
from tests.search import sitting
from tests.search.postgresql import Server

Disk = Callable[[int], AbstractContextManager[None]]
GRACE_SECONDS = 30
LINE = {"op_code": 2, "study_id": 0, "user_attr": {"key": "value"}}


def begin(url: object, space: SearchSpace, name: str = "mine") -> None:
    Study.begin(url, name, {"space": space.to_dict(), "evaluations": 3}).close()  # type: ignore[arg-type]


def journal(path: Path) -> JournalFileBackend:
    return JournalFileBackend(str(path), lock_obj=JournalLock(path))


def test_a_process_killed_with_the_lock_stops_nobody(tmp_path: Path, space: SearchSpace) -> None:
    begin(tmp_path / "study.log", space)
    hold = (
        "import sys, time; from pathlib import Path; from nasformer.search.study.journal import JournalLock;"
        "JournalLock(Path(sys.argv[1])).acquire(); print('held', flush=True); time.sleep(600)"
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
    own, theirs = journal(tmp_path / "study.log"), JournalFileSymlinkLock(str(tmp_path / "study.log"))
    theirs.acquire()
    writer = threading.Thread(target=own.append_logs, args=([LINE],))
    writer.start()
    writer.join(0.2)
    assert writer.is_alive()
    assert (tmp_path / "study.log").read_bytes() == b""
    theirs.release()
    writer.join(60)
    assert list(JournalFileBackend(str(tmp_path / "study.log")).read_logs(0)) == [LINE]


def test_plain_optuna_waits_for_our_lock(tmp_path: Path) -> None:
    own, theirs = journal(tmp_path / "study.log"), JournalFileBackend(str(tmp_path / "study.log"))
    writer = threading.Thread(target=theirs.append_logs, args=([LINE],))
    lock = JournalLock(tmp_path / "study.log")
    lock.acquire()
    writer.start()
    writer.join(0.2)
    assert writer.is_alive()
    assert (tmp_path / "study.log").read_bytes() == b""
    lock.release()
    writer.join(60)
    assert list(own.read_logs(0)) == [LINE]


@pytest.mark.parametrize("torn", [b'{"op_c', b'{"op_code":2,"study_id":0,"user_attr":{"key":"va', b"{"])
@pytest.mark.parametrize("before", [0, 3])
def test_a_line_cut_off_is_removed_before_the_next_is_written(torn: bytes, before: int, tmp_path: Path) -> None:
    path = tmp_path / "study.log"
    journal(path).append_logs([LINE] * before) if before else path.touch()
    with path.open("ab") as file:
        file.write(torn)
    assert list(journal(path).read_logs(0)) == [LINE] * before
    journal(path).append_logs([LINE])
    assert list(journal(path).read_logs(0)) == [LINE] * (before + 1)


def test_a_file_that_is_no_journal_is_left_as_it_is(tmp_path: Path, space: SearchSpace) -> None:
    path = tmp_path / "letter.txt"
    path.write_text("Dear all,\nno line ends here")
    with pytest.raises(StudyError, match=r"letter\.txt"):
        begin(path, space)
    assert path.read_text() == "Dear all,\nno line ends here"


def test_a_full_disk_leaves_no_half_line(tmp_path: Path, disk: Disk) -> None:
    path = tmp_path / "study.log"
    journal(path).append_logs([LINE])
    kept = path.read_bytes()
    with disk(len(kept) + 10), pytest.raises(OSError, match="File too large"):
        journal(path).append_logs([LINE, LINE])
    journal(path).append_logs([LINE])
    assert path.read_bytes() == 2 * kept


def test_an_import_cut_off_by_a_full_disk_may_be_repeated(url: str, tmp_path: Path, disk: Disk) -> None:
    """It leaves nothing that blocks the name."""
    from nasformer.search.study import import_study

    sitting.search(str(tmp_path / "source.log"), "random")
    lines = sitting.exported(Study.load(str(tmp_path / "source.log")))
    store = Store(url)
    store.run(lambda: store.optuna)
    if "postgresql" not in url:
        half = (tmp_path / "source.log").stat().st_size // 2
        with disk(half), pytest.raises(StudyError, match=r"study\.\w+.*(File too large|disk I/O error|disk is full)"):
            import_study(store, lines)
        assert len(Study.load(url).trials()) < 40
    import_study(Store(url), lines)
    assert sitting.exported(Study.load(url)) == lines
    with pytest.raises(StudyError, match="already has a study"):
        import_study(Store(url), lines)


def test_looking_at_what_is_not_there_makes_nothing(tmp_path: Path) -> None:
    for url in (str(tmp_path / "study.log"), f"sqlite:///{tmp_path}/study.db", f"sqlite:///{tmp_path}/a.db?timeout=3"):
        with pytest.raises(StudyError, match=r"does not exist; create it with 'nasformer study create'"):
            Store(url, create=False)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "url",
    ["sqlite://", "sqlite:///:memory:", "sqlite:///file::memory:?uri=true", "sqlite:///file:a?mode=memory&uri=true"],
)
def test_a_database_that_does_not_last_is_refused(url: str, space: SearchSpace) -> None:
    with pytest.raises(StudyError, match="is in memory and does not last; give sqlite:///PATH"):
        begin(url, space)


def test_options_and_escapes_of_a_url_are_the_databases(tmp_path: Path, space: SearchSpace) -> None:
    (tmp_path / "a b").mkdir()
    begin(f"sqlite:///{tmp_path}/a b/study.db?timeout=7", space)
    begin(f"sqlite:///file:{tmp_path}/uri.db?uri=true", space)
    assert sorted(path.name for path in tmp_path.rglob("*.db")) == ["study.db", "uri.db"]
    assert Study.load(f"sqlite:///{tmp_path}/a b/study.db").name == "mine"


def test_ctrl_c_is_heard_while_a_database_is_silent(tmp_path: Path, root: Path) -> None:
    """Another program holds SQLite's lock: SQLite waits in C."""
    url = f"sqlite:///{tmp_path}/study.db"
    sitting.search(url, "random", evaluations=5)
    holder = sqlite3.connect(tmp_path / "study.db", isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    command = [sys.executable, "-m", "tests.search.sitting", url, "random", "5", "40", "0", os.devnull]
    with subprocess.Popen(command, cwd=root, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        line = process.stderr.readline()
        assert f"waiting for {url}: no answer yet; " in line
        assert "Ctrl-C stops, all finished trials are kept" in line
        if Path("/proc/locks").exists():
            assert f"process {os.getpid()} has locked it" in line
        began = time.monotonic()
        process.send_signal(signal.SIGINT)
        process.wait(30)
        assert time.monotonic() - began < 20, "SQLite gives up after a minute"
        assert "KeyboardInterrupt" in process.stderr.read()
    holder.close()


def test_a_frozen_writer_of_a_journal_is_named(
    tmp_path: Path, space: SearchSpace, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(journal_module, "_ANNOUNCE_AFTER_S", 1)
    monkeypatch.setattr(journal_module, "_PATIENCE_S", 3)
    begin(tmp_path / "study.log", space)
    hold = (
        "import sys, time; from pathlib import Path; from nasformer.search.study.journal import JournalLock;"
        "lock = JournalLock(Path(sys.argv[1])); lock.acquire(); print('held', flush=True); time.sleep(600)"
    )
    command = [sys.executable, "-c", hold, str(tmp_path / "study.log")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        process.send_signal(signal.SIGSTOP)
        named = f"process {process.pid}" if Path("/proc/locks").exists() else "another process"
        try:
            with pytest.raises(StudyError, match=rf"study\.log: {named} has locked it, for 0 minutes"):
                begin(tmp_path / "study.log", space, "another")
        finally:
            process.kill()
    assert f"study.log: {named} has locked it; Ctrl-C stops" in caplog.text
    begin(tmp_path / "study.log", space, "another")


def test_a_lost_connection_is_made_again(postgresql: str, space: SearchSpace) -> None:
    import psycopg

    begin(postgresql, space)
    with Study.begin(postgresql, "mine", {"space": space.to_dict(), "evaluations": 3}) as study:
        for attempt in range(3):
            with psycopg.connect(postgresql, autocommit=True) as connection:
                connection.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                    "WHERE pid <> pg_backend_pid() AND datname = current_database()"
                )
            study.set("key", attempt)
            with pytest.raises(StudyError, match="led by process"):
                begin(postgresql, space)
        assert study.store.run(lambda: study.store.optuna.get_study_user_attrs(study.id))["key"] == 2


class Disturbed(sitting.Noted):
    """Something happens at one of the evaluations."""

    def __init__(self, at: int, happens: Callable[[], object]) -> None:
        super().__init__()
        self.left, self.happens = at, happens

    def evaluate(self, architectures: Any) -> Any:
        self.left -= 1
        if self.left == 0:
            self.happens()
        return super().evaluate(architectures)


@pytest.mark.parametrize("mode", ["fast", "immediate", "freeze"])
def test_a_server_that_stops_for_a_while_is_outlived(
    mode: str, own_server: Server, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(storage, "_ANNOUNCE_AFTER_S", 1)
    monkeypatch.setattr(storage, "_PATIENCE_S", 60)

    def disturb() -> None:
        (own_server.freeze if mode == "freeze" else lambda: own_server.stop(mode))()
        threading.Timer(4, own_server.thaw if mode == "freeze" else own_server.start).start()

    result = sitting.search(own_server.url, "evolution", Disturbed(4, disturb))
    assert sitting.what(result.trials) == sitting.what(sitting.search(None, "evolution").trials)
    assert f"waiting for {own_server.url}: " in caplog.text
    assert len(Study.load(own_server.url).trials()) == 40


def test_a_server_that_stays_away_is_one_line(own_server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage, "_PATIENCE_S", 2)
    words = r"storage 'postgresql://.*': (OperationalError: .*|no answer yet), for 0 minutes$"
    with pytest.raises(StudyError, match=words):
        sitting.search(own_server.url, "random", Disturbed(3, lambda: own_server.stop("fast")))


def test_a_server_that_is_gone_is_one_line_without_the_password(postgresql: str) -> None:
    gone = postgresql.replace("tester@", "tester:secret@").rpartition("/")[0] + "/nowhere"
    with pytest.raises(StudyError, match=r'tester:\*\*\*@127.*database "nowhere" does not exist') as caught:
        Study.load(gone)
    assert "\n" not in str(caught.value)
    assert "secret" not in str(caught.value)
    with pytest.raises(StudyError, match='database "nowhere" does not exist'):
        sitting.search(gone, "random")
