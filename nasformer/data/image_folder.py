"""Folders of images with one folder per class, split as their folders say or at random.

A class is a folder of the first level; images in its subfolders and behind links belong to it. Files that are left out
are counted and logged once.
"""

from __future__ import annotations

import logging
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from nasformer._spec import absolute
from nasformer.data.dataset import Dataset
from nasformer.data.image_files import Sample, from_samples
from nasformer.data.names import FOLDER
from nasformer.data.picture import suffixes
from nasformer.data.splits import stratified
from nasformer.errors import DataError

SPLIT_NAMES = {
    "train": ("train", "training"),
    "search": ("val", "valid", "validation", "dev"),
    "test": ("test", "testing", "eval", "evaluation"),
}
"""Usual names of the folders of each split, in any case."""

_HIDDEN, _BESIDE, _TWICE, _ODD = "hidden", "beside the class folders", "links to images that are there", "no files"
_LOGGER = logging.getLogger("nasformer.data")
Marked = TypeVar("Marked", bound=tuple[Any, int])


def load_image_folder(
    path: str | Path,
    *,
    seed: int = 0,
    image_size: int = 224,
    in_channels: int = 3,
    search_fraction: float | None = None,
    test_fraction: float | None = None,
) -> Dataset:
    """Return the dataset of a folder.

    ``train/`` trains, ``test/`` tests and ``val/`` ranks architectures (or tests, if there is no ``test/``), under any
    of ``SPLIT_NAMES``. A split without a folder is held out of the train images, stratified by class. A folder of class
    folders is split at random altogether.

    Args:
        path: The folder.
        seed: Seed of the splits.
        image_size: Crop size, in pixels.
        in_channels: 3, or 1 for grey.
        search_fraction: Fraction of the train images held out as the search split, if it has no folder; None: a tenth
            if the test split has a folder, else a fifth.
        test_fraction: Fraction held out as the test split, if it has no folder; None: a fifth.

    Raises:
        DataError: The folder is missing or empty, the classes of its splits differ, or a class has too few images.
    """
    root = absolute(path)
    scan = _Scan(_unwrapped(root))
    splits, classes = _splits(scan, search_fraction, test_fraction, seed)
    scan.report()
    names = {key: [file.relative_to(root).as_posix() for file, _ in part] for key, part in splits.items()}
    data = from_samples(f"{FOLDER}:{root}", splits, names, classes, image_size, seed=seed, channels=in_channels)
    data.left_out = {reason: count for reason, count in scan.left_out.items() if count}
    return data


def hold_out(
    samples: Sequence[Marked], fractions: Mapping[str, float], seed: int, classes: Sequence[str] | None = None
) -> dict[str, list[Marked]]:
    """Split samples into train and named held-out parts, stratified by class.

    Raises:
        DataError: The fractions leave nothing to train, or a class is too small for them.
    """
    rest = 1 - sum(fractions.values())
    if not 0 < rest < 1 or min(fractions.values()) <= 0:
        raise DataError(f"held-out fractions must be positive and sum to less than 1, got {fractions}", fractions)
    parts = stratified([label for _, label in samples], {"train": rest, **fractions}, seed, classes)
    return {key: [samples[int(index)] for index in np.asarray(chosen)] for key, chosen in parts.items()}


def _splits(
    scan: _Scan, search_fraction: float | None, test_fraction: float | None, seed: int
) -> tuple[dict[str, list[Sample]], list[str]]:
    folders = _split_folders(scan.root)
    train, classes = scan.classes(folders.get("train", scan.root))
    if folders:
        scan.leave_out_beside(folders.values())
    if "test" not in folders and "search" in folders:
        folders["test"] = folders.pop("search")
    found = {key: scan.classes(folders[key], classes)[0] for key in SPLIT_NAMES if key in folders and key != "train"}
    parts = scan.without_repeats({"train": train, **found})
    return complete(parts, classes, search_fraction, test_fraction, seed), classes


