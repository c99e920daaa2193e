"""Processes that share a population: the values of one process, also after some were killed, and no orphans."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch

from nasformer.architecture import Architecture, uniform
from nasformer.data import Dataset, ImagesInMemory
from nasformer.errors import FitnessError
from nasformer.fitness import InheritedFitness, ParallelFitness, pool
from nasformer.search import CallableFitness, Evaluation, Fitness, evaluate_each
from nasformer.space import SearchSpace
from nasformer.supernet import Supernet
from nasformer.tasks import get_task
from tests.fitness.faulty import Faulty

pytestmark = pytest.mark.skipif(os.name != "posix", reason="kills processes by signals")

Values = dict[Architecture, tuple[float | None, dict[str, float]]]
LINE = [uniform(width, depth, 4, 2) for width in (16, 32, 48) for depth in range(1, 5)]


def values(fitness: Fitness, architectures: list[Architecture]) -> Values:
    return values_of(list(fitness.evaluate(architectures)))


def values_of(evaluations: list[Evaluation]) -> Values:
    found = {each.architecture: (each.value, dict(each.metrics)) for each in evaluations}
    assert len(found) == len(evaluations)
    return found


def running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def gone(pids: list[int], seconds: float = 60) -> bool:
    """Wait until none of some processes runs; the time is a cap, never reached where they end."""
    deadline = time.monotonic() + seconds
    while any(map(running, pids)) and time.monotonic() < deadline:
        time.sleep(0.05)
    return not any(map(running, pids))


def faulty(timeout: float | None = 60, **options: Any) -> ParallelFitness:
    return ParallelFitness(partial(Faulty, **options), workers=2, devices=["cpu"], timeout=timeout)


@pytest.fixture(autouse=True)
def _importable(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have spawned processes find this folder's modules, also where pytest was not started as a module."""
    monkeypatch.syspath_prepend(str(root))


@pytest.fixture
def archs(space: SearchSpace) -> list[Architecture]:
    return list(dict.fromkeys(space.sample(24, seed=2)))


@pytest.fixture
def net(space: SearchSpace) -> Supernet:
    """A random supernet whose subnets are far apart, so that a race of few images drops some."""
    net = Supernet(space, seed=1)
    with torch.no_grad():
        net.head.weight.mul_(300)
    return net


RACE: dict[str, Any] = {"objective": "loss", "racing": {"first": 40, "error": 0.2}}
LABELS: dict[str, Any] = {**RACE, "task": get_task("multi-label")(tuple("0123456789"))}


@pytest.fixture(params=[{}, RACE, LABELS], ids=["whole", "race", "multi-label"])
def build(request: pytest.FixtureRequest, net: Supernet, digits: Dataset) -> partial[InheritedFitness]:
    split: Any = digits.search
    if "task" in request.param:
        several = torch.nn.functional.one_hot(split.labels, 10) | torch.nn.functional.one_hot(split.labels % 3, 10)
        split = ImagesInMemory(split.images, several.float())
    return partial(InheritedFitness, net, split, **request.param)


@pytest.fixture
def shared(build: partial[InheritedFitness]) -> Iterator[ParallelFitness]:
    with ParallelFitness(build, workers=2, devices=["cpu"]) as fitness:
        yield fitness


def test_two_processes_say_what_one_says_also_after_a_death(
    shared: ParallelFitness, build: partial[InheritedFitness], archs: list[Architecture], space: SearchSpace
) -> None:
    """Bit for bit, at one thread each: values, losses, standard errors, images seen and who was dropped."""
    plain = build(device="cpu")
    assert shared.describe() == plain.describe()
    assert (shared.joint, len(shared.workers)) == (plain.joint, 1)
    shared.check(space.feasible())
    assert values(shared, archs) == values(plain, archs)
    os.kill(shared.workers[0].pid, signal.SIGKILL)
    more = list(dict.fromkeys(space.sample(40, seed=3)))
    expected = values(plain, more)
    assert values(shared, more) == expected
    assert plain.joint == any("dropped" in metrics for _, metrics in expected.values())


