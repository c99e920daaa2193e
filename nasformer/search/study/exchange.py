"""Export of a study as JSON lines (the study, then one line per trial), and import into any storage."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from optuna.trial import TrialState

from nasformer._parse import parse_json
from nasformer.errors import StudyError
from nasformer.search.evaluation import Trial
from nasformer.search.study.saved_state import SavedState
from nasformer.search.study.schema import check_attributes
from nasformer.search.study.settings import FITNESS_SPEC, PREFIX, SETTINGS, STATE, check_format
from nasformer.search.study.storage import Store
from nasformer.search.study.study import Study
from nasformer.search.study.trials import as_attributes, read_trial, state_of

_NOT_EXPORTED = ("nasformer:workers", STATE)  # of nasformer 0.1; of this storage


def export_study(study: Study) -> Iterator[dict[str, Any]]:
    """Yield a study as plain data: its settings, then each trial."""
    attributes = study.store.run(lambda: study.store.optuna.get_study_user_attrs(study.id))
    own = {key: value for key, value in sorted(attributes.items()) if key.startswith(PREFIX)}
    yield {"study": {"name": study.name, "attributes": _lasting(own)}}
    for trial, retried_after in study.history():
        yield {
            "trial": {
                "state": state_of(trial).name,
                "values": None if trial.value is None else [trial.value],
                "user_attrs": as_attributes(trial, retried_after),
            }
        }


def import_study(store: Store, lines: Iterable[Mapping[str, Any]], name: str | None = None) -> str:
    """Create the study of an export, and return its name; an import that was cut off is completed.

    Args:
        store: The storage.
        lines: The exported data.
        name: New name; None: the original one.

    Raises:
        StudyError: The data are not a study of this format, or the name is taken.
    """
    head, *rest = lines
    try:
        attributes = _lasting(head["study"]["attributes"])
        name = name or str(head["study"]["name"])
        check_attributes(name, attributes)
        settings, fitness_spec = attributes.pop(SETTINGS), attributes.pop(FITNESS_SPEC, {})
        trials = [found for line in rest if (found := _read(line["trial"])) is not None]
        check_format(name, settings)
        _require_free(store, name, settings, [trial for trial, _ in trials])
        with Study.begin(store, name, settings, fitness_spec) as study:
            for found in trials[len(list(study.history())) :]:
                study.add(*found)
            for key, value in attributes.items():
                study.set(key, value)
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise StudyError(f"this is not an exported study ({type(error).__name__}: {error})", head) from error
    return name


def delete_study(store: Store, name: str) -> None:
    """Remove a study and its trials.

    Raises:
        LeaderError: A process runs it.
    """
    with store.run(lambda: store.leader(name)):
        number = store.run(lambda: store.optuna.get_study_id_from_name(name))
        SavedState(store, number, name).remove()
        store.run(lambda: store.optuna.delete_study(number))


def _lasting(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Return the attributes that hold in any storage."""
    return {key: value for key, value in attributes.items() if key not in _NOT_EXPORTED}


def _read(data: Mapping[str, Any]) -> tuple[Trial, int | None] | None:
    return read_trial(data["user_attrs"], TrialState[data["state"]], data["values"])


def _require_free(store: Store, name: str, settings: Mapping[str, Any], trials: list[Trial]) -> None:
    """Refuse a name that is taken, unless it holds the beginning of the same study, as after a full disk."""
    studies = {str(study.study_name): study.user_attrs for study in store.run(lambda: store.optuna.get_all_studies())}
    if name in studies:
        known = [trial for trial, _ in Study.load(store, name).history()] if SETTINGS in studies[name] else []
        if studies[name].get(SETTINGS, settings) != settings or known != trials[: len(known)] or known == trials:
            raise StudyError(f"the storage already has a study {name!r}; choose another name with --study", name)


def read_lines(text: str) -> list[dict[str, Any]]:
    """Parse JSON lines.

    Raises:
        StudyError: A line is not JSON, or there is none.
    """
    lines = []
    for number, line in enumerate(text.splitlines(), 1):
        try:
            lines.append(parse_json(line, finite=False))
        except ValueError as error:
            raise StudyError(f"line {number} of the exported study is not JSON ({error})", line) from error
    if not lines:
        raise StudyError("the exported study is empty", text)
    return lines
