"""Geometry: what every architecture of a space shares, the sizes of images, patches, heads and classes."""

from __future__ import annotations

from dataclasses import dataclass


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