def test_an_architecture_that_kills_its_process_has_failed_and_no_other(tmp_path: Path) -> None:
    killer = next(each for each in LINE if each.embed_dim == 48)
    population = [each for each in LINE if each.embed_dim != 48] + [killer]
    with faulty(kills=48) as fitness:
        found = {each.architecture: each for each in evaluate_each(fitness, population)}
    assert found.keys() == set(population)
    failed = [each for each in found.values() if each.value is None]
    assert [each.architecture for each in failed] == [killer]
    reason = "its worker died 2 times with nothing else to do: its process ended by SIGKILL(-9)"
    assert reason in str(failed[0].error)


def test_a_death_that_does_not_come_again_costs_nothing(tmp_path: Path) -> None:
    with faulty(kills=32, once=tmp_path / "once") as fitness:
        found = values(fitness, LINE)
    assert (tmp_path / "once").exists()
    assert found == values(Faulty("cpu"), LINE)


def test_a_stopped_process_is_named_and_replaced_and_nothing_is_lost(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(pool, "_ANNOUNCE_AFTER_S", 0.5)
    with faulty(timeout=2, seconds=0.2) as fitness:
        evaluations = fitness.evaluate(LINE)
        found = [next(evaluations)]
        stopped = fitness.workers[0].pid
        os.kill(stopped, signal.SIGSTOP)
        found.extend(evaluations)
        assert gone([stopped])
        assert f"(process {stopped} on " in caplog.text
        assert "which neither answers nor computes; it is replaced after 2 s" in caplog.text
        assert stopped not in [worker.pid for worker in fitness.workers]
    assert values_of(found) == values(Faulty("cpu"), LINE)


def test_a_deadlock_is_the_failure_of_its_architecture_and_slow_ones_have_none() -> None:
    (stuck,) = population = [each for each in LINE if each.embed_dim == 48][:1]
    with faulty(timeout=1, deadlocks=48) as fitness:
        found = {each.architecture: each for each in fitness.evaluate([*population, *LINE[:4]])}
    assert "nothing else to do: hung: neither answered nor computed for 1 s" in str(found[stuck].error)
    assert all(found[each].value is not None for each in LINE[:4])


def test_a_worker_that_computes_for_longer_than_the_timeout_does_not_hang() -> None:
    with ParallelFitness(partial(busy, 3.0), workers=1, devices=["cpu"], timeout=1) as fitness:
        (evaluation,) = fitness.evaluate(LINE[:1])
    assert evaluation.value == 0.0


def busy(seconds: float, *, device: str) -> Fitness:
    def compute(architecture: Architecture) -> float:
        end = time.process_time() + seconds
        while time.process_time() < end:
            pass
        return 0.0

    return CallableFitness(compute)


def test_a_stream_takes_the_next_architecture_when_a_worker_is_free() -> None:
    taken: list[Architecture] = []
    with faulty(seconds=0.05) as fitness:
        for count, _ in enumerate(fitness.stream(taken.append(each) or each for each in LINE)):  # type: ignore[func-returns-value]
            assert len(taken) <= count + 2, "two workers"
    assert taken == LINE


def test_an_exception_is_the_failure_of_its_architecture() -> None:
    with faulty(raises=32) as fitness:
        found = {each.architecture: each for each in fitness.evaluate(LINE)}
    errors = {architecture.embed_dim: each.error for architecture, each in found.items()}
    assert errors == {16: None, 32: "ArithmeticError: 32 is a hard number", 48: None}


def test_evaluations_come_while_others_are_under_way() -> None:
    with faulty(seconds=0.05) as fitness:
        evaluations = fitness.evaluate(LINE)
        next(iter(evaluations))
        pids = [worker.pid for worker in fitness.workers]
        assert all(map(running, pids)), "the rest is still being evaluated"
        evaluations.close()
        assert gone(pids), "nobody works for nobody"
        assert len(list(fitness.evaluate(LINE))) == len(LINE)


def test_what_cannot_be_built_or_sent_is_refused_in_one_line() -> None:
    with pytest.raises(FitnessError, match="a worker cannot be set up: no such device: broken"):
        ParallelFitness(build_unless_here, workers=2, devices=["broken"]).describe()
    lock = threading.Lock()
    with pytest.raises(FitnessError, match=r"the fitness cannot be sent to workers \(cannot pickle '_thread.lock' obj"):
        ParallelFitness(lambda device: Faulty(device, raises=hash(lock)), workers=2, devices=["cpu"])
    with pytest.raises(FitnessError, match="workers must be at least 1, got 0"):
        ParallelFitness(Faulty, workers=0)


def build_unless_here(*, device: str) -> Fitness:
    return CallableFitness(lambda architecture: 0.0) if device == "cpu" else Faulty(device)


def other_weights(*, device: str) -> Fitness:
    fitness = Faulty(device)
    if device == "cpu:0":
        fitness.describe = lambda: {"weights": "changed"}  # type: ignore[method-assign]
    return fitness


def test_workers_whose_weights_are_not_those_of_this_process_are_refused() -> None:
    with (
        ParallelFitness(other_weights, workers=1, devices=["cpu:0"]) as fitness,
        pytest.raises(FitnessError, match="the workers hold weights changed, this process none"),
    ):
        fitness.describe()


# No "if __name__": nothing runs it again.
PARENT = """
from functools import partial
from nasformer.fitness import ParallelFitness
from tests.fitness.faulty import Faulty
from tests.fitness.test_parallel import LINE

class Mine(Faulty):
    pass

fitness = ParallelFitness(partial(Mine, seconds=0.3), workers=2, devices=["cpu"])
print(flush=True)
for _ in fitness.evaluate(LINE):
    print(*(worker.pid for worker in fitness.workers), flush=True)
"""


def started(root: Path, tmp_path: Path) -> subprocess.Popen[str]:
    """Return a search of a script in a process group of its own, about to start its workers."""
    script = tmp_path / "parent.py"
    script.write_text(PARENT)
    parent = subprocess.Popen(
        [sys.executable, str(script)],
        env={**os.environ, "PYTHONPATH": str(root)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert parent.stdout is not None
    parent.stdout.readline()
    return parent


@pytest.mark.parametrize(
    "number",
    [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.slow), signal.SIGKILL],
    ids=lambda n: n.name,
)
def test_no_process_outlives_its_parent(number: signal.Signals, root: Path, tmp_path: Path) -> None:
    parent = started(root, tmp_path)
    assert parent.stdout is not None
    pids = [int(pid) for pid in parent.stdout.readline().split()]
    assert pids
    assert all(map(running, pids))
    # As the terminal does for Ctrl-C: to every process of the group.
    os.killpg(parent.pid, number) if number == signal.SIGINT else os.kill(parent.pid, number)
    _, errors = parent.communicate(timeout=60)
    assert_interrupted(parent, number, errors)


@pytest.mark.parametrize("seconds", [0.0, 0.3, pytest.param(1.0, marks=pytest.mark.slow)])
def test_workers_that_start_ignore_an_interrupt(seconds: float, root: Path, tmp_path: Path) -> None:
    parent = started(root, tmp_path)
    time.sleep(seconds)
    os.killpg(parent.pid, signal.SIGINT)
    _, errors = parent.communicate(timeout=60)
    assert_interrupted(parent, signal.SIGINT, errors)


def assert_interrupted(parent: subprocess.Popen[str], number: int, errors: str) -> None:
    """Check that a process, all that it started, and they alone ended by a signal, and said nothing but its own."""
    assert gone(group(parent.pid)), "neither a worker nor a resource tracker outlives it"
    assert parent.returncode == -number
    if number == signal.SIGINT:
        assert errors.endswith("KeyboardInterrupt\n"), "its own traceback"
        assert not re.search("LokyProcess|popen_loky|leaked", errors), errors


def group(number: int) -> list[int]:
    """Return the processes of a group."""
    found = []
    for process in psutil.process_iter():
        with suppress(ProcessLookupError):
            if os.getpgid(process.pid) == number:
                found.append(process.pid)
    return found