def complete(
    parts: Mapping[str, list[Sample]],
    classes: Sequence[str],
    search_fraction: float | None,
    test_fraction: float | None,
    seed: int,
) -> dict[str, list[Sample]]:
    """Return the splits, those that are missing held out of train; arguments as for ``load_image_folder``."""
    fractions = {}
    if "search" not in parts:
        tenth = "test" in parts or test_fraction is not None
        fractions["search"] = (0.1 if tenth else 0.2) if search_fraction is None else search_fraction
    if "test" not in parts:
        fractions["test"] = 0.2 if test_fraction is None else test_fraction
    drawn = hold_out(parts["train"], fractions, seed, classes) if fractions else {}
    found = {**parts, **drawn}
    return {key: found[key] for key in SPLIT_NAMES}


def _split_folders(root: Path) -> dict[str, Path]:
    """Return the folder of each split; empty for a folder of class folders.

    A folder of a split holds folders: a class called "train" does not.

    Raises:
        DataError: A split has two folders, or only train images are missing.
    """
    if not root.is_dir():
        raise DataError(
            f"{root} is a file; give the folder of images" if root.exists() else f"there is no folder {root}", root
        )
    found: dict[str, Path] = {}
    for entry in _entries(root):
        key = next((key for key, names in SPLIT_NAMES.items() if entry.name.lower() in names), None)
        if key is None or not entry.is_dir() or not any(each.is_dir() for each in _entries(Path(entry.path))):
            continue
        if key in found:
            raise DataError(f"{root} has two folders for {key} images, {found[key].name}/ and {entry.name}/", root)
        found[key] = Path(entry.path)
    if found and "train" not in found:
        first = next(iter(found.values())).name
        raise DataError(f"{root} has {first}/ but no train/ with a folder per class; add it, or rename {first}/", root)
    return found


def _unwrapped(root: Path) -> Path:
    """Return the folder of the images in folders that hold one folder only, as archives have them."""
    while root.is_dir() and len(entries := _entries(root)) == 1 and entries[0].is_dir():
        root = Path(entries[0].path)
    return root


def _entries(folder: Path, hidden: bool = False) -> list[os.DirEntry[str]]:
    """Return the entries of a folder by name: the hidden ones, or the others."""
    try:
        with os.scandir(folder) as entries:
            return sorted((each for each in entries if _is_hidden(each.name) == hidden), key=lambda entry: entry.name)
    except OSError as error:
        raise DataError(f"cannot read the folder {folder}: {error.strerror}", folder) from error


def _is_hidden(name: str) -> bool:
    return name.startswith(".") or name == "__MACOSX"


