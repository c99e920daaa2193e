"""The pool by itself: each architecture is answered once, whatever dies or hangs; what ends its workers has failed."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nasformer.architecture import Architecture
from nasformer.errors import FitnessError
from nasformer.fitness.parts import MAX_WORKER_FAILURES, Part, cut
from nasformer.fitness.pool import Pool
from nasformer.fitness.prefix_tree import PrefixTree, in_tree_order
from nasformer.fitness.worker import Ready
from nasformer.search import Evaluation
from nasformer.space import load_space

POPULATION = list(dict.fromkeys(load_space("digits").sample(30, seed=3)))
TIMEOUT = 0.05


class Fates:
    """A backend in this process whose workers answer at once or later, die or hang, as drawn.

    Args:
        size: How many.
        fates: What becomes of each call in turn: "answer", "late", "die" or "hang"; "answer" once these are used up.
        killers: Architectures that end every worker that evaluates them.
        descriptions: What each new worker says of its fitness, in turn; then the first again.
        stillborn: Whether workers die while they start.
    """

    def __init__(
        self,
        size: int,
        fates: Sequence[str] = (),
        killers: Sequence[Architecture] = (),
        descriptions: Sequence[Mapping[str, Any] | Exception] = ({"kind": "fates"},),
        stillborn: bool = False,
    ) -> None:
        self.size, self.killers, self.descriptions, self.stillborn = size, killers, descriptions, stillborn
        self.fates = deque(fates)
        self.alive: dict[int, Part | None] = {}
        self.late: dict[int, tuple[Future[Any], dict[Architecture, Any]]] = {}
        self.judged: Counter[Architecture] = Counter()
        self.made, self.clock = 0, 0.0

    def start(self, number: int) -> tuple[FatesWorker, Future[Any]]:
        assert number not in self.alive, "a living worker is started again"
        self.alive[number] = None
        description = self.descriptions[self.made % len(self.descriptions)]
        self.made += 1
        future: Future[Any] = Future()
        if self.stillborn:
            future.set_exception(ChildProcessError("no memory"))
        else:
            ready = Ready("here", self.made, description) if isinstance(description, Mapping) else description
            future.set_result(ready)
        return FatesWorker(self, number), future

    def pool(self) -> Pool:
        return Pool(self.start, lambda: self.size, TIMEOUT)

    def answer(self, future: Future[Any], answers: dict[Architecture, Any]) -> None:
        self.judged.update(list(answers))
        future.set_result(answers)


class FatesWorker:
    """A worker of ``Fates``."""

    def __init__(self, fates: Fates, number: int) -> None:
        self.backend, self.number = fates, number

    def call(self, function: object, *arguments: Any) -> Future[Any]:
        (part,), backend = arguments, self.backend
        assert backend.alive[self.number] is None, "it is busy"
        future: Future[Any] = Future()
        fate = backend.fates.popleft() if backend.fates else "answer"
        answers = {each: Evaluation(each, 1.0) for each in part.architectures}
        if fate == "die" or answers.keys() & set(backend.killers):
            future.set_exception(ChildProcessError("shot"))
        elif fate == "late":
            backend.alive[self.number], backend.late[self.number] = part, (future, answers)
        elif fate == "answer":
            backend.answer(future, answers)
        return future

    def pulse(self) -> float:
        if self.number in self.backend.late:
            self.backend.clock += 60
            self.backend.alive[self.number] = None
            self.backend.answer(*self.backend.late.pop(self.number))
        return self.backend.clock

    def stop(self) -> None:
        self.backend.alive.pop(self.number)
        self.backend.late.pop(self.number, None)


@settings(deadline=None)
@given(
    st.integers(1, 30),
    st.integers(1, 5),
    st.lists(st.sampled_from(["answer", "late", "late", "die"]), max_size=40),
    st.integers(0, 1),
    st.sets(st.sampled_from(POPULATION), max_size=3),
)
def test_each_architecture_is_answered_once_whatever_dies_or_hangs(
    count: int, size: int, fates: list[str], hanging: int, killers: set[Architecture]
) -> None:
    population = POPULATION[:count]
    backend = Fates(size, [*fates, *["hang"] * hanging], list(killers))
    answers = list(backend.pool().answers(cut(population, size)))
    assert Counter(architecture for architecture, _ in answers) == Counter(population)
    judged = {architecture for architecture, answer in answers if isinstance(answer, Evaluation)}
    assert backend.judged == Counter(judged), "what was answered is not evaluated again"
    assert not judged & killers
    if "die" not in fates and not hanging:
        assert judged == set(population) - killers
        failed = [answer for _, answer in answers if isinstance(answer, FitnessError)]
        assert all("its worker died 2 times with nothing else to do: shot" in str(error) for error in failed)


@given(st.integers(1, 30), st.integers(1, 9))
def test_parts_are_runs_of_the_tree_order_that_get_smaller(count: int, workers: int) -> None:
    population = POPULATION[:count]
    parts = cut([*population, *population], workers)
    assert [each for part in parts for each in part.architectures] == in_tree_order(population)
    shares = PrefixTree(population).shares()
    total = sum(shares.values())
    work = [sum(shares[each] for each in part.architectures) for part in parts]
    assert max(work) <= total / (2 * workers) + max(shares.values())
    assert all(each >= total / (8 * workers) * 0.999 for each in work[:-1])


def test_a_killer_costs_a_bounded_number_of_workers() -> None:
    killer = in_tree_order(POPULATION)[0]
    backend = Fates(2, killers=[killer])
    answers = dict(backend.pool().answers(cut(POPULATION, 2)))
    assert backend.made <= 2 + 2 * MAX_WORKER_FAILURES
    assert isinstance(answers[killer], FitnessError)
    assert sum(isinstance(answer, Evaluation) for answer in answers.values()) == len(POPULATION) - 1


def test_an_architecture_that_hangs_has_failed_in_one_line() -> None:
    (answer,) = Fates(1, ["hang"] * 2).pool().answers([Part((POPULATION[0],))])
    assert "2 times with nothing else to do: hung: neither answered nor computed for 0.05 s" in str(answer[1])
    with pytest.raises(FitnessError, match="timeout must be above 0 seconds or None, got 0"):
        Pool(Fates(1).start, lambda: 1, 0)


def test_workers_start_as_they_are_needed() -> None:
    backend = Fates(5)
    pool = backend.pool()
    assert pool.description() == {"kind": "fates"}
    assert backend.made == 1
    assert len(list(pool.answers([Part(tuple(POPULATION[:2])), Part(tuple(POPULATION[2:4]))]))) == 4
    assert backend.made == 2
    backend.size = 9  # a machine has joined
    assert len(list(pool.answers(Part((each,)) for each in POPULATION))) == len(POPULATION)
    assert backend.made == 9


def test_the_next_part_is_taken_when_a_worker_is_free_and_its_answers_are_out() -> None:
    heard: list[Architecture] = []
    taken: list[tuple[int, int]] = []

    def proposals() -> Iterator[Part]:
        for number, architecture in enumerate(POPULATION):
            taken.append((number, len(heard)))
            yield Part((architecture,))

    backend = Fates(3, ["late"] * len(POPULATION))
    for architecture, _ in backend.pool().answers(proposals()):
        heard.append(architecture)
        assert len(taken) - len(heard) < 3
    assert all(number - answered < 3 for number, answered in taken), "at most one proposal a worker is open"
    assert len(heard) == len(POPULATION)


def test_a_search_that_is_left_in_the_middle_leaves_no_work_behind() -> None:
    backend = Fates(3)
    pool = backend.pool()
    answers = pool.answers(cut(POPULATION, 3))
    next(answers)
    answers.close()
    assert not backend.alive
    assert len(list(pool.answers(cut(POPULATION, 3)))) == len(POPULATION)


def test_workers_that_cannot_start_end_the_search() -> None:
    pool = Fates(2, stillborn=True).pool()
    for _ in range(2):
        with pytest.raises(FitnessError, match="3 workers in a row ended before they were ready: no memory"):
            list(pool.answers(cut(POPULATION, 2)))
    backend = Fates(2, descriptions=[FitnessError("no such device cuda:7")])
    with pytest.raises(FitnessError, match="a worker cannot be set up: no such device cuda:7"):
        backend.pool().description()
    assert not backend.alive


def test_workers_with_other_weights_are_refused() -> None:
    backend = Fates(2, descriptions=[{"weights": "aa"}, {"weights": "bb"}])
    with pytest.raises(
        FitnessError, match="all workers must have the same weights; worker 1 on here has 'bb', another 'aa'"
    ):
        list(backend.pool().answers(cut(POPULATION, 2)))
    assert not backend.alive
