"""Study: the record of a search, as an Optuna study in one canonical parameterisation.

Every strategy's trials are kept alike: ``embed_dim``, ``depth``, and ``num_heads.L`` and
``mlp_ratio.L`` of each layer L, so Optuna's own tools read every search. A journal file (``PATH.log``),
SQLite or PostgreSQL keeps it on disk; without a storage it lives in memory.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.storages import BaseStorage, InMemoryStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend, JournalFileSymlinkLock
from optuna.storages.journal._file import get_lock_file
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState, create_trial

from nasformer.architecture import Architecture
from nasformer.errors import StudyError
from nasformer.search.evaluation import Trial
from nasformer.space import SearchSpace

FORMAT = 1
"""Version of what is stored; another is refused."""

_SETTINGS = "nasformer:settings"
_TRIAL = "nasformer:trial"
_DATABASES = ("sqlite:", "postgresql:", "postgresql+", "mysql:", "mysql+")


def open_storage(url: str | Path | None) -> BaseStorage:
    """Return the Optuna storage behind a URL.

    Args:
        url: None: in memory; ``sqlite:///…`` or ``postgresql://…``: a database; else the path of a
            journal file.

    Raises:
        StudyError: It cannot be opened.
    """
    if url is None:
        return InMemoryStorage()
    with _clear_errors(url):
        if str(url).startswith(_DATABASES):
            return RDBStorage(str(url))
        if "://" in str(url):
            raise StudyError(
                f"storage {str(url)!r}: a storage is PATH.log, sqlite:///PATH or postgresql://HOST/NAME", url
            )
        path = Path(url)
        if path.exists() and not path.is_file():
            raise StudyError(f"storage {str(url)!r} is no regular file; give the path of a journal, as study.log", url)
        path.parent.mkdir(parents=True, exist_ok=True)
        _drop_torn_line(path)
        return JournalStorage(JournalFileBackend(str(path)))


class Study:
    """A search's trials on an Optuna storage.

    Args:
        storage: What ``open_storage`` returned, or its URL.
        name: Name of the study in the storage; made where it is new.
        space: The space of the architectures.
        settings: All that decides the search, as plain data; a study found under the name must have
            been made with the same.

    Raises:
        StudyError: The storage cannot be opened, or holds a study of other settings.
    """

    def __init__(
        self, storage: BaseStorage | str | Path | None, name: str, space: SearchSpace, settings: Mapping[str, Any]
    ) -> None:
        self.space, self.name, self.url = space, name, storage
        self._distributions = distributions(space)
        settings = json.loads(json.dumps({"format": FORMAT, **settings}))
        with _clear_errors(storage), quiet():
            opened = storage if isinstance(storage, BaseStorage) else open_storage(storage)
            self.optuna = optuna.create_study(
                storage=opened, study_name=name, direction=StudyDirection.MAXIMIZE, load_if_exists=True
            )
            kept = self.optuna.user_attrs.get(_SETTINGS)
            if kept is None:
                self.optuna.set_user_attr(_SETTINGS, settings)
        if kept is not None:
            _compare(name, kept, settings)

    def trials(self) -> list[Trial]:
        """Return the recorded trials by number, each once."""
        with _clear_errors(self.url):
            frozen = self.optuna.get_trials(deepcopy=False)
            trials = [Trial.from_dict(trial.user_attrs[_TRIAL]) for trial in frozen if _TRIAL in trial.user_attrs]
        return sorted({trial.number: trial for trial in trials}.values(), key=lambda trial: trial.number)

    def add(self, trial: Trial) -> None:
        """Keep a trial; once this returns it is in the storage."""
        with _clear_errors(self.url):
            self.optuna.add_trial(self._frozen(trial))

    def _frozen(self, trial: Trial) -> FrozenTrial:
        params = as_parameters(trial.architecture)
        return create_trial(
            state=TrialState.FAIL if trial.value is None else TrialState.COMPLETE,
            value=trial.value,
            params=params,
            distributions={name: self._distributions[name] for name in params},
            user_attrs={_TRIAL: trial.to_dict(), **trial.costs, **trial.metrics},
        )


def _drop_torn_line(path: Path) -> None:
    """Cut off what a kill or a full disk left half-written; the next line would be joined to it."""
    if not path.exists() or path.stat().st_size == 0:
        return
    with get_lock_file(JournalFileSymlinkLock(str(path))), path.open("rb+") as journal:
        content = journal.read()
        if not content.endswith(b"\n"):
            journal.truncate(content.rfind(b"\n") + 1)


def as_parameters(architecture: Architecture) -> dict[str, float]:
    """Return the canonical parameters of an architecture.

    >>> as_parameters(Architecture(64, (2,), (3.0,)))
    {'embed_dim': 64, 'depth': 1, 'num_heads.0': 2, 'mlp_ratio.0': 3.0}
    """
    layers = range(architecture.depth)
    return {
        "embed_dim": architecture.embed_dim,
        "depth": architecture.depth,
        **{f"num_heads.{layer}": architecture.num_heads[layer] for layer in layers},
        **{f"mlp_ratio.{layer}": architecture.mlp_ratio[layer] for layer in layers},
    }


def distributions(space: SearchSpace) -> dict[str, BaseDistribution]:
    """Return the canonical distribution of every parameter that an architecture of the space may have."""
    names = as_parameters(space.largest)
    return {name: CategoricalDistribution(getattr(space, name.partition(".")[0]).values) for name in names}


def _compare(name: str, kept: Mapping[str, Any], settings: Mapping[str, Any]) -> None:
    for key in {**kept, **settings}:
        if kept.get(key) != settings.get(key):
            raise StudyError(
                f"study {name!r} was made with {key}={json.dumps(kept.get(key))}, now {json.dumps(settings.get(key))}; "
                "continue it with the same settings or choose another name",
                name,
            )


@contextmanager
def _clear_errors(url: object) -> Iterator[None]:
    try:
        yield
    except StudyError:
        raise
    except Exception as error:
        reason = " ".join(str(error).split())[:200]
        raise StudyError(f"storage {str(url)!r}: {type(error).__name__}: {reason}", url) from error


@contextmanager
def quiet() -> Iterator[None]:
    """Keep Optuna from announcing studies that are ours."""
    logger = logging.getLogger("optuna")
    level = logger.level
    logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        logger.setLevel(level)
