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
from urllib.parse import parse_qsl, urlencode

from nasformer.errors import DataError, did_you_mean

IN_MEMORY = ("digits", "fashion-mnist")
TRANSFER = ("cars", "cifar10", "cifar100", "flowers", "pets")
FOLDER, TABLE, SERIES, HUGGING_FACE = "imagefolder:", "table:", "series:", "huggingface:"
OPTIONS = {
    TABLE: ("image", "loss", "missing", "root", "split", "targets", "task"),
    SERIES: ("channels", "horizon", "length", "missing", "splits", "time"),
    HUGGING_FACE: ("image", "label"),
}


def join_name(kind: str, path: str | Path, options: Mapping[str, object]) -> str:
    """Return the name of a file with its options; those that are None are left out, ``?`` and ``%`` of a path quoted.

    Paths become absolute.

    >>> join_name(TABLE, "/data/labels.csv", {"task": "multi-label", "targets": ["cat", "big dog"], "root": None})
    'table:/data/labels.csv?targets=cat,big+dog&task=multi-label'
    """
    given, quoted = texts(options), _quoted(str(absolute(path)))
    if given.get("root"):
        given["root"] = str(absolute(given["root"]))
    return f"{kind}{quoted}{'?' if given else ''}{urlencode(given, safe=',/')}"


def _quoted(path: str) -> str:
    return path.replace("%", "%25").replace("?", "%3F")


def absolute(path: str | Path) -> Path:
    """Return a path with ``~`` resolved, absolute; links are kept."""
    with suppress(RuntimeError):  # no such user: a folder whose name begins with ~
        path = Path(path).expanduser()
    return Path(os.path.abspath(path))


def texts(options: Mapping[str, object]) -> dict[str, str]:
    """Return options as a name has them, in order; those that are None are left out.

    Raises:
        DataError: An option is neither text, a number nor several of them without a comma.

    >>> texts({"targets": ["cat", "dog"], "root": None, "image": 3})
    {'image': '3', 'targets': 'cat,dog'}
    """
    return {key: _text(value) for key, value in sorted(options.items()) if value is not None}


def parse_name(name: str) -> tuple[str, dict[str, str]]:
    """Return path and options of a name: the inverse of ``join_name``.

    Raises:
        DataError: An option is unknown, given twice or not ``key=value``.

    >>> parse_name("table:labels.csv?targets=cat,big+dog")
    ('labels.csv', {'targets': 'cat,big dog'})
    """
    kind, colon, rest = name.partition(":")
    path, _, query = rest.partition("?")
    try:
        pairs = parse_qsl(query, keep_blank_values=True, strict_parsing=True) if query else []
    except ValueError as error:
        raise DataError(
            f"cannot read the options of {name!r}: {error}; write ?key=value&key=value, and %3F for ? in a path", name
        ) from None
    require_known(name, (key for key, _ in pairs), OPTIONS[kind + colon])
    options = dict(pairs)
    if len(options) < len(pairs):
        raise DataError(f"an option of {name!r} is given twice; keep one", name)
    return path.replace("%3F", "?").replace("%25", "%"), options


def require_known(name: str, options: Iterable[str], known: Iterable[str] = ()) -> None:
    """Raise DataError if a dataset has not all of the options."""
    names = list(known)
    for key in options:
        if key not in names:
            hint = f"; {did_you_mean(key, names)}" if names else ""
            raise DataError(f"dataset {name!r} has no option {key!r}{hint}", key)


def with_prefix(name: str) -> str:
    """Return the name of a local folder or file with its prefix; other names unchanged.

    Raises:
        DataError: It is a path, but nothing is there.
    """
    if name in (*IN_MEMORY, *TRANSFER) or any(name.startswith(kind) for kind in (FOLDER, *OPTIONS)):
        return name
    whole = absolute(name).exists()
    path, quoted = (absolute(name), _quoted(name)) if whole else (absolute(name.partition("?")[0]), name)
    if not _is_path(name) and not path.exists():
        return name
    if path.is_dir():
        return f"{HUGGING_FACE}{quoted}" if _is_hugging_face(path) else f"{FOLDER}{name}"
    if not path.exists():
        raise DataError(f"there is no folder or file {path}", name)
    if path.suffix.lower() not in (".csv", ".parquet"):
        raise DataError(f"{path} is neither a folder of images nor a .csv or .parquet file", name)
    return f"{TABLE}{quoted}"


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
    kind, colon, path = (name or "").partition(":")
    if name is None or not colon:
        return name
    return f"{kind}:{Path(parse_name(name)[0] if kind + colon in OPTIONS else path).resolve()}"


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
    last = Path(name.partition("?")[0].partition(":")[2] or name).stem
    return "".join(letter if letter.isalnum() else "-" for letter in last).strip("-") or "data"
