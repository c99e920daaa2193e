"""Export of networks to other formats and libraries.

``export`` writes a network as a folder, ``open_model`` loads one, ``push`` uploads it. Read ``description`` first
(metadata of a file), then ``preprocessing``, ``formats`` (one per file), ``opened`` (loading), ``verify``
(comparison in a fresh process), ``measure``, ``card`` and ``exporter`` (the pipeline).

``nasformer.export.timm`` registers AutoFormer's released subnets with timm and turns any subnet into a
model for timm's tools; ``python -m nasformer.export.timm SCRIPT`` runs a script with them registered.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nasformer.export.exporter import export as export
    from nasformer.export.hub import push as push
    from nasformer.export.opened import open_model as open_model

_MODULE_OF = {"export": "exporter", "open_model": "opened", "push": "hub"}

__all__ = ["export", "open_model", "push"]


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module 'nasformer.export' has no attribute {name!r}")
    return getattr(importlib.import_module(f"nasformer.export.{_MODULE_OF[name]}"), name)
