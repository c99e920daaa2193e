"""Ways to cut the checkpoint to a budget of multiply-accumulates, all on the same photos.

Ours, uniform cutting and random networks share a supernet whose heads, units and channels are sorted by importance.
Torch-Pruning runs in its own environment (``torch_pruning_vit.py``). Seconds are those of the processor, so that other
programs on the machine do not count; one thread each.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import timm
import torch
from torch import nn

from benchmarks._checkpoint.images import Images
from benchmarks._checkpoint.pretraining import CLASSES, SHAPE
from nasformer._io import digest
from nasformer.architecture import Architecture
from nasformer.data.memory import ImagesInMemory
from nasformer.fitness import InheritedFitness
from nasformer.searcher import Searcher
from nasformer.space import SearchSpace, choice, per_layer
from nasformer.supernet import Supernet
from nasformer.supernet.repair import repair

EVALUATIONS, CANDIDATES, BATCH, FULLNESS = 130, 6, 20, 0.95
_WIDTHS = (80, 96, 112, 128)
_SCRIPT = Path(__file__).with_name("torch_pruning_vit.py")


@dataclass
class Cut:
    """A network that was cut from the checkpoint.

    Attributes:
        net: As cut.
        repaired: The same after repair; None: the method has none.
        macs: Multiply-accumulates per image.
        seconds: Processor time of each stage.
        what: Its sizes, and how it was found.
    """

    net: nn.Module
    repaired: nn.Module | None
    macs: int
    seconds: dict[str, float]
    what: dict[str, Any] = field(default_factory=dict)


def space() -> SearchSpace:
    """Return the space around the checkpoint: widths, and in each layer no to all heads and eighths of its MLP."""
    heads = SHAPE["num_heads"]
    return SearchSpace(
        "around-the-checkpoint",
        embed_dim=choice(*_WIDTHS),
        depth=choice(SHAPE["depth"]),
        num_heads=per_layer(*range(heads + 1)),
        mlp_ratio=per_layer(*(eighths / 2 for eighths in range(9))),
        head_dim=SHAPE["embed_dim"] // heads,
        image_size=SHAPE["img_size"],
        patch_size=SHAPE["patch_size"],
        in_channels=3,
        num_classes=CLASSES,
        pooling="cls",
        max_distance=None,
    )


class Bench:
    """The checkpoint and a user's photos.

    Args:
        model: The checkpoint.
        photos: What importance, search and repair may see.
        seed: Of searches and random networks.
        environment: Folder of Torch-Pruning's environment.
        folder: Where it exchanges files with Torch-Pruning.

    Attributes:
        searched: What ``search`` returned.
    """

    def __init__(self, model: nn.Module, photos: Images, seed: int, environment: Path, folder: Path) -> None:
        self.model, self.photos, self.seed = model, photos, seed
        self.searched: dict[str, dict[str, Any]] = {}
        self.environment, self.folder = environment, folder
        start = time.process_time()
        self.centred = photos.centred()
        parts = [slice(first, first + 128) for first in range(0, len(photos), 128)]
        batches = [(self.centred[part], photos.labels[part]) for part in parts]
        self.net = Supernet.from_timm(model, space(), batches=batches).eval()
        self.importance_seconds = time.process_time() - start

    @property
    def macs(self) -> int:
        """The checkpoint's multiply-accumulates."""
        return int(self.net.space.macs(self.net.space.largest))

    def budget(self, fraction: float) -> dict[str, tuple[float, float]]:
        """Return the bounds of multiply-accumulates; the lower one keeps random networks from being small."""
        return {"macs": (FULLNESS * fraction * self.macs, fraction * self.macs)}

    def cut(self, method: str, fraction: float) -> Cut:
        """Cut the checkpoint to a fraction of its multiply-accumulates."""
        return METHODS[method](self, fraction)

    def fitness(self, objective: str) -> InheritedFitness:
        """Return what ranks architectures, on the photos."""
        return InheritedFitness(
            self.net, ImagesInMemory(self.centred, self.photos.labels), device="cpu", objective=objective
        )

    def finished(self, architecture: Architecture, seconds: dict[str, float], **what: Any) -> Cut:
        """Return a network as cut and as repaired."""
        start = time.process_time()
        found = repair(self.net, architecture, self.centred)
        seconds = {"importance": self.importance_seconds, **seconds, "repair": time.process_time() - start}
        cut = self.net.extract(architecture)
        macs = int(self.net.space.macs(architecture))
        return Cut(cut, found.net, macs, seconds, {"architecture": architecture.to_dict(), **what})


