"""One process leads a study: a second one is told who, takes over once that has ended, and loses nothing."""

from __future__ import annotations

import os
import platform
import signal
import subprocess
import sys
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

from nasformer.errors import LeaderError
from nasformer.search.study import Store, Study, delete_study, import_study
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
    return sitting.search(url, "random", evaluations=60, batch_size=2, **run)


def test_a_second_process_is_told_who_leads(url: str, root: Path, tmp_path: Path) -> None:
    with leading(url, root, tmp_path / "notes") as process:
        message = rf"seed3' is led by process {process.pid} on {platform.node()} since 20\d\d-.*--workers.*Ray.*--wait"
        os.kill(process.pid, signal.SIGSTOP)  # a frozen leader: the answer comes at once all the same
        for act in (
            lambda: search(url),
            lambda: delete_study(Store(url), "digits-random-seed3"),
            lambda: import_study(Store(url), sitting.exported(Study.load(url))),
        ):
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


def test_studies_of_one_storage_are_led_by_themselves(url: str) -> None:
    settings = {"space": sitting.search(None, "random", evaluations=1).space.to_dict(), "evaluations": 3}
    with Study.begin(url, "one", settings), Study.begin(url, "other", settings) as other:
        with pytest.raises(LeaderError, match="study 'one' is led by"):
            Study.begin(url, "one", settings)
        assert [study.study_name for study in other.store.optuna.get_all_studies()] == ["one", "other"]
    Study.begin(url, "one", settings).close()


def test_nothing_is_left_beside_a_storage(tmp_path: Path) -> None:
    search(str(tmp_path / "study.log"))
    search(f"sqlite:///{tmp_path}/study.db")
    assert {path.name for path in tmp_path.iterdir()} == {"study.log", "study.db"}


def test_a_folder_that_moved_after_a_kill_goes_on(root: Path, tmp_path: Path) -> None:
    (tmp_path / "before").mkdir()
    with leading(str(tmp_path / "before" / "study.log"), root, tmp_path / "notes") as process:
        process.kill()
    (tmp_path / "before" / "study.log.lock").symlink_to(tmp_path / "before" / "study.log")  # killed as it wrote
    (tmp_path / "before").rename(tmp_path / "after")
    result = search(str(tmp_path / "after" / "study.log"))
    assert result.counts["replayed"] >= 2
    assert {path.name for path in (tmp_path / "after").iterdir()} == {"study.log"}


@pytest.mark.parametrize("kind", ["memory", "journal", "sqlite", "postgresql"])
def test_a_storage_object_of_the_user_serves_too(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    url = request.getfixturevalue("postgresql") if kind == "postgresql" else f"sqlite:///{tmp_path}/study.db"
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
    finally:
        if kind in ("sqlite", "postgresql"):
            storage.engine.dispose()
