"""SearchSpace: a declared family of vision transformers, as an immutable value.

Every space has AutoFormer's dimensions (Chen et al., ICCV 2021, table 2): embedding dimension and depth of the
network, heads and MLP ratio per layer (or tied over all layers, if declared with ``choice``). It may also
search patch size, resolution and plug-in dimensions (``nasformer.dimension``).
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Mapping
from functools import cached_property
from math import prod
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nasformer._html import html_table
from nasformer._io import digest, grouped
from nasformer.architecture import Architecture, uniform
from nasformer.cost import (
    COSTS,
    AdditiveCost,
    Bounds,
    FunctionCost,
    Geometry,
    Limits,
    Pooling,
    Series,
    Variant,
    as_limits,
    format_limits,
    merge,
)
from nasformer.dimension import Choices, Dimension
from nasformer.errors import ArchitectureError, SpaceError
from nasformer.space.codec import Codec, Codes
from nasformer.space.suggest import TrialLike, suggest
from nasformer.space.validation import (
    FIXED,
    KEYS,
    SEARCHED,
    check_complete,
    check_cost_name,
    check_keys,
    check_pooling,
    read_constraints,
    read_dimensions,
    read_geometry,
    read_input,
    read_supernet,
    read_variant,
)

if TYPE_CHECKING:
    from nasformer.space.feasible import FeasibleSet


class SearchSpace:
    """A declared space of vision transformers.

    Args:
        name: The space's name in reports.
        embed_dim: Width of the token embedding: ``choice(…)`` or a number.
        depth: Number of layers: ``choice(…)`` or a number.
        num_heads: Heads per layer: ``per_layer(…)``, or ``choice(…)`` to tie all layers; 0: no attention.
        mlp_ratio: MLP width over ``embed_dim``, declared like ``num_heads``; 0: no MLP.
        head_dim: Width of one head.
        image_size: Height and width of the square image, in pixels: a number, or ``choice(…)`` to search it;
            default: 224.
        patch_size: Height and width of a patch, in pixels, declared like ``image_size``; default: 16.
        in_channels: Channels of the image; default: 3.
        series: Time series in place of images: a ``Series``, or a mapping of its arguments.
        num_classes: Outputs of the head: classes, labels, targets, or the horizon of a forecast.
        pooling: Input of the head: the ``"mean"`` over the patches, the ``"cls"`` token, ``"cls_mean"``: both,
            ``"map"``: attention pooling, or ``"flatten"``: all patches.
        max_distance: Clipping distance of relative positions, in patches; None: no relative position.
        supernet: Sizes of the supernet by dimension; default: the largest choices.
        variant: Parts that a checkpoint fixes, as a ``Variant`` or a mapping of its arguments; None: AutoFormer's.
        constraints: Bounds in every search, such as ``"params <= 6M"``.
        **further: Plug-in dimensions by name, ``choice(…)`` or ``per_layer(…)``.

    Attributes:
        dimensions: The searched dimensions, in the order of the codes; the choices of each are an attribute too.
        supernet_architecture: The sizes of the supernet.

    Raises:
        SpaceError: An invalid declaration; the message names the key.

    >>> from nasformer.dimension import choice
    >>> space = SearchSpace("mine", embed_dim=choice(32, 64), depth=choice(1, 2), num_heads=2, mlp_ratio=2,
    ...                     head_dim=16, image_size=8, patch_size=2, in_channels=1, num_classes=10)
    >>> space.size()
    4
    >>> space.params(space.smallest)
    11594
    >>> forecast = SearchSpace("forecast", embed_dim=16, depth=choice(1, 2), num_heads=2, mlp_ratio=2, head_dim=8,
    ...                        series=Series(96, choice(8, 16), stride=8), num_classes=24, pooling="flatten")
    >>> forecast.size(), forecast.geometry.input_shape
    (4, (1, 96))
    """

    name: str
    embed_dim: Choices
    depth: Choices
    num_heads: Choices
    mlp_ratio: Choices
    dimensions: tuple[Dimension, ...]
    geometry: Geometry
    series: Series | None
    pooling: Pooling
    supernet_architecture: Architecture
    constraints: Limits

    def __init__(
        self,
        name: str,
        *,
        embed_dim: Choices | int | None = None,
        depth: Choices | int | None = None,
        num_heads: Choices | int | None = None,
        mlp_ratio: Choices | float | None = None,
        head_dim: int = 64,
        image_size: Choices | int | None = None,
        patch_size: Choices | int | None = None,
        in_channels: int | None = None,
        series: Series | Mapping[str, Any] | None = None,
        num_classes: int = 1000,
        pooling: Pooling = "mean",
        max_distance: int | None = 14,
        supernet: Mapping[str, float] | None = None,
        constraints: str | Mapping[str, Any] | None = None,
        variant: Variant | Mapping[str, Any] | None = None,
        **further: Any,
    ) -> None:
        check_keys(name, further)
        basic = {"embed_dim": embed_dim, "depth": depth, "num_heads": num_heads, "mlp_ratio": mlp_ratio}
        check_complete(name, {**basic, **further})
        series, sizes = read_input(series, image_size=image_size, patch_size=patch_size, in_channels=in_channels)
        searched = {key: sizes[key] for key in ("image_size", "patch_size")}
        choices, dimensions = read_dimensions(basic, {**further, **searched})
        check_pooling(pooling, choices)
        fixed = {**sizes, "num_classes": num_classes, "head_dim": head_dim}
        geometry = read_geometry(fixed, max_distance, series, pooling=pooling, variant=read_variant(variant))
        declared = {
            **choices,
            "name": str(name),
            "dimensions": dimensions,
            "geometry": geometry,
            "series": series,
            "pooling": pooling,
            "supernet_architecture": read_supernet(dimensions, {} if supernet is None else supernet),
            "constraints": read_constraints(constraints),
        }
        self.__dict__.update(declared, _declared=declared)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"a SearchSpace is frozen; declare another with {name}={value!r}")

    def __reduce__(self) -> tuple[Callable[..., SearchSpace], tuple[Any, ...]]:
        return _rebuild, (self.to_dict(), *(cost for name, cost in self.known_costs.items() if name not in COSTS))

    def __eq__(self, other: object) -> bool:
        """Whether two spaces have the same declaration, whatever their known costs."""
        return isinstance(other, SearchSpace) and self.to_dict() == other.to_dict()

    def __hash__(self) -> int:
        return hash(self.fingerprint)

    def __repr__(self) -> str:
        """Return the Python expression that declares this space."""
        declaration = self.to_dict()
        searched = [dimension.name for dimension in self.dimensions if dimension.name in declaration]
        parts = [repr(self.name), *(f"{key}={getattr(self, key)!r}" for key in searched)]
        parts += [f"{key}={value!r}" for key, value in declaration.items() if key not in ("name", *searched)]
        return f"SearchSpace({', '.join(parts)})"

    def _repr_html_(self) -> str:
        choices = {each.name: ", ".join(f"{value:g}" for value in getattr(self, each.name)) for each in self.dimensions}
        ends = [f"{self.params(each):,}" for each in (self.smallest, self.largest)]
        rows = {"architectures": grouped(self.size()), **choices, "parameters": " to ".join(ends)}
        return html_table(f"Space {self.name}", {**rows, "constraints": self.constraints or "none"})

    # Declaration

    def to_dict(self) -> dict[str, Any]:
        """Return the declaration as JSON-compatible data; inverse of ``from_dict``."""
        top = self.supernet_architecture
        searched = {dimension.name: getattr(self, dimension.name).to_dict() for dimension in self.dimensions}
        largest = {dimension.name: dimension.values[-1] for dimension in self.dimensions}
        supernet = {key: getattr(top, key) for key in searched if key in SEARCHED or key not in FIXED}
        supernet = {key: value[0] if isinstance(value, tuple) else value for key, value in supernet.items()}
        fixed = {**self.geometry.to_dict(), "pooling": self.pooling}
        if self.series is not None:
            fixed["series"] = self.series.to_dict()
        return {
            "name": self.name,
            **{key: value for key, value in searched.items() if key not in FIXED},
            **{key: searched.get(key, fixed[key]) for key in ("series", *FIXED, "variant") if key in fixed},
            "supernet": {k: value for k, value in supernet.items() if k in SEARCHED or value != largest[k]},
            "constraints": format_limits(self.constraints) or None,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> SearchSpace:
        """Inverse of ``to_dict``; also reads hand-written declarations.

        Raises:
            SpaceError: A key is missing or unknown, or a value is invalid.
        """
        if not isinstance(data, Mapping):
            raise SpaceError(f"a space is a mapping of {', '.join(KEYS)}, got {data!r}", data)
        check_keys(data.get("name", ""), data)
        check_complete(data.get("name"), {key: data.get(key) for key in ("name", *SEARCHED)})
        return cls(**data)

    def save(self, path: str | Path) -> None:
        """Write the declaration as a ``.yaml`` or ``.json`` file, for ``load_space``.

        Raises:
            SpaceError: Another suffix.
        """
        from nasformer.space.declaration import write_space

        write_space(self, path)

    @cached_property
    def fingerprint(self) -> str:
        """Hash of the declaration without name and constraints, which do not affect the weights."""
        declaration = {key: value for key, value in self.to_dict().items() if key not in ("name", "constraints")}
        return digest(declaration)

    def for_data(self, **sizes: int | None) -> SearchSpace:
        """Return this space for other images: with another image_size, in_channels or num_classes; None: unchanged.

        Raises:
            SpaceError: The space has series, searches its image_size, or the size does not fit its patches.
        """
        given = {
            key: value for key, value in sizes.items() if value is not None and value != getattr(self.geometry, key)
        }
        if not given:
            return self
        if self.geometry.series is not None or any(key in self.codec.values for key in given):
            raise SpaceError(f"space {self.name!r} declares its own {' and '.join(given)}; change its file", given)
        try:
            return SearchSpace.from_dict({**self.to_dict(), **given})
        except SpaceError as error:
            shape = ", ".join(f"{key} {value}" for key, value in given.items())
            raise SpaceError(f"space {self.name!r} does not fit {shape}: {error}", given) from None

    def differences(self, other: SearchSpace) -> list[str]:
        """Return one line per difference of two declarations, ignoring names and constraints."""
        mine, theirs = self.to_dict(), other.to_dict()
        keys = [key for key in {**mine, **theirs} if key not in ("name", "constraints")]
        pairs = [(key, mine.get(key), theirs.get(key)) for key in keys]
        return [f"{key}: {_plain(own)} against {_plain(other)}" for key, own, other in pairs if own != other]

    # Members

    def __contains__(self, architecture: object) -> bool:
        """Whether an architecture consists of declared choices; constraints are left to ``feasible``."""
        return isinstance(architecture, Architecture) and self.codec.why_not(architecture) is None

    def size(self) -> int:
        """Return the number of architectures, ignoring constraints."""
        once = prod(len(d.values) for d in self.dimensions if d.tied and d.name != "depth")
        free = prod(len(d.values) for d in self.dimensions if not d.tied)
        return int(once * sum(free ** int(depth) for depth in self.depth))

    @property
    def smallest(self) -> Architecture:
        """The smallest member."""
        return self._uniform(0.0)

    @property
    def centroid(self) -> Architecture:
        """The member with the middle value of each dimension."""
        return self._uniform(0.5)

    @property
    def largest(self) -> Architecture:
        """The largest member."""
        return self._uniform(1.0)

    def _uniform(self, quantile: float) -> Architecture:
        sizes: dict[str, Any] = {dimension.name: dimension.at(quantile) for dimension in self.dimensions}
        return uniform(**sizes)

    def require(self, architecture: Architecture) -> None:
        """Check that the supernet is large enough for any architecture.

        Raises:
            ArchitectureError: A dimension exceeds the supernet's; the message names it.
        """
        top = self.supernet_architecture
        for name, _ in architecture.further:
            if all(dimension.name != name for dimension in self.dimensions):
                raise ArchitectureError(f"space {self.name!r} searches no {name}; leave it out", architecture)
        for dimension in self.dimensions:
            name, found = dimension.name, getattr(architecture, dimension.name, None)
            if found is None:
                raise ArchitectureError(f"the architecture lacks {name}, which space {self.name!r} searches", found)
            value, limit = (max(each) if isinstance(each, tuple) else each for each in (found, getattr(top, name)))
            if name in FIXED and value not in dimension.values:  # one embedding per patch size
                known = ", ".join(f"{each:g}" for each in dimension.values)
                raise ArchitectureError(f"{name} {value:g} is not in space {self.name!r}: {known}", architecture)
            if name not in FIXED and value > limit:
                raise ArchitectureError(
                    f"{name} {value:g} is above the supernet's {limit:g} in space {self.name!r}", architecture
                )

    @property
    def maximum(self) -> Architecture:
        """The former name of ``supernet_architecture``; deprecated."""
        warnings.warn("SearchSpace.maximum is now supernet_architecture", DeprecationWarning, stacklevel=2)
        return self.supernet_architecture

    # Costs

    @cached_property
    def known_costs(self) -> Mapping[str, AdditiveCost | FunctionCost]:
        """The costs available to budgets, by name: ``params``, ``macs`` and those of ``with_cost``."""
        return MappingProxyType(COSTS)

    def with_cost(self, *costs: AdditiveCost | FunctionCost) -> SearchSpace:
        """Return this space with further costs, which budgets can bound and trials record.

        Declaration and fingerprint are unchanged, so weights fit both.

        Args:
            *costs: Additive costs, such as a latency table's ``cost()``, or functions of an architecture as
                ``FunctionCost``.

        Raises:
            BudgetError: A name is taken or not an identifier, or a table lacks a block of this space.

        >>> from nasformer.dimension import choice
        >>> heads = FunctionCost("heads", lambda architecture: sum(architecture.num_heads))
        >>> space = SearchSpace("mine", embed_dim=64, depth=choice(1, 2), num_heads=choice(1, 2), mlp_ratio=2)
        >>> space.with_cost(heads).feasible(heads=(3, None)).sample(1)
        [Architecture(embed_dim=64, num_heads=(2, 2), mlp_ratio=(2.0, 2.0))]
        """
        known = dict(self.known_costs)
        for cost in costs:
            check_cost_name(cost, known)
            known[cost.name] = cost
        copy = object.__new__(SearchSpace)
        declared = self.__dict__["_declared"]
        copy.__dict__.update(declared, _declared=declared, known_costs=MappingProxyType(known))
        for cost in costs:
            if isinstance(cost, AdditiveCost):  # raise now if a block is missing
                copy.codec.stems(cost.name), copy.codec.layers(cost.name)
        return copy

    def params(self, architecture: Architecture) -> int:
        """Return the number of parameters of any architecture."""
        return self.codec.count("params", architecture)

    def macs(self, architecture: Architecture) -> int:
        """Return the multiply-accumulates of any architecture per input."""
        return self.codec.count("macs", architecture)

    def costs(self, architecture: Architecture) -> dict[str, float]:
        """Return all known costs of an architecture by name, in each cost's unit.

        Raises:
            BudgetError: A latency table lacks a block of the architecture (only of non-members).
        """
        return {name: self.codec.cost(name, architecture) for name in self.known_costs}

    # Codes

    @cached_property
    def codec(self) -> Codec:
        """Encodes architectures as integer codes and decodes them."""
        return Codec(self.name, self.geometry, self.dimensions, self.known_costs)

    def encode(self, architectures: Iterable[Architecture]) -> Codes:
        """Encode members as choice indices, int64 ``(n, columns)``.

        The columns are embed_dim, depth, num_heads per layer, mlp_ratio per layer, then further dimensions sorted by
        name, one column or one per layer; -1 beyond the depth.

        Raises:
            ArchitectureError: An architecture is not a member; the message gives the reason.
        """
        return self.codec.encode(architectures)

    def decode(self, codes: Codes) -> list[Architecture]:
        """Decode codes, in order.

        Raises:
            ArchitectureError: A row is not a code of this space.
        """
        return self.codec.decode(codes)

    def params_batch(self, codes: Codes) -> NDArray[np.int64]:
        """Return the parameters of each row of codes, ``(n,)``.

        Raises:
            ArchitectureError: A row is not a code of this space.
        """
        return self.codec.count_batch("params", self.codec.check(codes))

    def macs_batch(self, codes: Codes) -> NDArray[np.int64]:
        """Return the multiply-accumulates of each row of codes, ``(n,)``.

        Raises:
            ArchitectureError: A row is not a code of this space.
        """
        return self.codec.count_batch("macs", self.codec.check(codes))

    # Sets

    def feasible(self, *, resolution: Any = None, **limits: object) -> FeasibleSet:
        """Return the architectures within limits and within the space's own constraints.

        Args:
            resolution: Grid by cost, in the cost's unit, to which layer costs are rounded up; for budgets with too
                many distinct sums. The result is a subset of the feasible set, see ``CountedSet``. None: exact.
            **limits: By cost: an upper bound, or a (lower, upper) pair; ``params=(5e6, 6e6), macs=1.4e9``.

        Raises:
            BudgetError: An unknown cost, no architecture within the limits, or too many distinct sums.
        """
        from nasformer.space.bounded import bounded

        return bounded(self, merge(self.constraints, as_limits(limits, self.known_costs)), resolution=resolution)

    def sample(self, n: int, seed: int = 0) -> list[Architecture]:
        """Sample ``n`` architectures, uniform per dimension, ignoring constraints."""
        return self.decode(self.sample_codes(n, seed))

    def sample_codes(self, n: int, seed: int = 0) -> Codes:
        """``sample`` as codes."""
        return self._full_set.sample_codes(n, seed)

    def suggest(self, trial: TrialLike) -> Architecture:
        """Return the architecture that an Optuna trial suggests, with the parameters of our studies.

        >>> import optuna
        >>> from nasformer.space import load_space
        >>> space = load_space("digits")
        >>> space.suggest(optuna.create_study().ask()) in space
        True
        """
        return suggest(self, trial)

    @cached_property
    def _full_set(self) -> FeasibleSet:
        from nasformer.space.counted import CountedSet

        return CountedSet(self, dict[str, Bounds]())


def _rebuild(declaration: dict[str, Any], *costs: AdditiveCost | FunctionCost) -> SearchSpace:
    space = SearchSpace.from_dict(declaration)
    return space.with_cost(*costs) if costs else space


def _plain(value: object) -> str:
    if isinstance(value, Mapping):
        return " ".join(f"{key} {_plain(item)}" for key, item in value.items())
    return "/".join(map(str, value)) if isinstance(value, list) else str(value)
