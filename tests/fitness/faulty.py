"""A fitness that workers build and that fails on command: what it does is written on the architecture."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from threading import Lock
from typing import Any

from nasformer.architecture import Architecture
from nasformer.search import Evaluation


class Faulty:
    """The number of heads; it kills its process, raises, deadlocks, or waits, by the embed_dim.

    Args:
        device: Where it pretends to compute.
        kills: An embed_dim whose evaluation kills the process.
        once: A file that says that this has happened, and is not to happen again; None: it always does.
        raises: An embed_dim whose evaluation raises.
        deadlocks: An embed_dim whose evaluation waits for a lock that nobody releases.
        seconds: Time of each evaluation.
    """

    def __init__(
        self,
        device: str,
        kills: int = 0,
        once: Path | None = None,
        raises: int = 0,
        seconds: float = 0.0,
        deadlocks: int = 0,
    ) -> None:
        if device == "broken":
            raise ValueError(f"no such device: {device}")
        self.kills, self.once, self.raises, self.seconds, self.deadlocks = kills, once, raises, seconds, deadlocks

    def evaluate(self, architectures: Sequence[Architecture]) -> Iterator[Evaluation]:
        for architecture in architectures:
            time.sleep(self.seconds)
            if architecture.embed_dim == self.raises:
                raise ArithmeticError(f"{self.raises} is a hard number")
            if architecture.embed_dim == self.deadlocks:
                lock = Lock()
                lock.acquire()
                lock.acquire()
            if architecture.embed_dim == self.kills and not (self.once and self.once.exists()):
                if self.once:
                    self.once.touch()
                os.kill(os.getpid(), signal.SIGKILL)
            yield Evaluation(architecture, float(sum(architecture.num_heads)))

    def describe(self) -> dict[str, Any]:
        return {"kind": "faulty", "weights": "none"}
