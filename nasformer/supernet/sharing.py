"""Weight sharing schemes: how choices of sizes map to weights.

Entangled: every choice is a leading slice of one maximal module (Chen et al., ICCV 2021, section 3.1). Classical, the
paper's baseline after SPOS (Guo et al., ECCV 2020): every choice has its own module in each layer. Attention has one
per width and number of heads, the MLP one per pair of widths, everything else one per width.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Literal, Protocol, TypeVar, cast

from torch import Tensor, nn

from nasformer.architecture import Architecture
from nasformer.errors import ArchitectureError

WeightSharing = Literal["entangled", "classical"]
Key = tuple[int, ...]
Module = TypeVar("Module", bound=nn.Module)


class Sharing(Protocol):
    """Interface of weight sharing schemes."""

    name: WeightSharing

    def by_width(self, build: Callable[[int], Module], embed_dim: int) -> Module:
        """Return a module for all widths up to ``embed_dim``, made by ``build(embed_dim)``."""

    def by_heads(self, build: Callable[[int, int], Module], embed_dim: int, num_heads: int) -> Module:
        """Return a module for all choices of both sizes, made by ``build(embed_dim, num_heads)``."""

    def by_hidden(self, build: Callable[[int, int], Module], embed_dim: int, hidden_dim: int) -> Module:
        """Return a module for all choices of both sizes, made by ``build(embed_dim, hidden_dim)``."""

    def shared_name(self, name: str, architecture: Architecture) -> str:
        """Return the supernet's name of a parameter of the standalone ``architecture``."""

    def require(self, architecture: Architecture) -> None:
        """Raise ArchitectureError if there are no weights for ``architecture``."""


class Entangled:
    """Weight entanglement: every choice is a leading slice of one maximal module."""

    name: WeightSharing = "entangled"

    def by_width(self, build: Callable[[int], Module], embed_dim: int) -> Module:
        """Return the module of the largest width."""
        return build(embed_dim)

    def by_heads(self, build: Callable[[int, int], Module], embed_dim: int, num_heads: int) -> Module:
        """Return the module of the largest sizes."""
        return build(embed_dim, num_heads)

    def by_hidden(self, build: Callable[[int, int], Module], embed_dim: int, hidden_dim: int) -> Module:
        """Return the module of the largest sizes."""
        return build(embed_dim, hidden_dim)

    def shared_name(self, name: str, architecture: Architecture) -> str:
        """Return ``name`` unchanged."""
        return name

    def require(self, architecture: Architecture) -> None:
        """Accept every architecture."""


class Classical:
    """A separate module per choice.

    Args:
        embed_dims: Choices of ``embed_dim``.
        num_heads: Choices of ``num_heads``.
        mlp_ratios: Choices of ``mlp_ratio``.
    """

    name: WeightSharing = "classical"

    def __init__(self, embed_dims: Collection[int], num_heads: Collection[int], mlp_ratios: Collection[float]) -> None:
        self.embed_dims, self.num_heads = tuple(embed_dims), tuple(heads for heads in num_heads if heads)
        self.hidden = {width: tuple(dict.fromkeys(int(width * r) for r in mlp_ratios if r)) for width in embed_dims}

    def by_width(self, build: Callable[[int], Module], embed_dim: int) -> Module:
        """Return a module per width."""
        return merge_choices({(width,): build(width) for width in self.embed_dims})

    def by_heads(self, build: Callable[[int, int], Module], embed_dim: int, num_heads: int) -> Module:
        """Return a module per width and number of heads."""
        sizes = [(width, heads) for width in self.embed_dims for heads in self.num_heads]
        return merge_choices({size: build(*size) for size in sizes}, "num_heads")

    def by_hidden(self, build: Callable[[int, int], Module], embed_dim: int, hidden_dim: int) -> Module:
        """Return a module per width of the embedding and of the MLP."""
        sizes = [(width, hidden) for width in self.embed_dims for hidden in self.hidden[width]]
        return merge_choices({size: build(*size) for size in sizes}, "hidden_dim")

    def shared_name(self, name: str, architecture: Architecture) -> str:
        """Return the name with the module's sizes inserted.

        >>> arch = Architecture(64, (2, 3), (1, 2))
        >>> Classical([64], [2, 3], [1, 2]).shared_name("blocks.1.mlp.fc1.weight", arch)
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
        _check_choice("embed_dim", width, self.embed_dims)
        for heads, hidden in zip(architecture.num_heads, architecture.hidden_dims, strict=True):
            _check_choice("num_heads", heads, (0, *self.num_heads))
            _check_choice(f"MLP width at embed_dim {width}", hidden, (0, *self.hidden[width]))


class ChoiceModules(nn.ModuleDict):
    """The alternative modules of one position, dispatched by size; called like any one of them.

    Args:
        modules: Modules by width, or by width and a size of the layer.
        size: That size, ``num_heads`` or ``hidden_dim``; None: by width only.
    """

    def __init__(self, modules: Mapping[Key, nn.Module], size: str | None) -> None:
        super().__init__({_text(key): module for key, module in modules.items()})
        self._size = size

    def forward(self, x: Tensor, *arguments: object, **named: object) -> Tensor:
        """Run the module of the input's sizes on ``(..., embed_dim)``, or of ``embed_dim`` on images and series."""
        width = named.get("embed_dim", x.shape[-1])
        key = (width,) if self._size is None else (width, getattr(arguments[0], self._size))
        out: Tensor = self[_text(key)](x, *arguments, **named)
        return out


ENTANGLED = Entangled()
"""AutoFormer's scheme."""


def merge_choices(modules: Mapping[Key, Module], size: str | None = None) -> Module:
    """Merge modules, by width or by width and a size of the layer, into one with their common interface."""
    return cast(Module, ChoiceModules(modules, size))


def _text(key: tuple[object, ...]) -> str:
    return "x".join(map(str, key))


def _check_choice(name: str, value: int, choices: Collection[int]) -> None:
    if value not in choices:
        known = ", ".join(map(str, choices))
        raise ArchitectureError(
            f"{name} is {value}, of which classical sharing has no weights; choices: {known}", value
        )
