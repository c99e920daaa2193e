"""Mutations of files that keep their structure: values of trees of JSON and YAML, tensors of safetensors, bytes."""

from __future__ import annotations

import copy
import json
import random
from typing import Any

DEEP: Any = []
for _ in range(200):
    DEEP = [DEEP]

HOSTILE: tuple[Any, ...] = (
    *(None, True, False, "", "x" * 5000, "../../../x", "/tmp/x", "\x1b[31mred", "=1+1", "os:system", "evil.module:Any"),
    *("nan", "\ud800", "a\nb", 0, -1, 1, 2, 3, 7, 2**31, 2**63, -(2**63), 10**18, 10**400, -(10**400)),
    *(0.5, 1.0, -0.0, 1e-320, 1e18, 1e308, -1e308, float("nan"), float("inf"), float("-inf")),
    *([], {}, [[]], [None], [1] * 1000, {"a": {"b": []}}, DEEP, {"": 1}),
)
FRAGMENTS = (
    *(
        "[" * 2000,
        "{" * 2000,
        "9" * 5000,
        "1e999",
        "NaN",
        "-Infinity",
        "&a [*a]",
        "!!python/object:os.system",
        "!!int x",
    ),
    *("<<: 3", "\x00", "\x1b[31m", "\ufeff", "\n", ",", '"', ": ", "- ", "2001-99-99", "\u202e", "\\ud800", "null"),
)


def places(tree: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the paths of all values within a tree."""
    inner = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    return [path, *(place for key, each in inner for place in places(each, (*path, key)))]


def of_tree(rng: random.Random, tree: Any) -> Any:
    """Return a tree in which some values are replaced, removed, renamed, repeated or exchanged."""
    tree = copy.deepcopy(tree)
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        *path, last = rng.choice(places(tree)) or ("",)
        if not path and last == "":
            tree = rng.choice(HOSTILE)
            continue
        owner = tree
        try:
            for key in path:
                owner = owner[key]
            owner[last] = _value(rng, owner[last], tree)
            if rng.random() < 0.25:
                value = owner.pop(last)
                if rng.random() < 0.5 and isinstance(owner, dict):
                    owner[rng.choice([f"{last}s", "", "a" * 300, *owner])] = value
        except (LookupError, TypeError):
            continue
    return tree


def _value(rng: random.Random, value: Any, tree: Any) -> Any:
    kind = rng.randrange(6)
    if kind == 0 and isinstance(value, (int, float)):
        return rng.choice((value + 1, -value, value * 10**6, value // 3, str(value)))
    if kind == 1 and isinstance(value, list) and value:
        return rng.choice((value * 3, value[:-1], value[::-1], value[0], dict(enumerate(map(str, value)))))
    if kind == 2:
        found = tree
        for key in rng.choice(places(tree)):
            found = found[key]
        return copy.deepcopy(found)
    if kind == 3 and isinstance(value, str):
        return of_text(rng, value)
    return copy.deepcopy(rng.choice(HOSTILE))


def of_text(rng: random.Random, text: str) -> str:
    """Return a text in which a part is removed, repeated, cut off or exchanged."""
    start = rng.randrange(len(text) + 1)
    stop = min(len(text), start + rng.choice((1, 1, 4, 30, 1000)))
    middle = rng.choice(("", text[start:stop] * 2, rng.choice(FRAGMENTS), chr(rng.randrange(0x250))))
    return text[:start] + middle + (text[stop:] if rng.random() < 0.9 else "")


def of_bytes(rng: random.Random, content: bytes) -> bytes:
    """Return bytes of which some are flipped, removed, repeated or cut off."""
    changed = bytearray(content)
    for _ in range(rng.choice((1, 1, 2, 8))):
        place = rng.randrange(len(changed)) if changed else 0
        kind = rng.randrange(5)
        if kind < 2 and changed:
            changed[place] ^= 1 << rng.randrange(8)
        elif kind == 2:
            changed[place : place + rng.choice((1, 8, 300))] = b""
        elif kind == 3:
            changed[place:place] = rng.choice((b"\xff" * 8, b"\x00" * 8, bytes(changed[: rng.randrange(64)])))
        elif rng.random() < 0.3:
            del changed[place:]
    return bytes(changed)


def dumped(tree: Any) -> str:
    """Return a tree as JSON, which is YAML too; Python's limit of digits is none here."""
    return json.dumps(tree, default=str)


def of_json(rng: random.Random, content: bytes) -> bytes:
    """Return changed JSON."""
    if rng.random() < 0.25:
        return of_text(rng, content.decode()).encode(errors="surrogatepass")
    return dumped(of_tree(rng, json.loads(content))).encode(errors="surrogatepass")


def of_lines(rng: random.Random, content: bytes) -> bytes:
    """Return JSON lines of which one is changed, removed or repeated."""
    lines = content.splitlines()
    place = rng.choice((0, 0, rng.randrange(len(lines))))
    lines[place : place + 1] = rng.choice(([of_json(rng, lines[place])],) * 4 + ([], [lines[place]] * 2))
    return b"\n".join(lines) + b"\n"


def of_safetensors(rng: random.Random, content: bytes) -> bytes:
    """Return a file of tensors of which our header, the table of tensors or the bytes are changed."""
    kind, size = rng.random(), int.from_bytes(content[:8], "little")
    if kind < 0.2:
        return of_bytes(rng, content)
    table = json.loads(content[8 : 8 + size])
    if kind < 0.4:
        table = of_tree(rng, table)
    else:
        table["__metadata__"]["nasformer"] = of_json(rng, table["__metadata__"]["nasformer"].encode()).decode(
            errors="replace"
        )
    head = json.dumps(table).encode()
    return len(head).to_bytes(8, "little") + head + content[8 + size :]


def of_plain(rng: random.Random, content: bytes) -> bytes:
    """Return a changed text, such as CSV or YAML."""
    for _ in range(rng.choice((1, 1, 3))):
        content = of_text(rng, content.decode(errors="replace")).encode(errors="surrogatepass")
    return content


def of_yaml(rng: random.Random, content: bytes) -> bytes:
    """Return changed YAML, as text or as a tree."""
    import yaml

    if rng.random() < 0.3:
        return of_plain(rng, content)
    return dumped(of_tree(rng, yaml.safe_load(content))).encode(errors="surrogatepass")
