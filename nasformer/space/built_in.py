"""Spaces by name: a built-in space is named by its file in ``spaces/``."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path

from nasformer.errors import SpaceError, did_you_mean
from nasformer.space.declaration import read_space
from nasformer.space.searchspace import SearchSpace

_FOLDER = Path(__file__).parent.parent / "spaces"
_SUFFIXES = (".yaml", ".yml", ".json")


def space_names() -> list[str]:
    """Return the names of the built-in spaces.

    >>> space_names()
    ['autoformer-base', 'autoformer-small', 'autoformer-tiny', 'cifar10', 'digits', 'digits-wide', 'fashion-mnist',
     'fashion-mnist-wide', 'photos', 'series-96']
    """
    return sorted(path.stem for path in _FOLDER.glob("*.yaml"))


@cache
def _built_in(name: str) -> SearchSpace:
    return read_space(_FOLDER / f"{name}.yaml")


def load_space(space: str | Path | SearchSpace) -> SearchSpace:
    """Return a space by built-in name or by the path of a YAML or JSON file, ours or AutoFormer's.

    Raises:
        SpaceError: An unknown name, a missing or an invalid file.

    >>> load_space("autoformer-tiny").size()
    1056964608
    """
    if isinstance(space, SearchSpace):
        return space
    if str(space) in space_names():
        return _built_in(str(space))
    if Path(space).suffix in _SUFFIXES:
        return read_space(space)
    if (os.sep in str(space) or Path(space).suffix) and not Path(space).exists():
        raise SpaceError(f"there is no file or folder {str(space)!r}; spaces: {', '.join(space_names())}", space)
    raise SpaceError(
        f"no built-in space {str(space)!r}; {did_you_mean(str(space), space_names())} (or give a .yaml or .json file)",
        space,
    )
