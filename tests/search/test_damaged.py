"""Journals that were damaged: the line is named, and ``study repair`` keeps what is whole."""

from __future__ import annotations

import random
from contextlib import suppress
from pathlib import Path

import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

from nasformer.cli import run
from nasformer.errors import LeaderError, StudyError
from nasformer.search.study import Study, repair_journal
from tests.search import sitting

TRIALS = 12


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("whole") / "study.log"
    sitting.search(str(path), "random", evaluations=TRIALS, batch_size=3)
    return path.read_bytes()


@pytest.fixture
def journal(whole: bytes, tmp_path: Path) -> Path:
    path = tmp_path / "study.log"
    path.write_bytes(whole)
    return path


def lines_of(path: Path) -> list[bytes]:
    return path.read_bytes().splitlines(keepends=True)


def test_plain_optuna_reads_it(journal: Path) -> None:
    plain = JournalStorage(JournalFileBackend(str(journal)))
    (study,) = plain.get_all_studies()
    assert len(plain.get_all_trials(study._study_id)) == TRIALS
    plain.set_study_user_attr(study._study_id, "theirs", 1)  # without a checksum
    sitting.search(str(journal), "random", evaluations=TRIALS + 3, batch_size=3)
    assert len(Study.load(journal).trials()) == TRIALS + 3


def test_every_flipped_bit_is_found_and_repaired(whole: bytes, journal: Path) -> None:
    kept = sitting.what(Study.load(journal).trials())
    rng = random.Random(0)
    for _ in range(150):
        place = rng.randrange(len(whole) - 1)
        changed = bytearray(whole)
        changed[place] ^= 1 << rng.randrange(8)
        journal.write_bytes(changed)
        number = whole[:place].count(b"\n") + 1
        with suppress(StudyError):
            found = Study.load(journal).trials()
            assert sitting.what(found) == kept, "a flip that changes a trial is found"
            continue
        words = rf"study\.log'?: line ({number}|{number + 1}) is damaged: .*'nasformer study repair --storage"
        with pytest.raises(StudyError, match=words):
            Study.load(journal)
        repair_journal(journal)
        if b"nasformer:settings" not in journal.read_bytes():  # its line is lost
            with pytest.raises(StudyError, match="was not made by nasformer"):
                Study.load(journal)
            continue
        found = Study.load(journal).trials()
        assert [each for each in sitting.what(found) if each in kept] == sitting.what(found)
        assert len(found) >= TRIALS - 2


def test_lost_and_doubled_lines_are_found(journal: Path) -> None:
    lines = lines_of(journal)
    for damaged in (lines[:8] + lines[9:], lines[:8] + lines[7:], [*lines[:7], lines[8], lines[7], *lines[9:]]):
        journal.write_bytes(b"".join(damaged))
        with pytest.raises(StudyError, match=r"line \d+ is damaged: it is there twice, or lines before it"):
            Study.load(journal)
        repair_journal(journal)
        assert len(Study.load(journal).trials()) >= TRIALS - 1


def test_a_repaired_search_goes_on_to_the_same_trials(journal: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = lines_of(journal)
    lines[6] = lines[6].replace(b'"value":', b'"value":1')
    lines[8] = b"\x00" * len(lines[8][:-1]) + b"\n"
    journal.write_bytes(b"".join(lines))
    assert run(["study", "repair", "--storage", str(journal)]) == 0
    told = capsys.readouterr().out
    assert "3 damaged lines" in told
    assert ": 7, 9, 10;" in told, "of the line after a lost one it is not known that nothing is missing"
    (backup,) = journal.parent.glob("study.log.damaged-*")
    assert backup.read_bytes() == b"".join(lines)
    result = sitting.search(str(journal), "random", evaluations=TRIALS, batch_size=3)
    assert sitting.what(result.trials) == sitting.what(
        sitting.search(None, "random", evaluations=TRIALS, batch_size=3).trials
    )
    assert run(["study", "repair", "--storage", str(journal)]) == 0
    assert "is whole" in capsys.readouterr().out


def test_what_is_no_journal_is_not_repaired(tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("Dear all,\nthis is the end.\n")
    with pytest.raises(StudyError, match=r"letter\.txt has no whole entry of a journal"):
        repair_journal(tmp_path / "letter.txt")
    assert [path.name for path in tmp_path.iterdir()] == ["letter.txt"]


def test_a_study_that_runs_is_not_repaired(journal: Path) -> None:
    found = Study.load(journal)
    with (
        Study.begin(journal, found.name, {key: value for key, value in found.settings.items() if key != "package"}),
        pytest.raises(LeaderError, match=r"a process runs a study, as .*leader says; stop it first"),
    ):
        repair_journal(journal)
