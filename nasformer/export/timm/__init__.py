"""timm: the released subnets by name in timm's factory, and any found network as one of timm's models.

Importing this package registers ``autoformer_tiny_patch16_224``, ``autoformer_small_patch16_224`` and
``autoformer_base_patch16_224``; ``python -m nasformer.export.timm SCRIPT ARGUMENTS`` runs a script
with them registered. Read ``model`` first (our network with timm's interface), then ``weights`` (which
files it takes), ``autoformer`` (the registered names), ``convert`` (any other network) and ``folder`` (one
that was exported).
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
