"""RunContext: what the stages of a run share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from nasformer.latency import default_runtime
from nasformer.pipeline.journal import Journal

_EXPORT_SECONDS = 12
_REPEATS = 20


@dataclass(frozen=True)
class Settings:
    """What a run is asked for; attributes as arguments of ``fit``."""

    data: str
    budgets: tuple[Mapping[str, float], ...]
    hours: float | None = None
    space: str | None = None
    timm: str | None = None
    weights: str | None = None
    timm_options: Mapping[str, Any] = field(default_factory=dict)
    transformers: str | None = None
    image_size: int | None = None
    format: str | None = None
    epochs: int | None = None
    evaluations: int = 100
    strategy: str = "thompson"
    compare: bool = False
    seed: int = 0


class RunContext:
    """Settings, folder and journal of a run, and what follows from them.

    Args:
        settings: What it is to do.
        folder: Its folder.
        how: ``device``, ``readers`` and ``progress``.
        say: Called with a line per stage.

    Attributes:
        scale: Measured latency of whole networks over the sum of their blocks.
    """

    def __init__(self, settings: Settings, folder: Path, how: dict[str, Any], say: Callable[[str], None]) -> None:
        arguments = {**asdict(settings), "budgets": [dict(each) for each in settings.budgets]}
        self.settings, self.folder, self.how = settings, folder, how
        self.journal, self.scale = Journal(folder, arguments, say), 1.0

    @property
    def deployed(self) -> dict[str, Any]:
        """How networks are deployed: exported to ONNX in onnxruntime, other formats in torch."""
        runtime = "onnxruntime" if self.format.startswith("onnx") else "torch"
        return {"runtime": runtime, "repeats": _REPEATS}

    @property
    def format(self) -> str:
        """The format of the files: ONNX where it is installed."""
        return self.settings.format or ("onnx" if default_runtime() == "onnxruntime" else "safetensors")

    def limits(self) -> list[dict[str, float]]:
        """Return the budgets of the search: latencies as the sum of blocks, which whole networks exceed by a factor."""
        scales = {"latency_ms": 1 / self.scale}
        return [{name: most * scales.get(name, 1) for name, most in each.items()} for each in self.settings.budgets]

    def left(self) -> float:
        """Return the seconds left for the networks; rivals take as long again as everything before."""
        assert self.settings.hours is not None
        reserved = _EXPORT_SECONDS * (1 + len(self.settings.budgets))
        rivals = 2 if self.settings.compare else 1
        return max(1.0, 3600 * self.settings.hours / rivals - self.journal.seconds - reserved)
