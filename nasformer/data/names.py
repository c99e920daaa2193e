"""Names of datasets: "digits", "imagefolder:PATH", and "table:FILE?key=value&…" with the options of a label table.

A record stores the name, and the name with its options loads the same data again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from urllib.parse import parse_qsl, urlencode

from nasformer.errors import DataError, did_you_mean

TABLE = "table:"
TABLE_OPTIONS = ("image", "loss", "missing", "root", "split", "targets", "task")


def table_name(path: str | Path, options: Mapping[str, object]) -> str:
    """Return the name of a label table with its options; those that are None are left out.

    >>> table_name("labels.csv", {"task": "multi-label", "targets": ["cat", "big dog"], "root": None})
    'table:labels.csv?targets=cat,big+dog&task=multi-label'
    """
    given = {key: _text(value) for key, value in sorted(options.items()) if value is not None}
    return f"{TABLE}{path}{'?' if given else ''}{urlencode(given, safe=',/')}"


def parse_table_name(name: str) -> tuple[str, dict[str, str]]:
    """Return path and options of a label table's name: the inverse of ``table_name``.

    Raises:
        DataError: An option is unknown, given twice or not ``key=value``.

    >>> parse_table_name("table:labels.csv?targets=cat,big+dog")
    ('labels.csv', {'targets': 'cat,big dog'})
    """
    path, _, query = name.removeprefix(TABLE).partition("?")
    try:
        pairs = parse_qsl(query, keep_blank_values=True, strict_parsing=True) if query else []
    except ValueError as error:
        raise DataError(f"cannot read the options of {name!r}: {error}; write ?key=value&key=value", name) from None
    require_known(name, (key for key, _ in pairs), TABLE_OPTIONS)
    options = dict(pairs)
    if len(options) < len(pairs):
        raise DataError(f"an option of {name!r} is given twice; keep one", name)
    return path, options


def require_known(name: str, options: Iterable[str], known: Iterable[str] = ()) -> None:
    """Raise DataError if a dataset has not all of the options."""
    names = list(known)
    for key in options:
        if key not in names:
            hint = f"; {did_you_mean(key, names)}" if names else ""
            raise DataError(f"dataset {name!r} has no option {key!r}{hint}", key)


def source_of(name: str | None) -> str | None:
    """Return what a name reads, to compare names: files by their resolved path, and of a table the named targets."""
    kind, colon, path = (name or "").partition(":")
    if name is None or not colon:
        return name
    if not name.startswith(TABLE):
        return f"{kind}:{Path(path).resolve()}"
    path, options = parse_table_name(name)
    return table_name(Path(path).resolve(), {"targets": options.get("targets")})


def _text(value: object) -> str:
    if isinstance(value, (str, Path)):
        return str(value)
    if not isinstance(value, Iterable):
        raise DataError(f"an option of a dataset is text, or several names, got {value!r}", value)
    names = [str(each) for each in value]
    for each in names:
        if "," in each:
            raise DataError(f"the column {each!r} cannot be named, as commas separate names; rename it", each)
    return ",".join(names)
