"""SavedState: a strategy's state, in a file beside a journal or a SQLite file, else in an attribute of the study.

It counts only if its checksum holds and it was saved for these very settings, trials and versions; else the search is
replayed. Nothing but time depends on it.
"""

from __future__ import annotations

import json
import shutil
from contextlib import suppress
from typing import Any

from nasformer._io import atomic, digest, text_digest
from nasformer._parse import parse_json, read_text
from nasformer.errors import StrategyError, StudyError
from nasformer.search.state import StrategyState
from nasformer.search.study.settings import STATE
from nasformer.search.study.storage import Store


class SavedState:
    """The state of one study's strategy.

    Args:
        store: The storage.
        study_id: Study id in the storage.
        study: Study name.
    """

    def __init__(self, store: Store, study_id: int, study: str) -> None:
        self.store, self.id, beside = store, study_id, store.path
        self.path = beside and beside.with_name(f"{beside.name}.{text_digest(study, 8)}.state")

    def read(self) -> tuple[StrategyState, str] | None:
        """Return the state and the digest of the record that it was saved for; None: there is no whole one."""
        try:
            saved: Any = self._attribute() if self.path is None else parse_json(read_text(self.path))
            checksum, record = saved.pop("checksum"), saved.pop("record")
            return (StrategyState(**saved), record) if checksum == digest([record, saved]) else None
        except (OSError, LookupError, TypeError, ValueError, AttributeError):
            return None

    def write(self, state: StrategyState, record: str) -> None:
        """Save a state in place of the former; a full disk loses nothing but time.

        Raises:
            StrategyError: It is not plain data.
        """
        try:
            saved = json.loads(json.dumps(vars(state), allow_nan=False))
        except (TypeError, ValueError) as error:
            raise StrategyError(f"the state of a strategy is plain data: {error}", state.fields) from error
        saved |= {"record": record, "checksum": digest([record, saved])}
        if self.path is None or self.store.path is None:
            with suppress(StudyError):  # as where attributes are short: MySQL's hold 64 kB
                self.store.run(lambda: self.store.optuna.set_study_user_attr(self.id, STATE, saved))
            return
        with suppress(OSError), atomic(self.path) as draft:
            draft.write_text(json.dumps(saved), encoding="utf-8")
            shutil.copymode(self.store.path, draft)

    def remove(self) -> None:
        """Delete the file."""
        if self.path is not None:
            self.path.unlink(missing_ok=True)

    def _attribute(self) -> object:
        return dict(self.store.run(lambda: self.store.optuna.get_study_user_attrs(self.id))[STATE])
