"""Atomic writes; text, hashes and differences of JSON-compatible data."""

from __future__ import annotations

import glob
import hashlib
import json
import math
import os
import platform
import shutil
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryFile
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

_MAX_BITS = 14_000  # some 4,200 digits; Python reads and writes 4,300


@contextmanager
def atomic(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path for a file or a folder, and rename it to ``path`` if nothing fails.

    Temporary files of ``path`` that killed processes of this machine left are removed first.

    Raises:
        OSError: It cannot be written; ``path`` is unchanged.
    """
    path = Path(path)
    draft = path.with_name(f".{path.name}.{platform.node()}.{os.getpid()}-{threading.get_native_id()}.part")
    path.parent.mkdir(parents=True, exist_ok=True)
    for left in path.parent.glob(f".{glob.escape(path.name)}.*.part"):
        if _is_abandoned(left.name.removeprefix(f".{path.name}.")):
            _remove(left)
    try:
        yield draft
        os.replace(draft, path)
    finally:
        _remove(draft)


def _is_abandoned(written_by: str) -> bool:
    """Whether a temporary file is of a process of this machine that has ended: ``HOST.PROCESS-THREAD.part``."""
    host, _, ids = written_by.removesuffix(".part").rpartition(".")
    process = ids.partition("-")[0]
    if host not in ("", platform.node()) or not process.isdecimal():
        return False
    try:
        os.kill(int(process), 0)
    except ProcessLookupError:
        return True
    except (OSError, OverflowError):
        return False
    return False


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    with suppress(OSError):
        path.unlink(missing_ok=True)


def make_folder(path: str | Path) -> Path:
    """Create a folder and check that files can be written in it, before the work whose result goes there.

    Raises:
        OSError: They cannot.
    """
    Path(path).mkdir(parents=True, exist_ok=True)
    with TemporaryFile(dir=path):
        return Path(path)


def write_file(path: str | Path, content: str | bytes) -> None:
    """Write bytes, or a text as UTF-8, atomically; bytes of names that are not UTF-8 become backslash escapes.

    Raises:
        OSError: It cannot be written.
    """
    with atomic(path) as draft:
        draft.write_bytes(content.encode(errors="backslashreplace") if isinstance(content, str) else content)


def as_utf8(value: Any) -> Any:
    r"""Return a text with backslash escapes for what UTF-8 cannot write; other values as they are.

    >>> as_utf8("caf\udce9"), as_utf8(0.5)
    ('caf\\udce9', 0.5)
    """
    return value.encode(errors="backslashreplace").decode() if isinstance(value, str) else value


def to_json(value: Any, indent: int | None = None) -> str:
    """Return a value as JSON; NaN, infinities, and integers of more digits than Python reads become null.

    >>> to_json({"loss": [0.5, float("nan")]})
    '{"loss": [0.5, null]}'
    """
    try:
        return json.dumps(value, indent=indent, allow_nan=False)
    except ValueError:
        return json.dumps(_finite(value), indent=indent, allow_nan=False)


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _finite(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(each) for each in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return None if isinstance(value, int) and value.bit_length() > _MAX_BITS else value


def grouped(count: int) -> str:
    """Return a count in groups of three digits, a huge one by its order of magnitude.

    >>> grouped(1056964608), grouped(3 * 10**5000)
    ('1,056,964,608', '3.0e+5000')
    """
    if abs(count) < 10**99:
        return f"{count:,}"
    exponent = math.log10(count)
    return f"{10 ** (exponent % 1):.1f}e+{int(exponent)}"


def without_formulas(frame: pd.DataFrame) -> pd.DataFrame:
    """Return a table for CSV in which no text is a formula of a spreadsheet: a leading apostrophe makes it text."""
    texts = frame.select_dtypes(exclude=["number", "bool", "datetime"]).columns
    safe = frame.assign(**{name: frame[name].map(_as_text) for name in texts})
    return safe.rename(columns=_as_text).rename_axis(index=_as_text(frame.index.name))


def _as_text(cell: Any) -> Any:
    """Return a cell, quoted if it is text that a spreadsheet would evaluate.

    >>> _as_text("=1+1"), _as_text("a-b"), _as_text(-0.5)
    ("'=1+1", 'a-b', -0.5)
    """
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(("=", "+", "-", "@", "\t", "\r")) else cell


def digest(values: object) -> str:
    """Return the first 16 hex digits of the SHA-256 of a value's JSON.

    >>> digest({"depth": 3, "embed_dim": 64}) == digest({"embed_dim": 64, "depth": 3})
    True
    """
    return text_digest(json.dumps(values, sort_keys=True, default=str))


def text_digest(text: str, digits: int = 16) -> str:
    """Return the first digits of the SHA-256 of a text.

    >>> text_digest("nasformer", 6)
    'edeb60'
    """
    return hashlib.sha256(text.encode(errors="backslashreplace")).hexdigest()[:digits]


def differences(kept: Mapping[str, Any], now: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Yield the dotted keys in which two mappings differ, with both values; None if absent.

    >>> list(differences({"recipe": {"epochs": 3}, "seed": 0}, {"recipe": {"epochs": 4}, "seed": 0}))
    [('recipe.epochs', 3, 4)]
    """
    for key in {**kept, **now}:
        before, after = kept.get(key), now.get(key)
        if isinstance(before, Mapping) and isinstance(after, Mapping) and before and after:
            yield from differences(before, after, f"{prefix}{key}.")
        elif before != after:
            yield f"{prefix}{key}", before, after