@dataclass
class _Scan:
    """The images of a folder, and how many files are left out, by reason."""

    root: Path
    left_out: Counter[str] = field(default_factory=Counter)
    taken: int = 0
    nested: set[str] = field(default_factory=set)
    linked: set[Path] = field(default_factory=set)

    def classes(self, folder: Path, wanted: list[str] | None = None) -> tuple[list[Sample], list[str]]:
        """Return the images of a split with their classes, and the names of the classes.

        Raises:
            DataError: No classes, a class without images, or other classes than wanted.
        """
        entries = _entries(folder)
        classes = [entry.name for entry in entries if entry.is_dir()]
        beside = [entry.name for entry in entries if not entry.is_dir()]
        self.left_out[_BESIDE] += len(beside)
        self._leave_out_hidden(folder)
        if not classes:
            count = sum(Path(name).suffix.lower() in suffixes() for name in beside)
            raise DataError(f"{folder} has {count} images but no folders; it must have one folder per class", folder)
        if wanted is not None and classes != wanted:
            odd = sorted(set(classes) ^ set(wanted))
            raise DataError(f"the classes of {folder} differ from those of the train images, as in {odd[0]!r}", odd)
        samples: list[Sample] = []
        for label, name in enumerate(classes):
            images = self._images(folder / name)
            if not images:
                raise DataError(
                    f"the class folder {folder / name} contains no images{self._instead(folder / name)}; "
                    "fill or remove it",
                    folder / name,
                )
            samples += [(file, label) for file in images]
        self.taken += len(samples)
        return samples, classes

    def leave_out_beside(self, folders: Any) -> None:
        """Count the files beside the folders of the splits."""
        for entry in _entries(self.root):
            if Path(entry.path) not in folders:
                self.left_out["beside the splits"] += _files_of(entry)
        self._leave_out_hidden(self.root)

    def _leave_out_hidden(self, folder: Path) -> None:
        self.left_out[_HIDDEN] += sum(map(_files_of, _entries(folder, hidden=True)))

    def _images(self, folder: Path) -> list[Path]:
        files: list[Path] = []
        given = folder.is_symlink() or folder.parent.is_symlink()
        for entry, link in _walk(folder, link=given):
            path, suffix = Path(entry.path), Path(entry.name).suffix.lower()
            if any(map(_is_hidden, path.relative_to(folder).parts)):
                self.left_out[_HIDDEN] += 1
            elif suffix not in suffixes():
                self.left_out[suffix or "without suffix"] += 1
            elif not entry.is_file():
                self.left_out[_ODD] += 1
            else:
                files.append(path)
                self.linked |= {path} if link else set()
        self.nested |= {file.parent.name for file in files if file.parent != folder}
        return sorted(files)

    def without_repeats(self, splits: Mapping[str, list[Sample]]) -> dict[str, list[Sample]]:
        """Return the images without links to images that are there, or a second time, also in another split.

        Raises:
            DataError: Nothing is left of a class of a split.
        """
        if not self.linked:
            return dict(splits)
        samples = [file for part in splits.values() for file, _ in part]
        seen = {os.path.realpath(file) for file in samples if file not in self.linked}
        kept: dict[str, list[Sample]] = {}
        for key, part in splits.items():
            kept[key] = []
            for file, label in part:
                real = os.path.realpath(file) if file in self.linked else None
                if real is None or real not in seen:
                    kept[key].append((file, label))
                seen |= {real} if real is not None else set()
            gone = {label for _, label in part} - {label for _, label in kept[key]}
            if gone:
                folder = next(file.parent for file, label in part if label in gone)
                raise DataError(f"all images of {folder} are links to images of another class or split", folder)
        repeats = len(samples) - sum(map(len, kept.values()))
        self.left_out[_TWICE] += repeats
        self.taken -= repeats
        return kept

    def _instead(self, folder: Path) -> str:
        kinds = Counter(Path(entry.name).suffix.lower() or "without suffix" for entry, _ in _walk(folder))
        return f", only {_counted(kinds)}" if kinds else ""

    def report(self) -> None:
        """Log what was left out, and the subfolders of classes."""
        total = self.left_out.total()
        if total:
            kinds = _counted(self.left_out)
            _LOGGER.warning("%s: %d of %d files left out: %s", self.root, total, total + self.taken, kinds)
        if self.nested:
            shown = sorted(self.nested)
            words = ", ".join(shown[:4]) + (", …" if len(shown) > 4 else "")
            _LOGGER.warning("%s: images in subfolders (%s) count as their class", self.root, words)


def _files_of(entry: os.DirEntry[str]) -> int:
    return sum(1 for _ in _walk(entry.path)) if entry.is_dir() else 1


def _counted(kinds: Counter[str]) -> str:
    return ", ".join(f"{count} {kind}" for kind, count in kinds.most_common() if count)


def _walk(
    folder: str | Path, above: tuple[str, ...] = (), link: bool = False
) -> Iterator[tuple[os.DirEntry[str], bool]]:
    """Yield every file below a folder, and whether a link leads to it; a link to a folder above is not followed."""
    real = os.path.realpath(folder)
    above = above or tuple(map(str, Path(real).parents))
    if real in above:
        return
    try:
        with os.scandir(folder) as scanned:
            entries = list(scanned)
    except OSError as error:
        raise DataError(f"cannot read the folder {folder}: {error.strerror}", folder) from error
    for entry in entries:
        linked = link or entry.is_symlink()
        if entry.is_dir():
            yield from _walk(entry.path, (*above, real), linked)
        else:
            yield entry, linked
