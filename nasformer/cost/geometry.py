"""Geometry: the sizes of images, patches, heads and classes; and Network, what a cost is told of a whole network.

Where a space searches ``image_size`` or ``patch_size``, its geometry has those of its largest network (the largest
images, the smallest patches), and ``of`` gives those of an architecture.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from nasformer.architecture import Architecture, Further


@dataclass(frozen=True, slots=True)
class Geometry:
    """The fixed sizes of a family of vision transformers.

    Args:
        image_size: Height and width of the square image, in pixels.
        patch_size: Height and width of a patch, in pixels; divides ``image_size``.
        in_channels: Channels of the image.
        num_classes: Outputs of the linear head.
        head_dim: Width of one attention head.
        max_distance: Rows or columns beyond which relative positions are clipped; None: no
            relative position.

    >>> Geometry().patches, Geometry().tokens
    (196, 197)
    """

    image_size: int = 224
    patch_size: int = 16
    in_channels: int = 3
    num_classes: int = 1000
    head_dim: int = 64
    max_distance: int | None = 14

    def of(self, architecture: Architecture) -> Geometry:
        """Return the geometry of an architecture: its own sizes where it names them.

        >>> Geometry().of(Architecture(64, (2,), (2,), patch_size=32)).grid
        7
        """
        own = {name: value for name, value in architecture.network if name in Geometry.__slots__}
        return replace(self, **own) if own else self

    def to_dict(self) -> dict[str, Any]:
        """Return plain data, ready for JSON."""
        return asdict(self)

    @property
    def grid(self) -> int:
        """Patches along one side of the image."""
        return self.image_size // self.patch_size

    @property
    def patches(self) -> int:
        """Patches of one image."""
        return self.grid**2

    @property
    def tokens(self) -> int:
        """Tokens in the sequence: the patches and the cls token."""
        return self.patches + 1

    @property
    def patch_dim(self) -> int:
        """Numbers in one patch: channels times pixels."""
        return self.in_channels * self.patch_size**2

    @property
    def position_rows(self) -> int:
        """Rows of one relative position table (0 without): every clipped offset, and one for cls."""
        return 0 if self.max_distance is None else 2 * self.max_distance + 2


@dataclass(frozen=True, slots=True)
class Network:
    """What all layers of a network share; choices of further network dimensions are attributes of their names.

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
        """Return the network of an architecture in a space's geometry."""
        return cls(geometry.of(architecture), architecture.embed_dim, architecture.network)

    def __getattr__(self, name: str) -> Any:
        choices: Mapping[str, Any] = {} if name.startswith("_") else dict(self.further)
        if name not in choices:
            raise AttributeError(f"Network has no {name!r}")
        return choices[name]
