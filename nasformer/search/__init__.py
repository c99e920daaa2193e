"""Search: a strategy is asked, a fitness judges, a study remembers."""

from nasformer.search.asynchronous import AsynchronousLoop
from nasformer.search.evaluate import evaluate_each
from nasformer.search.evaluation import CallableFitness, Evaluation, Fitness, Trial, as_fitness
from nasformer.search.loop import Limit, Run, SearchLoop
from nasformer.search.record import Record
from nasformer.search.result import Found, SearchResult
from nasformer.search.strategy import BaseStrategy, Strategy

__all__ = [
    "AsynchronousLoop",
    "BaseStrategy",
    "CallableFitness",
    "Evaluation",
    "Fitness",
    "Found",
    "Limit",
    "Record",
    "Run",
    "SearchLoop",
    "SearchResult",
    "Strategy",
    "Trial",
    "as_fitness",
    "evaluate_each",
]
