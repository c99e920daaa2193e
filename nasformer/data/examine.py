"""Image files looked at before hours of training: unreadable ones, copies in two splits, formats and sizes.

Every file is decoded once; what was found is cached under ``NASFORMER_HOME`` until a file changes.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict, dataclass
from multiprocessing.pool import ThreadPool
from pathlib import Path
from typing import Any

from rich.progress import track

from nasformer._console import PlainConsole
from nasformer._home import home
from nasformer._io import write_file
from nasformer._provenance import installed
from nasformer.data.batches import cores
from nasformer.data.dataset import Dataset, targets_of
from nasformer.data.decoded import alone
from nasformer.data.held_out import image_splits, without
from nasformer.data.image_files import ImageFiles
from nasformer.data.picture import limit, look
from nasformer.errors import DataError

_SHOWN = 50
_SHORT = 240
_LOGGER = logging.getLogger("nasformer.data")

Place = tuple[str, str]
"""Split and name of an image."""


@dataclass(frozen=True)
class Examination:
    """What image files are.

    Attributes:
        unreadable: The reason of each unreadable image, by name.
        kinds: Number of images by format and mode, such as "PNG I;16".
        widths: Width of each image, in pixels; upright.
        heights: Height of each image, in pixels.
        copies: Byte-identical images, each group with the split and the name of its images.
    """

    unreadable: dict[str, str]
    kinds: dict[str, int]
    widths: list[int]
    heights: list[int]
    copies: list[list[Place]]

    def across(self, *splits: str) -> list[list[Place]]:
        """Return the groups of copies that two splits share."""
        return [group for group in self.copies if {*splits} <= {split for split, _ in group}]


def examined(data: Dataset, *, skip_unreadable: bool = False, progress: bool = False) -> Dataset:
    """Return a dataset of image files whose images can be read and whose search images do not train.

    A train image that is a copy of a search image is left out; copies of test images are logged.

    Args:
        data: The dataset; one that is not of image files is returned as it is.
        skip_unreadable: Whether to leave out images that cannot be read; the record lists them as "skipped".
        progress: Whether to show progress.

    Raises:
        DataError: An image cannot be read; the message names all.
    """
    found = None if data.examined else examine(data, progress=progress)
    if found is None:
        return data
    if found.unreadable and not skip_unreadable:
        raise DataError(_unreadable(data, found.unreadable), [*found.unreadable])
    if found.unreadable:
        _LOGGER.warning("%s: %d unreadable images left out: %s", data.name, *_listed(found.unreadable))
    leaked = {name for group in found.across("train", "search") for split, name in group if split == "train"}
    if leaked:
        words = "%s: %d train images are copies of search images and left out: %s"
        _LOGGER.warning(words, data.name, *_listed(leaked))
    for other in ("train", "search"):
        for group in found.across(other, "test")[:1]:
            count, names = len(found.across(other, "test")), " = ".join(name for _, name in group)
            _LOGGER.warning("%s: %d test images are copies of %s images, as %s", data.name, count, other, names)
    clean = without(data, {*found.unreadable, *leaked})
    _require_classes(data, clean)
    clean.examined = True
    return clean


def examine(data: Dataset, *, progress: bool = False) -> Examination | None:
    """Return what the image files of a dataset are; None if it has none.

    Raises:
        DataError: A file is missing.
    """
    splits = image_splits(data)
    if splits is None:
        return None
    stamps = {key: [split.stamp(place) for place in range(len(split))] for key, split in splits.items()}
    path = home() / "examined" / f"{_key(splits, stamps)}.json"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with alone(path):
            kept = _read(path)
            if kept is None or (kept.unreadable and not _are_unreadable(splits, kept.unreadable)):
                kept = _examine(splits, stamps, progress)
                write_file(path, json.dumps(asdict(kept)))
            return kept
    except OSError as error:
        _LOGGER.info("cannot keep what the images are in %s: %s", path.parent, error.strerror)
        return _examine(splits, stamps, progress)


def _examine(splits: Mapping[str, ImageFiles], stamps: Mapping[str, list[Any]], progress: bool) -> Examination:
    places = [(key, place) for key, split in splits.items() for place in range(len(split))]
    unreadable: dict[str, str] = {}
    looks: list[tuple[str, int, int]] = []
    sizes: defaultdict[int, list[tuple[str, int]]] = defaultdict(list)
    with ThreadPool(cores()) as pool:
        found: Iterable[Any] = pool.imap(lambda at: _look(splits[at[0]], at[1]), places, chunksize=16)
        console = PlainConsole(stderr=True)
        if progress and console.is_terminal:
            found = track(found, "looking at the images", len(places), console=console, transient=True)
        for (key, place), seen in zip(places, found, strict=True):
            if isinstance(seen, str):
                unreadable[splits[key].names[place]] = seen
            else:
                looks.append(seen)
                sizes[stamps[key][place][1]].append((key, place))
    return Examination(
        unreadable,
        dict(Counter(kind for kind, _, _ in looks).most_common()),
        [width for _, width, _ in looks],
        [height for _, _, height in looks],
        _copies(splits, sizes),
    )


def _look(split: ImageFiles, place: int) -> tuple[str, int, int] | str:
    """Return format with mode, width and height, or why the image cannot be read."""
    try:
        return look(split.source(place), split.mode, split.names[place])
    except DataError as error:
        return str(error).removeprefix(f"cannot read the image {split.names[place]}: ")


def _are_unreadable(splits: Mapping[str, ImageFiles], names: Collection[str]) -> bool:
    """Whether images are still unreadable: a fault of a disk or a missing decoder may be gone."""
    places = [(split, place) for split in splits.values() for place, name in enumerate(split.names) if name in names]
    return all(isinstance(_look(split, place), str) for split, place in places)


def _copies(splits: Mapping[str, ImageFiles], sizes: Mapping[int, list[tuple[str, int]]]) -> list[list[Place]]:
    groups: defaultdict[str, list[Place]] = defaultdict(list)
    for alike in sizes.values():
        for key, place in alike if len(alike) > 1 else ():
            groups[_digest(splits[key].source(place))].append((key, splits[key].names[place]))
    return [group for group in groups.values() if len(group) > 1]


def _digest(source: Any) -> str:
    content = Path(source).read_bytes() if isinstance(source, (str, Path)) else source.read()
    return hashlib.sha256(content).hexdigest()


def _key(splits: Mapping[str, ImageFiles], stamps: Mapping[str, list[Any]]) -> str:
    """Hash everything that affects what is found."""
    digest = hashlib.sha256(f"1 {installed('Pillow')} {limit()} {splits['train'].mode}".encode())
    for key, part in stamps.items():
        digest.update("\n".join([key, *map(repr, part)]).encode(errors="surrogateescape"))
    return digest.hexdigest()[:32]


def _read(path: Path) -> Examination | None:
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
        copies = [[(str(split), str(name)) for split, name in group] for group in kept["copies"]]
        return Examination(**{**kept, "copies": copies})
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _unreadable(data: Dataset, reasons: Mapping[str, str]) -> str:
    """Return a line that names few unreadable images; many are logged, a line each."""
    names = ", ".join(f"{name} ({reason})" for name, reason in reasons.items())
    if len(names) > _SHORT:
        for name, reason in reasons.items():
            _LOGGER.warning("unreadable: %s (%s)", name, reason)
        names = "those above"
    return (
        f"{len(reasons)} images of {data.name!r} cannot be read: {names}; repair, remove or leave them out with "
        "--skip-unreadable (skip_unreadable=True)"
    )


def _require_classes(data: Dataset, clean: Dataset) -> None:
    """Raise DataError if a class has lost all of its train images."""
    before, after = (targets_of(each.train) for each in (data, clean))
    if before is None or after is None or before.ndim > 1 or before.is_floating_point():
        return
    lost = sorted({*before.tolist()} - {*after.tolist()})
    if lost:
        name = data.classes[lost[0]]
        raise DataError(
            f"no train image of class {name!r} of {data.name!r} is left, as they are unreadable or copies of search "
            "images; add images",
            name,
        )


def _listed(names: Iterable[str]) -> tuple[int, str]:
    every = sorted(names)
    return len(every), ", ".join(every[:_SHOWN]) + (", …" if len(every) > _SHOWN else "")
