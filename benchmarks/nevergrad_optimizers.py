"""Check which optimizers of Nevergrad's registry work as strategies, and time one ask and tell.

Each searches the digits space for 30 evaluations, four at a time, told a deterministic value. One that
has not finished within the limit is stopped; the figures are against ``DiscreteOnePlusOne`` in the same run.
"""

from __future__ import annotations

import json
import signal
import sys
import time
from pathlib import Path
from types import FrameType

import nevergrad as ng

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks._timing import machine
from nasformer.errors import StrategyError
from nasformer.registry import get_strategy
from nasformer.space import load_space
from nasformer.testing import Judge

RESULTS = Path(__file__).resolve().parent / "results" / "nevergrad_optimizers.json"
EVALUATIONS, BATCH, LIMIT_SECONDS = 30, 4, 20
ANCHOR = "DiscreteOnePlusOne"


class Overdue(BaseException):
    """An optimizer took longer than the limit; no ``except Exception`` of its own may catch this."""


def _overdue(number: int, frame: FrameType | None) -> None:
    raise Overdue


def attempt(optimizer: str) -> tuple[str, float]:
    """Return ``ok``, ``blocks`` or the reason of a refusal, and the seconds that it took."""
    feasible = load_space("digits").feasible(params=(40e3, 80e3))
    judge, start = Judge(feasible), time.perf_counter()
    signal.alarm(LIMIT_SECONDS)
    try:
        strategy = get_strategy("nevergrad")(
            feasible, seed=0, evaluations=EVALUATIONS, batch_size=BATCH, optimizer=optimizer
        )
        while len(judge.trials) < EVALUATIONS:
            strategy.tell(judge.judge(strategy.ask(BATCH)))
        outcome = "ok"
    except Overdue:
        outcome = "blocks"
    except StrategyError as error:
        outcome = str(error)
    finally:
        signal.alarm(0)
    return outcome, time.perf_counter() - start


def main(names: list[str]) -> None:
    """Try every optimizer, or those named, and keep the outcomes."""
    signal.signal(signal.SIGALRM, _overdue)
    print(f"{machine()}, nevergrad {ng.__version__}")
    anchor = max(attempt(ANCHOR)[1], 1e-9)
    outcomes = {}
    for name in names or sorted(ng.optimizers.registry):
        outcome, seconds = attempt(name)
        outcomes[name] = outcome
        print(f"{name:<45}{seconds / anchor:>8.1f}×  {outcome[:100]}", flush=True)
    good = sum(outcome == "ok" for outcome in outcomes.values())
    print(
        f"{good} of {len(outcomes)} serve; {sum(o == 'blocks' for o in outcomes.values())} take over {LIMIT_SECONDS} s"
    )
    if not names:
        RESULTS.parent.mkdir(exist_ok=True)
        RESULTS.write_text(json.dumps({"nevergrad": ng.__version__, "outcomes": outcomes}, indent=1) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
