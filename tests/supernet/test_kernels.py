"""How it is computed: no (tokens, tokens, head_dim) tensors, no copies of weights, no synchronisation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode

from nasformer.architecture import Architecture, uniform
from nasformer.cost.geometry import Geometry
from nasformer.supernet import VisionTransformer
from nasformer.supernet.relative_position import PatchGrid

GEOMETRY = Geometry(image_size=56, patch_size=4, in_channels=1, num_classes=3, head_dim=16, max_distance=14)
SUBNET = Architecture(24, (1, 2), (1, 2))


class Watch(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch's own class is untyped
    """Records the operators that run, the storages that products read, and the largest result."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.operators: list[str] = []
        self.factors: set[int] = set()
        self.largest = 0

    def __torch_dispatch__(
        self, func: Any, types: Sequence[type], args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        out = func(*args, **(kwargs or {}))
        self.operators.append(func.overloadpacket.__name__)
        if self.operators[-1] in ("addmm", "mm", "linear"):
            self.factors |= {a.untyped_storage().data_ptr() for a in args if isinstance(a, Tensor)}
        results = out if isinstance(out, (tuple, list)) else (out,)
        self.largest = max([self.largest, *(r.numel() for r in results if isinstance(r, Tensor))])
        return out


def watched(max_distance: int | None = 14) -> tuple[VisionTransformer, Watch]:
    geometry = Geometry(56, 4, 1, 3, 16, max_distance)
    net = VisionTransformer(geometry, uniform(32, 2, 3, 2))
    watch = Watch()
    with watch, torch.no_grad():
        net(torch.zeros(1, 1, 56, 56), SUBNET)
    return net, watch


def test_relative_positions_are_never_built_in_full() -> None:
    _, watch = watched()
    assert watch.largest < GEOMETRY.tokens**2 * GEOMETRY.head_dim / 10


def test_attention_is_one_fused_call_a_layer() -> None:
    for max_distance in (14, None):
        _, watch = watched(max_distance)
        fused = [name for name in watch.operators if name.startswith("_scaled_dot_product_flash_attention")]
        assert len(fused) == SUBNET.depth
        assert "_softmax" not in watch.operators


def test_weights_are_read_in_place() -> None:
    net, watch = watched()
    unused = {id(p) for name, p in net.named_parameters() if p.ndim < 2 or "positions" in name or "cls" in name}
    weights = [p for p in net.parameters() if id(p) not in unused]
    assert len(weights) == 2 + 4 * SUBNET.depth
    assert all(p.untyped_storage().data_ptr() in watch.factors for p in weights)


def test_nothing_waits_for_the_device() -> None:
    net = VisionTransformer(GEOMETRY, uniform(32, 2, 3, 2))
    with FakeTensorMode(allow_non_fake_inputs=True) as mode:
        images = mode.from_tensor(torch.zeros(2, 1, 56, 56))
        assert net(images, SUBNET).shape == (2, 3)  # reading a value of a tensor would raise here


def test_bfloat16_agrees_with_float32() -> None:
    net = VisionTransformer(GEOMETRY, uniform(32, 2, 3, 2))
    images = torch.randn(4, 1, 56, 56, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        exact = net(images, SUBNET)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            mixed = net(images, SUBNET)
        half = net.to(torch.bfloat16)(images.bfloat16(), SUBNET)
    assert mixed.dtype == half.dtype == torch.bfloat16
    for rough in (mixed, half):
        torch.testing.assert_close(rough.float(), exact, rtol=0.05, atol=0.05 * float(exact.abs().max()))


def test_the_hand_written_gradients_are_the_numerical_ones() -> None:
    grid = PatchGrid(grid=3, max_distance=1, head_dim=4).double()
    generator = torch.Generator().manual_seed(0)
    qkv, out, tables = (
        torch.randn(size, dtype=torch.float64, generator=generator, requires_grad=True)
        for size in ((2, 10, 2, 3, 4), (2, 10, 2, 4 + grid.extra), (2, 2, 4, 4))
    )
    assert torch.autograd.gradcheck(lambda qkv, tables: grid.widen(qkv, grid(tables)[0]), (qkv, tables))
    assert torch.autograd.gradcheck(lambda out, tables: grid.narrow(out, grid(tables)[1]), (out, tables))


def test_the_whole_network_is_one_graph_for_torch_compile() -> None:
    net = VisionTransformer(GEOMETRY, uniform(32, 2, 3, 2)).eval()
    images = torch.randn(2, 1, 56, 56, generator=torch.Generator().manual_seed(0))
    compiled = torch.compile(net, backend="aot_eager", fullgraph=True)
    torch.testing.assert_close(compiled(images), net(images))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_cuda_gives_the_same_numbers_without_waiting(dtype: torch.dtype) -> None:
    net = VisionTransformer(GEOMETRY, uniform(32, 2, 3, 2))
    images = torch.randn(4, 1, 56, 56, generator=torch.Generator().manual_seed(0))
    expected = net(images, SUBNET)
    net.to("cuda")
    on_device = images.to("cuda")
    net(on_device, SUBNET).sum().backward()
    torch.cuda.set_sync_debug_mode("error")
    try:
        with torch.autocast("cuda", dtype=torch.bfloat16, enabled=dtype is torch.bfloat16):
            logits = net(on_device, SUBNET)
        logits.float().sum().backward()
    finally:
        torch.cuda.set_sync_debug_mode("default")
    tolerance = 1e-4 if dtype is torch.float32 else 0.05
    torch.testing.assert_close(
        logits.float().cpu(), expected, rtol=tolerance, atol=tolerance * float(expected.abs().max())
    )
