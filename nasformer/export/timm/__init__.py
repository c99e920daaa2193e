"""timm: the released subnets in timm's model registry, and any network with timm's interface.

Importing this package registers ``autoformer_tiny_patch16_224``, ``autoformer_small_patch16_224`` and
``autoformer_base_patch16_224``; ``python -m nasformer.export.timm SCRIPT ARGUMENTS`` runs a script with them
registered. Read ``model`` first (timm's interface), then ``weights`` (supported state dicts), ``autoformer`` (the
registered models), ``convert`` (any other network) and ``folder`` (exported folders).
"""

from nasformer.export.timm.autoformer import (
    autoformer_base_patch16_224,
    autoformer_small_patch16_224,
    autoformer_tiny_patch16_224,
)
from nasformer.export.timm.convert import to_timm
from nasformer.export.timm.folder import nasformer_vit
from nasformer.export.timm.model import TimmVisionTransformer

__all__ = [
    "TimmVisionTransformer",
    "autoformer_base_patch16_224",
    "autoformer_small_patch16_224",
    "autoformer_tiny_patch16_224",
    "nasformer_vit",
    "to_timm",
]
