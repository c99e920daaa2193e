"""Geometry: the sizes of images, patches, heads and classes; and Network, the network-level input of costs.

If a space searches ``image_size`` or ``patch_size``, its geometry is that of the largest network (the largest
images, the smallest patches); ``of`` returns that of an architecture.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

from nasformer.architecture import Architecture, Further, further_choice
from nasformer.errors import ArchitectureError


@dataclass(frozen=True, slots=True)
class Geometry:
    """The fixed sizes of a family of vision transformers.

    Args:
        image_size: Height and width of the square image, in pixels.
        patch_size: Height and width of a patch, in pixels; divides ``image_size``.
        in_channels: Channels of the image.
        num_classes: Outputs of the classification head.
        head_dim: Width of one attention head.
        max_distance: Clipping distance of relative positions, in rows or columns; None: no relative position.

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
        """Return the geometry of an architecture, with its own sizes if searched.

        >>> Geometry().of(Architecture(64, (2,), (2,), patch_size=32)).grid
        7
        """
        own = {name: value for name, value in architecture.network if name in Geometry.__slots__}
        if not own:
            return self
        geometry = replace(self, **own)
        if geometry.image_size % geometry.patch_size:
            raise ArchitectureError(
                f"patch_size {geometry.patch_size} does not divide image_size {geometry.image_size}", architecture
            )
        return geometry

    def to_dict(self) -> dict[str, Any]:
        """Return JSON-compatible data."""
        return asdict(self)

    @property
    def grid(self) -> int:
        """Patches along one side of the image."""
        return self.image_size // self.patch_size

    @property
    def patches(self) -> int:
        """Patches per image."""
        return self.grid**2

    @property
    def tokens(self) -> int:
        """Sequence length: the patches and the cls token."""
        return self.patches + 1

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one input: channels, height and width."""
        return self.in_channels, self.image_size, self.image_size

    @property
    def patch_dim(self) -> int:
        """Values per patch: channels times pixels."""
        return self.in_channels * self.patch_size**2

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
