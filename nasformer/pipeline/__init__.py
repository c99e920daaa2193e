"""Pipeline: from a dataset and budgets to exported networks, in stages that go on where they were stopped."""

from nasformer.pipeline.entry import fit
from nasformer.pipeline.result import FitResult, FittedModel

__all__ = ["FitResult", "FittedModel", "fit"]
