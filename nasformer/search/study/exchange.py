"""Export of a study as JSON lines (the study, then one line per trial), and import into any storage.

Everything in Optuna's study is exported, including foreign attributes and trials, except workers: running trials
are waiting in the copy.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any

from optuna.distributions import distribution_to_json, json_to_distribution
from optuna.storages import BaseStorage
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from nasformer.errors import StudyError
from nasformer.search.study.crew import WORKERS
from nasformer.search.study.entry import WORKER
from nasformer.search.study.settings import SETTINGS, check_format
from nasformer.search.study.storage import Store, quiet
from nasformer.search.study.study import Study


def export_study(study: Study) -> Iterator[dict[str, Any]]:
    """Yield a study as plain data: the study, then each trial."""
    storage = study.store.optuna
    attributes = study.store.read(lambda: dict(storage.get_study_user_attrs(study.id)))
    attributes.pop(WORKERS, None)
    yield {"study": {"name": study.name, "attributes": dict(sorted(attributes.items()))}}
    for frozen in study.store.read(lambda: storage.get_all_trials(study.id, deepcopy=False)):
        yield {"trial": _as_data(frozen)}


def import_study(store: Store, lines: Iterable[Mapping[str, Any]], name: str | None = None) -> str:
    """Create the study of an export, and return its name.

    Args:
        store: The storage.
        lines: The exported data.
        name: New name; None: the original one.

    Raises:
        StudyError: The data are not a study of this format, or the name is taken.
    """
    head, *rest = lines
    try:
        attributes = dict(head["study"]["attributes"])
        trials = [_as_trial(line["trial"]) for line in rest]
        name = name or str(head["study"]["name"])
        kept = attributes.pop(SETTINGS)
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise StudyError(f"this is not an exported study ({type(error).__name__}: {error})", head) from error
    check_format(name, kept)
    store.change(None, lambda: _write(store.optuna, name, {**attributes, SETTINGS: kept}, trials))
    return name


def delete_study(store: Store, name: str) -> None:
    """Remove a study and its trials."""
    study_id = store.read(lambda: store.optuna.get_study_id_from_name(name))
    store.change(study_id, lambda: store.optuna.delete_study(study_id))


def _write(storage: BaseStorage, name: str, attributes: Mapping[str, Any], trials: Iterable[FrozenTrial]) -> None:
    if name in {study.study_name for study in storage.get_all_studies()}:
        raise StudyError(f"the storage already has a study {name!r}; choose another name with --study", name)
    with quiet():
        study_id = storage.create_new_study([StudyDirection.MAXIMIZE], name)
    for trial in trials:
        storage.create_new_trial(study_id, trial)
    for key, value in attributes.items():  # settings last: a study without them is ignored
        storage.set_study_user_attr(study_id, key, value)


def _as_data(frozen: FrozenTrial) -> dict[str, Any]:
    return {
        "state": frozen.state.name,
        "values": frozen.values,
        "params": {name: frozen.distributions[name].to_internal_repr(value) for name, value in frozen.params.items()},
        "distributions": {name: distribution_to_json(each) for name, each in frozen.distributions.items()},
        "user_attrs": dict(sorted(frozen.user_attrs.items())),
        "system_attrs": dict(sorted(frozen.system_attrs.items())),
        "intermediate_values": {str(step): value for step, value in frozen.intermediate_values.items()},
        "start": _written(frozen.datetime_start),
        "complete": _written(frozen.datetime_complete),
    }


def _as_trial(data: Mapping[str, Any]) -> FrozenTrial:
    kinds = {name: json_to_distribution(each) for name, each in data["distributions"].items()}
    flying = TrialState[data["state"]] in (TrialState.RUNNING, TrialState.WAITING)
    attributes = {name: value for name, value in data["user_attrs"].items() if not (flying and name == WORKER)}
    return FrozenTrial(
        number=-1,  # assigned by the storage
        trial_id=-1,
        state=TrialState.WAITING if flying else TrialState[data["state"]],
        value=None,
        values=data["values"],
        datetime_start=None if flying else _read(data["start"]),
        datetime_complete=_read(data["complete"]),
        params={name: kinds[name].to_external_repr(value) for name, value in data["params"].items()},
        distributions=kinds,
        user_attrs=attributes,
        system_attrs=dict(data["system_attrs"]),
        intermediate_values={int(step): value for step, value in data["intermediate_values"].items()},
    )


def _written(time: datetime | None) -> str | None:
    return None if time is None else time.isoformat()


def _read(time: str | None) -> datetime | None:
    return None if time is None else datetime.fromisoformat(time)


def read_lines(text: str) -> list[dict[str, Any]]:
    """Parse JSON lines.

    Raises:
        StudyError: A line is not JSON, or there is none.
    """
    lines = []
    for number, line in enumerate(text.splitlines(), 1):
        try:
            lines.append(json.loads(line))
        except ValueError as error:
            raise StudyError(f"line {number} of the exported study is not JSON ({error})", line) from error
    if not lines:
        raise StudyError("the exported study is empty", text)
    return lines
