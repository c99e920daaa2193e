"""The saved state of a study's strategy: a file beside a journal or a SQLite file, else an attribute of the study.

It counts only if its checksum holds and it was saved for these very settings, trials and versions; else the search is
replayed. Nothing but time depends on it.
"""

from __future__ import annotations

import json
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from nasformer._io import atomic, digest, text_digest
from nasformer._parse import parse_json, read_text
from nasformer.errors import StrategyError
from nasformer.search.state import StrategyState
from nasformer.search.study.settings import STATE
from nasformer.search.study.storage import Store


class _Saved(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid")

    record: str
    checksum: str
    trials: int = Field(ge=0)
    retried: int = Field(ge=0)
    seconds: float = Field(ge=0)
    fields: dict[str, Any]

    def is_whole(self) -> bool:
        return self.checksum == digest(self.model_dump(exclude={"checksum"}))

    def state(self) -> StrategyState:
        return StrategyState(self.trials, self.retried, self.seconds, self.fields)


class SavedState:
    """The state of one study's strategy.

    Args:
        store: The storage.
        study_id: Study id in the storage.
        study: Study name.
    """

    def __init__(self, store: Store, study_id: int, study: str) -> None:
        self.store, self.id = store, study_id
        name = f"{store.path.name}.{text_digest(study, 8)}.state" if store.path else ""
        self.path: Path | None = store.path.with_name(name) if store.path else None

    def read(self) -> tuple[StrategyState, str] | None:
        """Return the state and the digest of the record that it was saved for; None: there is no whole one."""
        try:
            saved = _Saved.model_validate(self._attribute() if self.path is None else parse_json(read_text(self.path)))
        except (OSError, ValueError, ValidationError):
            return None
        return (saved.state(), saved.record) if saved.is_whole() else None

    def write(self, state: StrategyState, record: str) -> None:
        """Save a state in place of the former; a full disk loses nothing but time.

        Raises:
            StrategyError: It is not plain data.
        """
        body = {"record": record, **vars(state)}
        try:
            text = json.dumps({**body, "checksum": digest(body)}, allow_nan=False)
        except (TypeError, ValueError) as error:
            raise StrategyError(f"the state of a strategy is plain data: {error}", state.fields) from error
        if self.path is None:
            self.store.run(lambda: self.store.optuna.set_study_user_attr(self.id, STATE, json.loads(text)))
            return
        with suppress(OSError), atomic(self.path) as draft:
            draft.write_text(text, encoding="utf-8")
            if self.store.path is not None:
                shutil.copymode(self.store.path, draft)

    def remove(self) -> None:
        """Delete the file."""
        if self.path is not None:
            self.path.unlink(missing_ok=True)

    def _attribute(self) -> object:
        return self.store.run(lambda: self.store.optuna.get_study_user_attrs(self.id)).get(STATE)
