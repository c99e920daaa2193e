"""Names of datasets: "digits", "imagefolder:PATH", "table:FILE?key=value&…" and "series:FILE?key=value&…".

A local folder or file needs no prefix. A record stores the name, and the name with its options loads the same data
again.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from contextlib import suppress
from numbers import Real
from pathlib import Path

from nasformer._spec import Spec, absolute
from nasformer.errors import DataError

IN_MEMORY = ("digits", "fashion-mnist")
TRANSFER = ("cars", "cifar10", "cifar100", "flowers", "pets")
FOLDER, TABLE, SERIES, HUGGING_FACE = "imagefolder", "table", "series", "huggingface"
OPTIONS = {
    TABLE: ("image", "loss", "missing", "root", "split", "targets", "task"),
    SERIES: ("channels", "horizon", "length", "missing", "splits", "time"),
    HUGGING_FACE: ("image", "label"),
}


def join_name(kind: str, path: str | Path, options: Mapping[str, object]) -> str:
    """Return the name of a file with its options; those that are None are left out. Paths become absolute.

    >>> join_name(TABLE, "/data/labels.csv", {"task": "multi-label", "targets": ["cat", "big dog"], "root": None})
    'table:/data/labels.csv?targets=cat,big+dog&task=multi-label'
    """
    given = texts(options)
    if given.get("root"):
        given["root"] = str(absolute(given["root"]))
    return str(Spec(kind, str(absolute(path)), given))


def texts(options: Mapping[str, object]) -> dict[str, str]:
    """Return options as a name has them, in order; those that are None are left out.

    Raises:
        DataError: An option is neither text, a number nor several of them without a comma.

    >>> texts({"targets": ["cat", "dog"], "root": None, "image": 3})
    {'image': '3', 'targets': 'cat,dog'}
    """
    return {key: _text(value) for key, value in sorted(options.items()) if value is not None}


def parse_name(name: str) -> Spec:
    """Return kind, path and options of a name: the inverse of ``join_name``.

    Raises:
        DataError: An option is unknown, given twice or not ``key=value``.
    """
    return Spec.parse(name, OPTIONS, DataError)


def with_prefix(name: str) -> str:
    """Return the name of a local folder or file with its prefix; other names unchanged.

    Raises:
        DataError: It is a path, but nothing is there.
    """
    if name in (*IN_MEMORY, *TRANSFER) or name.partition(":")[0] in (FOLDER, *OPTIONS):
        return name
    whole = absolute(name).exists()
    path = absolute(name if whole else name.partition("?")[0])
    if not _is_path(name) and not path.exists():
        return name
    if not path.exists():
        raise DataError(f"there is no folder or file {path}", name)
    if path.is_dir() and not _is_hugging_face(path):
        return f"{FOLDER}:{name}"
    if not path.is_dir() and path.suffix.lower() not in (".csv", ".parquet"):
        raise DataError(f"{path} is neither a folder of images nor a .csv or .parquet file", name)
    kind = HUGGING_FACE if path.is_dir() else TABLE
    return str(Spec(kind, name, {})) if whole else f"{kind}:{name}"


def _is_path(name: str) -> bool:
    return name.startswith(("~", ".")) or os.sep in name


def _is_hugging_face(folder: Path) -> bool:
    """Whether a folder is a dataset saved by ``datasets``, or has Parquet files and no folders."""
    if any((folder / name).is_file() for name in ("dataset_dict.json", "dataset_info.json")):
        return True
    return any(folder.glob("*.parquet")) or any(folder.glob("data/*.parquet"))


def source_of(name: str | None) -> str | None:
    """Return what a name reads, to compare names: files by their resolved path, whatever is learnt of them."""
    with suppress(DataError):
        name = None if name is None else with_prefix(name)
    spec = None if name is None else parse_name(name)
    return f"{spec.kind}:{Path(spec.path).resolve()}" if spec and spec.path else name


def _text(value: object) -> str:
    if isinstance(value, (str, Path, Real)):
        return str(value)
    if not isinstance(value, Iterable):
        raise DataError(f"an option of a dataset is text, a number or several, got {value!r}", value)
    names = [str(each) for each in value]
    for each in names:
        if "," in each:
            raise DataError(f"the column {each!r} cannot be named, as commas separate names; rename it", each)
    return ",".join(names)


def slug(name: str) -> str:
    """Return a dataset's name as that of a file.

    >>> slug("imagefolder:/data/Pets and more"), slug("digits")
    ('Pets-and-more', 'digits')
    """
    last = Path(parse_name(name).path or name).stem
    return "".join(letter if letter.isalnum() else "-" for letter in last).strip("-") or "data"
