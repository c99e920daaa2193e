"""``nasformer diagnose``: from a supernet to a page, and past what does not fit."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from nasformer.space import load_space
from tests.cli.conftest import Command

Refused = Callable[..., None]
BUDGETS = ("--budgets", "macs <= 0.6M, 1M")
SIZES = {"--pool": 6, "--search-images": 50, "--evaluations": 4, "--random": 8, "--seeds": 2, "--device": "cpu"}
SMALL = [each for pair in SIZES.items() for each in pair]


def test_cheap_pieces_end_in_a_page(nasformer: Command, weights: Path) -> None:
    pieces = ("--piece", "images", "--piece", "efficiency")
    done = nasformer("diagnose", "digits", *BUDGETS, *SMALL, *pieces, "--out", "found", "-q")
    assert done.code == 0, done.err
    assert "A search of 4 evaluations" in done.out
    assert "Report: found/report.html" in done.out
    assert "<h1>Diagnosis of a supernet of digits on digits</h1>" in Path("found/report.html").read_text()
    told = json.loads(Path("found/diagnosis.json").read_text())
    assert set(told["pieces"]) == {"images", "efficiency"}
    assert told["budgets"] == [{"macs": 600_000}, {"macs": 1_000_000}]
    again = nasformer("diagnose", "digits", *BUDGETS, *SMALL, *pieces, "--out", "found", "--json")
    assert json.loads(again.out)["pieces"] == told["pieces"]


def test_options_are_the_plan(nasformer: Command, weights: Path) -> None:
    options = {"--architectures": 4, "--band": 3, "--long": 1, "--epochs": 2, "--seed": 5}
    given = [each for pair in options.items() for each in pair]
    done = nasformer("diagnose", "digits", *SMALL, *given, "--piece", "images", "--out", "found", "--json")
    told: dict[str, Any] = json.loads(done.out)
    sizes = {**options, **SIZES}
    for name, value in told["sizes"].items():
        assert value == sizes[f"--{name.replace('_', '-')}"]
    assert told["recipe"]["epochs"] == 2
    space = load_space("digits")
    assert len(told["budgets"]) == 5
    assert told["budgets"][-1] == {"macs": space.macs(space.largest)}


def test_what_does_not_fit(refused: Refused, weights: Path) -> None:
    refused("no piece 'fidelty'; did you mean 'fidelity'", "diagnose", "digits", "--piece", "fidelty")
    refused("architectures must be at least 3, got 2", "diagnose", "digits", "--architectures", 2)
    refused("unknown cost 'mac' in the budget", "diagnose", "digits", "--budgets", "mac <= 1M")
    refused("has no upper bound; give one", "diagnose", "digits", "--budgets", "macs >= 1M")
    least = ("--budgets", "macs <= 101k", "--piece", "images")
    refused("too few architectures|no architecture", "diagnose", "digits", *least)
    refused("no trained weights for space 'fashion-mnist'", "diagnose", "fashion-mnist")
