"""Repair after cutting: least squares of what a subnet's branches add, towards the full network, without labels.

A subnet of a trained network lacks heads, hidden units, branches and channels, and its other weights know nothing of
it. SnapViT (arXiv 2510.17700) refits ``attn.proj`` and ``mlp.fc2`` on the inputs they keep. Here each is fitted on the
inputs that the subnet itself gives it, after the repair of the earlier ones, and what it must add is the whole
difference between the full network's residual stream and the subnet's: each branch also makes up for what earlier and
skipped ones lack. At last the head is fitted to the full network's outputs. With inputs z, missing residuals r and
weights W, over tokens with weights,

    W' = W + E[r zᵀ] (E[z zᵀ] + λ I)⁻¹,

a ridge regression around the weights that are there; a bias is fitted beside, without a ridge. λ is chosen for each
layer on a quarter of the images, relative to the mean of E[z²].
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from time import perf_counter
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor

from nasformer.architecture import Architecture, Layer
from nasformer.errors import ArchitectureError, DataError
from nasformer.supernet.block import Block
from nasformer.supernet.checkpoint import fingerprint
from nasformer.supernet.layers import SlicedLinear
from nasformer.supernet.model import VisionTransformer
from nasformer.tasks import Task, get_task

LEAST_IMAGES = 10
RIDGES = (1e3, 1e2, 1e1, 1e0, 1e-1, 1e-2, 1e-3, 1e-4, 1e-5)
"""Choices of λ, as multiples of the mean second moment of the inputs."""

_HELD_OUT = 5  # every fifth image
_TUNING = 4  # every fourth chunk
_TOKENS_AT_A_TIME = 2**12


@dataclass(frozen=True)
class Repair:
    """A subnet after its repair, or as it was cut if that is no worse on held-out images.

    Attributes:
        net: The standalone network.
        before: Mean divergence from the full network's outputs on the held-out images, as cut: for classes the
            Kullback-Leibler divergence, in nats.
        after: The same as repaired.
        images: Number of images that the repair was fitted on.
        held_out: Number of held-out images.
        seconds: Wall time.
        cut: Hash of the weights as cut.
    """

    net: VisionTransformer
    before: float
    after: float
    images: int
    held_out: int
    seconds: float
    cut: str

    @property
    def kept(self) -> bool:
        """Whether ``net`` is repaired: it then diverges less than as cut."""
        return self.after < self.before

    def __str__(self) -> str:
        change = f"divergence from the full network {self.before:.3g} → {self.after:.3g}"
        judged = f"{change} on {self.held_out:,} held-out images"
        fitted = f"on {self.images:,} images in {self.seconds:.1f} s"
        return f"repaired {fitted}: {judged}" if self.kept else f"left as cut: no gain by a repair {fitted}, {judged}"

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, ready for JSON, without the network."""
        names = ("kept", "before", "after", "images", "held_out", "seconds")
        return {name: getattr(self, name) for name in names}


def repair(
    net: VisionTransformer,
    architecture: Architecture,
    images: Tensor,
    *,
    held_out: Tensor | None = None,
    task: Task | None = None,
) -> Repair:
    """Extract a subnet, and fit its branches and head to what the full network does on some images.

    Args:
        net: The full network, such as a supernet of a trained checkpoint; not modified.
        architecture: The subnet.
        images: Images ``(images, channels, height, width)`` as the network reads them, or series; some hundred
            suffice.
        held_out: Images that decide whether the repair is kept; None: every fifth of ``images``.
        task: What the outputs mean, which defines the divergence; None: classes.

    Raises:
        ArchitectureError: ``architecture`` is larger than this network, or the network shares no weights.
        DataError: Fewer than ten images, or images that are not finite numbers of the network's shape.

    >>> from nasformer.architecture import uniform
    >>> from nasformer.cost.geometry import Geometry
    >>> geometry = Geometry(image_size=8, patch_size=2, in_channels=1, num_classes=10, head_dim=16, max_distance=3)
    >>> net = VisionTransformer(geometry, uniform(64, 4, 4, 3))
    >>> images = torch.randn(60, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    >>> found = repair(net, uniform(48, 3, 2, 2), images)
    >>> found.kept, found.after < found.before, found.images, found.held_out
    (True, True, 48, 12)
    """
    start, place = perf_counter(), next(net.parameters())
    if net.sharing.name != "entangled":
        raise ArchitectureError(
            "classical sharing has no full network whose parts its subnets are; repair subnets of entangled sharing",
            net.sharing.name,
        )
    fitted, judged = (each.to(place) for each in _split(net, images, held_out))
    task = task or get_task("classification")()
    reference = net.architecture.replace(**dict(architecture.network))  # at the subnet's patch and image size
    modes = {module: module.training for module in net.modules()}
    net.eval()
    try:
        with torch.no_grad():
            cut, chunks = net.extract(architecture), _chunks(judged, net.geometry.of(architecture).tokens)
            wanted = torch.cat([net(chunk) for chunk in chunks])
            before = _divergence(task, cut, chunks, wanted)
            repaired = net.extract(architecture)
            if architecture != reference:
                _fit(net, reference, repaired, _chunks(fitted, net.geometry.of(architecture).tokens))
            after = _divergence(task, repaired, chunks, wanted)
    finally:
        for module, mode in modes.items():
            module.training = mode
    chosen = (repaired if after < before else cut).train(net.training)
    return Repair(chosen, before, after, len(fitted), len(judged), perf_counter() - start, fingerprint(cut))


