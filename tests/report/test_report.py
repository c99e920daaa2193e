"""The page says what the results say, fetches nothing, and escapes what comes from outside."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from nasformer.architecture import Architecture
from nasformer.compare import from_results
from nasformer.cost import Bounds
from nasformer.errors import NasformerError
from nasformer.report import Finalist, summary_lines, write_report
from nasformer.search import SearchResult, Trial
from nasformer.searcher import Searcher
from nasformer.space import SearchSpace, load_space
from nasformer.tasks import get_task
from tests.report.html import Page, read

HOSTILE = "<script>alert('x')</script> & $\\frac{1}{2}$ \x00_名"
SPACE = load_space("digits")
LIMIT = 60_000
FIGURES = {
    "architecture-1",
    "finalists",
    "anytime-1",
    "finals-1",
    "cost-scatter",
    "time-spent-1",
    "learning-curve",
}


def accuracy(architecture: Architecture) -> float:
    """Return a made-up accuracy that grows with the widths, distinct for nearly every architecture."""
    return 80 + sum(architecture.hidden_dims) / 50 + sum(architecture.num_heads) / 7 + architecture.num_heads[0] / 90


def trial(number: int, architecture: Architecture, space: SearchSpace = SPACE) -> Trial:
    value = accuracy(architecture)
    metrics = {"loss": 1 - value / 100, "accuracy": value}
    return Trial(number, number, architecture, value, None, 0.01, metrics, space.costs(architecture))


def result(strategy: str = "random", seed: int = 0, evaluations: int = 12, space: SearchSpace = SPACE) -> SearchResult:
    feasible = space.feasible(params=LIMIT)
    found = dict.fromkeys(feasible.sample(4 * evaluations, seed=seed + len(strategy)))
    trials = tuple(trial(i, architecture, space) for i, architecture in enumerate(list(found)[:evaluations]))
    return SearchResult(
        space,
        feasible.limits,
        {
            "strategy": strategy,
            "options": {},
            "seed": seed,
            "evaluations": evaluations,
            "fitness": {"kind": "inherited"},
        },
        trials,
        tuple(sorted(trials, key=lambda t: t.rank)[:3]),
        {"duplicates": 3, "infeasible": 2, "replaced": 1, "failed": 0},
        {"strategy": 0.5, "evaluation": 2.0, "total": 2.6},
        feasible=feasible.count(),
        versions={"python": "3.11.9"},
    )


def raced(found: SearchResult) -> SearchResult:
    """Return a result whose odd trials were dropped after 200 of 1,000 images."""
    early, whole = {"images": 200, "dropped": 1.0}, {"images": 1000}
    trials = [replace(t, metrics={**t.metrics, **(early if t.number % 2 else whole)}) for t in found.trials]
    return replace(found, trials=tuple(trials))


def finalist(architecture: Architecture, kind: str, budget: str = "60 K") -> Finalist:
    return Finalist(kind, budget, architecture, SPACE.params(architecture), SPACE.macs(architecture), 91.25, 93.75)


@pytest.fixture(scope="module")
def results() -> list[SearchResult]:
    return [result(strategy, seed) for strategy in ("random", "evolution") for seed in (0, 1, 2)]


@pytest.fixture(scope="module")
def finalists(results: list[SearchResult]) -> list[Finalist]:
    best = min((each.best for each in results), key=lambda found: -found.fitness).architecture
    uniform = SPACE.feasible(params=LIMIT).uniform()[-1]
    winner, rival = finalist(best, "winner, fine-tuned"), finalist(uniform, "uniform ViT, trained alone")
    smaller = [replace(each, budget="30 K", architecture=SPACE.smallest, trained=90.0) for each in (winner, rival)]
    return [*smaller, replace(winner, trained=95.0), rival]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, results: list[SearchResult], finalists: list[Finalist]) -> Path:
    path = tmp_path_factory.mktemp("report") / "new" / "folder"
    history = [{"epoch": epoch, "smallest": 50.0 + epoch, "centroid": 60.0, "largest": 70.5} for epoch in (1, 2, 3)]
    write_report(
        path,
        results,
        title="Digits",
        finalists=finalists,
        training={"recipe": {"epochs": 3, "betas": [0.9, 0.999]}, "seconds": 125.0, "history": history},
        data={"name": "digits", "seed": 7, "splits": {"train": 1077, "search": 360, "test": 400}},
        command="nasformer demo --seed 0",
    )
    return path


@pytest.fixture(scope="module")
def page(folder: Path) -> Page:
    return read(folder / "report.html")


def test_the_page_states_the_winner(page: Page, results: list[SearchResult]) -> None:
    best = min((r.best for r in results), key=lambda found: -found.fitness)
    for fact in (f"{best.fitness:.2f} %", f"{best.params:,}", f"{best.macs:,}", "91.25 %", "93.75 %", "60,000"):
        assert fact in page.text


def test_the_page_states_each_strategys_spread(page: Page, results: list[SearchResult]) -> None:
    for strategy in ("random", "evolution"):
        values = [r.best.fitness for r in results if r.strategy == strategy]
        low, middle, high = np.quantile(values, (0.25, 0.5, 0.75))
        cells = f"{middle:.2f} {low:.2f} – {high:.2f} {max(values):.2f} {min(values):.2f}"
        assert f"{strategy} 3 {cells}" in page.text


def test_the_page_states_what_was_spent(page: Page) -> None:
    assert re.search(r"random \d+ % (– –|[\d.]+ [\d.]+ m?s) 3 2 0 2.0 s 500 ms 41.67 ms", page.text)


def test_the_page_states_every_run(page: Page, results: list[SearchResult]) -> None:
    for r in results:
        assert str(r.best.architecture) in page.text


def test_the_page_states_space_data_training_and_command(page: Page) -> None:
    centroid = SPACE.centroid
    counted = f"{SPACE.feasible(params=LIMIT).count():,} of {SPACE.size():,}"
    facts = [f"{SPACE.params(centroid):,} {SPACE.macs(centroid):,}", counted, SPACE.fingerprint]
    facts += ["1,077", "400", "seed 7", "2 min 05 s", "0.9, 0.999", "smallest subnet 53.00 %", "largest subnet 70.50 %"]
    facts += ["nasformer demo --seed 0", "python 3.11.9", "seeds 0, 1, 2"]
    for fact in facts:
        assert fact in page.text


def test_the_summary_does_not_overclaim(page: Page) -> None:
    assert "there are too few seeds to test it" in page.text
    assert "with three common seeds no difference" in page.text
    assert "Test top-1 accuracy after one training each" in page.text
    assert "Test images influenced no choice" in page.text
    assert "One of the 400 test examples is 0.25 percentage points" in page.text


def test_a_tie_is_told(tmp_path: Path) -> None:
    twins = [result("random", 0), replace(result("random", 0), settings={"strategy": "twin", "seed": 0})]
    text = read(write_report(tmp_path, twins, title="Tie")).text
    assert "Winners of twin had the same search top-1 accuracy" in text


def test_nothing_is_fetched(folder: Path, page: Page) -> None:
    html = (folder / "report.html").read_text(encoding="utf-8")
    outside = [link for link in page.links if not link[2].startswith(("#", "data:"))]
    assert outside == [("a", "href", "https://arxiv.org/abs/2107.00651")]
    assert not {"link", "iframe", "img", "object", "embed"} & set(page.tags)
    assert page.policy.startswith("default-src 'none'; ")
    assert "@import" not in html
    assert not re.search(r"url\((?!#)", html)


def test_ids_are_unique_and_references_resolve(page: Page) -> None:
    assert len(page.ids) == len(set(page.ids))
    assert {link[2][1:] for link in page.links if link[2].startswith("#")} <= set(page.ids)


def test_every_inline_figure_has_a_title_and_follows_the_theme(folder: Path) -> None:
    html = (folder / "report.html").read_text(encoding="utf-8")
    figures = re.findall(r"<svg.*?</svg>", html, flags=re.DOTALL)
    assert len(figures) == len(FIGURES)
    for svg in figures:
        root = ElementTree.fromstring(svg)
        title = root.find("{http://www.w3.org/2000/svg}title")
        assert root.get("role") == "img"
        assert title is not None
        assert title.text
        assert title.get("id") == root.get("aria-labelledby")
        assert "var(--ink)" in svg
        assert not re.search(r"(fill|stroke): #", svg)


def test_figures_are_files_that_open(folder: Path) -> None:
    files = {path.name for path in (folder / "figures").iterdir()}
    assert files == {f"{name}.{suffix}" for name in FIGURES for suffix in ("svg", "png")}
    for name in FIGURES:
        svg = (folder / "figures" / f"{name}.svg").read_text(encoding="utf-8")
        assert ElementTree.fromstring(svg).tag.endswith("svg")
        assert "<text" in svg
        assert (folder / "figures" / f"{name}.png").read_bytes().startswith(b"\x89PNG")


def test_the_same_results_draw_the_same_figures(folder: Path, tmp_path: Path, results: list[SearchResult]) -> None:
    write_report(tmp_path, results, title="Again")
    name = "figures/anytime-1.svg"
    assert (tmp_path / name).read_bytes() == (folder / name).read_bytes()


def test_hostile_strings_are_escaped(tmp_path: Path) -> None:
    results = [result(HOSTILE), result("_underscored")]
    winner = finalist(results[0].best.architecture, HOSTILE)
    path = write_report(
        tmp_path,
        results,
        title=HOSTILE,
        finalists=[winner],
        training={HOSTILE: HOSTILE},
        data={"name": HOSTILE},
        command=HOSTILE,
    )
    html = path.read_text(encoding="utf-8")
    assert html.count("<script") == read(path).tags.count("script") == 2
    assert "alert('x')" in read(path).text
    assert "\x00" not in html
    for figure in (tmp_path / "figures").glob("*.svg"):
        ElementTree.fromstring(figure.read_text(encoding="utf-8"))


def test_one_result_alone_is_a_report(tmp_path: Path) -> None:
    path = write_report(tmp_path, [result()], title="One")
    text = read(path).text
    assert "random evaluated 12 architectures in one run." in text
    assert "has not been evaluated on the test split" in text
    assert "no difference among" not in text
    assert (tmp_path / "figures" / "architecture-1.svg").exists()


def test_failed_evaluations_and_short_runs_are_shown_with_a_caveat(tmp_path: Path) -> None:
    short = result("evolution", 0, evaluations=5)
    failed = replace(short.trials[0], value=None, error="it broke", metrics={})
    short = replace(short, trials=(failed, *short.trials[1:]), counts={"failed": 1})
    text = read(write_report(tmp_path, [result(), short], title="Short")).text
    assert "have different numbers of evaluations" in text
    assert "evaluations failed (evolution 1)" in text


def test_a_fitness_that_is_no_accuracy_has_no_percent(tmp_path: Path) -> None:
    plain = result()
    bare = tuple(replace(t, metrics={}) for t in plain.trials)
    plain = replace(plain, trials=bare, settings={**plain.settings, "fitness": {"kind": "callable"}})
    text = read(write_report(tmp_path, [plain], title="Plain")).text
    assert f"a fitness of {plain.best.fitness:.5g}" in text
    assert "on the search images" not in text


def test_a_loss_is_shown_as_it_is_and_plotted_as_it_ranks(tmp_path: Path) -> None:
    plain, task = result(), get_task("regression")(("age",), (0.0,), (1.0,))
    described = {"kind": "inherited", "objective": "mae", "data": task.record()}
    trials = tuple(replace(t, value=-(t.value or 0) / 100, metrics={"mae": (t.value or 0) / 100}) for t in plain.trials)
    confirmed = tuple(sorted(trials, key=lambda t: t.rank)[:3])
    plain = replace(plain, trials=trials, confirmed=confirmed, settings={**plain.settings, "fitness": described})
    best = replace(finalist(plain.best.architecture, "winner"), inherited=0.75, trained=0.5)
    text = read(write_report(tmp_path, [plain], title="Ages", finalists=[best])).text
    assert f"a search MAE of {-plain.best.fitness:.4f}" in text
    assert "MAE of every run's winner." in text
    assert f"random 0 {-plain.best.fitness:.4f}" in text
    assert "best −MAE seen" in (tmp_path / "figures" / "anytime-1.svg").read_text(encoding="utf-8")
    noisy = replace(plain, settings={**plain.settings, "fitness": {**described, "noise": {"sd": 0.1}}})
    assert f"a noisy search MAE of {-plain.best.fitness:.4f}" in read(write_report(tmp_path, [noisy], title="")).text
    assert "Test loss after one training each" in text
    assert "0.7500" in text
    assert f"{-plain.best.fitness:.4f}" in summary_lines([plain])[1]
    assert "search −MAE" in (tmp_path / "figures" / "cost-scatter.svg").read_text(encoding="utf-8")


def test_options_tell_variants_of_a_strategy_apart() -> None:
    first = result("nevergrad", 0)
    second = replace(first, settings={**first.settings, "options": {"optimizer": "PSO"}})
    assert from_results([first, second]).labels == ["nevergrad (defaults)", "nevergrad (optimizer=PSO)"]


def test_mixed_spaces_are_refused(tmp_path: Path) -> None:
    other = SearchSpace.from_dict({**SPACE.to_dict(), "depth": 3})
    with pytest.raises(NasformerError, match=r"evolution with seed 0 searched another space: depth: choice 3"):
        write_report(tmp_path, [result(), result("evolution", space=other)], title="Mixed")


def test_mixed_limits_are_refused(tmp_path: Path) -> None:
    other = replace(result("evolution"), limits={"params": Bounds(None, 50_000)})
    with pytest.raises(NasformerError, match=r"searched within params <= 50000, others within params <= 60000"):
        write_report(tmp_path, [result(), other], title="Mixed")


def test_nothing_and_doubles_and_unconfirmed_are_refused() -> None:
    with pytest.raises(NasformerError, match=r"at least one search result, got none"):
        from_results([])
    with pytest.raises(NasformerError, match=r"random with seed 0 occurs 2 times"):
        from_results([result(), result()])
    with pytest.raises(NasformerError, match=r"random with seed 0 has no confirmed winner"):
        from_results([replace(result(), confirmed=())])


def test_the_first_figure_is_of_the_trained_networks(folder: Path) -> None:
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert page.index('id="finalists"') < page.index('id="architecture-1"')
    text = read(folder / "report.html").text
    assert "winner, fine-tuned: 90.00 % and 95.00 %; uniform ViT, trained alone: 90.00 % and 93.75 %" in text
    assert "+0.62" in text  # the mean gain of two budgets


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(NasformerError, match=r"cannot write the report to .*file"):
        write_report(tmp_path / "file", [result()], title="Blocked")


def test_summary_lines_fit_a_terminal(results: list[SearchResult], finalists: list[Finalist]) -> None:
    long = [replace(r, settings={**r.settings, "strategy": 9 * r.strategy}) for r in results]
    lines = summary_lines([*results, *long], finalists)
    assert max(map(len, lines)) <= 80
    assert lines[0].split() == ["strategy", "seeds", "median", "best", "worst", "evals", "dupl.", "infeas."]
    best = max(r.best.fitness for r in results if r.strategy == "random")
    assert f"{best:.2f} %" in lines[1]
    assert "93.75 %" in lines[-1]


def test_a_race_shows_the_images_spent_on_each_architecture(tmp_path: Path) -> None:
    several = [raced(result()), raced(result("tpe")), raced(result("tpe", seed=1))]
    page = Page(write_report(tmp_path, several, title="Races").read_text())
    assert "of the first run" in page.text
    assert "random: 7,200 of 12,000 images; tpe: 7,200 of 12,000 images." in page.text
    assert (tmp_path / "figures" / "images-seen.png").exists()


def test_without_a_race_no_figure_speaks_of_images(tmp_path: Path) -> None:
    write_report(tmp_path, [result()], title="No race")
    assert not (tmp_path / "figures" / "images-seen.svg").exists()


def test_equal_accuracies_are_shown_on_a_narrow_axis(results: list[SearchResult], tmp_path: Path) -> None:
    same = [replace(each, confirmed=tuple(replace(t, value=99.0) for t in each.confirmed)) for each in results]
    write_report(tmp_path, same, title="t")
    drawn = (tmp_path / "figures" / "finals-1.svg").read_text()
    ticks = [float(text) for text in re.findall(r">(\d+\.?\d*)<", drawn)]
    assert ticks
    assert all(97 < tick < 100 for tick in ticks)


def test_several_budgets_begin_with_the_front_and_its_winners(tmp_path: Path) -> None:
    found = Searcher(SPACE, "thompson", accuracy).run(budgets="20K, 40K, 80K", evaluations=24, progress=False)
    html = write_report(tmp_path, [found], title="Front").read_text(encoding="utf-8")
    page = Page(html)
    shown = re.findall(r'<figure[^>]* id="([^"]+)"', html)
    assert shown[:3] == ["cost-scatter", "table-winners", "architecture-1"]
    assert shown.count("cost-scatter") == 1
    drawn = ElementTree.fromstring((tmp_path / "figures" / "cost-scatter.svg").read_text(encoding="utf-8"))
    assert {"20 k", "40 k", "80 k"} <= {"".join(each.itertext()).strip() for each in drawn.iter() if "text" in each.tag}
    for winner in found.winners:
        assert str(winner.architecture) in page.text
        assert f"{winner.params:,}" in page.text
