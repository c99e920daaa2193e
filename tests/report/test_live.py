"""The live page shows what a run has written so far, follows it, and ends with its report."""

from __future__ import annotations

import json
import os
import re
import time
from pathlib import Path

import pytest

from nasformer.report.live import live_page, search_so_far, state_of, training_so_far
from nasformer.report.search import write_report
from nasformer.searcher import Searcher
from tests.report.fitted import STAGES, training
from tests.report.html import Page
from tests.report.test_report import SPACE, accuracy, result


def page(folder: Path) -> Page:
    return Page(live_page(folder, 2.0))


def log(folder: Path, epochs: int, end: str = "") -> None:
    folder.mkdir(parents=True, exist_ok=True)
    rows = training()["history"][:epochs]
    (folder / "log.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows) + end)
    (folder / "training.json").write_text(json.dumps({key: training()[key] for key in ("recipe", "data")}))


def paused(folder: Path, **budget: object) -> None:
    searcher = Searcher(SPACE, "random", accuracy)
    storage = folder / "study.log"
    searcher.run(evaluations=20, pause_after=8, batch_size=4, storage=storage, progress=False, **budget)  # type: ignore[arg-type]


def test_a_folder_without_anything_says_so(tmp_path: Path) -> None:
    assert "It has written nothing yet. " in page(tmp_path).text
    assert "There is no trial, epoch or stage yet." in page(tmp_path).text


def test_a_running_search_shows_its_best_so_far(tmp_path: Path) -> None:
    paused(tmp_path, budget=60_000)
    found, shown = search_so_far(tmp_path / "study.log"), page(tmp_path)
    assert found is not None
    best = max(trial.value or 0 for trial in found.trials)
    told = re.search(r"the best so far has a fitness of ([\d.]+) ", shown.text)
    assert told is not None
    assert float(told[1]) == pytest.approx(best, abs=0.01)
    assert "random has evaluated 8 architectures of 20 with seed 0." in shown.text
    assert {"cost-scatter", "anytime"} <= set(shown.ids)
    assert "the winner" not in shown.text


def test_of_several_budgets_those_with_a_trial_are_shown(tmp_path: Path) -> None:
    paused(tmp_path, budgets="16K, 60K")
    found = search_so_far(tmp_path / "study.log")
    assert found is not None
    assert found.budgets
    assert f"The best so far of {'two' if len(found.budgets) == 2 else 'one'} budget" in page(tmp_path).text


def test_looking_at_a_study_does_not_change_it(tmp_path: Path) -> None:
    paused(tmp_path, budget=60_000)
    before = state_of(tmp_path)
    search_so_far(tmp_path / "study.log")
    assert state_of(tmp_path) == before


def test_a_running_training_shows_its_curves(tmp_path: Path) -> None:
    log(tmp_path / "sup", 3, '{"epoch": 4, "train')
    known = training_so_far(tmp_path / "sup" / "log.jsonl")
    assert known is not None
    assert [row["epoch"] for row in known["history"]] == [1, 2, 3]
    shown = page(tmp_path / "sup")
    assert "sup: epoch 3 of 6." in shown.text
    assert {"learning-curve", "training-loss"} <= set(shown.ids)
    assert "Live: this page follows the run. It last wrote at " in shown.text


def test_a_training_without_a_page_ends_with_its_weights(tmp_path: Path) -> None:
    log(tmp_path, 4)
    (tmp_path / "supernet.safetensors").write_bytes(b"weights")
    assert "The run has ended; it last wrote at " in page(tmp_path).text
    log(tmp_path, 3)
    os.utime(tmp_path / "log.jsonl", (time.time() + 9, time.time() + 9))
    assert "Live: " in page(tmp_path).text


def test_a_fit_shows_its_stages_and_the_latest_training(tmp_path: Path) -> None:
    stages = {name: {"decision": {}, "line": line} for name, line in STAGES.items()}
    (tmp_path / "fit.json").write_text(json.dumps({"stages": stages}))
    log(tmp_path / "supernet", 2)
    text = page(tmp_path).text
    assert "supernet: epoch 2 of 6. Stages so far: data and training." in text
    for line in STAGES.values():
        assert line in text


def test_after_its_end_a_run_shows_its_report_until_it_goes_on(tmp_path: Path) -> None:
    paused(tmp_path, budget=60_000)
    write_report(tmp_path, result(), title="Finished")
    before = state_of(tmp_path)
    shown = page(tmp_path)
    assert "The run has ended; it last wrote at " in shown.text
    assert "Finished" in shown.text
    os.utime(tmp_path / "study.log", (time.time() + 9, time.time() + 9))
    assert state_of(tmp_path) != before
    assert "Finished" not in page(tmp_path).text


def test_the_page_reaches_nothing_but_its_server(tmp_path: Path) -> None:
    write_report(tmp_path, result(), title="Finished")
    shown = page(tmp_path)
    assert shown.policy.startswith("default-src 'none'; ")
    assert "connect-src 'self'; script-src 'sha256-" in shown.policy
    assert [link for link in shown.links if not link[2].startswith(("#", "data:", "https://arxiv.org/"))] == []


@pytest.mark.parametrize("line", ['{"epoch": 1', "[]", '"epoch"', "17"])
def test_a_line_that_is_no_epoch_is_left_out(tmp_path: Path, line: str) -> None:
    log(tmp_path, 0, line + "\n")
    assert training_so_far(tmp_path / "log.jsonl") is None
