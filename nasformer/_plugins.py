"""Plugins: the parts of one kind that are found by name, one per file of a package or per entry point.

A part's name is its file's, with hyphens. Other packages register theirs in an entry-point group. Listing names imports
nothing.
"""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

from nasformer.errors import NasformerError, did_you_mean, shown


@dataclass(frozen=True)
class Plugins:
    """The parts of one kind.

    Args:
        kind: The kind in messages, such as "strategy".
        folder: The folder of ``nasformer`` that holds ours, dotted.
        base: Returns the class that ours derive from.
        error: The error raised.
        lacks: Returns what a third party's object lacks to be such a part; empty: nothing. Default: the base class.
    """

    kind: str
    folder: str
    base: Callable[[], type]
    error: type[NasformerError]
    lacks: Callable[[Any], str] | None = None

    @property
    def group(self) -> str:
        """The entry-point group of third parties."""
        return f"nasformer.{self.folder}"

    @cached_property
    def own(self) -> list[str]:
        """The names of our parts."""
        files = (path.stem for path in (Path(__file__).parent / self.folder.replace(".", "/")).glob("*.py"))
        return sorted(stem.replace("_", "-") for stem in files if not stem.startswith("_"))

    def names(self) -> list[str]:
        """Return the names of all installed parts."""
        return sorted({*self.own, *self._entry_points()})

    def get(self, name: str) -> Any:
        """Return a part by name, or by ``module:Class``.

        Raises:
            NasformerError: Unknown name, failed import, or an object that is no such part.
        """
        if name in self.own:
            return self._class_of(importlib.import_module(f"{self.group}.{name.replace('-', '_')}"))
        if ":" in name and not re.fullmatch(r"\w[\w.]*:\w[\w.]*", name):
            raise self.error(f"{self.kind} {name!r} names no class; write module:Class", name)
        try:
            if name in self._entry_points():
                return self._checked(name, self._entry_points()[name].load())
            if ":" in name:
                return self._checked(name, EntryPoint(name, name, self.group).load())
        except (ImportError, AttributeError) as error:
            raise self.error(f"{self.kind} {name!r} cannot be imported: {error}", name) from error
        raise self.error(f"unknown {self.kind} {name!r}; {did_you_mean(name, self.names())}", name)

    def require_imported(self, name: object) -> None:
        """Refuse a part that a file names by a module that is not imported: a file does not choose what runs.

        Raises:
            NasformerError: It does.
        """
        module, colon, _ = str(name).partition(":")
        if colon and module not in self.own and module not in sys.modules:
            raise self.error(
                f"the {self.kind} {shown(name)} is named by a file, but its module is not imported; if you trust it, "
                f"import it first, or run: nasformer --trust {shown(module)[1:-1]} …",
                name,
            )

    def _entry_points(self) -> dict[str, EntryPoint]:
        return {point.name: point for point in entry_points(group=self.group)}

    def _class_of(self, module: Any) -> type:
        found = [value for value in vars(module).values() if isinstance(value, type) and issubclass(value, self.base())]
        public = [each for each in found if each.__module__ == module.__name__ and not each.__name__.startswith("_")]
        if len(public) != 1:
            names = ", ".join(value.__name__ for value in public) or "none"
            raise self.error(f"{module.__name__} must define one public {self.base().__name__}, found {names}", module)
        return public[0]

    def _checked(self, name: str, loaded: Any) -> Any:
        if missing := (self.lacks or self._lacks_base)(loaded):
            raise self.error(f"{name!r} is not a {self.kind}: it lacks {missing}", loaded)
        return loaded

    def _lacks_base(self, loaded: object) -> str:
        has_base = isinstance(loaded, type) and issubclass(loaded, self.base())
        return "" if has_base else f"the base class {self.group}.{self.base().__name__}"
