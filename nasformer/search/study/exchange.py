"""Export of a study as JSON lines (the study, then one line per trial), and import into any storage.

Everything in Optuna's study is exported, including foreign attributes and trials; unfinished trials are waiting in the
copy.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from functools import partial
from typing import Any

from optuna.distributions import distribution_to_json, json_to_distribution
from optuna.trial import FrozenTrial, TrialState

from nasformer.errors import StudyError
from nasformer.search.study.settings import SETTINGS, check_format
from nasformer.search.study.storage import Store
from nasformer.search.study.study import Study

_IMPORTING = "nasformer:importing"
_OF_WORKERS = ("nasformer:workers", "nasformer:worker", _IMPORTING)
"""Attributes that a copy lacks; the first two are of nasformer 0.1."""


def export_study(study: Study) -> Iterator[dict[str, Any]]:
    """Yield a study as plain data: the study, then each trial."""
    storage = study.store.optuna
    attributes = study.store.run(lambda: storage.get_study_user_attrs(study.id))
    kept = {key: value for key, value in sorted(attributes.items()) if key not in _OF_WORKERS}
    yield {"study": {"name": study.name, "attributes": kept}}
    for frozen in study.store.run(lambda: storage.get_all_trials(study.id, deepcopy=False)):
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
    leader = store.run(lambda: store.leader(name))
    store.run(leader.acquire)
    try:
        _write(store, name, {**attributes, SETTINGS: kept}, trials)
    finally:
        leader.release()
    return name


def delete_study(store: Store, name: str) -> None:
    """Remove a study and its trials.

    Raises:
        LeaderError: A process runs it.
    """
    leader = store.run(lambda: store.leader(name))
    store.run(leader.acquire)
    try:
        store.run(lambda: store.optuna.delete_study(store.optuna.get_study_id_from_name(name)))
    finally:
        leader.release()


def _write(store: Store, name: str, attributes: Mapping[str, Any], trials: Iterable[FrozenTrial]) -> None:
    """Write a study, in place of one whose import did not end."""
    storage = store.run(lambda: store.optuna)
    known = {study.study_name: study.user_attrs for study in store.run(storage.get_all_studies)}
    if known.get(name, {}).get(_IMPORTING):
        store.run(lambda: storage.delete_study(storage.get_study_id_from_name(name)))
    elif name in known:
        raise StudyError(f"the storage already has a study {name!r}; choose another name with --study", name)
    study_id = store.run(lambda: store.study_id(name))
    store.run(lambda: storage.set_study_user_attr(study_id, _IMPORTING, True))
    for trial in trials:
        store.run(partial(storage.create_new_trial, study_id, trial))
    for key, value in {**attributes, _IMPORTING: False}.items():  # settings late: a study without them is ignored
        store.run(partial(storage.set_study_user_attr, study_id, key, value))


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
    attributes = {name: value for name, value in data["user_attrs"].items() if not (flying and name in _OF_WORKERS)}
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
