"""Kept supernets: trained or imported weights by space and data, where searches find theirs.

``NASFORMER_HOME`` (default ``~/.cache/nasformer``) holds the last supernet of each space and dataset as
``supernets/SPACE-DATA.safetensors``, named by their fingerprints, and one with a name, which no other replaces, as
``supernets/SPACE-DATA.NAME.safetensors``. Version 0.1 wrote ``SPACE.safetensors``.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nasformer._home import home
from nasformer._io import atomic, digest, text_digest
from nasformer.data.names import source_of
from nasformer.errors import CheckpointError, FitnessError, SpaceError, did_you_mean
from nasformer.space import SearchSpace
from nasformer.supernet import Supernet
from nasformer.supernet.checkpoint import read_header
from nasformer.training.origin import is_trained

UNKNOWN = "unknown data"
_FILE = re.compile(r"(?P<slot>(?P<space>[0-9a-f]{16})(-[0-9a-f]{16})?)(\.(?P<name>[A-Za-z][\w-]*))?\.safetensors")


@dataclass(frozen=True)
class KeptSupernet:
    """A supernet that is kept.

    Args:
        file: Its checkpoint.
        slot: File name without suffix and name.
        name: Its name, if it has one.
        modified_ns: When it was kept, in nanoseconds since the epoch.
        space: Name of its space; None: the file is damaged.
        data: Record of its training dataset; empty if unknown.
        fault: What is wrong with a damaged file.
    """

    file: Path
    slot: str
    name: str | None
    modified_ns: int
    space: str | None = None
    data: Mapping[str, Any] = field(default_factory=dict)
    fault: str | None = None

    @property
    def id(self) -> str:
        """Identifies it also when it gets a name; other weights in its place have another."""
        return text_digest(f"{self.slot} {self.modified_ns}", 8)

    @property
    def data_name(self) -> str:
        """Name of its training dataset, or "unknown data"."""
        return str(self.data.get("name", UNKNOWN))


def kept_supernets(space: SearchSpace | None = None) -> list[KeptSupernet]:
    """Return the kept supernets, all or of one space, newest first."""
    matches = [(path, _FILE.fullmatch(path.name)) for path in (home() / "supernets").glob("*.safetensors")]
    wanted = [(p, m) for p, m in matches if m and (space is None or m["space"] == space.fingerprint)]
    found = [_read(path, match["slot"], match["name"]) for path, match in wanted]
    return sorted(found, key=lambda each: each.modified_ns, reverse=True)


def _read(path: Path, slot: str, name: str | None) -> KeptSupernet:
    modified = path.stat().st_mtime_ns
    try:
        header = read_header(path, "supernet")
        return KeptSupernet(path, slot, name, modified, str(header["space"]["name"]), _data(header))
    except CheckpointError as error:
        return KeptSupernet(path, slot, name, modified, fault=str(error))
    except (KeyError, TypeError, ValueError, AttributeError):
        return KeptSupernet(path, slot, name, modified, fault=f"the header of {path} is damaged")


def _data(header: Mapping[str, Any]) -> dict[str, Any]:
    return dict(header["metadata"].get("training", {}).get("data", {}))


def trained_on(checkpoint: str | Path) -> tuple[str | None, str | None]:
    """Return the name of a supernet's dataset, and of the library of its checkpoint if it was not trained since.

    Raises:
        CheckpointError: The checkpoint is unreadable.
    """
    header = read_header(checkpoint, "supernet")
    metadata = header["metadata"]
    imported = None if is_trained(metadata) else metadata.get("imported", {}).get("format")
    return _data(header).get("name"), imported


def find_weights(space: SearchSpace, data: str | Mapping[str, Any] | None = None) -> Path | None:
    """Return the kept weights of a space; None if there are none.

    Args:
        space: The space.
        data: Name or record of the training dataset: with its fingerprint if possible, else with exactly its name,
            else the newest. None: the only dataset with weights, or the one that has the space's name.

    Raises:
        FitnessError: Several datasets have weights, none has the space's name, and ``data`` is None.
        DataError: The name of the data cannot be read.
    """
    kept = kept_supernets(space)
    if data is not None:
        record = {"name": data} if isinstance(data, str) else data
        same = [each for each in kept if each.data and source_of(each.data_name) == source_of(record["name"])]
        same.sort(key=lambda each: each.data_name != record["name"])
        same.sort(key=lambda each: each.data.get("fingerprint") != record.get("fingerprint"))
        return same[0].file if same else None
    kept = [each for each in kept if not each.fault] or kept
    newest = {each.data_name: each.file for each in reversed(kept)}
    if len(newest) > 1 and space.name not in newest:
        names = ", ".join(sorted(newest))
        raise FitnessError(f"space {space.name!r} has weights of {names}; choose with --data or --supernet", space)
    return newest.get(space.name, kept[0].file if kept else None)


def space_of_weights(space: SearchSpace, supernet: Path | None = None, data: str | None = None) -> SearchSpace:
    """Return a space with the image size, channels and classes of weights that were trained for it on other images.

    Args:
        space: The space; returned as it is where it has weights, or no weights are of it.
        supernet: A checkpoint; None: the kept supernets.
        data: Name of their training dataset, if it was not moved since; None: any.

    Raises:
        FitnessError: There are weights of several shapes.
    """
    if supernet is not None:
        return _fitted(space, supernet) or space
    kept = [each for each in kept_supernets() if not each.fault]
    kept = [each for each in kept if data and source_of(each.data_name) == source_of(data)] or kept
    found = [(each.data_name, fitted) for each in kept if (fitted := _fitted(space, each.file)) is not None]
    if not found or any(fitted.fingerprint == space.fingerprint for _, fitted in found):
        return space
    if len({fitted.fingerprint for _, fitted in found}) > 1:
        names = ", ".join(sorted({name for name, _ in found}))
        raise FitnessError(f"space {space.name!r} has weights of {names}; choose with --data or --supernet", space)
    return found[0][1]


def _fitted(space: SearchSpace, file: Path) -> SearchSpace | None:
    """Return the space with the shape of a checkpoint's; None if they differ in more."""
    with suppress(CheckpointError, SpaceError, KeyError, TypeError, ValueError):
        there = SearchSpace.from_dict(read_header(file, "supernet")["space"])
        shape = {key: getattr(there.geometry, key) for key in ("image_size", "in_channels", "num_classes")}
        fitted = space.for_data(**shape)
        return fitted if fitted.fingerprint == there.fingerprint else None
    return None


