"""Errors are one family, carry what gave offence, and survive the way back from a worker process."""

from __future__ import annotations

import pickle

import pytest

from nasformer import errors
from nasformer.errors import NasformerError, did_you_mean

KINDS = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, NasformerError)]


@pytest.mark.parametrize("kind", KINDS)
def test_the_offender_travels_with_its_line(kind: type[NasformerError]) -> None:
    error = pickle.loads(pickle.dumps(kind("embed_dim 7 is wrong", (7, "seven"))))
    assert (type(error), str(error), error.offender) == (kind, "embed_dim 7 is wrong", (7, "seven"))


def test_what_is_wrong_with_a_value_is_a_value_error() -> None:
    values = {kind.__name__ for kind in KINDS if issubclass(kind, ValueError)}
    assert values == {
        "ArchitectureError",
        "SpaceError",
        "BudgetError",
        "RejectionError",
        "RecipeError",
        "DiagnosisError",
        "ExperimentError",
    }


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("embed_dims", "did you mean 'embed_dim'?"),
        ("dpeth", "did you mean 'depth'?"),
        ("", "known: depth, embed_dim"),
        ("colour", "known: depth, embed_dim"),
    ],
)
def test_the_nearest_name_or_all_of_them(name: str, hint: str) -> None:
    assert did_you_mean(name, iter(["embed_dim", "depth"])) == hint
