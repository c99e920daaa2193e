"""Tasks: what a network learns, one per file, named by the file.

A ``Task`` defines targets, loss, scores of each example, metrics, and the reading of outputs. Training, fitness,
evaluation, reports and exports ask the task of their dataset. Other packages register tasks in the entry-point group
``nasformer.tasks``. Nothing here imports torch before a task computes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nasformer._plugins import Plugins
from nasformer.errors import DataError, shown
from nasformer.tasks._checks import require_columns, require_finite, require_shape
from nasformer.tasks._task import Estimate, Metric, Task

__all__ = [
    "Estimate",
    "Metric",
    "Task",
    "get_task",
    "require_columns",
    "require_finite",
    "require_shape",
    "task_from_dict",
    "task_names",
    "task_of",
]


TaskFactory = Any
"""A subclass of ``Task``: called with its fields, a task; its class attributes describe it."""


_TASKS = Plugins("task", "tasks", lambda: Task, DataError)


def task_names() -> list[str]:
    """Return the names of all installed tasks.

    >>> task_names()[:4]
    ['classification', 'forecasting', 'multi-label', 'regression']
    """
    return _TASKS.names()


def get_task(name: str) -> TaskFactory:
    """Return a task by name, or by ``module:Class``.

    Raises:
        DataError: Unknown name, failed import, or a task of another name.

    >>> get_task("classification").metrics[0].title
    'top-1 accuracy'
    """
    found: TaskFactory = _TASKS.get(name)
    if ":" not in name and found.name != name:  # a record would hold a name that leads nowhere
        raise DataError(f"task {name!r} is named {found.name!r} in its class; set name = {name!r} there", found)
    return found


def task_from_dict(data: Mapping[str, Any]) -> Task:
    """Inverse of ``Task.to_dict``.

    Raises:
        DataError: The task is unknown, of a module that is not imported, or its values are invalid.
    """
    if not isinstance(data, Mapping):
        raise DataError(f"a task is read from a mapping such as {{'name': 'regression', …}}, got {data!r}", data)
    name = str(data.get("name"))
    _TASKS.require_imported(name)
    factory = get_task(name)
    try:
        found: Task = factory(**{key: value for key, value in data.items() if key != "name"})
    except TypeError as error:
        raise DataError(f"the task {shown(dict(data))} cannot be read: {error}", data) from error
    return found


def task_of(record: Mapping[str, Any]) -> Task:
    """Return the task of a dataset's record; a record without one is of a classification.

    Raises:
        DataError: The task is unknown, or its values are invalid.

    >>> task_of({"classes": ["cat", "dog"]}).outputs
    ('cat', 'dog')
    """
    if "task" in record:
        return task_from_dict(record["task"])
    classes = record.get("classes") or []
    if not isinstance(classes, (list, tuple)):
        raise DataError(f"classes of a record must be a list of names, got {classes!r}", classes)
    return task_from_dict({"name": "classification", "classes": [*map(str, classes)]})
