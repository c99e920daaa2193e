"""assess_model: every metric of an exported network on the test split of a dataset."""

from __future__ import annotations

from typing import Any

import torch

from nasformer.data.batches import iterate
from nasformer.data.dataset import Dataset
from nasformer.export.opened import Model
from nasformer.training.assessment import assess

_AT_A_TIME = 256


def assess_model(model: Model, data: Dataset) -> dict[str, Any]:
    """Return the figures of ``training.assessment.assess``."""
    parts = [
        (torch.from_numpy(model.run(inputs.numpy())), targets) for inputs, targets in iterate(data.test, _AT_A_TIME)
    ]
    return assess(data.task, *(torch.cat(column) for column in zip(*parts, strict=True)))
