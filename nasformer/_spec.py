"""Specifications of files, ``KIND:PATH?KEY=VALUE&…``: the grammar of fitnesses and of datasets.

``?`` and ``%`` of a path are written ``%3F`` and ``%25``. A kind without options takes its path as it stands.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple
from urllib.parse import parse_qsl, urlencode

from nasformer.errors import NasformerError, did_you_mean


class Spec(NamedTuple):
    """A specification; its text is that of ``str``."""

    kind: str
    path: str = ""  # empty: a name alone
    options: Mapping[str, str] | None = None  # None: the kind has none

    @classmethod
    def parse(cls, text: str, known: Mapping[str, Sequence[str]], error: type[NasformerError]) -> Spec:
        """Read a specification, given the options of each kind that has any.

        Raises:
            NasformerError: An option is unknown, given twice or not ``key=value``; an ``error``.

        >>> Spec.parse("table:t.jsonl?column=top5", {"table": ["column"]}, NasformerError)
        Spec(kind='table', path='t.jsonl', options={'column': 'top5'})
        >>> str(Spec.parse("training-free?proxy=dss", {"training-free": ["proxy"]}, NasformerError))
        'training-free?proxy=dss'
        """
        kind, _, rest = text.partition(":")
        if (bare := text.partition("?")[0]) in known:  # options without a path
            kind, rest = bare, text.removeprefix(bare)
        if kind not in known:
            return cls(kind, rest)
        path, _, query = rest.partition("?")
        try:
            pairs = parse_qsl(query, keep_blank_values=True, strict_parsing=True) if query else []
        except ValueError as fault:
            lead = f"cannot read the options of {text!r}: {fault}"
            raise error(f"{lead}; write ?key=value&key=value, and %3F for ? in a path", text) from None
        require_known(text, (key for key, _ in pairs), known[kind], error)
        if len(dict(pairs)) < len(pairs):
            raise error(f"an option of {text!r} is given twice; keep one", text)
        return cls(kind, path.replace("%3F", "?").replace("%25", "%"), dict(pairs))

    def __str__(self) -> str:
        if self.options is None:
            return f"{self.kind}:{self.path}" if self.path else self.kind
        quoted = self.path.replace("%", "%25").replace("?", "%3F")
        colon, mark = ":" if quoted else "", "?" if self.options else ""
        return f"{self.kind}{colon}{quoted}{mark}{urlencode(self.options, safe=':,/')}"

    def absolute(self) -> Spec:
        """Return the specification with an absolute path, if it has one."""
        return self._replace(path=str(absolute(self.path))) if self.path else self


def absolute(path: str | Path) -> Path:
    """Return a path with ``~`` resolved, absolute; links are kept."""
    with suppress(RuntimeError):  # no such user: a folder whose name begins with ~
        path = Path(path).expanduser()
    return Path(os.path.abspath(path))


def require_known(text: str, options: Iterable[str], known: Sequence[str], error: type[NasformerError]) -> None:
    """Raise an ``error`` for an option that is not known."""
    for key in options:
        if key not in known:
            hint = f"; {did_you_mean(key, known)}" if known else ""
            raise error(f"{text!r} has no option {key!r}{hint}", key)
