"""The page says what the results say, fetches nothing, and escapes what comes from outside."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from pathlib import Path

import pytest

from nasformer.architecture import Architecture
from nasformer.compare import from_results
from nasformer.cost import Bounds
from nasformer.errors import NasformerError
from nasformer.report import write_comparison, write_report
from nasformer.search import SearchResult, Trial
from nasformer.searcher import Searcher
from nasformer.space import SearchSpace, load_space
from nasformer.tasks import get_task, task_of
from tests.report.html import Page, read

HOSTILE = "<script>alert('x')</script> & $\\frac{1}{2}$ \x00_名"
SPACE = load_space("digits")
LIMIT = 60_000
FIGURES = {"architecture-1", "anytime", "cost-scatter"}


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


@pytest.fixture(scope="module")
def found() -> SearchResult:
    return result()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, found: SearchResult) -> Path:
    path = tmp_path_factory.mktemp("report") / "new" / "folder"
    write_report(path, found, title="Digits", command="nasformer search digits --seed 0")
    return path


@pytest.fixture(scope="module")
def page(folder: Path) -> Page:
    return read(folder / "report.html")


def test_the_page_states_the_winner(page: Page, found: SearchResult) -> None:
    best = found.best
    for fact in (f"{best.fitness:.2f} %", f"{best.params:,}", f"{best.macs:,}", "60,000", str(best.architecture)):
        assert fact in page.text


def test_a_bound_has_a_tile_of_its_own(page: Page, found: SearchResult) -> None:
    assert f"parameters {found.best.params:,} at most 60,000" in page.text


def test_the_page_states_what_was_spent(page: Page) -> None:
    assert "random 3 2 1 0 2.0 s 500 ms 41.67 ms" in page.text


def test_the_page_states_space_and_command(page: Page) -> None:
    centroid = SPACE.centroid
    counted = f"{SPACE.feasible(params=LIMIT).count():,} of {SPACE.size():,}"
    facts = [f"{SPACE.params(centroid):,} {SPACE.macs(centroid):,}", counted, SPACE.fingerprint]
    facts += ["nasformer search digits --seed 0", "python 3.11.9", "seeds 0"]
    for fact in facts:
        assert fact in page.text


def test_a_search_by_loss_shows_the_accuracy_with_its_interval(tmp_path: Path) -> None:
    plain, described = result(), {"kind": "inherited", "objective": "loss"}
    trials = [replace(t, value=-t.metrics["loss"], metrics={**t.metrics, "images": 360}) for t in plain.trials]
    confirmed = tuple(sorted(trials, key=lambda t: t.rank)[:3])
    settings = {**plain.settings, "fitness": described}
    by_loss = replace(plain, trials=tuple(trials), confirmed=confirmed, settings=settings)
    best, text = confirmed[0], read(write_report(tmp_path, by_loss, title="By loss")).text
    assert f"search top-1 accuracy {best.metrics['accuracy']:.2f} % confirmed; 95 % interval" in text
    assert f"search loss {best.metrics['loss']:.4f}"[:-3] in text
    assert "fitness of" not in text


def test_nothing_is_fetched(folder: Path, page: Page) -> None:
    html = (folder / "report.html").read_text(encoding="utf-8")
    outside = [link for link in page.links if not link[2].startswith(("#", "data:"))]
    assert outside == [("a", "href", "https://arxiv.org/abs/2107.00651")]
    assert not {"iframe", "img", "object", "embed"} & set(page.tags)
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


def test_the_same_results_draw_the_same_figures(folder: Path, tmp_path: Path, found: SearchResult) -> None:
    write_report(tmp_path, found, title="Again")
    name = "figures/anytime.svg"
    assert (tmp_path / name).read_bytes() == (folder / name).read_bytes()


def test_hostile_strings_are_escaped(tmp_path: Path) -> None:
    path = write_report(tmp_path, result(HOSTILE), title=HOSTILE, command=HOSTILE)
    html = path.read_text(encoding="utf-8")
    assert html.count("<script") == read(path).tags.count("script") == 1
    assert "alert('x')" in read(path).text
    assert "\x00" not in html
    for figure in (tmp_path / "figures").glob("*.svg"):
        ElementTree.fromstring(figure.read_text(encoding="utf-8"))


def test_what_was_tested_afterwards_is_on_the_page(tmp_path: Path, found: SearchResult) -> None:
    rows = [
        {"name": "winner", **SPACE.costs(found.best.architecture), "accuracy": 92.5, "loss": 0.25},
        {"name": "uniform ViT", **SPACE.costs(SPACE.smallest), "accuracy": 90.0, "loss": 0.5},
    ]
    task = task_of({}).record()
    tested = {"split": "test", "images": 400, "count": 400, "task": task, "weights": "f00d", "results": rows}
    text = read(write_report(tmp_path, found, title="Tested", tested=tested)).text
    assert "On the test split, after the selection: winner 92.50 % and uniform ViT 90.00 %." in text
    assert "has not been evaluated" not in text
    assert "winner 92.50 % 89.5 – 94.7 % 0.2500" in text


def test_the_summary_does_not_overclaim(page: Page) -> None:
    assert "random evaluated 12 architectures with seed 0." in page.text
    assert "has not been evaluated on the test split" in page.text
    assert "no difference among" not in page.text


def test_failed_evaluations_and_short_runs_are_shown_with_a_caveat(tmp_path: Path) -> None:
    short = result("evolution", 0, evaluations=5)
    failed = replace(short.trials[0], value=None, error="it broke", metrics={})
    short = replace(short, trials=(failed, *short.trials[1:]), counts={"failed": 1})
    text = read(write_comparison(tmp_path, from_results([result(), short], title="Short"))).text
    assert "have different numbers of evaluations" in text
    assert "evaluations failed (evolution 1)" in text


def test_a_fitness_that_is_no_accuracy_has_no_percent(tmp_path: Path) -> None:
    plain = result()
    bare = tuple(replace(t, metrics={}) for t in plain.trials)
    plain = replace(
        plain, trials=bare, confirmed=bare[:1], settings={**plain.settings, "fitness": {"kind": "callable"}}
    )
    text = read(write_report(tmp_path, plain, title="Plain")).text
    assert f"has a fitness of {plain.best.fitness:.4f}" in text
    assert "search images" not in text


def test_a_loss_is_shown_and_plotted_as_it_is(tmp_path: Path) -> None:
    plain, task = result(), get_task("regression")(("age",), (0.0,), (1.0,))
    described = {"kind": "inherited", "objective": "mae", "data": task.record()}
    trials = tuple(replace(t, value=-(t.value or 0) / 100, metrics={"mae": (t.value or 0) / 100}) for t in plain.trials)
    confirmed = tuple(sorted(trials, key=lambda t: t.rank)[:3])
    plain = replace(plain, trials=trials, confirmed=confirmed, settings={**plain.settings, "fitness": described})
    text = read(write_report(tmp_path, plain, title="Ages")).text
    assert f"a search MAE of {-plain.best.fitness:.4f}" in text
    assert "best MAE seen" in (tmp_path / "figures" / "anytime.svg").read_text(encoding="utf-8")
    assert "search MAE" in (tmp_path / "figures" / "cost-scatter.svg").read_text(encoding="utf-8")
    noisy = replace(plain, settings={**plain.settings, "fitness": {**described, "noise": {"sd": 0.1}}})
    assert "a noisy search MAE of" in read(write_report(tmp_path, noisy, title="")).text


def test_options_tell_variants_of_a_strategy_apart() -> None:
    first = result("nevergrad", 0)
    second = replace(first, settings={**first.settings, "options": {"optimizer": "PSO"}})
    assert from_results([first, second]).labels == ["nevergrad (defaults)", "nevergrad (optimizer=PSO)"]


def test_mixed_spaces_are_refused() -> None:
    other = SearchSpace.from_dict({**SPACE.to_dict(), "depth": 3})
    with pytest.raises(NasformerError, match=r"evolution with seed 0 searched another space: depth: choice 3"):
        from_results([result(), result("evolution", space=other)])


def test_mixed_limits_are_refused() -> None:
    other = replace(result("evolution"), limits={"params": Bounds(None, 50_000)})
    with pytest.raises(NasformerError, match=r"searched within params <= 50000, others within params <= 60000"):
        from_results([result(), other])


def test_nothing_and_doubles_and_unconfirmed_are_refused() -> None:
    with pytest.raises(NasformerError, match=r"at least one search result, got none"):
        from_results([])
    with pytest.raises(NasformerError, match=r"random with seed 0 occurs 2 times"):
        from_results([result(), result()])
    with pytest.raises(NasformerError, match=r"random with seed 0 has no confirmed winner"):
        from_results([replace(result(), confirmed=())])


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(NasformerError, match=r"cannot write the report to .*file"):
        write_report(tmp_path / "file", result(), title="Blocked")


def test_a_race_shows_the_images_spent_on_each_architecture(tmp_path: Path) -> None:
    page = Page(write_report(tmp_path, raced(result()), title="Race").read_text())
    assert "7,200 of 12,000 images." in page.text
    assert (tmp_path / "figures" / "images-seen.png").exists()


def test_without_a_race_no_figure_speaks_of_images(tmp_path: Path) -> None:
    write_report(tmp_path, result(), title="No race")
    assert not (tmp_path / "figures" / "images-seen.svg").exists()


def test_equal_accuracies_are_shown_on_a_narrow_axis(tmp_path: Path) -> None:
    results = [result(strategy, seed) for strategy in ("random", "evolution") for seed in (0, 1, 2)]
    same = [replace(each, confirmed=tuple(replace(t, value=99.0) for t in each.confirmed)) for each in results]
    write_comparison(tmp_path, from_results(same))
    drawn = (tmp_path / "figures" / "finals-1.svg").read_text()
    ticks = [float(text) for text in re.findall(r">(\d+\.?\d*)<", drawn)]
    assert ticks
    assert all(97 < tick < 100 for tick in ticks)


def test_several_budgets_begin_with_the_front_and_its_winners(tmp_path: Path) -> None:
    found = Searcher(SPACE, "thompson", accuracy).run(budgets="20K, 40K, 80K", evaluations=24, progress=False)
    html = write_report(tmp_path, found, title="Front").read_text(encoding="utf-8")
    page = Page(html)
    shown = re.findall(r'<figure[^>]* id="([^"]+)"', html)
    assert shown[:2] == ["cost-scatter", "architecture-1"]
    assert shown.count("cost-scatter") == 1
    drawn = ElementTree.fromstring((tmp_path / "figures" / "cost-scatter.svg").read_text(encoding="utf-8"))
    assert {"20 k", "40 k", "80 k"} <= {"".join(each.itertext()).strip() for each in drawn.iter() if "text" in each.tag}
    for winner in found.winners:
        assert str(winner.architecture) in page.text
        assert f"{winner.params:,}" in page.text
