"""Resolve a command's target without weights: a search and its winners, a space, or an architecture."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nasformer.cli.options import trained_space
from nasformer.cli.search import RESULT
from nasformer.errors import ArchitectureError, CheckpointError, StudyError, shown

if TYPE_CHECKING:
    from nasformer.architecture import Architecture
    from nasformer.cost import Limits
    from nasformer.search import SearchResult
    from nasformer.space import SearchSpace

_NAMED = ("smallest", "centroid", "largest")
_WINNER = re.compile(r"winner(-([1-9]\d*))?\.json")


def run_file(target: str) -> Path | None:
    """Return the result file of a run, or of its winner's file; None for a space, even if a folder has its name."""
    from nasformer.space import space_names

    path = Path(target)
    if path.suffix == ".jsonl":
        return path
    if _WINNER.fullmatch(path.name) and (path.parent / RESULT).is_file():
        return path.parent / RESULT
    file = path / RESULT
    return file if file.is_file() or (path.is_dir() and target not in space_names()) else None


def winner_of(result: SearchResult, target: str) -> tuple[Architecture, Limits]:
    """Return the winner of a run and its limits: of several budgets the best, or that of ``RUN/winner-2.json``.

    Raises:
        StudyError: The run has no such winner.
    """
    named = _WINNER.fullmatch(Path(target).name)
    if named is None or named[2] is None:
        return result.best.architecture, result.limits
    number, count = int(named[2]), len(result.budgets)
    if number > count:
        winners = f"the winners of {count} budgets" if count else "one winner, winner.json"
        raise StudyError(f"there is no {target}: the search has {winners}", target)
    return result.winners[number - 1].architecture, result.budgets[number - 1]


def read_target(
    target: str, architecture: str | None, supernet: Path | None = None, data: str | None = None
) -> tuple[SearchSpace, Architecture, dict[str, Any]]:
    """Resolve ``RUN|SPACE [ARCH]``: the winner of a search or an architecture of a space, with its provenance.

    Raises:
        ArchitectureError: It is neither, or a run with an architecture.
        StudyError: The run cannot be read.
    """
    from nasformer.search import SearchResult

    run = run_file(target)
    if run is not None:
        require_alone(target, architecture)
        result = SearchResult.load(run)
        return result.space, winner_of(result, target)[0], origin(result.space, result.settings)
    space = trained_space(target, supernet, data)
    return space, read_architecture(space, architecture or "largest"), origin(space)


def require_alone(target: str, architecture: str | None) -> None:
    """Raise ArchitectureError for an architecture beside a target that has its own."""
    if architecture is not None:
        raise ArchitectureError(
            f"{target[:60]} has its own architecture, got also {architecture[:60]!r}; name its space instead",
            architecture,
        )


def require_same_weights(wanted: str | None, found: str) -> None:
    """Check by hash that weights are those of a search; None: it used none.

    Raises:
        CheckpointError: They differ.
    """
    if wanted is not None and wanted != found:
        raise CheckpointError(
            f"the search used the weights {wanted}, but these are {found}; leave --supernet out, or give that of the "
            "search",
            found,
        )


def origin(space: SearchSpace, settings: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return the provenance of an architecture: its space, and the search that found it, if any."""
    found = {"space": space.name, "space_fingerprint": space.fingerprint}
    if settings is None:
        return found
    known = {"strategy": "strategy", "search_seed": "seed", "evaluations": "evaluations"}
    return {**found, **{name: settings.get(key) for name, key in known.items()}}


def searched_with(target: str) -> Mapping[str, Any]:
    """Return the settings of a search; empty for a space."""
    from nasformer.search import SearchResult

    run = run_file(target)
    return {} if run is None else SearchResult.load(run).settings


def read_architecture(space: SearchSpace, text: str) -> Architecture:
    """Return the architecture of a command's argument: a named one of the space, a file, or JSON.

    Raises:
        ArchitectureError: It is none of these.
    """
    from nasformer._parse import parse_json, read_text
    from nasformer.architecture import Architecture
    from nasformer.space import released

    if text in _NAMED:
        named: Architecture = getattr(space, text)
        return named
    if text == "released":
        return released(space.name)
    if not text.lstrip().startswith("{"):
        try:
            text = read_text(text)
        except (OSError, ValueError) as error:
            raise ArchitectureError(
                f"architecture {shown(text)} is none of {', '.join(_NAMED)}, released, JSON, or a readable file", text
            ) from error
    try:
        data = parse_json(text, finite=False)
    except ValueError as error:
        raise ArchitectureError(f"the architecture is not valid JSON ({error}): {text[:60]!r}", text) from error
    return Architecture.from_dict(data.get("architecture", data) if isinstance(data, dict) else data)
