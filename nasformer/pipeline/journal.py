"""Journal: what each stage of a run decided, kept in its folder so that the same call goes on."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from nasformer._io import to_json, write_file
from nasformer._record import read_record
from nasformer.errors import NasformerError

FILE = "fit.json"
Decision = dict[str, Any]


class Journal:
    """The decisions of a run.

    Args:
        folder: The run's folder, made if missing.
        arguments: What determines the run, as plain values; a folder of another run is refused.
        say: Called with the line of each stage.

    Raises:
        NasformerError: The folder has another run.
    """

    def __init__(self, folder: Path, arguments: Mapping[str, Any], say: Callable[[str], None]) -> None:
        self.file, self.say, self._began = folder / FILE, say, time.monotonic()
        self.known: dict[str, Any] = {"arguments": dict(arguments), "stages": {}, "seconds": 0.0}
        if self.file.is_file():
            self.known = read_record(self.file)
            _require_same(self.known["arguments"], arguments, folder)
        elif folder.is_dir() and any(folder.iterdir()):
            raise NasformerError(f"{folder} is not empty, and no run of fit; choose another with --out", folder)
        folder.mkdir(parents=True, exist_ok=True)

    @property
    def seconds(self) -> float:
        """Seconds of the run, over all calls."""
        return float(self.known["seconds"]) + time.monotonic() - self._began

    def stage(self, name: str, decide: Callable[[], tuple[Decision, str]]) -> Decision:
        """Return what a stage decided, now or in an earlier call, and say its line.

        Args:
            name: Its name.
            decide: Makes the decision, as plain values, and the line.
        """
        if name not in self.known["stages"]:
            decision, line = decide()
            self.known["stages"][name] = {"decision": decision, "line": line}
            self.save()
        found = self.known["stages"][name]
        self.say(f"{name:<9} {found['line']}")
        return dict(found["decision"])

    def save(self) -> None:
        """Write the journal."""
        seconds, self._began = self.seconds, time.monotonic()
        self.known["seconds"] = seconds
        write_file(self.file, to_json(self.known, indent=1) + "\n")


def _require_same(known: Mapping[str, Any], given: Mapping[str, Any], folder: Path) -> None:
    for name in {**known, **given}:
        if known.get(name) != given.get(name):
            raise NasformerError(
                f"{folder} has a run with {name} {known.get(name)!r}, got {given.get(name)!r}; give the same, "
                "or another folder with --out",
                folder,
            )
