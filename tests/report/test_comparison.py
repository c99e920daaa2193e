"""The page of a comparison says what the analysis says, in HTML, Markdown and JSON."""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import json
import re
import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from nasformer._console import printable
from nasformer.compare import Comparison
from nasformer.errors import NasformerError
from nasformer.report import write_comparison
from nasformer.report.comparison import escaped
from nasformer.report.figures import Picture, draw_anytime
from nasformer.report.page import Subject, Tile, render
from nasformer.report.statistics import Analysis, analyse
from nasformer.report.tables.table import Cell, Table
from tests.report.html import Page, read

FIGURES = ("anytime", "finals", "curse", "fronts", "best")
HOSTILE = "</script><script>alert(1)</script>\u2028\"'<b>&{{ 7 * 7 }}`$\\frac12$ _x|y"
OURS = """html head meta title style body link main header h1 p dl div dt dd b span ul li nav ol a i section h2 pre code
figure figcaption details summary table thead tbody tr th td small script footer svg"""


@pytest.fixture(scope="module")
def analysis(comparison: Comparison) -> Analysis:
    return analyse(comparison)


@pytest.fixture(scope="module")
def page(written: Path) -> Page:
    return read(written / "report.html")


def renamed(comparison: Comparison, names: dict[str, str]) -> Comparison:
    entrants = tuple(replace(entrant, label=names[entrant.label]) for entrant in comparison.entrants)
    cells, trials = (frame.replace({"strategy": names}) for frame in (comparison.cells, comparison.trials))
    return replace(comparison, entrants=entrants, cells=cells, trials=trials)


def test_the_page_states_the_conclusions_and_the_warnings(page: Page, analysis: Analysis) -> None:
    for sentence in (*analysis.summary, *map(str, analysis.warnings)):
        assert " ".join(sentence.split()) in page.text


def test_the_page_states_every_verdict(page: Page, analysis: Analysis) -> None:
    assert any(pair.verdict == "better" or pair.verdict == "worse" for task in analysis.tasks for pair in task.pairs)
    for pair in (pair for task in analysis.tasks for pair in task.pairs):
        assert re.search(f"{pair.a} {pair.b} . {pair.verdict} ", page.text)


def test_the_page_states_ranks_power_and_hypervolume(page: Page, analysis: Analysis) -> None:
    assert analysis.across is not None
    for label, rank in analysis.across.ranks.items():
        assert f"{label} {rank:.2f}" in page.text
    assert analysis.across.words in page.text
    assert "with 80 % power; smaller ones" in page.text
    assert "Hypervolume of a run's front" in page.text


def test_the_page_states_how_it_was_done(page: Page) -> None:
    facts = ("nasformer compare x.yaml", "seeds 0, 1, 2, 3, 4, 5, 6, 7", "Winners are evaluated on a held-out test")
    for fact in (*facts, "standard deviation 0.1", "known exactly", "any to 54,000"):
        assert fact in page.text


def test_every_task_has_its_figures(written: Path, page: Page) -> None:
    files = {path.name for path in (written / "figures").iterdir()}
    for task in (1, 2):
        for figure in FIGURES:
            name = f"{figure}-{task}" + ("-1" if figure == "best" else "")
            assert name in page.ids
            assert {f"{name}.svg", f"{name}.png"} <= files
    assert "critical-difference" in page.ids


def test_every_strategy_can_be_lit_up_in_every_figure(written: Path) -> None:
    html = (written / "report.html").read_text(encoding="utf-8")
    for name in ("anytime-1", "finals-1", "curse-1", "fronts-1", "critical-difference"):
        figure = html[html.index(f'<figure id="{name}"') :]
        figure = figure[: figure.index("</figure>")]
        assert set(re.findall(r'data-s="(\d+)"', figure)) == {"0", "1", "2"}


def test_figures_as_files_are_well_formed_and_ids_differ(written: Path) -> None:
    for path in (written / "figures").glob("*.svg"):
        ids = [element.get("id") for element in ElementTree.parse(path).iter() if element.get("id")]
        assert len(ids) == len(set(ids))


