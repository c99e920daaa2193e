"""What storing a trial costs, against Optuna's ask and tell, how that grows with the study, and what going on costs.

    python benchmarks/storage.py [--trials N] [--postgresql URL]
    python benchmarks/storage.py --growth 20000 [--strategies evolution random] [--storages memory journal SQLite]
    python benchmarks/storage.py --resume 1000 [--strategies thompson tpe]

The architectures are AutoFormer-T's, 26 to 30 parameters a trial, and evaluation takes no time. The reference is
Optuna itself: ``study.ask`` with the same distributions and its random sampler, then ``study.tell``. Both have done
``--trials`` trials before the clock starts, so that the storage is not empty. ``--growth`` runs whole searches, each
in a process of its own, and prints the time of a trial beside strategy and fitness in the first and the last tenth,
the time of the strategy, and the peak memory; a search stops after ``--seconds``. ``--resume`` stops searches after
so many trials and prints the processor time of ten more, from the saved state of the strategy and by replay. Without
``--postgresql``, a local server is started in a temporary folder if PostgreSQL is installed.
"""

from __future__ import annotations

import argparse
import json
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import optuna
from optuna.samplers import RandomSampler
from optuna.storages import BaseStorage, InMemoryStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks._timing import machine
from nasformer.architecture import Architecture
from nasformer.registry import get_strategy
from nasformer.search import Strategy, Trial, TrialStore
from nasformer.search.study import Study, distributions
from nasformer.searcher import Searcher
from nasformer.space import FeasibleSet, SearchSpace, load_space
from tests.search.postgresql import binaries, server

_STORAGES = ("memory", "journal", "SQLite", "PostgreSQL")
_GROWN = ("evolution", "aging-evolution", "nevergrad", "thompson", "tpe")
_RESUMED = ("thompson", "tpe")


def ours(url: str | None, space: SearchSpace, trials: int) -> float:
    """Return milliseconds per stored trial."""
    settings = {"space": space.to_dict(), "evaluations": 2 * trials}
    drawn = list(dict.fromkeys(space.sample(3 * trials, seed=0)))[: 2 * trials]
    told = [Trial(n, n, a, float(n), metrics={"loss": 1.0}, costs=space.costs(a)) for n, a in enumerate(drawn)]
    with TrialStore() if url is None else Study.begin(url, "ours", settings) as study:
        for half in (told[:trials], told[trials:]):
            begun = time.perf_counter()
            for trial in half:
                study.add(trial)
    return 1e3 * (time.perf_counter() - begun) / trials


def reference(storage: BaseStorage, space: SearchSpace, trials: int) -> float:
    """Return milliseconds per trial of Optuna's ask and tell."""
    study = optuna.create_study(storage=storage, sampler=RandomSampler(seed=0), direction="maximize")
    kinds = distributions(space)
    for _ in range(2):
        begun = time.perf_counter()
        for number in range(trials):
            study.tell(study.ask(kinds), float(number))
    return 1e3 * (time.perf_counter() - begun) / trials


@contextmanager
def plain(url: str | None) -> Iterator[BaseStorage]:
    """Open a storage as Optuna does."""
    if url is None:
        yield InMemoryStorage()
    elif "://" not in url:
        yield JournalStorage(JournalFileBackend(url + ".plain"))
    else:
        storage = RDBStorage(url.replace("postgresql://", "postgresql+psycopg://", 1))
        try:
            yield storage
        finally:
            storage.engine.dispose()


class Timed:
    """A strategy whose time is counted."""

    def __init__(self, strategy: Strategy) -> None:
        self.strategy, self.seconds = strategy, 0.0

    def ask(self, n: int = 1) -> list[Architecture]:
        """Ask, timed."""
        return self._timed(self.strategy.ask, n)  # type: ignore[no-any-return]

    def tell(self, trials: Sequence[Trial]) -> None:
        """Tell, timed."""
        self._timed(self.strategy.tell, trials)

    def recommend(self, k: int = 1) -> list[Architecture]:
        """Recommend."""
        return self.strategy.recommend(k)

    def _timed(self, method: Any, argument: object) -> Any:
        begun = time.perf_counter()
        try:
            return method(argument)
        finally:
            self.seconds += time.perf_counter() - begun


