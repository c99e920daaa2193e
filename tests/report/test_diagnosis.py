"""The page of a diagnosis shows what is there, in words, figures and tables, and nothing of what is not."""

from __future__ import annotations

import copy
import xml.etree.ElementTree as ElementTree
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from benchmarks._equal_compute import PIECES
from nasformer.diagnose import page as diagnosis_page
from nasformer.errors import NasformerError
from tests.report.diagnosis import diagnosis
from tests.report.html import Page, read
from tests.report.test_report import HOSTILE

write_diagnosis_report = partial(diagnosis_page.write_diagnosis_report, pieces=PIECES)
FIGURES = {
    "compute": {"budgets", "winner-1", "winner-2", "winner-3"},
    "fidelity": {"fidelity", "gap"},
    "efficiency": {"efficiency"},
    "images": {"images"},
}
SAID = {
    "compute": "The supernet's training takes 10 T, the searches and the fine-tuning of all winners 5 T: 15 T "
    "in all, 1.5 times the training. Each network trained alone, and each random search with early stopping, has 5 T, "
    "33.3 % of that, and took 98 to 101 % of its part.",
    "fidelity": "20 architectures over the whole range of the budgets and 20 architectures within 10 % of the middle",
    "efficiency": "Each strategy has 100 evaluations by loss on 2,000 search examples",
    "images": "Ranked by accuracy, no tested subset of images reaches a mean τ of 0.8 with all of them. Ranked by "
    "loss, 200 of 360 images are the smallest tested subset",
}
CLAIMS = (
    "ViTs at equal total compute +2.25 points (+1.50 to +3.00); significant at 3 of 3 budgets, worse at 0 holds",
    "hand-scaled ViTs at equal total compute +1.38 points (−0.25 to +3.00); significant at 3 of 3",
    "over the whole range Kendall τ 0.62 (0.42 to 0.82); of the number of parameters 0.62 holds",
    "as many epochs alone retrained − inherited −1.00 points (−1.25 to −0.75), 5 architectures does not hold",
    "passes the winner of 1,000 random ones thompson: 21, 34, never evaluations does not hold",
)


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


def test_accuracy_against_budget_and_claims_come_first(page: Page) -> None:
    assert "Of eight claims, four hold, two do not hold and two are not decided." in page.text
    assert page.text.index("Figure 1. Test top-1 accuracy of every kind") < page.text.index("Table 1. What a search")
    assert page.text.index("Table 1. What a search") < page.text.index("One supernet has a winner for every budget")
    for claim in CLAIMS:
        assert claim in page.text


def test_tiles_tell_the_answer(page: Page) -> None:
    for tile in (
        "gain over uniform ViTs +2.25 +1.50 to +3.00 percentage points",
        "gain over hand-scaled ViTs +1.38 −0.25 to +3.00 percentage points",
        "τ, whole range 0.62 0.42 to 0.82",
        "τ, within 10 % 0.25 0.05 to 0.45",
        "evaluations to pass 1,000 random 21, 34, never thompson, by seed",
    ):
        assert tile in page.text


def test_every_piece_is_said_in_words(page: Page) -> None:
    for words in SAID.values():
        assert words in page.text


def test_every_figure_of_the_tables_is_there(page: Page) -> None:
    pieces = diagnosis()["pieces"]
    for part in pieces["fidelity"]["parts"]:
        for row in part["rows"]:
            assert f"{row['params']:,} {row['macs']:,} {row['inherited']:.2f} % {row['retrained']:.2f} %" in page.text
    for row in pieces["images"]["rows"]:
        assert f"{row['images']} {row['accuracy']['value']:.2f} (" in page.text
    for row in pieces["compute"]["rows"]:
        for entry in row["networks"]:
            low, mean, high = entry["test"]
            assert f"{mean:.2f} % {low:.2f} to {high:.2f}" in page.text
            for costs in entry["costs"]:
                assert f"{costs['params']:,} {costs['macs']:,}" in page.text
        for each in row["differences"]:
            assert f"{each['mean']['value']:+.2f} (" in page.text
    assert "thompson 21 34 never" in page.text


def test_what_stands_behind_it_is_there(page: Page) -> None:
    facts = [
        "≤ 1 M MACs, ≤ 2.8 M MACs and ≤ 8 M MACs",
        "nasformer diagnose digits",
        "home/cifar10.safetensors",
        "two cores",
    ]
    facts += ["finetuning learning rate 0.0005", "seed 7", "2 min 05 s", "trained with only three seeds"]
    for fact in facts:
        assert fact in page.text


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
    alone = {**diagnosis(), "pieces": {piece: diagnosis()["pieces"][piece]}}
    text = read(write_diagnosis_report(tmp_path, alone)).text
    assert SAID[piece] in text
    assert ("What a search with a supernet claims" in text) is (piece != "images")


def test_nothing_measured_yet_is_a_page(tmp_path: Path) -> None:
    bare = {**diagnosis(), "pieces": {}}
    assert "Diagnosis of a supernet of cifar10" in read(write_diagnosis_report(tmp_path, bare)).text
    assert drawn(tmp_path) == {"learning-curve"}


def test_figures_without_an_interval_are_shown_without(tmp_path: Path) -> None:
    once = diagnosis()
    once["pieces"]["compute"]["gain"] = {"value": 1.5, "low": None, "high": None}
    once["pieces"]["fidelity"]["gap"] = None
    text = read(write_diagnosis_report(tmp_path, once)).text
    assert "gain over uniform ViTs +1.50 no interval" in text
    assert "Retrained for as many epochs" not in text
    assert "gap" not in drawn(tmp_path)


def test_budgets_in_parameters_and_ranges(tmp_path: Path) -> None:
    other = diagnosis()
    other["budgets"] = [{"params": [1000, 2000]}, {"params": 4000}, {"params": 8000}]
    for row, budget in zip(other["pieces"]["compute"]["rows"], other["budgets"], strict=True):
        row["budget"] = budget
    page = read(write_diagnosis_report(tmp_path, other))
    assert "1 k to 2 k parameters, ≤ 4 k parameters and ≤ 8 k parameters" in page.text


def hostile(value: Any) -> Any:
    """Return the same with every name in it hostile, save those that a reader of the JSON goes by."""
    if isinstance(value, dict):
        kept = ("space", "architecture", "of", "minus", "verdict", "parts", "ranked_by")
        return {key: each if key in kept else hostile(each) for key, each in value.items()}
    if isinstance(value, list):
        return [hostile(each) for each in value]
    return HOSTILE if isinstance(value, str) else value


def test_hostile_strings_are_escaped(tmp_path: Path) -> None:
    told = hostile(copy.deepcopy(diagnosis()))
    told["pieces"]["compute"]["rows"][0]["differences"][0]["minus"] = HOSTILE
    told["space"]["name"] = HOSTILE
    path = write_diagnosis_report(tmp_path, told, command=HOSTILE)
    html = path.read_text(encoding="utf-8")
    assert html.count("<script") == read(path).tags.count("script") == 1
    assert "\x00" not in html
    for figure in (tmp_path / "figures").glob("*.svg"):
        ElementTree.fromstring(figure.read_text(encoding="utf-8"))


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(NasformerError, match=r"cannot write the report to .*file"):
        write_diagnosis_report(tmp_path / "file", diagnosis())