def search(bench: Bench, fractions: Sequence[float]) -> dict[str, dict[str, Any]]:
    """Return the best architecture for each budget, with seconds and findings.

    The sensitivities of the divergence are evaluated once for all budgets. Of the best by divergence, it is the one
    that diverges least after its repair.
    """
    fitness, found = bench.fitness("divergence"), {}
    for fraction in fractions:
        start = time.process_time()
        searcher = Searcher(bench.net.space, "sensitivity", fitness, seed=bench.seed)
        result = searcher.run(bench.budget(fraction), evaluations=EVALUATIONS, batch_size=BATCH, progress=False)
        valued = [trial for trial in result.trials if trial.eligible]
        ranked = sorted(valued, key=lambda trial: -cast(float, trial.value))[:CANDIDATES]
        middle = time.process_time()
        after = [repair(bench.net, each.architecture, bench.centred).after for each in ranked]
        best = after.index(min(after))
        found[str(fraction)] = {
            "architecture": ranked[best].architecture.to_dict(),
            "seconds": {"search": middle - start, "choice among repaired": time.process_time() - middle},
            "ranks": {"of": len(ranked), "chosen": best + 1},
            "findings": dict(result.findings),
        }
    return found


def ours(bench: Bench, fraction: float) -> Cut:
    """Take what ``search`` found for this budget."""
    found = dict(bench.searched[str(fraction)])
    architecture, seconds = Architecture.from_dict(found.pop("architecture")), found.pop("seconds")
    return bench.finished(architecture, seconds, **found)


def uniform_cut(bench: Bench, fraction: float) -> Cut:
    """Cut all layers alike; of the widths, heads and MLPs that fill the budget, those of the lowest loss."""
    start = time.process_time()
    members = bench.net.space.feasible(**bench.budget(fraction)).uniform()
    valued = list(bench.fitness("loss").evaluate(members))
    best = max(valued, key=lambda each: cast(float, each.value)).architecture
    return bench.finished(best, {"search": time.process_time() - start}, members=len(members))


def random_cut(bench: Bench, fraction: float) -> Cut:
    """Draw a network of the same space and budget."""
    (found,) = bench.net.space.feasible(**bench.budget(fraction)).sample(1, seed=bench.seed)
    return bench.finished(found, {})


def torch_pruning(bench: Bench, fraction: float) -> Cut:
    """Prune with Torch-Pruning: of its settings, that of the lowest loss on the photos after cutting."""
    name = digest([bench.seed, fraction])
    task, answer = bench.folder / f"{name}-task.pt", bench.folder / f"{name}-answer.pt"
    shape = {**SHAPE, "num_classes": CLASSES}
    state = bench.model.state_dict()
    torch.save({"shape": shape, "state": state, "images": bench.centred, "labels": bench.photos.labels}, task)
    python = bench.environment / "bin" / "python"
    command = [python, _SCRIPT, task, answer, str(int(fraction * bench.macs))]
    subprocess.run([str(each) for each in command], check=True)
    found = torch.load(answer, weights_only=True)
    net = pruned_vit(found["blocks"], found["state"])
    return Cut(net.eval(), None, found["macs"], found["seconds"], {**found["what"], "blocks": found["blocks"]})


def pruned_vit(blocks: list[dict[str, int]], state: dict[str, torch.Tensor]) -> nn.Module:
    """Return a ViT of timm with layers of the sizes of pruned weights."""
    net: Any = timm.create_model("vit_tiny_patch16_224", num_classes=CLASSES, **SHAPE)
    for block, sizes in zip(net.blocks, blocks, strict=True):
        block.attn.num_heads, block.attn.head_dim = sizes["num_heads"], sizes["head_dim"]
        block.attn.attn_dim, block.attn.scale = sizes["num_heads"] * sizes["head_dim"], sizes["head_dim"] ** -0.5
    for name, tensor in state.items():
        owner, _, leaf = name.rpartition(".")
        module = net.get_submodule(owner)
        setattr(module, leaf, nn.Parameter(tensor))
        if isinstance(module, nn.LayerNorm):
            module.normalized_shape = tuple(module.weight.shape)
    net.embed_dim = net.num_features = state["cls_token"].shape[-1]
    return cast(nn.Module, net)


def environment(folder: Path) -> Path:
    """Return Torch-Pruning's environment, made once: it sees this one's packages, which never see it."""
    if not (folder / "ready").is_file():
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        pip = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, "--no-deps", "torch-pruning==1.6.1"], check=True)
        (place,) = (folder / "lib").glob("python*/site-packages")
        packages = Path(torch.__file__).parent.parent
        (place / "borrowed.pth").write_text(f"{packages}\n", encoding="utf-8")
        (folder / "ready").touch()
    return folder


METHODS: dict[str, Callable[[Bench, float], Cut]] = {
    "ours": ours,
    "uniform": uniform_cut,
    "random": random_cut,
    "Torch-Pruning": torch_pruning,
}
