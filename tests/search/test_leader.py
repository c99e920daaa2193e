"""One process leads a study: a second one is told who, takes over once that has ended, and loses nothing."""

from __future__ import annotations

import os
import platform
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.storages import BaseStorage, InMemoryStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend

from nasformer.errors import LeaderError, StudyError
from nasformer.search.study import Store, Study, delete_study, import_study
from nasformer.space import load_space
from tests.search import sitting

pytestmark = pytest.mark.skipif(os.name != "posix", reason="sends signals")

SEARCH = ["random", "2", "60", "0.05"]
"""Strategy, batch size, evaluations, seconds each."""


@contextmanager
def leading(url: str, root: Path, notes: Path, *further: str) -> Iterator[subprocess.Popen[str]]:
    """A process that leads a search and has told something."""
    command = [sys.executable, "-m", "tests.search.sitting", url, *SEARCH, str(notes), *further]
    with subprocess.Popen(command, cwd=root, stderr=subprocess.PIPE, text=True) as process:
        try:
            deadline = time.monotonic() + 120
            while not (notes.exists() and notes.read_text().count("\n") > 3) and time.monotonic() < deadline:
                assert process.poll() is None, process.stderr.read() if process.stderr else ""
                time.sleep(0.02)
            yield process
        finally:
            process.kill()


def search(url: str, **run: Any) -> Any:
    return sitting.search(url, "random", **{"evaluations": 60, "batch_size": 2, **run})


def test_a_second_process_is_told_who_leads(url: str, root: Path, tmp_path: Path) -> None:
    with leading(url, root, tmp_path / "notes") as process:
        message = rf"seed3' is led by process {process.pid} on {platform.node()} since 20\d\d-.*--workers.*Ray.*--wait"
        os.kill(process.pid, signal.SIGSTOP)  # a frozen leader: the answer comes at once all the same
        for act in (lambda: search(url), lambda: delete_study(Store(url), "digits-random-seed3")):
            with pytest.raises(LeaderError, match=message):
                act()
        assert len(Study.load(url).trials()) > 2, "who looks needs no lock"


def test_who_comes_after_a_killed_leader_leads_at_once(url: str, root: Path, tmp_path: Path) -> None:
    notes = tmp_path / "notes"
    with leading(url, root, notes) as process:
        process.kill()
    result = search(url, fitness=sitting.Noted(notes=notes))
    assert sitting.what(result.trials) == sitting.what(search(None).trials)  # type: ignore[arg-type]
    evaluated = Counter(notes.read_text().splitlines())
    assert evaluated.total() - len(evaluated) <= 1, "only what was under way is evaluated again"


def test_who_waits_takes_over_when_the_leader_dies(url: str, root: Path, tmp_path: Path) -> None:
    notes, others = tmp_path / "notes", tmp_path / "others"
    with leading(url, root, notes) as process:
        command = [sys.executable, "-m", "tests.search.sitting", url, *SEARCH, str(others)]
        with subprocess.Popen(command, cwd=root, stderr=subprocess.PIPE, text=True) as waiting:
            assert waiting.stderr is not None
            line = waiting.stderr.readline()
            assert "waiting: study 'digits-random-seed3' is led by" in line, line
            assert not others.exists()
            process.kill()
            assert waiting.wait(120) == 0
            waiting.stderr.close()
    assert others.exists()
    idle = tmp_path / "idle"
    result = search(url, fitness=sitting.Noted(notes=idle))
    assert not idle.exists()
    assert sitting.what(result.trials) == sitting.what(search(None).trials)  # type: ignore[arg-type]


def test_who_waited_goes_on_to_the_end_that_the_leader_set(url: str) -> None:
    search(url, pause_after=10)
    waited: list[Any] = []
    with Study.begin(url, "digits-random-seed3", {**Study.load(url).settings, "evaluations": 70}) as leader:
        waiting = threading.Thread(target=lambda: waited.append(search(url, evaluations=None, wait=True)))
        waiting.start()
        waiting.join(1)
        assert not waited
        leader.close()
    waiting.join(600)
    assert len(waited[0].trials) == waited[0].settings["evaluations"] == 70


def test_a_leader_that_was_replaced_unnoticed_stops(postgresql: str) -> None:
    """Its session ended, another process led to the end, then it comes back."""
    import psycopg

    def lose_the_lead() -> None:
        with psycopg.connect(postgresql, autocommit=True) as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE pid <> pg_backend_pid() AND datname = current_database()"
            )
        search(postgresql)

    class Interrupted(sitting.Noted):
        count = 0

        def evaluate(self, architectures: Any) -> Any:
            self.count += 1
            if self.count == 4:
                lose_the_lead()
            return super().evaluate(architectures)

    with pytest.raises(LeaderError, match="'digits-random-seed3' was led by another process meanwhile; run it again"):
        search(postgresql, fitness=Interrupted())
    assert sitting.what(Study.load(postgresql).trials()) == sitting.what(search(None).trials)  # type: ignore[arg-type]


