"""The supernet against a straightforward implementation, and against timm's plain ViT of equal MACs.

Each row is a ratio, measured round by round in one run; the reference's outputs are checked first.
``--threads`` (default 2) sets torch's threads; ``--rounds`` the runs per median; ``--supernet`` the
trained fashion-mnist supernet of the bfloat16 row (default: the weights kept for that space).
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import cast

import torch
from timm.models.vision_transformer import VisionTransformer as TimmVisionTransformer
from torch import Tensor, nn
from torch.nn import functional as F

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks._plain import plain_twin
from benchmarks._timing import Function, Spread, machine, ratio, rounds
from nasformer.architecture import Architecture, uniform
from nasformer.cost import Geometry, macs
from nasformer.space import load_space, released
from nasformer.supernet import Supernet, VisionTransformer

RESULTS = Path(__file__).resolve().parent / "results" / "supernet_speed.json"
IMAGES = 16
SEARCHED = 2000
"""Images that rank architectures in the search for the winner whose classes are compared."""


@dataclass(frozen=True)
class Row:
    """One line of the table: ``at_least`` says on which side of ``goal`` a figure should be."""

    what: str
    reference: str
    figure: Spread
    goal: float
    at_least: bool = True
    note: str = ""

    @property
    def met(self) -> bool:
        """Whether the median is on the goal's side."""
        return self.figure.median >= self.goal if self.at_least else self.figure.median <= self.goal

    def __str__(self) -> str:
        sign = "≥" if self.at_least else "≤"
        spread = f"{self.figure.median:.4g} ({self.figure.low:.4g}–{self.figure.high:.4g})"
        met = "met" if self.met else "MISSED"
        line = f"{self.what}, against {self.reference}: {spread}; goal {sign} {self.goal:,g}: {met}"
        return f"{line}\n    {self.note}" if self.note else line


def randomised(net: VisionTransformer, seed: int = 0) -> VisionTransformer:
    """Move every parameter off its initial value, so that no term is zero by chance."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(torch.empty_like(parameter).normal_(std=0.02, generator=generator))
    return net


def timm_twin(name: str) -> tuple[nn.Module, float]:
    """Return timm's plain ViT of the same width whose MACs are nearest, and their ratio to ours."""
    own, plain = Geometry(), Geometry(max_distance=None)
    subnet = released(name)
    wanted, heads = macs(own, subnet), subnet.embed_dim // own.head_dim
    options = [(depth, ratio / 64) for depth in range(12, 17) for ratio in range(3 * 64, 6 * 64)]
    cost = {(d, r): macs(plain, uniform(subnet.embed_dim, d, heads, r)) for d, r in options}
    depth, mlp_ratio = min(options, key=lambda option: abs(cost[option] - wanted))
    net = TimmVisionTransformer(embed_dim=subnet.embed_dim, depth=depth, num_heads=heads, mlp_ratio=mlp_ratio)
    return net, cost[depth, mlp_ratio] / wanted


