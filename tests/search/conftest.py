"""A small search: the digits space under a budget, and a function that judges architectures at no cost."""

from __future__ import annotations

import importlib.util
import resource
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from uuid import uuid4

import pytest
from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend

from nasformer.architecture import Architecture
from nasformer.search import Trial
from nasformer.space import FeasibleSet, SearchSpace, load_space
from tests.search.postgresql import Server, binaries, server

Worth = Callable[[Architecture], float]
MakeTrial = Callable[..., Trial]
Disk = Callable[[int], AbstractContextManager[None]]


def _require_postgresql() -> None:
    if binaries() is None:
        pytest.skip("no PostgreSQL server: pg_ctl is not installed (Debian: apt install postgresql)")
    if importlib.util.find_spec("psycopg") is None:
        pytest.skip("no driver for PostgreSQL: pip install 'nasformer[postgresql]'")


@pytest.fixture(scope="session")
def _server() -> Iterator[str]:
    _require_postgresql()
    with server() as made:
        yield made.url


@pytest.fixture
def own_server() -> Iterator[Server]:
    """A server of the test's own, which it may stop."""
    _require_postgresql()
    with server() as made:
        yield made


@pytest.fixture
def postgresql(_server: str) -> str:
    """The URL of a database of the test's own, on a real server."""
    import psycopg

    name = f"test_{uuid4().hex}"
    with psycopg.connect(_server, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"')
    return _server.rpartition("/")[0] + f"/{name}"


@pytest.fixture(params=["journal", "sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A new storage of each kind that outlives a process."""
    if request.param == "postgresql":
        return str(request.getfixturevalue("postgresql"))
    return f"sqlite:///{tmp_path}/study.db" if request.param == "sqlite" else str(tmp_path / "study.log")


@contextmanager
def plain_optuna(url: str) -> Iterator[BaseStorage]:
    """Open a storage as a user of Optuna does, and close its connections."""
    if "://" not in url:
        yield JournalStorage(JournalFileBackend(url))
        return
    storage = RDBStorage(url)
    try:
        yield storage
    finally:
        storage.engine.dispose()


@pytest.fixture
def space() -> SearchSpace:
    return load_space("digits")


@pytest.fixture
def feasible(space: SearchSpace) -> FeasibleSet:
    return space.feasible(params=(40e3, 80e3))


@pytest.fixture
def worth() -> Worth:
    """A rugged function of every dimension, without ties between neighbours."""

    def value(architecture: Architecture) -> float:
        heads = sum((3 + layer) * count for layer, count in enumerate(architecture.num_heads))
        ratios = sum((7 - 2 * layer) * ratio for layer, ratio in enumerate(architecture.mlp_ratio))
        return architecture.embed_dim / 8 + 2 * architecture.depth + heads % 17 + ratios / 10

    return value


@pytest.fixture
def make_trial(space: SearchSpace) -> MakeTrial:
    """Make the trial of an architecture with its true costs."""

    def make(number: int, architecture: Architecture, value: float | None, **further: object) -> Trial:
        values = {"error": "no value" if value is None else None, "costs": space.costs(architecture), **further}
        return Trial(number, number, architecture, value, **values)  # type: ignore[arg-type]

    return make


@pytest.fixture
def disk() -> Disk:
    """Within the context no file of this process grows beyond so many bytes: writes end in the middle."""

    @contextmanager
    def limited(size: int) -> Iterator[None]:
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)

    return limited
