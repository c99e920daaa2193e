"""huggingface:PATH: a dataset saved by Hugging Face's ``datasets``, or its Parquet files (extra ``datasets``)."""

from __future__ import annotations

import io
import json
import os
from collections import Counter
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import Any

from nasformer._home import home
from nasformer._io import digest, write_file
from nasformer._spec import absolute
from nasformer.data.dataset import Dataset
from nasformer.data.image_files import ImageFiles, Sample, from_samples
from nasformer.data.image_folder import SPLIT_NAMES, complete
from nasformer.data.names import HUGGING_FACE, join_name
from nasformer.errors import DataError, did_you_mean

_IMAGES, _LABELS = ("image", "img"), ("label", "labels", "fine_label", "target", "class")


class TableImages(ImageFiles):
    """Images in the rows of Arrow tables; a sample is ``((table, row, column), target)``."""

    def source(self, index: int) -> Any:
        """Return the open file, or the path, of an image."""
        table, row, column = self.samples[index][0]
        cell = table[row][column]
        return cell["path"] if cell["bytes"] is None else io.BytesIO(cell["bytes"])

    def stamp(self, index: int) -> tuple[str, int, int]:
        """Return the name, which has the hash of the image, and that hash in place of a size."""
        name = self.names[index]
        return name, int(name.rpartition("/")[2].partition("-")[0][:12], 16), 0


def load_hugging_face(
    path: str | Path,
    *,
    seed: int = 0,
    image_size: int = 224,
    in_channels: int = 3,
    image: str | None = None,
    label: str | None = None,
) -> Dataset:
    """Return the dataset of a folder; splits that it lacks are held out as of a folder of images.

    Args:
        path: A folder of ``save_to_disk``, or of Parquet files named by their split, as ``train-00000-of-00001``.
        seed: Seed of the splits.
        image_size: Crop size, in pixels.
        in_channels: 3, or 1 for grey.
        image: Column of images; None: the first of images.
        label: Column of classes; None: the first of classes, or one named "label".

    Raises:
        DataError: ``datasets`` is not installed, or the folder has no such tables, columns or splits.
    """
    root = absolute(path)
    tables = {_split_of(name, root): table for name, table in _tables(root).items()}
    if "train" not in tables:
        raise DataError(f"{root} has no train split, only {', '.join(tables)}", root)
    if "test" not in tables and "search" in tables:
        tables["test"] = tables.pop("search")
    image, label = _image_column(tables["train"], image, root), _label_column(tables["train"], label, root)
    classes = _classes(tables["train"], label)
    parts = {key: _samples(table, image, label, classes, root) for key, table in tables.items()}
    splits = complete(parts, classes, None, None, seed)
    hashes = {id(part[0][0][0]): _names(key, part) for key, part in parts.items()}
    names = {key: [hashes[id(where[0])][where[1]] for where, _ in part] for key, part in splits.items()}
    name = join_name(HUGGING_FACE, root, {"image": image, "label": label})
    shape: dict[str, Any] = {"seed": seed, "channels": in_channels, "kind": TableImages}
    return from_samples(name, splits, names, classes, image_size, **shape)


def _tables(root: Path) -> dict[str, Any]:
    """Return the tables of a folder by the name of their split."""
    try:
        import datasets
    except ImportError as error:
        words = "needs Hugging Face's datasets: pip install 'nasformer[datasets]'"
        raise DataError(f"{root} {words}", root) from error
    try:
        if any((root / name).is_file() for name in ("dataset_dict.json", "dataset_info.json")):
            found = datasets.load_from_disk(str(root))
            return dict(found) if isinstance(found, datasets.DatasetDict) else {"train": found}
        files: dict[str, list[str]] = {}
        for file in sorted([*root.glob("*.parquet"), *root.glob("data/*.parquet")]):
            files.setdefault(file.stem.partition("-")[0], []).append(str(file))
        cache = str(home() / "datasets")
        return {name: datasets.Dataset.from_parquet(part, cache_dir=cache) for name, part in files.items()}
    except Exception as error:  # damaged files can raise anything
        raise DataError(f"cannot read the dataset {root}: {str(error).splitlines()[0]}", root) from error


def _split_of(name: str, root: Path) -> str:
    for split, names in SPLIT_NAMES.items():
        if name.lower() in (*names, split):
            return split
    known = [name for names in SPLIT_NAMES.values() for name in names]
    raise DataError(f"{root} has an unknown split {name!r}; {did_you_mean(name, known)}", name)


def _image_column(table: Any, name: str | None, root: Path) -> str:
    of_images = [key for key, each in table.features.items() if type(each).__name__ == "Image"]
    named = [key for key in _IMAGES if key in table.column_names]
    return _column(table, name, [*of_images, *named], "images", "image", root)


def _label_column(table: Any, name: str | None, root: Path) -> str:
    of_classes = [key for key, each in table.features.items() if type(each).__name__ == "ClassLabel"]
    named = [key for key in _LABELS if key in table.column_names]
    return _column(table, name, [*of_classes, *named], "classes", "label", root)


def _column(table: Any, name: str | None, found: list[str], what: str, option: str, root: Path) -> str:
    if name is not None and name not in table.column_names:
        raise DataError(f"{root} has no column {name!r}; {did_you_mean(name, table.column_names)}", name)
    if name is None and not found:
        columns = ", ".join(table.column_names)
        raise DataError(f"{root} has no column of {what}, only {columns}; name it with ?{option}=COLUMN", root)
    return name or found[0]


def _classes(table: Any, label: str) -> list[str]:
    feature = table.features[label]
    if type(feature).__name__ == "ClassLabel":
        return list(feature.names)
    return sorted(map(str, set(table[label])), key=lambda name: (len(name), name) if name.isdecimal() else (0, name))


def _samples(table: Any, image: str, label: str, classes: list[str], root: Path) -> list[Sample]:
    import datasets

    places = {name: place for place, name in enumerate(classes)}
    indexed = type(table.features[label]).__name__ == "ClassLabel"
    raw = table.cast_column(image, datasets.Image(decode=False))
    samples: list[Sample] = []
    for row, target in enumerate(table[label]):
        number = target if indexed else places.get(str(target))
        if number is None or not 0 <= number < len(classes):
            raise DataError(f"{root}: row {row} has the class {target!r}, which no train image has", target)
        samples.append(((raw, row, image), number))
    if not samples:
        raise DataError(f"a split of {root} has no rows", root)
    return samples


def _names(split: str, samples: list[Sample]) -> list[str]:
    """Return the split and the hash of each image: rows may come, go and move. Cached until the files change."""
    table = samples[0][0][0]
    files = [(each["filename"], os.stat(each["filename"])) for each in table.cache_files]
    key = digest([split, len(table), samples[0][0][2], [(name, s.st_size, s.st_mtime_ns) for name, s in files]])
    path = home() / "datasets" / f"{key}.json"
    if files and path.is_file():
        with suppress(OSError, ValueError):
            return list(map(str, json.loads(path.read_text(encoding="utf-8"))))
    seen: Counter[str] = Counter()
    names = []
    for (_, row, column), _ in samples:
        cell = table[row][column]
        content = Path(cell["path"]).read_bytes() if cell["bytes"] is None else cell["bytes"]
        name = f"{split}/{sha256(content).hexdigest()[:24]}"
        names.append(f"{name}-{seen[name]}" if seen[name] else name)
        seen[name] += 1
    with suppress(OSError):
        write_file(path, json.dumps(names))
    return names
