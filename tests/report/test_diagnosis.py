"""The page of a diagnosis shows what is there, in words, figures and tables, and nothing of what is not."""

from __future__ import annotations

import copy
import json
import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import pytest

from nasformer.errors import NasformerError
from nasformer.report import write_diagnosis_report
from tests.report.diagnosis import diagnosis
from tests.report.html import Page, read
from tests.report.test_report import HOSTILE

FIGURES = {
    "fidelity": {"fidelity"},
    "gap": {"levels", "gap"},
    "sharing": {"sharing"},
    "strategies": {"strategies", "finals"},
    "winner": {"winner", "architecture-1", "architecture-2"},
    "images": {"images"},
    "curse": {"curse"},
}
SAID = {
    "fidelity": "Kendall's τ between both rankings is 0.62 (0.42 to 0.82)",
    "gap": "Fine-tuned − inherited",
    "sharing": "Entangled − classical: +4.50 (+4.10 to +4.90) percentage points of inherited top-1 accuracy over 20",
    "strategies": "Evolution − random: +0.60 (+0.15 to +1.05) percentage points",
    "winner": "Winner − uniform ViT: +0.60 (−0.10 to +1.30) percentage points of test top-1 accuracy, retrained",
    "images": "Ranked by accuracy, 300 of 360 images are the smallest tested subset",
    "curse": "Search minus test top-1 accuracy of the best of 100: +1.15 percentage points",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("diagnosis") / "new" / "folder"
    write_diagnosis_report(path, diagnosis(), command="nasformer diagnose digits")
    return path


@pytest.fixture(scope="module")
def page(folder: Path) -> Page:
    return read(folder / "report.html")


def drawn(folder: Path) -> set[str]:
    return {path.stem for path in (folder / "figures").iterdir()}


def test_the_claims_come_first_and_are_counted(page: Page) -> None:
    assert (
        "Of four claims of the paper that it tests, two hold, one does not hold and one is not decided here."
        in page.text
    )
    assert page.text.index("Table 1. The paper's claims") < page.text.index("random architectures were evaluated on")
    for claim in diagnosis()["claims"]:
        assert " ".join(claim[key] for key in ("claim", "paper", "here", "verdict", "why")) in page.text


def test_every_piece_is_said_in_words(page: Page) -> None:
    for words in SAID.values():
        assert words in page.text


def test_every_figure_of_the_tables_is_there(page: Page) -> None:
    pieces = diagnosis()["pieces"]
    for row in pieces["fidelity"]["architectures"]:
        scores = [row[key] for key in ("inherited", "finetuned", "retrained")]
        cells = " ".join("–" if score is None else f"{score:.2f} %" for score in scores)
        assert f"{row['params']:,} {row['macs']:,} {cells}" in page.text
    for row in pieces["images"]["rows"]:
        assert f"{row['images']} {row['accuracy']['value']:.2f} (" in page.text
    for row in pieces["curse"]["rows"]:
        assert f"{row['evaluations']} {row['search']:.2f} % {row['test']:.2f} %" in page.text
    for row in pieces["winner"]["rows"]:
        assert ", ".join(f"{score:.2f}" for score in row["retrained"]) in page.text


def test_what_stands_behind_it_is_there(page: Page) -> None:
    facts = ["50,000 to 100,000 parameters", "nasformer diagnose digits", "home/digits.safetensors", "two cores"]
    facts += ["finetuning epochs 1", "seed 7", "2 min 05 s", "retrained with only three seeds"]
    for fact in facts:
        assert fact in page.text


def test_points_tell_their_architectures_and_seeds(page: Page) -> None:
    traces = json.loads(page.scripts[0])
    assert [len(trace["points"]) for trace in traces["fidelity"]] == [20, 10]
    assert re.match(r"embed \d+, depth \d, .* parameters$", traces["fidelity"][0]["points"][0][2])
    assert len(traces["sharing"][0]["points"]) == 20
    assert traces["finals"][0]["points"][2][2].startswith("seed 2: ")
    assert traces["images"][0]["points"][0][2] == "images 50: 0.38333 (0.2833 to 0.4833)"
    numbers = {trace["label"]: trace["series"] for name in ("strategies", "finals") for trace in traces[name]}
    assert len(set(numbers.values())) == len(numbers) == 3, "a strategy has one colour in all figures"


def test_figures_are_files_that_open(folder: Path) -> None:
    assert drawn(folder) == set().union(*FIGURES.values(), {"learning-curve"})
    for figure in (folder / "figures").glob("*.svg"):
        assert ElementTree.parse(figure).getroot().tag.endswith("svg")


@pytest.mark.parametrize("piece", FIGURES)
def test_without_a_piece_the_others_stay(piece: str, tmp_path: Path) -> None:
    less = diagnosis()
    del less["pieces"][piece]
    text = read(write_diagnosis_report(tmp_path, less)).text
    assert SAID[piece] not in text
    others = [words for name, words in SAID.items() if name != piece]
    assert [words for words in others if words not in text] == []
    assert drawn(tmp_path) == set().union(*(FIGURES[name] for name in FIGURES if name != piece), {"learning-curve"})


@pytest.mark.parametrize("piece", FIGURES)
def test_a_piece_alone_is_a_page(piece: str, tmp_path: Path) -> None:
    alone = {**diagnosis(), "pieces": {piece: diagnosis()["pieces"][piece]}, "claims": []}
    text = read(write_diagnosis_report(tmp_path, alone)).text
    assert SAID[piece] in text
    assert "The paper's claims" not in text


def test_nothing_measured_yet_is_a_page(tmp_path: Path) -> None:
    bare = {key: diagnosis()[key] for key in ("title", "space")} | {"pieces": {}}
    assert "Diagnosis of digits" in read(write_diagnosis_report(tmp_path, bare)).text
    assert drawn(tmp_path) == set()


def test_figures_without_an_interval_are_shown_without(tmp_path: Path) -> None:
    once = diagnosis()
    for row in [*once["pieces"]["winner"]["rows"], once["pieces"]["winner"]["difference"]]:
        row["mean"] = {**row["mean"], "low": None, "high": None}
    once["pieces"]["fidelity"] |= {"noise": None}
    text = read(write_diagnosis_report(tmp_path, once)).text
    assert "Winner − uniform ViT: +0.60 percentage points of test top-1 accuracy" in text
    assert "winner − uniform ViT, top-1 accuracy +0.60 no interval" in text
    assert "with other seeds" not in text


def test_nothing_fine_tuned_is_no_second_cloud(tmp_path: Path) -> None:
    less = diagnosis()
    for row in less["pieces"]["fidelity"]["architectures"]:
        row["finetuned"] = None
    page = read(write_diagnosis_report(tmp_path, less))
    assert len(json.loads(page.scripts[0])["fidelity"]) == 1


def hostile(value: Any) -> Any:
    """Return the same with every name in it hostile, save those that a reader of the JSON goes by."""
    if isinstance(value, dict):
        kept = ("space", "architecture", "of", "minus", "against", "verdict")
        return {key: each if key in kept else hostile(each) for key, each in value.items()}
    if isinstance(value, list):
        return [hostile(each) for each in value]
    return HOSTILE if isinstance(value, str) else value


def test_hostile_strings_are_escaped(tmp_path: Path) -> None:
    told = hostile(copy.deepcopy(diagnosis()))
    told["pieces"]["gap"]["differences"][0]["of"] = HOSTILE
    told["space"]["name"] = HOSTILE
    path = write_diagnosis_report(tmp_path, told, command=HOSTILE)
    html = path.read_text(encoding="utf-8")
    assert html.count("<script") == read(path).tags.count("script") == 2
    assert "\x00" not in html
    for figure in (tmp_path / "figures").glob("*.svg"):
        ElementTree.fromstring(figure.read_text(encoding="utf-8"))


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(NasformerError, match=r"cannot write the report to .*file"):
        write_diagnosis_report(tmp_path / "file", diagnosis())