def weights_path(space: SearchSpace, data: Mapping[str, Any]) -> Path:
    """Return where the weights of a space are kept, given the record of their dataset; empty: unknown."""
    key = digest([data.get("name"), data.get("fingerprint")])
    return home() / "supernets" / f"{space.fingerprint}-{key}.safetensors"


def bind_weights(space: SearchSpace, checkpoint: str | Path) -> Path:
    """Keep a copy of a checkpoint as the weights of a space and their data, and return its path.

    Raises:
        CheckpointError: It cannot be read or copied.
    """
    path = weights_path(space, _data(read_header(checkpoint, "supernet")))
    try:
        with atomic(path) as draft:
            shutil.copyfile(checkpoint, draft)
    except OSError as error:
        raise CheckpointError(f"cannot copy {checkpoint} to {path}: {error.strerror}", path) from error
    return path


def keep_weights(net: Supernet) -> Path:
    """Keep a supernet as the weights of its space and data, and return the path.

    Raises:
        CheckpointError: They cannot be written.
    """
    return net.save(weights_path(net.space, _data({"metadata": net.metadata})))


def find_kept(which: str) -> KeptSupernet:
    """Return a kept supernet by its name, its id, or the first characters of its id.

    Raises:
        CheckpointError: There is none, or several.
    """
    kept = kept_supernets()
    found = [each for each in kept if each.name == which] or [each for each in kept if each.id.startswith(which)]
    if len(found) > 1:
        raise CheckpointError(f"{which!r} is the start of {len(found)} ids of kept supernets; write more of it", which)
    if not found:
        known = [each.name or each.id for each in kept]
        hint = did_you_mean(which, known) if known else "none are kept"
        raise CheckpointError(f"no kept supernet has the name or id {which!r}; {hint}", which)
    return found[0]


def name_weights(kept: KeptSupernet, name: str) -> Path:
    """Name a kept supernet: no other replaces it, and ``--supernet`` takes the name; return its file.

    Raises:
        CheckpointError: The name is invalid or taken.
    """
    if not re.fullmatch(r"[A-Za-z][\w-]{0,63}", name, re.ASCII):
        raise CheckpointError(f"a name is a letter, then up to 63 letters, digits, - and _, got {name!r}", name)
    if any(each.name == name for each in kept_supernets()):
        raise CheckpointError(f"another supernet has the name {name!r}; choose another, or remove it", name)
    return kept.file.rename(kept.file.with_name(f"{kept.slot}.{name}.safetensors"))


def named_weights(given: Path) -> Path:
    """Return a checkpoint given as a file or as the name of a kept supernet; a file of that name wins.

    Raises:
        CheckpointError: It is neither.
    """
    if given.exists() or given.suffix or given.name != str(given):
        return given
    named = {each.name: each.file for each in kept_supernets() if each.name is not None}
    if given.name not in named:
        hint = f"; {did_you_mean(given.name, named)}" if named else ""
        raise CheckpointError(f"there is neither a file nor a kept supernet {given.name!r}{hint}", given)
    return named[given.name]
