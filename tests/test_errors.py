"""Errors are one family, carry the offending value, and survive pickling from a worker process."""

from __future__ import annotations

import importlib
import pickle

import pytest

from nasformer import errors
from nasformer.errors import NasformerError, did_you_mean, shown

KINDS = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, NasformerError)]


@pytest.mark.parametrize("kind", KINDS)
def test_the_value_is_pickled_with_the_message(kind: type[NasformerError]) -> None:
    error = pickle.loads(pickle.dumps(kind("embed_dim 7 is wrong", (7, "seven"))))
    assert (type(error), str(error), error.value) == (kind, "embed_dim 7 is wrong", (7, "seven"))


def test_the_former_name_of_the_value_warns() -> None:
    with pytest.warns(DeprecationWarning, match="offender= is now value="):
        error = NasformerError("embed_dim 7 is wrong", offender=7)
    with pytest.warns(DeprecationWarning, match=r"\.offender is now \.value"):
        assert error.offender == error.value == 7


def test_what_is_wrong_with_a_value_is_a_value_error() -> None:
    values = {kind.__name__ for kind in KINDS if issubclass(kind, ValueError)}
    assert values == {
        "ArchitectureError",
        "SpaceError",
        "BudgetError",
        "RejectionError",
        "RecipeError",
        "DivergenceError",
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


@pytest.mark.parametrize(
    ("module", "old", "new"),
    [
        ("nasformer.search", "Found", "FoundArchitecture"),
        ("nasformer.search", "Limit", "StoppingCriteria"),
        ("nasformer.search", "Record", "TrialStore"),
        ("nasformer.training", "leads", "is_main_process"),
        ("nasformer.training", "speaks", "should_report"),
    ],
)
def test_former_names_of_a_module_warn(module: str, old: str, new: str) -> None:
    found = importlib.import_module(module)
    with pytest.warns(DeprecationWarning, match=rf"{module}\.{old} is now {new}"):
        assert getattr(found, old) is getattr(found, new)
    with pytest.raises(AttributeError, match=f"module '{module}' has no attribute 'nothing'"):
        found.nothing  # noqa: B018


def test_the_middle_of_a_long_message_is_left_out() -> None:
    message = str(NasformerError(f"cannot read {'x' * 10**6}; repair it"))
    assert len(message) < 500
    assert (message[:12], message[-9:]) == ("cannot read ", "repair it")
    assert str(NasformerError("short")) == "short"


@pytest.mark.parametrize("value", [10**5000, "x" * 10**6, "a\nb", [[1] * 1000], object], ids=type)
def test_a_value_is_shown_in_one_line(value: object) -> None:
    assert len(shown(value)) <= 80
    assert "\n" not in shown(value)


def test_a_short_value_is_shown_as_it_is() -> None:
    deep: list[object] = []
    for _ in range(100_000):
        deep = [deep]
    assert (shown("a"), shown([1, 2]), shown(deep)) == ("'a'", "[1, 2]", "list …")
