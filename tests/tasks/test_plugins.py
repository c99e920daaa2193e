"""Plug-ins: found by file, entry point or module:Class; what cannot be one is refused by one line."""

from __future__ import annotations

from pathlib import Path

import pytest

from nasformer.errors import DataError
from nasformer.tasks import Task, get_task, task_names, task_of

MODULE = """
from dataclasses import dataclass

from nasformer.tasks.regression import Regression

@dataclass(frozen=True)
class Named(Regression):
    name = "mine"

@dataclass(frozen=True)
class Nameless(Regression):
    pass

class Other:
    pass

broken = 1 / 1
"""


@pytest.fixture(autouse=True)
def _installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A package of somebody else, with entry points."""
    (tmp_path / "somebodys_tasks.py").write_text(MODULE)
    info = tmp_path / "somebodys_tasks-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: somebodys-tasks\nVersion: 1.0\n")
    points = {
        "mine": "somebodys_tasks:Named",
        "otherwise-named": "somebodys_tasks:Named",
        "odd": "somebodys_tasks:Other",
        "gone": "no_such_module:Gone",
        "less": "somebodys_tasks:Less",
    }
    lines = [f"{name} = {place}" for name, place in points.items()]
    (info / "entry_points.txt").write_text("\n".join(["[nasformer.tasks]", *lines]))
    monkeypatch.syspath_prepend(tmp_path)


def test_every_file_is_a_name_and_every_name_a_task(root: Path) -> None:
    files = {path.stem.replace("_", "-") for path in (root / "nasformer" / "tasks").glob("[!_]*.py")}
    assert files <= set(task_names())
    for name in files:
        assert issubclass(get_task(name), Task)
        assert get_task(name).name == name


def test_a_task_of_others_comes_by_entry_point_or_class() -> None:
    assert "mine" in task_names()
    assert get_task("mine") is get_task("somebodys_tasks:Named")
    assert get_task("mine").name == "mine"


def test_a_task_without_a_name_comes_back_by_its_class() -> None:
    task = get_task("somebodys_tasks:Nameless")(("a",), (0.0,), (1.0,))
    assert task.record()["task"]["name"] == "somebodys_tasks:Nameless"
    assert task_of(task.record()) == task


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("otherwise-named", "task 'otherwise-named' is named 'mine' in its class; set name = 'otherwise-named' there"),
        ("odd", "'odd' is not a task: it lacks the base class nasformer.tasks.Task"),
        ("gone", "task 'gone' cannot be imported: No module named 'no_such_module'"),
        ("less", "task 'less' cannot be imported: .*'Less'"),
        ("mien", r"unknown task 'mien'; did you mean 'mine'\?"),
        ("multi_label", r"unknown task 'multi_label'; did you mean 'multi-label'\?"),
        ("_task", "unknown task '_task'"),
        ("", "unknown task ''; known: classification"),
        ("somebodys_tasks:", "'somebodys_tasks:' names no class; write module:Class"),
        ("some bodys:Task", "'some bodys:Task' names no class; write module:Class"),
        ("..tasks:Task", "'..tasks:Task' names no class; write module:Class"),
        ("a:b:c", "'a:b:c' names no class; write module:Class"),
        ("somebodys_tasks:Other", "'somebodys_tasks:Other' is not a task: it lacks the base class"),
        ("somebodys_tasks:broken", "'somebodys_tasks:broken' is not a task: it lacks the base class"),
    ],
)
def test_what_is_no_task_is_one_line(name: str, words: str) -> None:
    with pytest.raises(DataError, match=words) as caught:
        get_task(name)
    assert "\n" not in str(caught.value)
