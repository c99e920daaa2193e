"""Supernets: entangled vision transformers that run at any size of their space.

Read ``layers`` first (a maximal layer and its leading slices), then ``relative_position`` and
``attention`` (AutoFormer's attention, exact and fast), ``sharing`` (which weights a choice gets),
``model`` (the whole network at any size),
``supernet`` (the network of a space), and ``checkpoint`` and ``autoformer`` (files, our own and the
official ones); ``adapt`` fits a network to other classes and resolutions.
"""

from nasformer.supernet.adapt import adapted
from nasformer.supernet.autoformer import from_autoformer, read_autoformer, to_autoformer, write_autoformer
from nasformer.supernet.model import VisionTransformer, load_network, parameter_shapes
from nasformer.supernet.supernet import Supernet

__all__ = [
    "Supernet",
    "VisionTransformer",
    "adapted",
    "from_autoformer",
    "load_network",
    "parameter_shapes",
    "read_autoformer",
    "to_autoformer",
    "write_autoformer",
]
