"""Weight sharing: which weights a choice of sizes gets, as one object that a network is built and asked by.

Entangled: every choice is a leading slice of one maximal part (Chen et al., ICCV 2021, section 3.1). Classical, the
paper's baseline after SPOS (Guo et al., ECCV 2020): every choice has a part of its own in each layer, and shares
nothing with the others. Attention has one for each width and number of heads, the MLP one for each two
widths, all else one for each width.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Literal, Protocol, TypeVar, cast

from torch import Tensor, nn

from nasformer.architecture import Architecture
from nasformer.errors import ArchitectureError

WeightSharing = Literal["entangled", "classical"]
Key = tuple[int, ...]
Part = TypeVar("Part", bound=nn.Module)


class Sharing(Protocol):
    """How a network gets its parts."""

    name: WeightSharing

    def by_width(self, build: Callable[[int], Part], embed_dim: int) -> Part:
        """Return what ``build(embed_dim)`` makes, for every width up to ``embed_dim``."""

    def by_heads(self, build: Callable[[int, int], Part], embed_dim: int, num_heads: int) -> Part:
        """Return what ``build(embed_dim, num_heads)`` makes, for every choice of both."""

    def by_hidden(self, build: Callable[[int, int], Part], embed_dim: int, hidden_dim: int) -> Part:
        """Return what ``build(embed_dim, hidden_dim)`` makes, for every choice of both."""

    def own_name(self, name: str, architecture: Architecture) -> str:
        """Return the name, in the shared network, of a parameter of ``architecture`` alone."""

    def require(self, architecture: Architecture) -> None:
        """Raise ArchitectureError unless there are weights for ``architecture``."""


class Entangled:
    """One maximal part, of which every choice is a leading slice."""

    name: WeightSharing = "entangled"

    def by_width(self, build: Callable[[int], Part], embed_dim: int) -> Part:
        """Return the part of the largest width."""
        return build(embed_dim)

    def by_heads(self, build: Callable[[int, int], Part], embed_dim: int, num_heads: int) -> Part:
        """Return the part of the largest sizes."""
        return build(embed_dim, num_heads)

    def by_hidden(self, build: Callable[[int, int], Part], embed_dim: int, hidden_dim: int) -> Part:
        """Return the part of the largest sizes."""
        return build(embed_dim, hidden_dim)

    def own_name(self, name: str, architecture: Architecture) -> str:
        """Return ``name``: slices are taken from the parameter of that name."""
        return name

    def require(self, architecture: Architecture) -> None:
        """Accept what fits."""


class Classical:
    """A part for each choice.

    Args:
        embed_dims: Choices of the width.
        num_heads: Choices of the heads of a layer.
        mlp_ratios: Choices of the MLP ratio of a layer.
    """

    name: WeightSharing = "classical"

    def __init__(self, embed_dims: Collection[int], num_heads: Collection[int], mlp_ratios: Collection[float]) -> None:
        self.embed_dims, self.num_heads = tuple(embed_dims), tuple(heads for heads in num_heads if heads)
        self.hidden = {width: tuple(dict.fromkeys(int(width * r) for r in mlp_ratios if r)) for width in embed_dims}

    def by_width(self, build: Callable[[int], Part], embed_dim: int) -> Part:
        """Return a part for each width."""
        return merge_choices({(width,): build(width) for width in self.embed_dims})

    def by_heads(self, build: Callable[[int, int], Part], embed_dim: int, num_heads: int) -> Part:
        """Return a part for each width and number of heads."""
        sizes = [(width, heads) for width in self.embed_dims for heads in self.num_heads]
        return merge_choices({size: build(*size) for size in sizes}, "num_heads")

    def by_hidden(self, build: Callable[[int, int], Part], embed_dim: int, hidden_dim: int) -> Part:
        """Return a part for each width of the embedding and of the MLP."""
        sizes = [(width, hidden) for width in self.embed_dims for hidden in self.hidden[width]]
        return merge_choices({size: build(*size) for size in sizes}, "hidden_dim")

    def own_name(self, name: str, architecture: Architecture) -> str:
        """Return the name with the part's sizes in it.

        >>> arch = Architecture(64, (2, 3), (1, 2))
        >>> Classical([64], [2, 3], [1, 2]).own_name("blocks.1.mlp.fc1.weight", arch)
        'blocks.1.mlp.64x128.fc1.weight'
        """
        words = name.split(".")
        length = 3 if words[0] == "blocks" else 1
        key: Key = (architecture.embed_dim,)
        if words[:length][-1] == "attn":
            key = (*key, architecture.num_heads[int(words[1])])
        elif words[:length][-1] == "mlp":
            key = (*key, architecture.hidden_dims[int(words[1])])
        return ".".join((*words[:length], _text(key), *words[length:]))

    def require(self, architecture: Architecture) -> None:
        """Raise ArchitectureError, naming the dimension, unless every size is one of the choices."""
        width = architecture.embed_dim
        _member("embed_dim", width, self.embed_dims)
        for heads, hidden in zip(architecture.num_heads, architecture.hidden_dims, strict=True):
            _member("num_heads", heads, (0, *self.num_heads))
            _member(f"MLP width at embed_dim {width}", hidden, (0, *self.hidden[width]))


class Parts(nn.ModuleDict):
    """Parts of one place in the network, by their sizes; called as any one of them is.

    Args:
        parts: By width alone, or by width and a size of the layer.
        size: That size, ``num_heads`` or ``hidden_dim``; None: by width alone.
    """

    def __init__(self, parts: Mapping[Key, nn.Module], size: str | None) -> None:
        super().__init__({_text(key): part for key, part in parts.items()})
        self._size = size

    def forward(self, x: Tensor, *arguments: object) -> Tensor:
        """Map what the part of these sizes maps: ``(..., embed_dim)``, or images with their embed_dim."""
        width = arguments[0] if x.ndim == 4 else x.shape[-1]
        key = (width,) if self._size is None else (width, getattr(arguments[0], self._size))
        out: Tensor = self[_text(key)](x, *arguments)
        return out


ENTANGLED = Entangled()
"""AutoFormer's way."""


def merge_choices(parts: Mapping[Key, Part], size: str | None = None) -> Part:
    """Return parts, by width or by width and a size of the layer, as what any one of them is to its callers."""
    return cast(Part, Parts(parts, size))


def _text(key: tuple[object, ...]) -> str:
    return "x".join(map(str, key))


def _member(name: str, value: int, choices: Collection[int]) -> None:
    if value not in choices:
        known = ", ".join(map(str, choices))
        raise ArchitectureError(
            f"{name} is {value}, of which classical sharing has no weights; choices: {known}", value
        )