def test_nothing_can_be_fetched_and_only_our_script_runs(page: Page) -> None:
    digest = base64.b64encode(hashlib.sha256(page.scripts[0].encode()).digest()).decode()
    rules = dict(rule.partition(" ")[::2] for rule in page.policy.split("; "))
    assert rules["default-src"] == "'none'"
    assert rules["script-src"] == f"'sha256-{digest}'"
    assert not {"connect-src", "font-src", "frame-src"} & set(rules)
    outside = {value for _, _, value in page.links if not value.startswith(("#", "data:"))}
    assert outside == {"https://arxiv.org/abs/2107.00651"}


def test_ids_are_unique_and_references_resolve(page: Page) -> None:
    assert len(page.ids) == len(set(page.ids))
    assert {link[2][1:] for link in page.links if link[2].startswith("#")} <= set(page.ids)


def test_figures_and_tables_are_numbered_in_order(page: Page) -> None:
    for kind in ("Figure", "Table"):
        numbers = [int(number) for number in re.findall(rf"{kind} (\d+)\. ", page.text)]
        assert numbers == list(range(1, len(numbers) + 1))


def test_the_runs_can_be_taken_from_the_page(written: Path, page: Page, comparison: Comparison) -> None:
    address = next(value for _, _, value in page.links if value.startswith("data:text/csv"))
    text = base64.b64decode(address.partition("base64,")[2]).decode()
    assert text == (written / "cells.csv").read_text(encoding="utf-8")
    rows = list(csv.DictReader(io.StringIO(text)))
    assert [float(row["confirmed"]) for row in rows] == comparison.cells.confirmed.tolist()
    assert [row["architecture"] for row in rows] == comparison.cells.architecture.tolist()


def test_markdown_tables_are_whole(written: Path, analysis: Analysis) -> None:
    text = (written / "report.md").read_text(encoding="utf-8")
    assert escaped(analysis.summary[0]) in text
    blocks = re.findall(r"(?:^\|.*\n)+", text, flags=re.MULTILINE)
    assert len(blocks) > 8
    for block in blocks:
        widths = {len(re.findall(r"(?<!\\)\|", line)) for line in block.splitlines()}
        assert len(widths) == 1


def test_json_holds_the_analysis_and_the_runs(written: Path, analysis: Analysis, comparison: Comparison) -> None:
    found = json.loads((written / "report.json").read_text(encoding="utf-8"))
    assert found["analysis"]["summary"] == analysis.summary
    assert len(found["cells"]) == len(comparison.cells)
    pair, told = analysis.tasks[0].pairs[0], found["analysis"]["tasks"][0]["pairs"][0]
    assert (told["a"], told["verdict"], told["p_holm"]) == (pair.a, pair.verdict, pair.p_holm)
    assert found["tasks"][1]["noise"] == 0.1


def test_one_task_has_no_chapter_over_tasks(exact: Comparison, tmp_path: Path) -> None:
    page = read(write_comparison(tmp_path, exact))
    assert "All tasks" not in page.text
    assert "critical-difference" not in page.ids
    assert not (tmp_path / "report.md").exists()


def test_without_optimum_truth_and_test_it_says_best_seen(exact: Comparison, tmp_path: Path) -> None:
    record = replace(exact.tasks[0], optimum=None)
    nothing = dict.fromkeys(("true", "test", "regret"), float("nan"))
    blind = replace(
        exact, tasks=(record,), cells=exact.cells.assign(**nothing), trials=exact.trials.assign(true=float("nan"))
    )
    page = read(write_comparison(tmp_path, blind))
    assert "best value seen" in page.text
    assert "Regret after" not in page.text
    assert "curse-1" not in page.ids
    assert "median regret" not in page.text


