"""run: the stages of ``fit`` in their order. Each says what it decided, and is not decided again by the same call."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from nasformer.data.names import slug
from nasformer.pipeline.context import RunContext
from nasformer.pipeline.networks import Networks
from nasformer.pipeline.preparation import Preparation
from nasformer.pipeline.result import FitResult, FittedModel
from nasformer.report.fit import write_fit_report
from nasformer.supernet import Supernet


def finish(run: RunContext, command: str = "") -> FitResult:
    """Run what is left of a run, and return its result.

    Args:
        run: The run.
        command: The shell command, for the report.
    """
    preparation = Preparation(run)
    data = preparation.data()
    net = preparation.measured(preparation.net(data))
    networks = Networks(run, net, data, preparation.train(net, data))
    front = networks.grow()
    models = tuple(networks.models(front, networks.rivals(front)))
    page = _page(run, models, net, command)
    run.journal.save()
    return FitResult(run.folder, models, page, run.journal.seconds)


def _page(run: RunContext, models: Sequence[FittedModel], net: Supernet, command: str) -> Path:
    """Write the report."""
    found = {
        "space": net.space.to_dict(),
        "models": [model.to_dict() for model in models],
        "stages": {name: stage["line"] for name, stage in run.journal.known["stages"].items()},
        "training": net.metadata["training"],
        "seconds": run.journal.seconds,
    }
    title = f"Vision transformers for {slug(run.settings.data)}"
    return write_fit_report(run.folder, found, title=title, command=command)
