"""Ways out: found networks as files for other programs, and as models of other libraries.

``export`` writes a network as a folder, ``open_model`` opens one, ``push`` uploads it. Read ``description`` first
(what a file says of itself), then ``preprocessing`` (from an image to the input), ``formats`` (how each file is
written), ``opened``, ``verify`` (a fresh process compares), ``measure``, ``card`` and ``exporter`` (all of it, in
order).

``nasformer.export.timm`` registers AutoFormer's released subnets with timm and turns any subnet into a
model that timm's tools take; ``python -m nasformer.export.timm SCRIPT`` runs a script with them registered.
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
