"""The dispatcher by itself: each architecture is answered once, whatever dies; what kills its workers has failed."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nasformer.architecture import Architecture
from nasformer.errors import FitnessError
from nasformer.fitness.dispatch import Answered, Dispatcher, Event, Finished, Lost, Ready, Refused
from nasformer.fitness.parts import MAX_WORKER_FAILURES, Part, cut
from nasformer.fitness.prefix_tree import PrefixTree, in_tree_order
from nasformer.search import Evaluation
from nasformer.space import load_space

POPULATION = list(dict.fromkeys(load_space("digits").sample(30, seed=3)))


class Fates:
    """A backend in this process whose workers live and die as drawn: the protocol with chance in place of processes.

    Args:
        size: How many.
        fates: What happens to whoever is next: "answer" or "die"; "answer" once these are used up.
        killers: Architectures that end every worker that judges them.
        descriptions: What each new worker says of its fitness, in turn; then the first again.
    """

    def __init__(
        self,
        size: int,
        fates: Sequence[str] = (),
        killers: Sequence[Architecture] = (),
        descriptions: Sequence[Mapping[str, Any] | Exception] = ({"kind": "fates"},),
    ) -> None:
        self.size, self.killers = size, killers
        self.fates, self.descriptions = deque(fates), descriptions
        self.alive: dict[int, deque[Architecture] | None] = {}
        self.news: dict[int, bool] = {}
        self.made = 0
        self.judged: Counter[Architecture] = Counter()
        self.given: list[Part] = []

    def start(self, worker: int) -> None:
        assert worker not in self.alive, "a living worker is started again"
        self.alive[worker], self.news[worker] = None, False

    def give(self, worker: int, part: Part) -> None:
        assert self.news[worker], "it is not ready"
        assert self.alive[worker] is None, "it is busy"
        self.alive[worker] = deque(part.architectures)
        self.given.append(part)

    def stop(self, worker: int) -> None:
        self.alive.pop(worker, None)

    def wait(self) -> list[Event]:
        busy = [worker for worker, work in self.alive.items() if work is not None or not self.news[worker]]
        assert busy, "waits for nothing"
        worker = busy[-1] if len(self.given) % 2 else busy[0]
        if not self.news[worker]:
            return [self._born(worker)]
        dies = self.fates.popleft() == "die" if self.fates else False
        work = self.alive[worker]
        assert work is not None
        if dies or (work and work[0] in self.killers):
            return [Lost(worker, "shot")]
        if work:
            architecture = work.popleft()
            self.judged[architecture] += 1
            return [Answered(worker, architecture, Evaluation(architecture, 1.0))]
        self.alive[worker] = None
        return [Finished(worker)]

    def _born(self, worker: int) -> Event:
        self.news[worker] = True
        description = self.descriptions[self.made % len(self.descriptions)]
        self.made += 1
        if isinstance(description, Exception):
            return Refused(worker, description)
        return Ready(worker, "here", self.made, description)


@given(
    st.integers(1, 30),
    st.integers(1, 5),
    st.lists(st.sampled_from(["answer", "answer", "answer", "die"]), max_size=120),
    st.sets(st.sampled_from(POPULATION), max_size=3),
)
def test_each_architecture_is_answered_once_whatever_dies(
    count: int, size: int, fates: list[str], killers: set[Architecture]
) -> None:
    population = POPULATION[:count]
    backend = Fates(size, fates, list(killers))
    answers = list(Dispatcher(backend).answers(cut(population, size)))
    assert Counter(architecture for architecture, _ in answers) == Counter(population)
    judged = {architecture for architecture, answer in answers if isinstance(answer, Evaluation)}
    assert backend.judged == Counter(judged), "what was answered is not judged again"
    assert not judged & killers
    if "die" not in fates:
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
    answers = dict(Dispatcher(backend).answers(cut(POPULATION, 2)))
    assert backend.made <= 2 + 2 * MAX_WORKER_FAILURES
    assert isinstance(answers[killer], FitnessError)
    assert sum(isinstance(answer, Evaluation) for answer in answers.values()) == len(POPULATION) - 1


def test_workers_start_as_they_are_needed() -> None:
    backend = Fates(5)
    dispatcher = Dispatcher(backend)
    assert dispatcher.description() == {"kind": "fates"}
    assert backend.made == 1
    assert len(list(dispatcher.answers([Part(tuple(POPULATION[:2])), Part(tuple(POPULATION[2:4]))]))) == 4
    assert backend.made == 2


def test_a_search_that_is_left_in_the_middle_leaves_no_work_behind() -> None:
    backend = Fates(3)
    dispatcher = Dispatcher(backend)
    answers = dispatcher.answers(cut(POPULATION, 3))
    next(answers)
    answers.close()
    assert not backend.alive
    assert len(list(dispatcher.answers(cut(POPULATION, 3)))) == len(POPULATION)


def test_workers_that_cannot_start_end_the_search() -> None:
    class Stillborn(Fates):
        def _born(self, worker: int) -> Event:
            return Lost(worker, "no memory")

    dispatcher = Dispatcher(Stillborn(2))
    for _ in range(2):  # the second time it is known, and not tried again
        with pytest.raises(FitnessError, match="3 workers in a row ended before they were ready; the last: no memory"):
            list(dispatcher.answers(cut(POPULATION, 2)))
    with pytest.raises(FitnessError, match="a worker cannot be set up: no such device cuda:7"):
        Dispatcher(Fates(2, descriptions=[FitnessError("no such device cuda:7")])).description()


def test_workers_with_other_weights_are_refused() -> None:
    backend = Fates(2, descriptions=[{"weights": "aa"}, {"weights": "bb"}])
    with pytest.raises(
        FitnessError, match="all workers must have the same weights; worker 1 on here has 'bb', another 'aa'"
    ):
        list(Dispatcher(backend).answers(cut(POPULATION, 2)))
    assert not backend.alive
