"""Supernets: weight-sharing vision transformers that run every subnet of their space.

Read ``layers`` first (maximal layers and their leading slices), then ``relative_position`` and ``attention``
(AutoFormer's attention, exact and fast), ``sharing`` (weight sharing schemes), ``model`` (the network at any size),
``supernet`` (the network of a space), and ``checkpoint`` and ``autoformer`` (our own and the official file formats);
``adapt`` transfers a network to other classes and resolutions.
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
