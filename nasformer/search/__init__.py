"""Search: the strategy asks, the fitness evaluates, the study stores trials."""

from nasformer.errors import deprecated_names
from nasformer.search.asynchronous import AsynchronousLoop
from nasformer.search.evaluate import evaluate_each
from nasformer.search.evaluation import CallableFitness, Evaluation, Fitness, Trial, as_fitness
from nasformer.search.loop import Run, SearchLoop, StoppingCriteria
from nasformer.search.result import FoundArchitecture, SearchResult
from nasformer.search.strategy import BaseStrategy, Strategy
from nasformer.search.trial_store import TrialStore

__all__ = [
    "AsynchronousLoop",
    "BaseStrategy",
    "CallableFitness",
    "Evaluation",
    "Fitness",
    "FoundArchitecture",
    "Run",
    "SearchLoop",
    "SearchResult",
    "StoppingCriteria",
    "Strategy",
    "Trial",
    "TrialStore",
    "as_fitness",
    "evaluate_each",
]

__getattr__ = deprecated_names(
    __name__, {"Found": "FoundArchitecture", "Limit": "StoppingCriteria", "Record": "TrialStore"}
)
