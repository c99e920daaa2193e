"""Series: time series cut into patches along one axis, in place of square images."""

from __future__ import annotations

import numbers
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from nasformer.dimension import Choices, as_choices
from nasformer.errors import SpaceError, did_you_mean


@dataclass(frozen=True, slots=True)
class Series:
    """The sizes of a time series and of its patches (Nie et al., ICLR 2023, section 3.1).

    Args:
        length: Time steps of the series.
        patch: Time steps of a patch: a number, or ``choice(…)`` to search it as the dimension ``patch_size``.
        stride: Time steps between patches, the same for all patch sizes; None: that of each patch, without overlap.
        channels: Channels of the series; a patch holds all of them.
        instance_norm: Whether each series is normalised by its own mean and standard deviation over time, which the
            outputs get back (RevIN without affine weights; Kim et al., ICLR 2022); for one channel.

    Raises:
        SpaceError: A size is not a whole number of at least 1, the patches leave a rest, or instance normalisation of
            several channels.

    >>> Series(336, 16, stride=8).patches(16)
    41
    """

    length: int
    patch: Choices | int
    stride: int | None = None
    channels: int = 1
    instance_norm: bool = False

    def __post_init__(self) -> None:
        sizes = as_choices("patch_size", self.patch) if isinstance(self.patch, (Choices, Mapping)) else None
        if sizes is not None:
            object.__setattr__(self, "patch", sizes if len(sizes) > 1 else sizes.values[0])
        whole = {"length": True, "patch": sizes is None, "stride": self.stride is not None, "channels": True}
        for name in (name for name, given in whole.items() if given):
            object.__setattr__(self, name, _whole(name, getattr(self, name)))
        if not isinstance(self.instance_norm, bool) or (self.instance_norm and self.channels > 1):
            raise SpaceError(
                f"instance_norm is true or false, and true only for one channel; got {self.instance_norm!r} with "
                f"{self.channels} channels",
                self.instance_norm,
            )
        for patch in self.patch_sizes:
            self._check_patch(patch)

    def _check_patch(self, patch: int) -> None:
        if patch > self.length:
            raise SpaceError(f"patch {patch} is longer than the series of length {self.length}; shorten it", patch)
        stride = self.stride or patch
        if rest := (self.length - patch) % stride:
            raise SpaceError(
                f"patches of {patch} at stride {stride} leave {rest} of the length {self.length}; take the length "
                f"{self.length - rest}, or another stride",
                (self.length, patch, stride),
            )

    @property
    def patch_sizes(self) -> tuple[Any, ...]:
        """The choices of the patch, ascending."""
        return self.patch.values if isinstance(self.patch, Choices) else (self.patch,)

    def patches(self, patch: int) -> int:
        """Return the number of patches of a size."""
        return (self.length - patch) // (self.stride or patch) + 1

    def to_dict(self) -> dict[str, Any]:
        """Return JSON-compatible data."""
        return {**asdict(self), "patch": self.patch.to_dict() if isinstance(self.patch, Choices) else self.patch}

    @classmethod
    def from_dict(cls, data: object) -> Series:
        """Inverse of ``to_dict``; also reads hand-written declarations.

        Raises:
            SpaceError: A key is missing or unknown, or a value is invalid.

        >>> Series.from_dict({"length": 96, "patch": {"choice": [8, 16]}}).patch
        choice(8, 16)
        """
        known = [field.name for field in fields(cls)]
        if not isinstance(data, Mapping):
            raise SpaceError(f"series is a mapping of {', '.join(known)}, got {data!r}", data)
        for key in data:
            if key not in known:
                raise SpaceError(f"series has no {key!r}; {did_you_mean(str(key), known)}", key)
        for key in ("length", "patch"):
            if data.get(key) is None:
                raise SpaceError(f"series lacks {key!r}", data)
        return cls(**data)


def _whole(name: str, value: object) -> int:
    if not isinstance(value, numbers.Integral) or isinstance(value, bool) or value < 1:
        hint = "; only patch can be searched" if isinstance(value, (Choices, Mapping)) else ""
        raise SpaceError(f"series {name} must be a whole number of at least 1, got {value!r}{hint}", value)
    return int(value)
