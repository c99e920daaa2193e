"""One check of a device, in minutes: what it computes against the CPU, how fast, and that a stopped training goes on.

    python benchmarks/device.py --device cuda --write

Without a GPU everything runs on the CPU, on fewer images. Speeds are ratios within a round to timm's ViT of equal
MACs, or as said. Prints a table and whether each check passed; ``--write`` keeps it under ``results/``.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import torch
from torch import Tensor, nn

from benchmarks._marks import markdown
from benchmarks._population import InOrderOfSize, generations
from benchmarks._timing import machine, ratio, rounds
from benchmarks.supernet_speed import randomised, timm_twin
from nasformer.architecture import Architecture
from nasformer.data import load_dataset
from nasformer.data.memory import ImagesInMemory
from nasformer.fitness import InheritedFitness
from nasformer.space import load_space, released
from nasformer.supernet import Supernet, VisionTransformer
from nasformer.training import Recipe, find_device, train_supernet

NAME, REPEATS = "autoformer-tiny", 5
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}


@dataclass(frozen=True)
class Row:
    """A figure of a check; ``passed`` is None where it is only told."""

    check: str
    what: str
    figure: str
    passed: bool | None = None


@dataclass(frozen=True)
class Bench:
    """The device, and how much it is given to do."""

    device: torch.device
    images: int
    searched: int

    @property
    def gpu(self) -> bool:
        """Whether it is a CUDA GPU."""
        return self.device.type == "cuda"

    def wait(self) -> None:
        """Wait for what was started."""
        if self.gpu:
            torch.cuda.synchronize()

    def timed(self, **functions: Callable[[], object]) -> dict[str, list[float]]:
        """Return the seconds of functions in interleaved rounds, after a warm-up."""

        def whole(function: Callable[[], object]) -> Callable[[], None]:
            def run() -> None:
                function()
                self.wait()

            return run

        waiting = {name: whole(function) for name, function in functions.items()}
        rounds(2, **waiting)
        return rounds(REPEATS, **waiting)


def pictures(count: int) -> Tensor:
    """Return random images of ImageNet's size."""
    return torch.randn(count, 3, 224, 224, generator=torch.Generator().manual_seed(0))


def subnet() -> VisionTransformer:
    """Return AutoFormer-T's released subnet with random weights."""
    return randomised(Supernet(load_space(NAME)).eval().extract(released(NAME)))


def logits(bench: Bench) -> Iterator[Row]:
    """Compare the outputs with those of the CPU."""
    net, images = subnet().eval(), pictures(16)
    with torch.inference_mode():
        expected = net(images)
        scale = float(expected.abs().max())
        for name, dtype in DTYPES.items():
            found = net.to(bench.device, dtype)(images.to(bench.device, dtype)).float().cpu()
            net.to("cpu", torch.float32)
            error = float((found - expected).abs().max()) / scale
            limit = 1e-3 if name == "fp32" else 5e-2
            yield Row("logits", f"{name} against the CPU's fp32, relative", f"{error:.1e}", error < limit)


