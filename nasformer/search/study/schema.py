"""What a storage says of a study, checked where it is read: others may have written it.

The keys of a fitness specification are listed here. None of them starts processes or names a cluster: whoever runs the
study says that.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from nasformer.errors import StudyError, first_fault, shown
from nasformer.search.study.settings import (
    ASYNCHRONOUS,
    CONFIRMED,
    FITNESS_SPEC,
    PREFIX,
    RERANKED,
    SETTINGS,
    TOTAL,
    WARM_START,
)

_CLOSED = ConfigDict(strict=True, extra="forbid")
_OPEN = ConfigDict(strict=True)

_Count = Annotated[int, Field(ge=1, le=10**9)]
_Text = Annotated[str, Field(max_length=10_000)]
_Data = dict[str, Any]


class _Fitness(BaseModel):
    model_config = _CLOSED

    spec: _Text
    supernet: _Text | None = None
    data: _Text | None = None
    root: _Text | None = None
    objective: _Text | None = None
    racing: bool = False
    dtype: _Text = "auto"
    noise: float = Field(0, ge=0, allow_inf_nan=False)
    noise_seed: int = Field(0, ge=0)


class _Rerank(BaseModel):
    model_config = _CLOSED

    epochs: int = Field(ge=1, le=10**6)
    top: _Count


class _FitnessSpec(BaseModel):
    model_config = _CLOSED

    fitness: _Fitness | None = None
    latency_table: _Data | None = None
    rerank: _Rerank | None = None
    max_failures: int = Field(0, ge=0)


class _Settings(BaseModel):
    model_config = _OPEN

    space: _Data
    evaluations: _Count
    strategy: _Text = ""
    options: _Data = {}
    seed: int = Field(0, ge=0)
    limits: _Text = ""
    budgets: list[_Text] = []
    costs: _Data = {}
    batch_size: _Count = 1
    confirm: _Count = 1
    resolution: dict[str, float] = {}
    fitness: _Data = {}
    supernet: _Text = ""


class _Confirmation(BaseModel):
    model_config = _OPEN

    trials: int = 0
    retried: int = 0
    how: _Text = ""
    confirmed: list[_Data] = []


class _Attributes(BaseModel):
    model_config = _OPEN

    settings: _Settings = Field(alias=SETTINGS)
    fitness_spec: _FitnessSpec = Field(_FitnessSpec(), alias=FITNESS_SPEC)
    asynchronous: bool = Field(False, alias=ASYNCHRONOUS)
    evaluations: _Count = Field(1, alias=TOTAL)
    warm_start: list[_Data] = Field([], alias=WARM_START)
    confirmed: _Confirmation = Field(_Confirmation(), alias=CONFIRMED)
    reranked: dict[str, list[_Data]] = Field({}, alias=RERANKED)


def check_attributes(name: str, attributes: Mapping[str, Any]) -> None:
    """Check keys, types and ranges of a study's attributes.

    Raises:
        StudyError: One is wrong; the message names it.
    """
    try:
        _Attributes.model_validate(dict(attributes))
    except ValidationError as error:
        where, kind, words, value = first_fault(error)
        if kind == "extra_forbidden":
            words = "no key of a study; what depends on the machine is said by whoever runs it"
        raise StudyError(
            f"study {shown(name)}, {where.removeprefix(PREFIX)}: {words}, got {shown(value)}", value
        ) from None