def grow(strategy: str, url: str | None, trials: int, seconds: float) -> dict[str, float]:
    """Run a search and return its figures."""
    made: list[Timed] = []

    def make(feasible: FeasibleSet, **options: Any) -> Timed:
        made.append(Timed(get_strategy(strategy)(feasible, **options)))
        return made[-1]

    marks: list[tuple[float, float]] = []

    def mark(_: Trial) -> None:
        marks.append((time.perf_counter(), made[-1].seconds))

    searcher = Searcher("autoformer-tiny", make, _judge)
    searcher.run(evaluations=trials, storage=url, seconds=seconds, callback=mark, progress=False)
    tenth = len(marks) // 10
    parts = [
        (marks[end][0] - marks[start][0], marks[end][1] - marks[start][1])
        for start, end in ((0, tenth), (-1 - tenth, -1))
    ]
    (first, first_strategy), (last, last_strategy) = [(1e3 * a / tenth, 1e3 * b / tenth) for a, b in parts]
    return {
        "trials": len(marks),
        "first": first - first_strategy,
        "last": last - last_strategy,
        "strategy": last_strategy,
        "megabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def _judge(architecture: Architecture) -> float:
    return architecture.embed_dim / 100 + architecture.depth + sum(architecture.num_heads) % 7


def going_on(strategy: str, trials: int) -> tuple[float, float, float]:
    """Return the seconds of a search of so many trials, and of ten more from its state and by replay."""

    def run(folder: Path, stop: int) -> tuple[float, list[Architecture]]:
        begun = time.process_time()
        searcher = Searcher("autoformer-tiny", strategy, _judge)
        found = searcher.run(
            evaluations=trials + 10, pause_after=stop, storage=folder / "study.log", study="it", progress=False
        )
        return time.process_time() - begun, [trial.architecture for trial in found.trials]

    with tempfile.TemporaryDirectory() as folder:
        saved, bare = Path(folder, "saved"), Path(folder, "bare")
        whole, _ = run(saved, trials)
        shutil.copytree(saved, bare, ignore=shutil.ignore_patterns("*.state"))
        (resumed, asked), (replayed, again) = run(saved, trials + 10), run(bare, trials + 10)
    assert asked == again, "the trials differ"
    return whole, resumed, replayed


def print_resume(given: argparse.Namespace) -> None:
    """Print a row for each strategy."""
    print(f"{machine('optuna')}; journal, space autoformer-tiny, processor seconds\n")
    print(f"{'strategy':20}{f'{given.resume:,} trials':>14}{'10 more, saved state':>22}{'by replay':>12}{'ratio':>8}")
    for strategy in given.strategies or _RESUMED:
        whole, resumed, replayed = going_on(strategy, given.resume)
        print(f"{strategy:20}{whole:14.1f}{resumed:22.1f}{replayed:12.1f}{replayed / resumed:7.1f}×", flush=True)


def print_growth(given: argparse.Namespace) -> None:
    """Print a row for each storage and strategy."""
    print(f"{machine('optuna', 'SQLAlchemy')}; searches of {given.growth} trials, at most {given.seconds:.0f} s each\n")
    print(f"{'ms a trial':34}{'trials':>8}{'first tenth':>13}{'last tenth':>12}{'ratio':>8}{'strategy':>10}{'MB':>7}")
    for name in given.storages:
        for strategy in given.strategies or _GROWN:
            with ExitStack() as stack:
                url = _url(name, stack, given.postgresql)
                command = [sys.executable, __file__, "--one", json.dumps([strategy, url, given.growth, given.seconds])]
                row = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)
            ratio = row["last"] / row["first"]
            print(
                f"{name + ', ' + strategy:34}{row['trials']:8,}{row['first']:13.2f}{row['last']:12.2f}{ratio:8.2f}"
                f"{row['strategy']:10.2f}{row['megabytes']:7.0f}",
                flush=True,
            )


def print_overhead(given: argparse.Namespace) -> None:
    """Print a row for each storage."""
    space = load_space("autoformer-tiny")
    print(f"{machine('optuna', 'SQLAlchemy')}; {given.trials} trials, medians of {given.rounds} rounds\n")
    print(f"{'milliseconds a trial':22}{'ours':>10}{'Optuna':>10}{'Optuna / ours':>16}")
    for name in given.storages:
        rows = []
        for _ in range(given.rounds):
            with ExitStack() as stack:
                url = _url(name, stack, given.postgresql)
                if url == "":
                    break
                own = ours(url, space, given.trials)
                rows.append((own, reference(stack.enter_context(plain(url)), space, given.trials)))
        if not rows:
            print(f"{name:22}  no server: apt install postgresql, or give --postgresql URL")
            continue
        own, theirs = (statistics.median(column) for column in zip(*rows, strict=True))
        print(f"{name:22}{own:10.3f}{theirs:10.2f}{theirs / own:15.1f}×", flush=True)


def _url(name: str, stack: ExitStack, postgresql: str | None) -> str | None:
    """Return the URL of an empty storage; nothing where there is no server."""
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
    if name == "memory":
        return None
    if name == "journal":
        return str(folder / "study.log")
    if name == "SQLite":
        return f"sqlite:///{folder}/study.db"
    if postgresql:
        return postgresql
    return stack.enter_context(server()).url if binaries() else ""


def main() -> None:
    """Print overheads, growth, or what going on costs."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--postgresql", metavar="URL")
    parser.add_argument("--growth", type=int, metavar="TRIALS")
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--resume", type=int, metavar="TRIALS")
    parser.add_argument("--strategies", nargs="+")
    parser.add_argument("--storages", nargs="+", choices=_STORAGES, default=_STORAGES)
    parser.add_argument("--one", help=argparse.SUPPRESS)
    given = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    if given.one:
        print(json.dumps(grow(*json.loads(given.one))))
    elif given.resume:
        print_resume(given)
    elif given.growth:
        print_growth(given)
    else:
        print_overhead(given)


if __name__ == "__main__":
    main()