def inference(repeats: int) -> Iterator[Row]:
    """Compare forward passes of AutoFormer-T's released subnet."""
    name = "autoformer-tiny"
    supernet = randomised(Supernet(load_space(name))).eval()
    subnet = supernet.extract(released(name))
    plain, (timm, share) = plain_twin(subnet), timm_twin(name)
    half = supernet.extract(released(name)).to(torch.bfloat16)
    images = torch.randn(IMAGES, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    timm.eval()
    with torch.inference_mode():
        require_equal(subnet(images), plain(images))
        seconds = measured(
            repeats,
            plain=lambda: plain(images),
            timm=lambda: timm(images),
            extracted=lambda: subnet(images),
            inherited=lambda: supernet(images, released(name)),
            bfloat16=lambda: half(images.bfloat16()),
        )
    rate = {key: f"{IMAGES / Spread.of(values).median:.0f}" for key, values in seconds.items()}
    note = (
        f"images/s: ours {rate['extracted']}, plain {rate['plain']}, timm {rate['timm']}, bfloat16 {rate['bfloat16']}"
    )
    yield Row("T inference, float32", "plain", ratio(seconds["plain"], seconds["extracted"]), 1.45, note=note)
    equal = f"timm's has {100 * share:.1f} % of our MACs"
    yield Row(
        "T inference, float32", "timm ViT, equal MACs", ratio(seconds["timm"], seconds["extracted"]), 0.9, note=equal
    )
    yield Row("T inference, bfloat16", "own float32", ratio(seconds["extracted"], seconds["bfloat16"]), 1.8)
    yield Row(
        "net(images, arch)", "extract(arch)(images)", ratio(seconds["inherited"], seconds["extracted"]), 1.05, False
    )


def agreement(path: Path | None) -> Iterator[Row]:
    """Compare the classes that the winner of a short search gives in bfloat16 and in float32."""
    from nasformer.data import load_dataset
    from nasformer.data.memory import ImagesInMemory
    from nasformer.fitness import InheritedFitness
    from nasformer.searcher import Searcher
    from nasformer.training import find_weights

    space = load_space("fashion-mnist")
    path = path or find_weights(space, "fashion-mnist")
    if path is None or not native_bfloat16():
        reason = "no native bfloat16" if path else "no weights; run 'nasformer train fashion-mnist' or give --supernet"
        print(f"bfloat16 against float32, same class: skipped ({reason})")
        return
    net, split = Supernet.load(path, space), cast(ImagesInMemory, load_dataset("fashion-mnist").search)
    fitness = InheritedFitness(net, ImagesInMemory(split.images[:SEARCHED], split.labels[:SEARCHED]), device="cpu")
    result = Searcher(space, strategy="thompson", fitness=fitness, seed=0).run(300e3, evaluations=20, progress=False)
    winner = result.best.architecture
    single, half = net.extract(winner), net.extract(winner).to(torch.bfloat16)
    with torch.inference_mode():
        classes = [(single(x).argmax(1), half(x.bfloat16()).argmax(1)) for x in torch.split(split.images, 1000)]
    same = [float((a == b).float().mean()) for a, b in classes]
    note = f"{len(split):,} images of fashion-mnist, blocks of 1,000"
    figure = Spread(100 * sum(same) / len(same), 100 * min(same), 100 * max(same))
    yield Row("bfloat16, same class, %", "own float32", figure, 99.5, note=note)


def training(repeats: int) -> Iterator[Row]:
    """Compare training steps of AutoFormer-T's released subnet."""
    name = "autoformer-tiny"
    subnet = randomised(VisionTransformer(Geometry(), released(name)))
    plain, (timm, share) = plain_twin(subnet), timm_twin(name)
    for batch in (8, 32):
        steps: dict[str, Function]
        steps = {"ours": step(subnet, batch), "plain": step(plain, batch), "timm": step(timm, batch)}
        steps |= {"products": linear_products(subnet, batch)}
        if native_bfloat16():
            steps |= {"ours16": step(subnet, batch, amp=True), "plain16": step(plain, batch, amp=True)}
        seconds = measured(repeats, **steps)
        medians = {key: Spread.of(values).median for key, values in seconds.items()}
        note = "seconds: " + ", ".join(f"{key} {value:.2f}" for key, value in medians.items())
        what = f"T training step, batch {batch}"
        yield Row(what, "plain", ratio(seconds["plain"], seconds["ours"]), 3.0, note=note)
        if native_bfloat16():
            yield Row(f"{what}, bfloat16", "plain, bfloat16", ratio(seconds["plain16"], seconds["ours16"]), 3.0)
        equal = f"timm's has {100 * share:.1f} % of our MACs"
        yield Row(what, "timm ViT, equal MACs", ratio(seconds["timm"], seconds["ours"]), 0.8, note=equal)


def changing(repeats: int) -> Iterator[Row]:
    """Compare steps that change the subnet every time with steps that keep it, the same work in both."""
    space = load_space("autoformer-tiny")
    net = Supernet(space)
    subnets = space.sample(4, seed=0)
    run = step(net, 8)
    kept = [a for a in subnets for _ in range(4)]

    def pass_through(order: list[Architecture]) -> Function:
        return lambda: [run(subnet) for subnet in order]

    seconds = measured(max(3, repeats // 2), kept=pass_through(kept), changed=pass_through(subnets * 4))
    yield Row(
        "T step, another subnet each time", "keeping one", ratio(seconds["changed"], seconds["kept"]), 1.03, False
    )


def activations(repeats: int) -> Iterator[Row]:
    """Compare what a training step of AutoFormer-B keeps for its backward pass."""
    subnet = VisionTransformer(Geometry(), released("autoformer-base"))
    plain = plain_twin(subnet)
    images = torch.randn(8, 3, 224, 224)
    ours, reference = kept_bytes(subnet, images), kept_bytes(plain, images)
    note = f"MiB: ours {ours / 2**20:,.0f}, plain {reference / 2**20:,.0f}"
    yield Row("B activations kept, batch 8", "plain", exactly(ours / reference), 0.8, False, note)
    whole = step(subnet, 8)

    def checkpointed() -> None:
        subnet.set_grad_checkpointing(True)
        whole()
        subnet.set_grad_checkpointing(False)

    subnet.set_grad_checkpointing(True)
    less = kept_bytes(subnet, images)
    subnet.set_grad_checkpointing(False)
    seconds = measured(max(3, repeats // 2), checkpointed=checkpointed, whole=whole)
    time = ratio(seconds["checkpointed"], seconds["whole"])
    note = f"MiB: {less / 2**20:,.0f}; a step takes {time.median:.2f} ({time.low:.2f}–{time.high:.2f}) times as long"
    yield Row("the same, with checkpointing", "plain", exactly(less / reference), 0.4, False, note)


def costs(repeats: int) -> Iterator[Row]:
    """Count parameters and MACs of many architectures."""
    space = load_space("autoformer-tiny")
    codes = space.sample_codes(100_000)
    archs = space.decode(codes[:20_000])
    seconds = measured(
        repeats,
        batch=lambda: (space.params_batch(codes), space.macs_batch(codes)),
        singly=lambda: [(space.params(a), space.macs(a)) for a in archs],
    )
    for name, items, goal in (("batch", len(codes), 1_000_000), ("singly", len(archs), 50_000)):
        rate = Spread.of([items / value for value in seconds[name]])
        what = "parameters and MACs a second" + (", vectorised" if name == "batch" else ", one by one")
        yield Row(what, "–", rate, goal)


def step(net: nn.Module, batch: int, *, amp: bool = False) -> Callable[..., None]:
    """Return a training step: forward, backward, AdamW, on fixed random images."""
    generator = torch.Generator().manual_seed(1)
    images = torch.randn(batch, 3, 224, 224, generator=generator)
    labels = torch.randint(0, 1000, (batch,), generator=generator)
    net.train()
    optimizer = torch.optim.AdamW(net.parameters(), lr=1e-5, fused=True)

    def run(*subnet: Architecture) -> None:
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=amp):
            logits = net(images, *subnet)
        loss = F.cross_entropy(logits.float(), labels)
        optimizer.zero_grad(set_to_none=False)
        torch.autograd.backward(loss)
        optimizer.step()

    return run


def linear_products(net: VisionTransformer, batch: int) -> Function:
    """Return the matrix products of the linear layers of a step, forward and backward, and nothing else: a floor."""
    g, subnet = net.geometry, net.architecture
    sizes = [(batch * g.patches, g.patch_dim, subnet.embed_dim)]
    for heads, hidden in zip(subnet.num_heads, subnet.hidden_dims, strict=True):
        width, rows = heads * g.head_dim, batch * g.tokens
        sizes += [(rows, subnet.embed_dim, 3 * width), (rows, width, subnet.embed_dim)]
        sizes += [(rows, subnet.embed_dim, hidden), (rows, hidden, subnet.embed_dim)]
    triples = [(torch.ones(n, i), torch.ones(i, o), torch.empty(n, o)) for n, i, o in dict.fromkeys(sizes)]
    reused = {(*x.shape, w.shape[1]): (x, w, y) for x, w, y in triples}

    def run() -> None:
        for size in sizes:
            x, weight, y = reused[size]
            torch.mm(x, weight, out=y)
            torch.mm(y, weight.T, out=x)
            torch.mm(x.T, y, out=weight)

    return run


def kept_bytes(net: nn.Module, images: Tensor) -> int:
    """Return the bytes that a forward pass saves for the backward pass, each storage once, without parameters."""
    net.train()
    known = {tensor.untyped_storage().data_ptr() for tensor in [*net.parameters(), *net.buffers(), images]}
    kept: dict[int, int] = {}
    alive: list[Tensor] = []  # so that no address is given out twice

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        alive.append(tensor)
        if storage.data_ptr() not in known:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        net(images).sum()
    return sum(kept.values())


def measured(repeats: int, **functions: Function) -> dict[str, list[float]]:
    """Return the seconds of every run after one that does not count."""
    rounds(1, **functions)
    return rounds(repeats, **functions)


def exactly(value: float) -> Spread:
    """Return a figure that does not vary."""
    return Spread(value, value, value)


def require_equal(ours: Tensor, reference: Tensor) -> None:
    """Stop where the reference computes something else: a ratio would mean nothing."""
    error = float((ours - reference).abs().max() / reference.abs().max())
    if not error < 1e-5:
        raise SystemExit(f"the plain implementation differs by {error:.1e}, relative to the largest logit")


def native_bfloat16() -> bool:
    """Whether the processor multiplies bfloat16 itself."""
    info = Path("/proc/cpuinfo")
    return info.is_file() and "avx512_bf16" in info.read_text(encoding="utf-8")


PARTS = {
    "inference": inference,
    "training": training,
    "changing": changing,
    "activations": activations,
    "costs": costs,
}


def main() -> None:
    """Print the table, and write it as JSON."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--supernet", type=Path)
    parser.add_argument("--only", choices=[*PARTS, "agreement"])
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    where = f"{machine('torch', 'timm')}, {options.threads} threads, medians of {options.rounds} (lowest–highest)"
    print(where)
    rows: list[Row] = []
    for name, part in {**PARTS, "agreement": agreement}.items():
        if options.only in (None, name):
            for row in part(options.supernet if name == "agreement" else options.rounds):  # type: ignore[operator]
                print(row, flush=True)
                rows.append(row)
    if options.only is None:
        found = [{**asdict(row), "figure": row.figure._asdict(), "met": row.met} for row in rows]
        options.out.write_text(json.dumps({"machine": where, "rows": found}, indent=1, ensure_ascii=False) + "\n")
        print(f"written to {options.out}")


if __name__ == "__main__":
    main()
