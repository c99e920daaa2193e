"""A small table, on which whole comparisons take seconds."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from nasformer.space import load_space


@pytest.fixture(scope="session")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Nearly two hundred digits architectures whose value is mostly their heads'."""
    path = tmp_path_factory.mktemp("table") / "t.jsonl"
    rng = np.random.default_rng(0)
    rows = [
        {**each.to_dict(), "top1": 60 + sum(each.num_heads) + round(float(rng.normal()), 3)}
        for each in dict.fromkeys(load_space("digits").sample(200, seed=1))
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path
