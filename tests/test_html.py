"""Objects show themselves in a notebook as one small table, in its colours, with every text escaped."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest

import nasformer as nf

SPACE = nf.load_space("digits")
ARCHITECTURE = nf.Architecture(embed_dim=48, num_heads=(2, 0), mlp_ratio=(1.5, 2), patch_size=4)


class Cells(HTMLParser):
    """The texts of the cells, and every tag left open."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.texts: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def html(shown: object) -> str:
    text = shown._repr_html_()  # type: ignore[attr-defined]
    assert isinstance(text, str)
    assert not Cells(text).open
    return text


def search(strategy: str = "random", **options: object) -> nf.SearchResult:
    searcher = nf.Searcher(SPACE, strategy, lambda each: each.embed_dim, seed=0)
    return searcher.run(evaluations=4, progress=False, **options)  # type: ignore[arg-type]


def test_an_architecture_has_a_column_for_each_layer() -> None:
    texts = Cells(html(ARCHITECTURE)).texts
    assert texts == [
        *("Architecture", "embed_dim", "48", "patch_size", "4", "layer", "1", "2"),
        *("num_heads", "2", "0", "mlp_ratio", "1.5", "2.0"),
    ]


def test_a_space_has_its_choices_and_ends() -> None:
    texts = Cells(html(SPACE)).texts
    assert texts[:5] == ["Space digits", "architectures", "22,113", "embed_dim", "32, 48, 64"]
    assert f"{SPACE.params(SPACE.smallest):,} to {SPACE.params(SPACE.largest):,}" in texts


def test_a_feasible_set_has_its_limits_and_count() -> None:
    feasible = SPACE.feasible(params=54e3)
    assert f"{feasible.count():,} of 22,113" in Cells(html(feasible)).texts
    assert "params <= 54000" in Cells(html(feasible)).texts


def test_a_result_has_its_winner() -> None:
    result = search(budget=80e3)
    texts = Cells(html(result)).texts
    assert texts[0] == "Search of digits by random, seed 0"
    assert str(result.best.architecture) in texts
    assert f"{result.best.params:,}" in texts
    assert (
        repr(result)
        == f"<SearchResult of random, seed 0: 4 trials, best {result.best.fitness:.4g}: {result.best.architecture}>"
    )


def test_a_result_of_several_budgets_has_a_column_for_each() -> None:
    result = search(budgets=[40e3, 80e3])
    texts = Cells(html(result)).texts
    at = texts.index("parameters")
    assert texts[at + 1 : at + 3] == [f"{winner.params:,}" for winner in result.winners]


@pytest.mark.parametrize("name", ["<script>alert(1)</script>", "a'b\"c", "\x1b[31m"])
def test_names_are_text(name: str) -> None:
    declared = SPACE.to_dict() | {"name": name}
    space = nf.SearchSpace.from_dict(declared)
    for shown in (space, space.feasible(params=54e3)):
        assert "<script" not in html(shown)
        assert "\x1b" not in html(shown)


def test_the_colours_are_the_notebooks() -> None:
    """Dark mode: no colour of our own."""
    for shown in (ARCHITECTURE, SPACE, SPACE.feasible(params=54e3), search(budget=80e3)):
        assert set(re.findall(r"(?:color|background): ?(\w+)", html(shown))) == {"none", "inherit"}
