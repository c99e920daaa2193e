"""Storage overhead per trial: proposing it, claiming it and reporting its result, against Optuna's ask and tell.

    python benchmarks/storage.py [--trials N] [--postgresql URL]

The architectures are AutoFormer-T's, 26 to 30 parameters per trial, and evaluation takes no time. The reference is
Optuna itself: ``study.ask`` with the same distributions and its random sampler, then ``study.tell``. Both have done
``--trials`` trials before the clock starts, so that the storage is not empty. Without ``--postgresql``, a local server
is started in a temporary folder if PostgreSQL is installed.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

import optuna
from optuna.samplers import RandomSampler
from optuna.storages import BaseStorage, InMemoryStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks._timing import machine
from nasformer.search import Trial
from nasformer.search.study import Study, distributions
from nasformer.space import SearchSpace, load_space
from tests.search.postgresql import binaries, server

_BATCHES = (1, 50)


def ours(url: str | None, space: SearchSpace, batch_size: int, trials: int) -> float:
    """Return milliseconds per trial of a batch proposed, claimed and told."""
    study = Study.begin(url, f"ours-{batch_size}", space, {"seed": 0})
    drawn = list(dict.fromkeys(space.sample(3 * trials, seed=0)))[: 2 * trials]
    proposed = [Trial(n, n // batch_size, each, None, costs=space.costs(each)) for n, each in enumerate(drawn)]
    with study.workers.session():
        for half in (proposed[:trials], proposed[trials:]):
            begun = time.perf_counter()
            for first in range(0, trials, batch_size):
                for trial in study.claim(half[first : first + batch_size]).mine:
                    study.tell(replace(trial, value=float(trial.number), metrics={"loss": 1.0}))
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


def main() -> None:
    """Print a row for each storage."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--postgresql", metavar="URL")
    given = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    space = load_space("autoformer-tiny")
    print(f"{machine('optuna', 'SQLAlchemy')}; {given.trials} trials, medians of {given.rounds} rounds\n")
    print(f"{'milliseconds a trial':22}" + "".join(f"{f'batches of {size}':>15}" for size in _BATCHES), end="")
    print(f"{'Optuna':>10}{'Optuna / ours':>16}")
    for name in ("memory", "journal", "SQLite", "PostgreSQL"):
        rows = []
        for _ in range(given.rounds):
            with ExitStack() as stack:
                url = _url(name, stack, given.postgresql)
                if url == "":
                    break
                own = [ours(url, space, size, given.trials) for size in _BATCHES]
                rows.append((*own, reference(stack.enter_context(plain(url)), space, given.trials)))
        if not rows:
            print(f"{name:22}  no server: apt install postgresql, or give --postgresql URL")
            continue
        single, batched, theirs = (statistics.median(column) for column in zip(*rows, strict=True))
        print(f"{name:22}{single:15.2f}{batched:15.2f}{theirs:10.2f}{theirs / batched:15.1f}×", flush=True)


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


if __name__ == "__main__":
    main()