def _split(net: VisionTransformer, images: Tensor, held_out: Tensor | None) -> tuple[Tensor, Tensor]:
    """Return the images to fit and those to judge by.

    Raises:
        DataError: They are too few, or no finite numbers of the network's shape.
    """
    for part in (images, *(() if held_out is None else (held_out,))):
        net.check_images(part)
        if not part.is_floating_point() or not part.isfinite().all():
            found = "NaN or infinite values" if part.is_floating_point() else part.dtype
            raise DataError(f"repair needs images of finite floating-point numbers, got {found}", part)
    if len(images) < LEAST_IMAGES or (held_out is not None and not len(held_out)):
        count = len(images) if held_out is None or len(held_out) else 0
        raise DataError(f"repair needs at least {LEAST_IMAGES} images, got {count}; give more", count)
    if held_out is not None:
        return images, held_out
    judged = torch.arange(len(images), device=images.device) % _HELD_OUT == 0
    return images[~judged], images[judged]


def _chunks(images: Tensor, tokens: int) -> list[Tensor]:
    """Return interleaved parts of the images, several of them, each of a bounded number of tokens."""
    count = max(min(2 * _TUNING, len(images)), -(-len(images) * tokens // _TOKENS_AT_A_TIME))
    return [images[first::count] for first in range(count)]


def _divergence(task: Task, net: VisionTransformer, chunks: list[Tensor], wanted: Tensor) -> float:
    """Return the mean divergence of a network's outputs from ``wanted``, 0 if they are equal."""
    outputs = torch.cat([net(chunk) for chunk in chunks])
    return float(task.divergence(outputs, wanted).mean())


class _Branch(NamedTuple):
    """A residual branch of an architecture, with the choices of its layer without the other branch."""

    layer: int
    part: str
    choices: Layer


def _branches(architecture: Architecture) -> list[_Branch]:
    found = []
    for index, layer in enumerate(architecture.layers):
        found += [_Branch(index, "attn", replace(layer, hidden_dim=0))] if layer.num_heads else []
        found += [_Branch(index, "mlp", replace(layer, num_heads=0))] if layer.hidden_dim else []
    return found


class _Stream:
    """The tokens of a network, chunk by chunk, as its branches change them.

    Args:
        net: The network.
        architecture: The architecture to run.
        chunks: Images.
    """

    def __init__(self, net: VisionTransformer, architecture: Architecture, chunks: list[Tensor]) -> None:
        self.net, self.grid = net, net.patch_grid(architecture)
        self.tokens = [net.embed(chunk, architecture) for chunk in chunks]

    def run(self, branch: _Branch, tokens: Tensor) -> Tensor:
        """Return tokens ``(batch, tokens, embed_dim)`` after a branch."""
        return self.net.run_block(cast(Block, self.net.blocks[branch.layer]), tokens, branch.choices, self.grid)

    def advance(self, branch: _Branch) -> None:
        """Run a branch."""
        self.tokens = [self.run(branch, tokens) for tokens in self.tokens]


def _fit(net: VisionTransformer, reference: Architecture, subnet: VisionTransformer, chunks: list[Tensor]) -> None:
    """Fit the branches of a subnet, first to last, to the residual stream of ``reference``, and the head to its."""
    full, own = _Stream(net, reference, chunks), _Stream(subnet, subnet.architecture, chunks)
    kept, ahead = _branches(subnet.architecture), _branches(reference)
    weights = _token_weights(subnet, own.tokens[0].shape[1]).to(own.tokens[0])
    for branch, following in zip(kept, [*kept[1:], None], strict=False):
        while ahead and (following is None or ahead[0][:2] != following[:2]):  # to where the subnet's next branch reads
            full.advance(ahead.pop(0))
        if (linear := _output_layer(subnet, branch)) is not None:
            _fit_linear(linear, partial(own.run, branch), own.tokens, full.tokens, weights)
        own.advance(branch)
    for branch in ahead:  # of a subnet without branches
        full.advance(branch)
    if isinstance(subnet.head, SlicedLinear):  # not one over all patches
        same = reference == net.architecture  # else the outputs wanted are those at its patch and image size
        wanted = [
            net.classify(net.norm(x)) if same else net(chunk) for x, chunk in zip(full.tokens, chunks, strict=True)
        ]
        _fit_linear(subnet.head, lambda x: subnet.classify(subnet.norm(x)), own.tokens, wanted, torch.ones(()))


def _fit_linear(
    linear: SlicedLinear, run: Callable[[Tensor], Tensor], parts: list[Tensor], targets: list[Tensor], weights: Tensor
) -> None:
    """Fit a linear layer so that ``run`` maps parts to targets, of which its outputs are a summand.

    Args:
        linear: The layer.
        run: The computation that calls it.
        parts: Tokens ``(batch, tokens, embed_dim)``.
        targets: ``(batch, …, out)``, of which the leading outputs are wanted.
        weights: Weights that broadcast to ``(…,)``.
    """
    moments = _Moments(), _Moments()
    for place, (tokens, target) in enumerate(zip(parts, targets, strict=True)):
        inputs: list[Tensor] = []
        with linear.register_forward_pre_hook(lambda _, arguments, seen=inputs: seen.append(arguments[0])):
            outputs = run(tokens)
        moments[place % _TUNING == 0].add(inputs[0], target[..., : outputs.shape[-1]] - outputs, weights.to(outputs))
    _update(linear, *moments)


def _output_layer(net: VisionTransformer, branch: _Branch) -> SlicedLinear | None:
    """Return the linear layer at the end of a branch; None: a plug-in's attention has another."""
    block = cast(Any, net.blocks[branch.layer])
    found = block.mlp.fc2 if branch.part == "mlp" else getattr(block.attn, "proj", None)
    return found if isinstance(found, SlicedLinear) else None


def _token_weights(net: VisionTransformer, tokens: int) -> Tensor:
    """Return weights ``(tokens,)``: where the head reads the class token, it weighs as much as all patches."""
    weights = torch.ones(tokens)
    if net.pooling == "cls":
        weights[0] = max(tokens - 1, 1)
    return weights


class _Moments:
    """Weighted sums over tokens: of inputs z, followed by a one for the bias, and of missing residuals r."""

    def __init__(self) -> None:
        self.inputs = torch.zeros(())  # z zᵀ, (in + 1, in + 1)
        self.cross = torch.zeros(())  # z rᵀ, (in + 1, out)

    def add(self, inputs: Tensor, residuals: Tensor, weights: Tensor) -> None:
        """Add inputs ``(batch, …, in)`` and residuals ``(batch, …, out)`` with weights that broadcast to ``(…,)``."""
        z = torch.cat((inputs, torch.ones_like(inputs[..., :1])), dim=-1)
        weighted = (z * weights[..., None]).flatten(0, -2).T
        self.inputs = self.inputs + (weighted @ z.flatten(0, -2)).cpu().double()
        self.cross = self.cross + (weighted @ residuals.flatten(0, -2)).cpu().double()

    def __add__(self, other: _Moments) -> _Moments:
        total = _Moments()
        total.inputs, total.cross = self.inputs + other.inputs, self.cross + other.cross
        return total

    def solution(self, ridge: float) -> Tensor | None:
        """Return the changes ``(in + 1, out)`` of weights, transposed, and bias; None: it takes a larger ridge."""
        diagonal = self.inputs.diagonal()[:-1]
        size = (ridge * diagonal.mean()).clamp(min=torch.finfo(torch.float32).tiny).expand_as(diagonal)
        damping = torch.diag(torch.cat((size, size.new_zeros(1))))  # no ridge on the bias
        factor, failure = torch.linalg.cholesky_ex(self.inputs + damping)
        return None if failure else torch.cholesky_solve(self.cross, factor)

    def error(self, solution: Tensor | None) -> float:
        """Return the squared error that a solution leaves, up to a constant."""
        return math.inf if solution is None else float((solution * (self.inputs @ solution - 2 * self.cross)).sum())


def _update(linear: SlicedLinear, fitted: _Moments, tuning: _Moments) -> None:
    """Change a linear layer by the solution of all moments, at the ridge that is best from one part to the other."""
    ridge = min(RIDGES, key=lambda each: tuning.error(fitted.solution(each)))
    if (solution := (fitted + tuning).solution(ridge)) is not None:
        change = solution.to(linear.weight)
        linear.weight.add_(change[:-1].T)
        linear.bias.add_(change[-1])