def inference(bench: Bench) -> Iterator[Row]:
    """Compare forward passes with timm's."""
    ours, (timm, _) = subnet().eval().to(bench.device), timm_twin(NAME)
    theirs = timm.eval().to(bench.device)
    compiled = {"compiled": torch.compile(ours)} if bench.gpu or shutil.which("g++") else {}
    for name, dtype in DTYPES.items():
        images = pictures(bench.images).to(bench.device, dtype)
        nets: dict[str, Any] = {"ours": ours.to(dtype), "timm": theirs.to(dtype), **compiled}
        with torch.inference_mode():
            seconds = bench.timed(**{key: (lambda net=net, x=images: net(x)) for key, net in nets.items()})
        for key in ("ours", *compiled):
            faster = ratio(seconds["timm"], seconds[key])
            rate = bench.images / sorted(seconds[key])[REPEATS // 2]
            told = f"{faster.median:.2f} ({faster.low:.2f} to {faster.high:.2f}), {rate:,.0f} images/s"
            yield Row("inference", f"{name}, {key}: times as fast as timm's eager ViT", told)


def training(bench: Bench) -> Iterator[Row]:
    """Compare training steps with timm's, and measure the peak memory of ours."""
    images, labels = (
        pictures(bench.images).to(bench.device),
        torch.zeros(bench.images, dtype=torch.long).to(bench.device),
    )
    ours, (timm, _) = subnet().train().to(bench.device), timm_twin(NAME)
    for name, dtype in DTYPES.items():
        steps = {
            key: step(net.to(bench.device).train(), images, labels, dtype)
            for key, net in (("ours", ours), ("timm", timm))
        }
        seconds = bench.timed(**steps)
        faster = ratio(seconds["timm"], seconds["ours"])
        yield Row("training step", f"{name}: times as fast as timm's", f"{faster.median:.2f}")
        if bench.gpu:
            torch.cuda.reset_peak_memory_stats()
            steps["ours"]()
            peak = torch.cuda.max_memory_allocated() / 2**20
        else:
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
        yield Row("peak memory", f"{name} step of {bench.images} images", f"{peak:,.0f} MiB")


def step(net: nn.Module, images: Tensor, labels: Tensor, dtype: torch.dtype) -> Callable[[], None]:
    """Return a training step."""
    optimizer = torch.optim.AdamW(net.parameters(), lr=1e-4)

    def run() -> None:
        optimizer.zero_grad()
        with torch.autocast(images.device.type, dtype=dtype, enabled=dtype != torch.float32):
            loss = nn.functional.cross_entropy(net(images).float(), labels)
        torch.autograd.backward(loss)
        optimizer.step()

    return run


def generation(bench: Bench) -> Iterator[Row]:
    """Evaluate a generation of an evolution with shared prefixes, and one by one."""
    net = Supernet(load_space(NAME), seed=0)
    split = ImagesInMemory(pictures(bench.searched), torch.zeros(bench.searched, dtype=torch.long))
    made = partial(InheritedFitness, net, split, device=bench.device, objective="loss", dtype="float32")
    asked = population(net)
    shared = clocked(bench, lambda: list(made().evaluate(asked)))
    alone = clocked(bench, lambda: one_by_one(made(), asked))
    one, other = ({each.architecture: each.value or 0 for each in found} for _, found in (shared, alone))
    same = max(abs(value - other[architecture]) for architecture, value in one.items())
    yield Row("generation", f"{len(asked)} subnets with shared prefixes, times as fast", f"{alone[0] / shared[0]:.2f}")
    yield Row("generation", "largest difference of the losses", f"{same:.1e}", same < 1e-3)


def racing(bench: Bench) -> Iterator[Row]:
    """Race a generation on digits, against evaluating all of it."""
    net, split = Supernet(load_space("digits"), seed=0), load_dataset("digits").search
    made = partial(InheritedFitness, net, split, device=bench.device, objective="loss", dtype="float32")
    asked = population(net)
    plain = clocked(bench, lambda: list(made().evaluate(asked)))
    raced = clocked(bench, lambda: list(made(racing=True).evaluate(asked)))
    best = max(plain[1], key=lambda each: each.value or 0).architecture
    kept = {each.architecture for each in raced[1] if not each.dropped}
    yield Row("racing", "times as fast; the best is kept", f"{plain[0] / raced[0]:.2f}", best in kept)


def population(net: Supernet) -> list[Architecture]:
    """Return the third generation of an evolution."""
    feasible = net.space.feasible()
    return generations(feasible, InOrderOfSize(feasible), 3)[-1]


def one_by_one(fitness: InheritedFitness, architectures: list[Any]) -> list[Any]:
    """Evaluate architectures apart."""
    return [evaluation for each in architectures for evaluation in fitness.evaluate([each])]


def clocked(bench: Bench, function: Callable[[], Any]) -> tuple[float, Any]:
    """Return the seconds and the result of a function, after a warm-up."""
    function()
    start = time.perf_counter()
    found = function()
    bench.wait()
    return time.perf_counter() - start, found


class Stop:
    """A callback that stops a training after an epoch."""

    def __call__(self, event: Any) -> None:
        """Raise KeyboardInterrupt."""
        raise KeyboardInterrupt


def resumed(bench: Bench) -> Iterator[Row]:
    """Train two epochs at once, and with a stop between; and the same in a process group of one."""
    recipe, data = Recipe.for_dataset("digits").replace(epochs=2, warmup_epochs=1), load_dataset("digits")
    how: dict[str, Any] = {"device": str(bench.device), "progress": False}

    def trained(**more: Any) -> Supernet:
        net = Supernet(load_space("digits"), seed=0)
        train_supernet(net, data, recipe, **how, **more)
        return net.cpu()

    with TemporaryDirectory() as place:
        whole, folder = trained(), Path(place, "run")
        with suppress(KeyboardInterrupt):
            trained(out=folder, callback=Stop())
        yield Row("resume", "weights of a stopped training", *equal(whole, trained(out=folder, resume=True), 0.0))
        code = f"import benchmarks.device as d; d.in_group({str(bench.device)!r}, {place!r})"
        command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=1"]
        script = Path(place, "group.py")
        script.write_text(code, encoding="utf-8")
        here = str(Path(__file__).resolve().parent.parent)
        done = subprocess.run(
            [*command, str(script)], env={**os.environ, "PYTHONPATH": here}, capture_output=True, text=True, check=False
        )
        backend = "NCCL" if bench.gpu else "gloo"
        if done.returncode:
            yield Row("DDP", f"one process over {backend}", done.stderr.strip().splitlines()[-1][:80], False)
        else:
            alone = Supernet.load(Path(place, "group", "supernet.safetensors"))
            yield Row("DDP", f"one process over {backend}, against none", *equal(whole, alone, 1e-4))


def in_group(device: str, place: str) -> None:
    """Train two epochs in a process group, as ``torchrun`` starts it."""
    recipe = Recipe.for_dataset("digits").replace(epochs=2, warmup_epochs=1)
    net = Supernet(load_space("digits"), seed=0)
    train_supernet(net, load_dataset("digits"), recipe, out=Path(place, "group"), device=device, progress=False)


def equal(one: nn.Module, other: nn.Module, limit: float) -> tuple[str, bool]:
    """Return the largest difference of weights, and whether it is within a limit."""
    pairs = zip(one.state_dict().values(), other.state_dict().values(), strict=True)
    worst = max(float((a.float() - b.float()).abs().max()) for a, b in pairs)
    return f"differ by {worst:.1e}" if worst else "equal", worst <= limit


CHECKS = (logits, inference, training, generation, racing, resumed)


def main() -> int:
    """Check, print, and keep the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--check", action="append", choices=[check.__name__ for check in CHECKS], help="default: all")
    parser.add_argument("--write", action="store_true", help="keep the figures under results/")
    given = parser.parse_args()
    device = find_device(given.device)
    bench = Bench(device, 128, 256) if device.type == "cuda" else Bench(device, 4, 2)
    name = torch.cuda.get_device_name(device) if bench.gpu else "CPU"
    where = f"{name}; {machine('torch', 'timm', 'nasformer')}, {torch.get_num_threads()} threads"
    print(where, flush=True)
    start, rows = time.perf_counter(), list[Row]()
    for check in CHECKS:
        if given.check is None or check.__name__ in given.check:
            for row in check(bench):
                rows.append(row)
                print(f"{row.check}: {row.what}: {row.figure}", flush=True)
    seconds = time.perf_counter() - start
    verdicts = {True: "passed", False: "FAILED", None: ""}
    cells = [[row.check, row.what, row.figure, verdicts[row.passed]] for row in rows]
    print(f"\n{markdown(['check', 'what', 'figure', ''], cells)}\n{seconds:.0f} s")
    if given.write:
        kept = {"device": where, "seconds": round(seconds), "rows": [asdict(row) for row in rows]}
        path = Path(__file__).resolve().parent / "results" / f"device-{name.lower().replace(' ', '-')}.json"
        path.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
    return 1 if any(row.passed is False for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
