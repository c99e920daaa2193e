"""Variant: the parts of a network that its checkpoint fixes and no search changes, such as norms and extra tokens."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal, get_args

from nasformer.errors import SpaceError, did_you_mean, shown

Norm = Literal["layer", "rms"]
Activation = Literal["gelu", "gelu_tanh", "quick_gelu", "silu"]
_MOST = 10**6


@dataclass(frozen=True, slots=True)
class Variant:
    """Parts in which vision transformers of the same sizes differ; the defaults are AutoFormer's.

    Args:
        class_token: Whether a class token precedes the patches.
        registers: Register tokens (Darcet et al., ICLR 2024) after the class token.
        patch_norm: Whether the patch embeddings are normalised.
        pre_norm: Whether the tokens are normalised before the first block, as in CLIP.
        final_norm: Whether the tokens are normalised after the last block.
        fc_norm: Whether the head's input is normalised.
        qk_norm: Whether queries and keys are normalised per head.
        scale_norms: Whether the inputs of ``proj`` and ``fc2`` are normalised, as in BEiT-3.
        norm: "layer", or "rms": root mean square without bias.
        activation: Activation of the MLPs.
        gated_mlp: Whether a second linear layer gates the hidden units of the MLPs (SwiGLU; Shazeer, 2020).
        pool_heads: Heads of attention pooling, for pooling "map".
        pool_hidden: Hidden units of the MLP after attention pooling.

    Raises:
        SpaceError: An unknown part or an invalid value.

    >>> Variant(registers=4).prefix
    5
    """

    class_token: bool = True
    registers: int = 0
    patch_norm: bool = False
    pre_norm: bool = False
    final_norm: bool = True
    fc_norm: bool = False
    qk_norm: bool = False
    scale_norms: bool = False
    norm: Norm = "layer"
    activation: Activation = "gelu"
    gated_mlp: bool = False
    pool_heads: int = 0
    pool_hidden: int = 0

    def __post_init__(self) -> None:
        options: dict[str, tuple[object, ...]] = {"norm": get_args(Norm), "activation": get_args(Activation)}
        for field in fields(self):
            value, default = getattr(self, field.name), field.default
            known = options.get(field.name, (True, False))
            if type(default) is int:
                valid, rule = type(value) is int and 0 <= value <= _MOST, f"a whole number from 0 to {_MOST:,}"
            else:
                valid = type(value) is type(default) and value in known
                rule = "true or false" if known == (True, False) else " or ".join(map(repr, known))
            if not valid:
                raise SpaceError(f"variant: {field.name} is {rule}, got {shown(value)}", value)

    @property
    def prefix(self) -> int:
        """Number of tokens before the patches."""
        return self.class_token + self.registers

    def to_dict(self) -> dict[str, Any]:
        """Return the parts that differ from the defaults, as JSON-compatible data."""
        return {field.name: value for field in fields(self) if (value := getattr(self, field.name)) != field.default}

    @classmethod
    def from_dict(cls, data: object) -> Variant:
        """Inverse of ``to_dict``.

        Raises:
            SpaceError: An unknown part or an invalid value.
        """
        known = [field.name for field in fields(cls)]
        if not isinstance(data, Mapping):
            raise SpaceError(f"variant is a mapping of {', '.join(known)}, got {shown(data)}", data)
        for name in data:
            if name not in known:
                raise SpaceError(f"variant has no part {shown(name)}; {did_you_mean(str(name), known)}", name)
        return cls(**data)

    def norm_params(self, width: int) -> int:
        """Return the parameters of a norm over ``width`` features."""
        return width if self.norm == "rms" else 2 * width


PLAIN = Variant()
"""AutoFormer's parts."""
