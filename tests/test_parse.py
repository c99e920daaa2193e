"""Documents of users: YAML 1.2 and JSON are read exactly, and one line says what is beyond a limit."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nasformer._parse import check_download, parse_json, parse_yaml, read_text, to_yaml

KEYS = st.text(max_size=8).filter(lambda text: text != "<<")
NUMBERS = st.integers(-(10**30), 10**30) | st.floats(allow_nan=False)
PLAIN = st.recursive(
    st.none() | st.booleans() | NUMBERS | st.text(max_size=12) | st.from_regex(r"[-+]?[0-9][0-9.eox:_-]{0,8}\Z"),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=12,
)


@given(PLAIN)
def test_yaml_that_is_written_is_read(value: Any) -> None:
    assert parse_yaml(to_yaml(value)) == value


@given(PLAIN)
def test_json_that_is_written_is_read(value: Any) -> None:
    assert parse_json(json.dumps(value), finite=False) == value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("off", "off"),
        ("[no, on, yes, y, Off]", ["no", "on", "yes", "y", "Off"]),
        ("[true, False, TRUE]", [True, False, True]),
        ("[null, ~, Null, ]", [None, None, None]),
        ("1:30", "1:30"),
        ("2001-01-31", "2001-01-31"),
        ("2001-99-99", "2001-99-99"),
        ("5e6:6e6", "5e6:6e6"),
        ("[1e6, 1e-3, .5, 1., -2.5E+1]", [1e6, 1e-3, 0.5, 1.0, -25.0]),
        ("[0o17, 0x1F, 007, -5, +5]", [15, 31, 7, -5, 5]),
        ("1_000", "1_000"),
        ("-.inf", -math.inf),
        ("'1'", "1"),
        ("", None),
        ("\ufeffa: 1", {"a": 1}),
        ("a: &x {b: 1, c: 2}\nd: {<<: *x, b: 3}", {"a": {"b": 1, "c": 2}, "d": {"b": 3, "c": 2}}),
    ],
)
def test_the_core_schema(text: str, value: Any) -> None:
    assert parse_yaml(text) == value


def bomb(template: str) -> str:
    """Return anchors that each use the one before nine times."""
    rows = [
        f"{b}: &{b} {template.format(','.join([f'*{a}'] * 9))}" for a, b in zip("abcdefgh", "bcdefghi", strict=True)
    ]
    return "\n".join(["a: &a {x: 1}", *rows])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("!!int x", "tags are not read, got '!!int' in line 1"),
        ("a: !!bool x", "got '!!bool'"),
        ("!!python/object/apply:os.system ['true']", r"got '!!python/object/apply:os\.system'"),
        ("! x", "got '!'"),
        ("a: 1\nb: 2\na: 3", "'a' is given twice in line 3"),
        ("{a: {b: 1, b: 1}}", "'b' is given twice"),
        ("a: &a [*a]", "nested more than 64 deep"),
        ("[" * 65, "nested more than 64 deep"),
        ("- " * 100_000, "nested more than 64 deep"),
        (bomb("[{}]"), "more than 100,000 values, each use of an alias counted"),
        (bomb("{{<<: [{}]}}"), "more than 100,000 values"),
        ("9" * 5000, "9999… has 5,000 digits"),
        ("0x" + "f" * 5000, "has 5,002 digits"),
        ("1e400", "1e400 is beyond the range of numbers"),
        ("? [1]\n: 2", r"a key is text or a number, got \[1\] in line 1"),
        ("<<: 3", "'<<' takes mappings, got '3'"),
        ("a: [", "line 1, column 5"),
        ("--- 1\n--- 2", "a single document"),
        ("\x00", "unacceptable character"),
        ("x" * 300_000, "more than 262,144 characters"),
    ],
)
def test_what_is_no_plain_yaml_is_one_line(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words) as caught:
        parse_yaml(text)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("NaN", "numbers are finite, got nan"),
        ("[-Infinity]", "numbers are finite, got -inf"),
        ("1e400", "1e400 is beyond the range of numbers"),
        ("1" + "0" * 400, "has 401 digits"),
        ('{"a": 1, "a": 2}', "'a' is given twice"),
        ("[" * 65 + "]" * 65, "nested more than 64 deep"),
        ("[" * 100_000, "nested more than 64 deep"),
        ('{"a": ', "line 1 column 7"),
    ],
)
def test_what_is_no_plain_json_is_refused(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        parse_json(text)


def test_numbers_that_python_writes_are_read_on_request() -> None:
    assert parse_json("[-Infinity, 1]", finite=False) == [-math.inf, 1]
    assert parse_json("[" * 64 + "]" * 64) == parse_yaml("[" * 64 + "]" * 64)


def test_a_file_is_utf_8_with_or_without_a_byte_order_mark(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    for start in (b"", b"\xef\xbb\xbf"):
        path.write_bytes(start + "é".encode())
        assert read_text(path) == "é"
    path.write_bytes(b"ab\xff")
    with pytest.raises(ValueError, match="byte 3 is not UTF-8"):
        read_text(path)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (
            b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n",
            "it is a Git LFS pointer.*git lfs pull",
        ),
        (b"\n<!DOCTYPE html>\n<html>", "it is an HTML page"),
        (b"<html lang='en'>", "it is an HTML page"),
    ],
)
def test_what_a_failed_download_leaves_is_named(tmp_path: Path, content: bytes, words: str) -> None:
    (tmp_path / "a.pth").write_bytes(content)
    with pytest.raises(ValueError, match=words):
        check_download(tmp_path / "a.pth")
    with pytest.raises(FileNotFoundError):
        check_download(tmp_path / "b.pth")
