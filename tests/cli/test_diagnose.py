"""``nasformer diagnose``: from a supernet to a page, and past what does not fit."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from tests.cli.conftest import Command

Refused = Callable[..., None]
SMALL = (
    "--pool",
    6,
    "--architectures",
    3,
    "--finetuned",
    2,
    "--evaluations",
    4,
    "--searches",
    2,
    "-q",
    "--device",
    "cpu",
)


def test_cheap_pieces_end_in_a_page(nasformer: Command, weights: Path) -> None:
    pieces = ("--piece", "images", "--piece", "curse", "--piece", "strategies")
    done = nasformer("diagnose", "digits", "--params", "100k", *SMALL, *pieces, "--out", "found")
    assert done.code == 0, done.err
    assert "not decided" in done.out
    assert "Report: found/report.html" in done.out
    assert "<h1>Diagnosis of a supernet of digits on digits</h1>" in Path("found/report.html").read_text()
    told = json.loads(Path("found/diagnosis.json").read_text())
    assert set(told["pieces"]) == {"images", "curse", "strategies"}
    assert told["limits"] == {"params": [None, 100_000]}
    again = nasformer("diagnose", "digits", "--params", "100k", *SMALL, *pieces, "--out", "found", "--json")
    assert json.loads(again.out)["pieces"] == told["pieces"]


def test_what_does_not_fit(refused: Refused, weights: Path) -> None:
    refused("no piece 'fidelty'; did you mean 'fidelity'", "diagnose", "digits", "--piece", "fidelty")
    refused("architectures must be at least 3, got 2", "diagnose", "digits", "--architectures", 2)
    refused("allows too few architectures", "diagnose", "digits", "--params", "15082", "--piece", "images")
    refused("no trained weights for space 'fashion-mnist'", "diagnose", "fashion-mnist")
