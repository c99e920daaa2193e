"""Latency of networks as they are deployed: in the runtime, with the threads, batch size and dtype that ship.

Read ``runtimes`` first (one file each), then ``measure`` (whole networks) and ``table`` (the blocks of a space, whose
sum predicts a network).
"""

from nasformer.latency.measure import Timing, measure_deployed
from nasformer.latency.runtimes import default_runtime, get_runtime, runtime_names
from nasformer.latency.table import Prediction, measure_blocks, measured_cost

__all__ = [
    "Prediction",
    "Timing",
    "default_runtime",
    "get_runtime",
    "measure_blocks",
    "measure_deployed",
    "measured_cost",
    "runtime_names",
]
