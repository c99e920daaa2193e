"""Parameters and multiply-accumulates in closed form, as stem and layer terms.

``official_complexity`` reproduces the figure of AutoFormer's code, for comparison.
"""

from __future__ import annotations

from nasformer.architecture import Architecture, Layer
from nasformer.cost.additive import AdditiveCost
from nasformer.cost.geometry import Geometry, Network


def _params_stem(network: Network) -> int:
    g, embed_dim = network.geometry, network.embed_dim
    parts, class_token = g.variant, g.variant.class_token
    patch_embedding = g.patch_dim * embed_dim + embed_dim
    tokens_and_positions = embed_dim * (g.patches + 2 * class_token + parts.registers)
    final = parts.final_norm and not g.flatten
    norms = (parts.patch_norm + parts.pre_norm + final + parts.fc_norm) * parts.norm_params(embed_dim)
    head = g.pooled_tokens * embed_dim * g.num_classes + g.num_classes
    return patch_embedding + tokens_and_positions + norms + _pool(g, embed_dim)[0] + head


def _params_layer(network: Network, layer: Layer) -> int:
    g, embed_dim, width = network.geometry, network.embed_dim, network.geometry.head_dim * layer.num_heads
    parts, hidden = g.variant, layer.hidden_dim
    attention = 3 * width * embed_dim + 3 * width + width * embed_dim + embed_dim
    attention += 2 * parts.qk_norm * parts.norm_params(g.head_dim) + parts.scale_norms * parts.norm_params(width)
    relative_positions = 2 * g.axes * g.position_rows * g.head_dim
    mlp = (2 + parts.gated_mlp) * embed_dim * hidden + (1 + parts.gated_mlp) * hidden + embed_dim
    mlp += parts.scale_norms * parts.norm_params(hidden)
    norm = parts.norm_params(embed_dim)
    return (norm + attention + relative_positions if width else 0) + (norm + mlp if hidden else 0)


def _macs_stem(network: Network) -> int:
    g, embed_dim = network.geometry, network.embed_dim
    head = g.pooled_tokens * embed_dim * g.num_classes
    return g.patches * g.patch_dim * embed_dim + _pool(g, embed_dim)[1] + head


def _pool(g: Geometry, embed_dim: int) -> tuple[int, int]:
    """Return the parameters and the multiply-accumulates of attention pooling; (0, 0) without."""
    if g.pooling != "map":
        return 0, 0
    width, hidden = g.head_dim * g.variant.pool_heads, g.variant.pool_hidden
    linear, biases = 3 * width * embed_dim + 2 * embed_dim * hidden, 2 * width + embed_dim + hidden + embed_dim
    macs = g.patches * (2 * width * embed_dim + 2 * width) + width * embed_dim + 2 * embed_dim * hidden
    return linear + biases + width + g.variant.norm_params(embed_dim), macs


def _macs_layer(network: Network, layer: Layer) -> int:
    g, embed_dim, width = network.geometry, network.embed_dim, network.geometry.head_dim * layer.num_heads
    projections = 4 * g.tokens * embed_dim * width
    mlp = (2 + g.variant.gated_mlp) * g.tokens * embed_dim * layer.hidden_dim
    products = 2 if g.max_distance is None else 4  # QKᵀ and AV; with positions q·e_key and A·e_value too
    return projections + products * g.tokens**2 * width + mlp


params = AdditiveCost("params", _params_stem, _params_layer)
"""Parameters of the extracted network."""

macs = AdditiveCost("macs", _macs_stem, _macs_layer)
"""Multiply-accumulates per input: patch embedding, linear layers, attention products, head."""

COSTS: dict[str, AdditiveCost] = {cost.name: cost for cost in (params, macs)}
"""The additive costs known to every space, by name."""


def official_complexity(geometry: Geometry, architecture: Architecture) -> float:
    """Return the complexity that AutoFormer's code reports.

    It counts the head once per token, omits the final norm and assumes one token too many. Use ``macs`` for the
    actual count.

    >>> from nasformer.architecture import uniform
    >>> official_complexity(Geometry(), uniform(192, 12, 3, 4))
    1313011128.0
    """
    g, embed_dim = geometry.of(architecture), architecture.embed_dim
    tokens = g.patches + 2
    max_distance = g.max_distance or 0
    stem = embed_dim + g.patches * g.patch_dim * embed_dim + embed_dim * (g.patches + 1) / 2
    total = stem + (g.patches + 1) * g.num_classes * embed_dim
    for layer in architecture.layers:
        width = g.head_dim * layer.num_heads
        if width:
            total += tokens * embed_dim + 4 * tokens * embed_dim * width + 2 * tokens**2 * width
            total += 2 * max_distance * tokens**2 + tokens**2 / 2 + tokens * width / 2
        if layer.hidden_dim:
            total += tokens * embed_dim + 2 * tokens * embed_dim * layer.hidden_dim
    return total
