"""Supernet: one network that runs every architecture of a space, with shared weights.

Weight entanglement as in AutoFormer (Chen et al., ICCV 2021, section 3.1), or the paper's baseline, classical sharing.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import torch
from torch import Tensor, nn

from nasformer.architecture import Architecture
from nasformer.errors import ArchitectureError, CheckpointError, NasformerError, shown
from nasformer.space import SearchSpace, load_space, space_names
from nasformer.supernet.attention import QkvBias
from nasformer.supernet.autoformer import from_autoformer, read_autoformer, to_autoformer
from nasformer.supernet.checkpoint import (
    build,
    fingerprint,
    first_line,
    read_checkpoint,
    require_layers,
    write_checkpoint,
)
from nasformer.supernet.layers import LAYER_NORM_EPS
from nasformer.supernet.model import VisionTransformer, require_option
from nasformer.supernet.sharing import ENTANGLED, Classical, Sharing, WeightSharing

if TYPE_CHECKING:
    from nasformer.supernet.family import Checkpoint


PREPROCESSING = ("mean", "std", "crop_pct", "interpolation", "crop_mode")


class Supernet(VisionTransformer):
    """A vision transformer that runs every architecture of its space.

    Args:
        space: The search space.
        qkv_bias: Slice of the qkv bias that fewer heads use; "leading" is AutoFormer's.
        drop_path: Stochastic depth rate of the last layer; it grows linearly from 0.
        seed: Random seed of the weights; None leaves linear weights zero, to be loaded.
        weight_sharing: "entangled": every choice is a leading slice of the weights of ``space.supernet_architecture``;
            "classical": every choice in a layer has its own weights, at several times the memory.

    Attributes:
        space: The search space.
        metadata: The caller's JSON-compatible metadata.
        file: The checkpoint that the weights were loaded from or saved to; None: none, or trained since.
    """

    def __init__(
        self,
        space: SearchSpace,
        *,
        qkv_bias: QkvBias = "leading",
        drop_path: float = 0.1,
        seed: int | None = 0,
        weight_sharing: WeightSharing = "entangled",
    ) -> None:
        require_option("weight_sharing", weight_sharing, get_args(WeightSharing))
        sharing, largest = _sharing_and_sizes(space, weight_sharing)
        sizes = space.codec.values
        with _clear_memory_errors(space):
            super().__init__(
                space.geometry,
                largest,
                pooling=space.pooling,
                qkv_bias=qkv_bias,
                drop_path=drop_path,
                seed=seed,
                sharing=sharing,
                patch_sizes=sizes.get("patch_size", ()),
                image_sizes=sizes.get("image_size", ()),
            )
        self.space = space
        self.metadata: dict[str, Any] = {}
        self.file: Path | None = None

    def save(self, path: str | Path, metadata: Mapping[str, Any] | None = None) -> Path:
        """Write the weights and the declaration of their space; ``metadata`` replaces the supernet's own.

        Raises:
            CheckpointError: The file cannot be written.
        """
        header = {
            "space": self.space.to_dict(),
            "qkv_bias": self.qkv_bias,
            "weight_sharing": self.sharing.name,
            "drop_path": self.drop_path_rates[-1],
            "norm_eps": self.norm_eps,
            "metadata": dict(self.metadata if metadata is None else metadata),
        }
        self.file = write_checkpoint(path, "supernet", self.state_dict(), header).absolute()
        return Path(path)

    @property
    def preprocessing(self) -> dict[str, Any] | None:
        """How its images are cropped and normalised, for ``load_dataset``; None: unknown."""
        trained = self.metadata.get("training", {}).get("data", {})
        steps = trained if "crop_pct" in trained else self.metadata.get("imported", {}).get("preprocessing")
        return {key: steps[key] for key in PREPROCESSING if key in steps} if steps else None

    def extract(self, architecture: Architecture, *, repair: Tensor | None = None) -> VisionTransformer:
        """Return a standalone network of ``architecture`` that gives the same logits, or is repaired.

        Args:
            architecture: The architecture.
            repair: Some hundred images ``(images, channels, height, width)``: the network is fitted to what the
                supernet does on them, without labels, if that brings it closer on every fifth image, which is held
                out; ``nasformer.repair`` tells by how much. None: its weights are copies.

        Raises:
            ArchitectureError: ``architecture`` is larger than this network.
            DataError: The images are too few, or no images of this network.
        """
        if repair is None:
            subnet = super().extract(architecture)
            if "imported" in self.metadata and self.file is not None:
                subnet.family = str(self.file), fingerprint(self)[:16]
            return subnet
        from nasformer.supernet.repair import repair as repair_on_images

        return repair_on_images(self, architecture, repair).net

    @classmethod
    def load(cls, path: str | Path, space: SearchSpace | None = None) -> Supernet:
        """Load a file of ``save``, in evaluation mode.

        Args:
            path: The checkpoint.
            space: The expected space; None: the declared one.

        Raises:
            CheckpointError: The file is unreadable, or of another space; the message names every difference.
        """
        header, tensors = read_checkpoint(path, "supernet")
        try:
            declared = SearchSpace.from_dict(header["space"])
            if space is not None and space.fingerprint != declared.fingerprint:
                differences = "; ".join(space.differences(declared))
                raise CheckpointError(f"{path} belongs to another space than {space.name!r}: {differences}", space)
            rate, metadata = float(header["drop_path"]), dict(header["metadata"])
            shared = header.get("weight_sharing", "entangled")  # absent in files of the first version
            options = {"qkv_bias": header["qkv_bias"], "drop_path": rate, "weight_sharing": shared}
            kept = space or declared
            choices = max(map(len, kept.codec.values.values())) if shared == "classical" else 1
            require_layers(choices * kept.supernet_architecture.depth, tensors, path)
            net = build(lambda: cls(kept, **options, seed=None), tensors, path)
            net.set_norm_eps(float(header.get("norm_eps", LAYER_NORM_EPS)))
        except CheckpointError:
            raise
        except NasformerError as error:
            raise CheckpointError(f"cannot build the supernet of {path}: {error}", path) from error
        except (KeyError, TypeError, ValueError, RuntimeError, OverflowError) as error:
            raise CheckpointError(f"the header of {path} is damaged: {first_line(error)}", path) from error
        net.metadata, net.file = metadata, Path(path).absolute()
        return net.eval()

    @classmethod
    def from_autoformer(
        cls, path: str | Path, space: str | Path | SearchSpace, *, qkv_bias: QkvBias = "leading"
    ) -> Supernet:
        """Read an official AutoFormer checkpoint, as data.

        Args:
            path: A supernet checkpoint of the official code.
            space: Its space: a built-in name, the path of a declaration (AutoFormer's own YAML too), or the space.
            qkv_bias: "leading" for AutoFormer's own files, "interleaved" for PreNAS's.

        Raises:
            CheckpointError: The file is unreadable, or a tensor does not fit; the message names it, both shapes, and
                the built-in space that fits.
            SpaceError: An unknown space.
        """
        declared = load_space(space)
        official = read_autoformer(path)
        net = cls(declared, qkv_bias=qkv_bias, seed=None)
        try:
            from_autoformer(net, official)
        except CheckpointError as error:
            others = [name for name in space_names() if load_space(name).fingerprint != declared.fingerprint]
            fitting = [name for name in others if _fits(load_space(name), official)]
            way_out = f"; it fits the space {fitting[0]!r}" if fitting else ""
            raise CheckpointError(f"{path} and the space {declared.name!r}: {error}{way_out}", error.value) from None
        net.metadata = {"imported": {"format": "autoformer", "file": Path(path).name}}
        return net.eval()

    @classmethod
    def from_timm(
        cls,
        model: nn.Module,
        space: str | Path | SearchSpace | None = None,
        *,
        batches: Iterable[tuple[Tensor, Tensor]] | None = None,
        num_classes: int | None = None,
    ) -> Supernet:
        """Convert a plain ViT or DeiT of timm to a supernet whose largest member equals the model.

        Heads and hidden units of each layer, and embedding channels if there are several widths, are sorted by
        importance, so that smaller members keep the most important ones. A short training with the sandwich rule
        then yields a family of networks.

        Args:
            model: A trained ``timm.models.vision_transformer.VisionTransformer``, as from ``timm.create_model``. Layer
                scale is folded into the weights; dropout is discarded.
            space: A space whose supernet has the model's sizes; None: ¾, ⅞ or all of its width, none to all of the
                heads and hidden units of each layer, ¾ or all of its resolution.
            batches: A few batches of normalised images ``(batch, channels, height, width)`` and labels ``(batch,)``
                for gradient-based importance; None: weight magnitudes.
            num_classes: Classes of the head, which is initialised anew if the model has others; None: the model's,
                or its features if it has no head.

        Raises:
            ArchitectureError: The model has an unsupported part, or other sizes than the space's supernet; the message
                names it.
            DataError: ``batches`` do not fit the model.

        >>> import timm
        >>> model = timm.create_model("vit_tiny_patch16_224", depth=2, img_size=32, num_classes=10).eval()
        >>> net, images = Supernet.from_timm(model), torch.randn(2, 3, 32, 32)
        >>> bool(torch.allclose(net(images), model(images), atol=1e-5))
        True
        >>> net.space.depth, net.space.num_heads
        (choice(2), per_layer(0, 1, 2, 3))
        """
        from nasformer.supernet.from_timm import read_timm

        return cls.from_checkpoint(read_timm(model).with_head(num_classes), space, batches)

    @classmethod
    def from_transformers(
        cls,
        model: nn.Module | str | Path,
        space: str | Path | SearchSpace | None = None,
        *,
        batches: Iterable[tuple[Tensor, Tensor]] | None = None,
        num_classes: int | None = None,
    ) -> Supernet:
        """Convert a ViT, DeiT or DINOv2 of Hugging Face's ``transformers`` for image classification.

        Args:
            model: The model, or the local folder of ``save_pretrained``; nothing is downloaded.
            space: As in ``from_timm``, like all that follow.
            batches: Batches for gradient-based importance.
            num_classes: Classes of the head.

        Raises:
            ArchitectureError: The model is of another class, or has an unsupported part; the message names it.
            CheckpointError: The folder cannot be read, or ``transformers`` is not installed.
        """
        from nasformer.supernet.from_transformers import read_transformers

        return cls.from_checkpoint(read_transformers(model).with_head(num_classes), space, batches)

    @classmethod
    def from_checkpoint(
        cls,
        source: Checkpoint,
        space: str | Path | SearchSpace | None = None,
        batches: Iterable[tuple[Tensor, Tensor]] | None = None,
    ) -> Supernet:
        """Convert a network of ``read_timm`` or ``read_transformers``; arguments and errors as of ``from_timm``."""
        from nasformer.supernet.family import require_supernet_sizes, suggested_space

        declared = suggested_space(source) if space is None else load_space(space)
        require_supernet_sizes(source, declared)
        net = cls(declared, qkv_bias="interleaved", drop_path=0.0, seed=None)
        net.set_norm_eps(source.norm_eps)
        net.load_state_dict(source.sorted_weights(batches, channels=len(declared.embed_dim) > 1))
        criterion = "sum of absolute weights" if batches is None else "absolute derivative by a gate"
        new_head = {"new_head": True} if source.new_head else {}
        net.metadata = {"imported": {**source.source, "importance": criterion, **new_head}}
        return net.eval()


def _sharing_and_sizes(space: SearchSpace, weight_sharing: WeightSharing) -> tuple[Sharing, Architecture]:
    """Return the weight sharing scheme and the largest architecture."""
    if weight_sharing == "entangled":
        largest = space.supernet_architecture
        _require_memory(space, space.params(largest), "the supernet")
        return ENTANGLED, largest
    for dimension in space.codec.layer:
        if dimension.kind.attention is not None:
            raise ArchitectureError(
                f"classical sharing has no weights for each choice of {dimension.name}; take entangled sharing", space
            )
    values = space.codec.values
    sharing = Classical(values["embed_dim"], values["num_heads"], values["mlp_ratio"])
    _require_memory(space, _weights(space, sharing), "classical sharing")
    return sharing, space.largest


def _weights(space: SearchSpace, sharing: Sharing) -> int:
    """Return the number of weights."""
    with torch.device("meta"):
        net = VisionTransformer(
            space.geometry,
            space.largest,
            seed=None,
            sharing=sharing,
            patch_sizes=space.codec.values.get("patch_size", ()),
        )
    return sum(parameter.numel() for parameter in net.parameters())


def _require_memory(space: SearchSpace, weights: int, what: str) -> None:
    """Raise ArchitectureError if the weights exceed the machine's memory; tensors on the meta device take none."""
    needed, available = 4 * weights, physical_memory()
    if available is not None and needed > available and torch.get_default_device().type != "meta":
        raise ArchitectureError(
            f"{what} of space {shown(space.name)} needs {needed / 2**30:.1f} GiB for its weights, this machine "
            f"has {available / 2**30:.1f} GiB; declare fewer or smaller choices",
            space,
        )


@contextmanager
def _clear_memory_errors(space: SearchSpace) -> Iterator[None]:
    """Say that the memory does not suffice in one line."""
    try:
        yield
    except RuntimeError as error:
        if "can't allocate memory" not in str(error):
            raise
        raise ArchitectureError(
            f"the supernet of space {shown(space.name)} does not fit into memory; declare smaller choices", space
        ) from error


def physical_memory() -> int | None:
    """Return the machine's memory in bytes, None if unknown."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):
        return None


def _fits(space: SearchSpace, official: Mapping[str, Tensor]) -> bool:
    try:
        with torch.device("meta"):
            expected = to_autoformer(Supernet(space, seed=None))
    except CheckpointError:  # the format holds no such network
        return False
    return {name: tensor.shape for name, tensor in expected.items()} == {
        name: tensor.shape for name, tensor in official.items()
    }
