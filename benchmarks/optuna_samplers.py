"""Check which samplers of Optuna work as strategies, and time one ask and tell.

Each searches the digits space for 60 evaluations, four at a time, told a deterministic value; the
figures are against ``RandomSampler`` in the same run. The kept results have the extra ``cmaes`` installed.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import optuna

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks._timing import machine
from nasformer.errors import StrategyError
from nasformer.registry import get_strategy
from nasformer.space import load_space
from nasformer.testing import Judge

RESULTS = Path(__file__).resolve().parent / "results" / "optuna_samplers.json"
EVALUATIONS, BATCH = 60, 4
ANCHOR = "RandomSampler"


def attempt(sampler: str) -> tuple[str, float]:
    """Return ``ok`` or the reason of a refusal, and the seconds that asks and tells took."""
    feasible = load_space("digits").feasible(params=(40e3, 80e3))
    judge, start = Judge(feasible), time.perf_counter()
    try:
        strategy = get_strategy(f"optuna:{sampler}")(feasible, seed=0, evaluations=EVALUATIONS, batch_size=BATCH)
        while len(judge.trials) < EVALUATIONS:
            strategy.tell(judge.judge(strategy.ask(BATCH)))
        outcome = "ok"
    except StrategyError as error:
        outcome = str(error)
    return outcome, time.perf_counter() - start


def main() -> None:
    """Try every sampler and keep the outcomes."""
    print(f"{machine()}, optuna {optuna.__version__}")
    attempt(ANCHOR)  # imports what is imported late
    anchor = max(attempt(ANCHOR)[1], 1e-9)
    outcomes = {}
    for name in sorted(name for name in optuna.samplers.__all__ if not name.startswith("Base") and name[0].isupper()):
        outcome, seconds = attempt(name)
        outcomes[name] = outcome
        print(
            f"{name:<22}{seconds / anchor:>8.1f}×  {1e3 * seconds / EVALUATIONS:>8.2f} ms  {outcome[:100]}", flush=True
        )
    print(f"{sum(outcome == 'ok' for outcome in outcomes.values())} of {len(outcomes)} serve")
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps({"optuna": optuna.__version__, "outcomes": outcomes}, indent=1) + "\n")


if __name__ == "__main__":
    main()
