"""Settings of a search, as stored in its study and compared on resume, and their format version."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from nasformer._io import differences
from nasformer._provenance import library_version
from nasformer.errors import StudyError, did_you_mean
from nasformer.search.study.storage import Store

FORMAT = 2
"""Version of the stored data; others are refused."""

PREFIX = "nasformer:"
SETTINGS = PREFIX + "settings"
FITNESS_SPEC = PREFIX + "recipe"
ASYNCHRONOUS = PREFIX + "asynchronous"
TOTAL = PREFIX + "evaluations"
WARM_START = PREFIX + "warm-start"
CONFIRMED = PREFIX + "confirmed"
RERANKED = PREFIX + "reranked"
STATE = PREFIX + "state"
"""Study attributes: settings, fitness specification (under its former name), asynchronous mode, the latest total of
evaluations, the trials of earlier searches, the confirmation, the re-ranked trials by what judged them, the strategy's
state."""

_NOT_COMPARED = ("package", "evaluations", "supernet", "fitness.data.name")  # files may move: their hash is compared


def check_format(name: str, kept: Mapping[str, Any]) -> None:
    """Refuse a study of another format.

    Raises:
        StudyError: The formats differ; the message names both versions.
    """
    if kept.get("format") != FORMAT:
        made_by = f"nasformer {kept['package']}" if "package" in kept else "a nasformer before studies were shared"
        raise StudyError(
            f"study {name!r} has format {kept.get('format')}, made by {made_by}; "
            f"nasformer {library_version()} reads format {FORMAT}: finish it with its own version, "
            "or create another study",
            name,
        )


def compare(name: str, kept: Mapping[str, Any], settings: Mapping[str, Any]) -> None:
    """Refuse to continue a study with other settings.

    Raises:
        StudyError: A setting differs; the message names it.
    """
    for key, was, now in differences(kept, settings):
        if key not in _NOT_COMPARED and key.partition(".")[0] != "rerank":
            raise StudyError(
                f"study {name!r} was made with {key}={json.dumps(was)}, now {json.dumps(now)}; "
                "continue it with the same settings or choose another name",
                name,
            )


def find(storage: Store, name: str | None) -> tuple[str, Mapping[str, Any]]:
    """Return name and attributes of a study; without a name, of the only one.

    Raises:
        StudyError: There is no such study, or no name and several studies.
    """
    studies = {
        str(study.study_name): study.user_attrs for study in storage.run(lambda: storage.optuna.get_all_studies())
    }
    if name is None and len(studies) == 1:
        return next(iter(studies.items()))
    if name is None:
        known = f"it holds {', '.join(sorted(studies))}" if studies else "it holds none"
        raise StudyError(f"storage {storage.name!r}: name a study with --study; {known}", storage.name)
    if name not in studies:
        raise StudyError(f"storage {storage.name!r} has no study {name!r}; {did_you_mean(name, studies)}", name)
    return name, studies[name]
