"""Geometry: the sizes of inputs, patches, heads and outputs; and Network, the network-level input of costs.

Patches lie on a square grid of an image, or along the one axis of a time series.

If a space searches ``image_size`` or ``patch_size``, its geometry is that of the largest network (the largest
images, the smallest patches); ``of`` returns that of an architecture.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, get_args

from nasformer.architecture import Architecture, Further, further_choice
from nasformer.cost.series import Series
from nasformer.cost.variant import PLAIN, Variant
from nasformer.errors import ArchitectureError, SpaceError, shown

Pooling = Literal["mean", "cls", "cls_mean", "map", "flatten"]
"""Input of the head: the mean over the patches, the cls token, both, attention over the patches, or all patches.

"cls_mean" is DINOv2's for classification; "map" is multi-head attention pooling (Lee et al., ICML 2019), whose sizes
are ``Variant.pool_heads`` and ``pool_hidden``.

"flatten" is the linear head of PatchTST (Nie et al., ICLR 2023, section 3.1). No norm precedes it, so amplitudes reach
it and a network of skipped branches is linear in its input.
"""
_MOST = 10**9
_FIXED = ("num_classes", "head_dim", "max_distance")


@dataclass(frozen=True, slots=True)
class Geometry:
    """The fixed sizes of a family of vision transformers.

    Args:
        image_size: Height and width of the square image, in pixels; of a series its length, in time steps.
        patch_size: Height and width of a patch, in pixels; divides ``image_size``; of a series in time steps.
        in_channels: Channels of the input.
        num_classes: Outputs of the head: classes, labels, targets, or the horizon of a forecast.
        head_dim: Width of one attention head.
        max_distance: Clipping distance of relative positions, in rows or columns; None: no relative position.
        axes: 2 for images, 1 for series.
        stride: Distance of patches; None: ``patch_size``, without overlap.
        instance_norm: Whether each series is normalised by its own statistics, see ``Series``.
        pooling: Input of the head if it affects sizes: "flatten", "cls_mean" or "map"; None: one token.
        variant: Parts that a checkpoint fixes.

    >>> Geometry().patches, Geometry().tokens
    (196, 197)
    """

    image_size: int = 224
    patch_size: int = 16
    in_channels: int = 3
    num_classes: int = 1000
    head_dim: int = 64
    max_distance: int | None = 14
    axes: int = 2
    stride: int | None = None
    instance_norm: bool = False
    pooling: Pooling | None = None
    variant: Variant = PLAIN

    def of(self, architecture: Architecture) -> Geometry:
        """Return the geometry of an architecture, with its own sizes if searched.

        >>> Geometry().of(Architecture(64, (2,), (2,), patch_size=32)).grid
        7
        """
        own = {name: value for name, value in architecture.network if name in Geometry.__slots__}
        if not own:
            return self
        geometry = replace(self, **own)
        size, patch_size = geometry.image_size, geometry.patch_size
        if patch_size > size or (size - patch_size) % (geometry.stride or patch_size):
            rule = "does not divide image_size" if self.stride is None else f"at stride {self.stride} does not fill"
            raise ArchitectureError(f"patch_size {patch_size} {rule} {size}", architecture)
        return geometry

    def to_dict(self) -> dict[str, Any]:
        """Return JSON-compatible data; a series is one entry."""
        data = asdict(self)
        series, pooling = self.series, {} if self.pooling is None else {"pooling": self.pooling}
        sizes = () if series else ("image_size", "patch_size", "in_channels")
        own = {} if series is None else {"series": series.to_dict()}
        variant = {"variant": self.variant.to_dict()} if self.variant != PLAIN else {}
        further = {"flatten": True} if self.flatten else pooling  # as in the first version
        return {**own, **{name: data[name] for name in (*sizes, *_FIXED)}, **further, **variant}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Geometry:
        """Inverse of ``to_dict``.

        Raises:
            SpaceError: An invalid size or series.
            TypeError: An unknown size.

        >>> Geometry.from_dict({"series": {"length": 96, "patch": 16, "stride": 8}, "num_classes": 24}).input_shape
        (1, 96)
        """
        if not isinstance(data, Mapping):
            raise SpaceError(f"a geometry is a mapping of sizes, got {shown(data)}", data)
        data = dict(data)
        parts: dict[str, Any] = {"variant": Variant.from_dict(data.pop("variant", {}))}
        pooling = "flatten" if data.pop("flatten", False) else data.pop("pooling", None)
        if pooling is not None and pooling not in get_args(Pooling):
            raise SpaceError(f"pooling is one of {', '.join(get_args(Pooling))}, got {shown(pooling)}", pooling)
        parts["pooling"] = pooling
        for name, value in data.items():
            sized = type(value) is int and 1 <= value <= _MOST
            absent = name in ("max_distance", "stride") and value is None
            switch = name == "instance_norm" and isinstance(value, bool)
            if not (sized or absent or switch or name == "series"):
                raise SpaceError(f"{name} is a whole number from 1 to {_MOST:,}, got {shown(value)}", value)
        if "series" not in data:
            return cls(**data, **parts)
        fixed = {name: value for name, value in data.items() if name != "series"}
        return cls(**fixed, **parts).with_series(Series.from_dict(data["series"]))

    def with_series(self, series: Series) -> Geometry:
        """Return this geometry for series, with the smallest patch."""
        sizes = {"image_size": series.length, "patch_size": series.patch_sizes[0], "in_channels": series.channels}
        return replace(self, axes=1, stride=series.stride, instance_norm=series.instance_norm, **sizes)

    def with_pooling(self, pooling: Pooling) -> Geometry:
        """Return this geometry with an input of the head."""
        return replace(self, pooling=None if pooling in ("mean", "cls") else pooling)

    @property
    def series(self) -> Series | None:
        """The sizes of the series; None: images."""
        if self.axes != 1:
            return None
        return Series(self.image_size, self.patch_size, self.stride, self.in_channels, self.instance_norm)

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of an input: (channels, height, width), or (channels, length)."""
        return self.in_channels, *(self.image_size,) * self.axes

    @property
    def grid(self) -> int:
        """Patches along one axis."""
        return (self.image_size - self.patch_size) // (self.stride or self.patch_size) + 1

    @property
    def patches(self) -> int:
        """Patches per input."""
        return int(self.grid**self.axes)

    @property
    def pooled_tokens(self) -> int:
        """Tokens that the head reads: all patches if flattened, else one, or the cls token and the mean."""
        return self.patches if self.flatten else 2 if self.pooling == "cls_mean" else 1

    @property
    def flatten(self) -> bool:
        """Whether the head reads all patches."""
        return self.pooling == "flatten"

    @property
    def tokens(self) -> int:
        """Sequence length: the patches, the cls token and registers."""
        return self.patches + self.variant.prefix

    @property
    def patch_dim(self) -> int:
        """Values per patch: channels times pixels or time steps."""
        return int(self.in_channels * self.patch_size**self.axes)

    @property
    def position_rows(self) -> int:
        """Rows of a relative position table (0: no table): one per clipped offset, and one for cls."""
        return 0 if self.max_distance is None else 2 * self.max_distance + 2


@dataclass(frozen=True, slots=True)
class Network:
    """The network-level choices; further network dimensions are attributes too.

    Attributes:
        geometry: Its sizes.
        embed_dim: Width of the token embedding.
        further: Choices of further network dimensions.
    """

    geometry: Geometry
    embed_dim: int
    further: Further = ()

    @classmethod
    def of(cls, geometry: Geometry, architecture: Architecture) -> Network:
        """Return the network-level choices of an architecture in a space's geometry."""
        return cls(geometry.of(architecture), architecture.embed_dim, architecture.network)

    def __getattr__(self, name: str) -> Any:
        return further_choice(self, name)
