"""Database: several of Optuna's changes to a database as one transaction, which excludes other writers.

Optuna commits every change by itself, each a trip to the disk, and its claim of a waiting trial is not safe
on SQLite (it reads before it locks). Here its sessions are one session while a transaction lasts.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import sqlalchemy
from optuna.distributions import BaseDistribution, distribution_to_json
from optuna.exceptions import StorageInternalError
from optuna.storages import RDBStorage
from optuna.storages._rdb import models
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError

_BUSY_SECONDS = 60
_RIVALS = 20
_BEING_MADE = ("already exists", "duplicate key", "UNIQUE constraint")


def open_database(url: str) -> RDBStorage:
    """Return Optuna's storage on a database; ``postgresql://`` is spoken through psycopg."""
    options = {"connect_args": {"timeout": _BUSY_SECONDS}} if url.startswith("sqlite:") else {}
    url = url.replace("postgresql://", "postgresql+psycopg://", 1)
    for _ in range(_RIVALS):
        try:
            return _Database(url, engine_kwargs=options)
        except (DBAPIError, StorageInternalError) as error:
            if not any(word in str(error.__cause__ or error) for word in _BEING_MADE):
                raise
            time.sleep(0.1)  # another process makes the tables at this moment
    return _Database(url, engine_kwargs=options)


class _Database(RDBStorage):
    """Optuna's storage, which adds a trial's parameters without asking for the trial and its elders at each.

    Those questions, two for each of some thirty parameters, would take most of the time of a trial. Ours always
    have the distributions of their space, and are added by the transaction that makes the trial.
    """

    def _set_trial_param_without_commit(
        self,
        session: Any,
        trial_id: int,
        param_name: str,
        param_value_internal: float,
        distribution: BaseDistribution,
        previous_distribution: BaseDistribution | None = None,
    ) -> None:
        session.add(
            models.TrialParamModel(
                trial_id=trial_id,
                param_name=param_name,
                param_value=param_value_internal,
                distribution_json=distribution_to_json(distribution),
            )
        )


class _Joined:
    """A session that is committed and closed later, by whoever began the transaction."""

    def __init__(self, session: Any) -> None:
        self._session = session
        self.broken = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._session, name)

    def commit(self) -> None:
        self._session.flush()

    def rollback(self) -> None:
        self.broken = True
        self._session.rollback()

    def close(self) -> None:
        """Leave it open."""


@contextmanager
def together(storage: RDBStorage, study_id: int | None) -> Iterator[None]:
    """Make all changes to a study within the context at once, or none; others wait for their turn."""
    sessions: Any = storage.scoped_session
    session = sessions()
    joined = _Joined(session)
    storage.scoped_session = lambda: joined  # type: ignore[assignment]
    try:
        _exclude(session, study_id)
        yield
        if joined.broken:
            raise OperationalError("a change was rolled back", None, Exception("a change was rolled back"))
        session.commit()
    except BaseException:
        session.rollback()
        raise
    finally:
        storage.scoped_session = sessions
        sessions.remove()


def _exclude(session: Any, study_id: int | None) -> None:
    if session.bind.dialect.name == "sqlite":
        session.execute(sqlalchemy.text("BEGIN IMMEDIATE"))
    elif study_id is not None:
        session.execute(
            sqlalchemy.text("SELECT study_id FROM studies WHERE study_id = :id FOR UPDATE"), {"id": study_id}
        )
    elif session.bind.dialect.name == "postgresql":
        session.execute(sqlalchemy.text("LOCK TABLE studies IN EXCLUSIVE MODE"))


def is_transient(error: BaseException) -> bool:
    """Whether a database's refusal may pass: a lost connection, a server that restarts, a lock."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, DBAPIError):
        cause = cause.__cause__
    if not isinstance(cause, (OperationalError, InterfaceError)):
        return isinstance(cause, DBAPIError) and cause.connection_invalidated
    sqlite = type(cause.orig).__module__.startswith("sqlite")
    return "locked" in str(cause) if sqlite else True