@pytest.mark.parametrize("suffix", ["log", "db"])
def test_one_file_by_two_names_has_one_leader(suffix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scheme = "sqlite:///" if suffix == "db" else ""
    monkeypatch.chdir(tmp_path)
    search(f"{scheme}study.{suffix}", pause_after=4)
    (tmp_path / "link").symlink_to(tmp_path / f"study.{suffix}")
    settings = Study.load(f"{scheme}study.{suffix}").settings
    with Study.begin(f"{scheme}study.{suffix}", "one", settings):
        for other in (f"{scheme}{tmp_path}/study.{suffix}", f"{scheme}link", f"{scheme}./study.{suffix}"):
            with pytest.raises(LeaderError, match="study 'one' is led by process"):
                Study.begin(other, "one", settings)


@pytest.mark.parametrize("url", ["study.log", "sqlite:///study.db"])
def test_a_fitness_may_change_the_folder(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "elsewhere").mkdir()

    class Moving(sitting.Noted):
        def evaluate(self, architectures: Any) -> Any:
            monkeypatch.chdir(tmp_path / "elsewhere")
            return super().evaluate(architectures)

    search(url, fitness=Moving())
    monkeypatch.chdir(tmp_path)
    assert not list((tmp_path / "elsewhere").iterdir())
    assert len(list(tmp_path.iterdir())) == 2, "the study and the folder"
    assert len(Study.load(url).trials()) == 60


def test_a_child_of_a_fork_does_not_lead(tmp_path: Path, root: Path) -> None:
    """The leader forks and is killed; its child lives on."""
    script = (
        "import os, sys, time; from tests.search.test_leader import begin;"
        "held = begin(sys.argv[1]); child = os.fork(); time.sleep(600) if child == 0 else print(child, flush=True);"
        "time.sleep(600)"
    )
    url = str(tmp_path / "study.log")
    with subprocess.Popen([sys.executable, "-c", script, url], cwd=root, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        child = int(process.stdout.readline())
        try:
            with pytest.raises(LeaderError, match=rf"led by process {process.pid}"):
                begin(url)
            process.kill()
            process.wait()
            begin(url).close()
        finally:
            os.kill(child, signal.SIGKILL)


def begin(url: str) -> Study:
    return Study.begin(url, "one", {"space": load_space("digits").to_dict(), "evaluations": 3})


def test_the_lock_has_the_permissions_of_the_storage_and_follows_no_link(tmp_path: Path, disk: Any) -> None:
    url = str(tmp_path / "study.log")
    begin(url).close()
    (tmp_path / "study.log").chmod(0o664)
    with begin(url):
        (lock,) = tmp_path.glob("*.leader")
        assert lock.stat().st_mode & 0o777 == 0o664
    with disk(0), pytest.raises(StudyError, match="File too large"):
        begin(url)
    begin(url).close()  # a lock that could not be written was given back
    (tmp_path / "precious").write_text("mine")
    lock.symlink_to(tmp_path / "precious")
    with pytest.raises(StudyError, match=r"Too many levels of symbolic links.*leader"):
        begin(url)
    assert (tmp_path / "precious").read_text() == "mine"


def test_studies_of_one_storage_are_led_by_themselves(url: str) -> None:
    with begin(url) as one, Study.begin(url, "other", one.settings) as other:
        with pytest.raises(LeaderError, match="study 'one' is led by"):
            begin(url)
        assert [study.study_name for study in other.store.optuna.get_all_studies()] == ["one", "other"]
    begin(url).close()


def test_nothing_is_left_beside_a_storage(tmp_path: Path) -> None:
    search(str(tmp_path / "study.log"))
    search(f"sqlite:///{tmp_path}/study.db")
    assert {path.name for path in tmp_path.iterdir()} == {"study.log", "study.db"}


def test_a_folder_that_moved_after_a_kill_goes_on(root: Path, tmp_path: Path) -> None:
    (tmp_path / "before").mkdir()
    with leading(str(tmp_path / "before" / "study.log"), root, tmp_path / "notes") as process:
        process.kill()
    (tmp_path / "before" / "study.log.lock").unlink(missing_ok=True)
    (tmp_path / "before" / "study.log.lock").symlink_to(tmp_path / "before" / "study.log")  # killed as it wrote
    (tmp_path / "before").rename(tmp_path / "after")
    result = search(str(tmp_path / "after" / "study.log"))
    assert result.counts["replayed"] >= 2
    assert {path.name for path in (tmp_path / "after").iterdir()} == {"study.log"}


@pytest.mark.parametrize("kind", ["memory", "journal", "sqlite", "sqlite in memory", "postgresql"])
def test_a_storage_object_of_the_user_serves_too(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    url = request.getfixturevalue("postgresql") if kind == "postgresql" else f"sqlite:///{tmp_path}/study.db"
    url = "sqlite://" if kind == "sqlite in memory" else url
    made: dict[str, Callable[[], BaseStorage]] = {
        "memory": InMemoryStorage,
        "journal": lambda: JournalStorage(JournalFileBackend(str(tmp_path / "study.log"))),
    }
    storage: Any = made.get(kind, lambda: RDBStorage(url))()
    try:
        search(storage, pause_after=20)
        result = search(storage)
        assert result.counts["replayed"] == 20
        assert sitting.what(result.trials) == sitting.what(search(None).trials)  # type: ignore[arg-type]
        study = optuna.load_study(study_name="digits-random-seed3", storage=storage)
        assert len(study.trials) == 60
        settings = Study.load(storage).settings
        with Study.begin(storage, "one", settings), pytest.raises(LeaderError, match="study 'one' is led by"):
            Study.begin(storage, "one", settings)
        assert (
            import_study(Store(storage), sitting.exported(Study.load(storage, "digits-random-seed3")), "copy") == "copy"
        )
        assert Study.load(storage, "copy").trials() == Study.load(storage, "digits-random-seed3").trials()
    finally:
        if isinstance(storage, RDBStorage):
            storage.engine.dispose()