@pytest.mark.parametrize("distance", [0.0, 0.5, 40.0])
def test_a_regret_that_is_never_zero_has_no_line_for_zero(exact: Comparison, distance: float) -> None:
    optimum = float(exact.trials["true"].max()) + distance
    cells = exact.cells.assign(regret=optimum - exact.cells["true"])
    moved = replace(exact, tasks=(replace(exact.tasks[0], optimum=optimum),), cells=cells)
    drawn = draw_anytime(analyse(moved).tasks[0], {label: n for n, label in enumerate(exact.labels)}, "anytime")
    assert drawn is not None
    ticks = {float(text) for text in re.findall(r">([\d.]+)</text>", drawn.svg.partition('id="matplotlib.axis_2"')[2])}
    assert ("The bottom line is the optimum" in drawn.caption) is (distance == 0)
    assert (0 in ticks) is (distance == 0)
    assert len(ticks) >= 2


def test_names_from_outside_stay_text(exact: Comparison, tmp_path: Path) -> None:
    names = dict(zip(exact.labels, (HOSTILE, "=cmd()", "_" + HOSTILE), strict=True))
    record = replace(exact.tasks[0], name=HOSTILE, tested=True, fitness={HOSTILE: HOSTILE})
    hostile = renamed(exact, names)
    hostile = replace(
        hostile,
        title=HOSTILE,
        command=HOSTILE,
        tasks=(record,),
        cells=hostile.cells.assign(task=HOSTILE),
        trials=hostile.trials.assign(task=HOSTILE),
        settings={HOSTILE: HOSTILE},
        machine={HOSTILE: HOSTILE},
    )
    path = write_comparison(tmp_path, hostile, formats=("html", "markdown", "json"))
    page, html = read(path), path.read_text(encoding="utf-8")
    assert page.tags.count("script") == 1
    assert "alert(1)" in page.text
    assert "{{ 7 * 7 }}" in page.text
    for name in names.values():
        assert " ".join(printable(name).split()) in page.text
    assert "\u2028" not in html
    for figure in (tmp_path / "figures").glob("*.svg"):
        ElementTree.fromstring(figure.read_text(encoding="utf-8"))


@settings(deadline=None)
@given(name=st.text())
@example(name=HOSTILE)
@example(name="<!--")
@example(name="]]>")
def test_no_name_breaks_the_frame(name: str, exact: Comparison) -> None:
    drawn = Picture("figure", name, name, "<svg><title>x</title></svg>", b"")
    shown = Table("table", name, [name, ""], [[Cell(name, 1.0, series=0, hint=name), name]], folded=name)
    entrant = replace(exact.entrants[0], label=name)
    html = render(
        "comparison.html.j2",
        Subject.of(replace(exact, title=name, command=name, entrants=(entrant, entrant))),
        [shown],
        summary=[name],
        tiles=[Tile(name, name, name)],
        warnings=[name],
        chapters=[("a", name), ("b", name)],
        across={"leaderboard": shown, "held_out": None, "diagram": drawn, "tally": shown, "words": name},
        sections=[],
        checklist=shown,
        spaces=[],
    )
    page = Page(html)
    assert page.tags.count("script") == 1
    assert set(page.tags) <= set(OURS.split())
    assert " ".join(printable(name).split()) in page.text


def test_a_format_that_is_unknown_is_refused(exact: Comparison, tmp_path: Path) -> None:
    with pytest.raises(NasformerError, match=r"unknown format 'pdf'; known: html, markdown, json"):
        write_comparison(tmp_path, exact, formats=("pdf",))


def test_nothing_complete_is_refused(exact: Comparison, tmp_path: Path) -> None:
    with pytest.raises(NasformerError, match=r"no run is complete yet"):
        write_comparison(tmp_path, replace(exact, cells=exact.cells.iloc[:0], trials=exact.trials.iloc[:0]))


def test_a_missing_run_is_told(exact: Comparison, tmp_path: Path) -> None:
    page = read(write_comparison(tmp_path, replace(exact, cells=exact.cells.iloc[1:])))
    assert "23 1 are missing" in page.text
