"""Official checkpoints on the command line: kept for their space, searched, and written back."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from nasformer.space import load_space
from nasformer.supernet import Supernet, read_autoformer, to_autoformer, write_autoformer
from nasformer.training import find_weights
from tests.cli.conftest import Command

Refused = Callable[..., None]


@pytest.fixture
def official(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("NASFORMER_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    return write_autoformer(Supernet(load_space("digits"), seed=5), tmp_path / "official.pth")


def test_an_imported_checkpoint_is_found_by_a_search(official: Path, nasformer: Command, tmp_path: Path) -> None:
    done = nasformer("import-autoformer", official, "digits", "--out", "mine.safetensors")
    assert done.code == 0, done.err
    assert "nasformer search digits --data" in done.out
    kept = find_weights(load_space("digits"))
    assert kept is not None
    assert f"{sum(p.numel() for p in Supernet.load(kept).parameters()):,} parameters" in done.out
    assert torch.equal(Supernet.load(kept).head.weight, Supernet.load("mine.safetensors").head.weight)
    command = ("search", "digits", "--params", "60e3", "-n", 3, "-q", "--out", "run", "--json")
    found = nasformer(*command, "--data", "digits")
    assert found.code == 0, found.err
    without_data = nasformer(*command)
    assert (without_data.code, "--data NAME" in without_data.err) == (2, True)


def test_weights_go_back_as_they_came(official: Path, nasformer: Command) -> None:
    assert nasformer("import-autoformer", official, "digits", "--json").code == 0
    written = json.loads(nasformer("export-autoformer", "digits", "back.pth", "--json").out)
    assert written["out"] == "back.pth"
    first, back = read_autoformer(official), read_autoformer("back.pth")
    assert first.keys() == back.keys()
    assert all(torch.equal(first[name], back[name]) for name in first)


def test_the_layout_of_the_bias_is_an_option(official: Path, nasformer: Command) -> None:
    assert nasformer("import-autoformer", official, "digits", "--qkv-bias", "interleaved").code == 0
    kept = find_weights(load_space("digits"))
    assert kept is not None
    net = Supernet.load(kept)
    assert net.qkv_bias == "interleaved"
    assert all(
        torch.equal(a, b) for a, b in zip(to_autoformer(net).values(), read_autoformer(official).values(), strict=True)
    )


def test_what_does_not_fit_is_one_line(official: Path, refused: Refused) -> None:
    refused("it fits the space 'digits'", "import-autoformer", official, "fashion-mnist")
    refused("cannot read nowhere.pth", "import-autoformer", "nowhere.pth", "digits")
    refused("qkv_bias must be .* got 'both'", "import-autoformer", official, "digits", "--qkv-bias", "both")
    refused("no trained weights for space 'digits'", "export-autoformer", "digits", "back.pth")
    assert not Path("back.pth").exists()
