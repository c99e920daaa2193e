"""What is fuzzed: files that nasformer reads, each with a valid example, a mutation of it, and its reader."""

from __future__ import annotations

import base64
import io
import random
import zlib
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

import nasformer as nf
from nasformer._io import to_json
from nasformer._parse import parse_json, read_text
from tests.fuzz import mutations


@dataclass(frozen=True)
class Target:
    """A kind of file.

    Args:
        name: File name; the suffix counts.
        example: A valid content.
        mutate: Returns a changed one.
        read: Reads the file.
    """

    name: str
    example: bytes
    mutate: Callable[[random.Random, bytes], bytes]
    read: Callable[[Path], object]


def make_targets(folder: Path) -> list[Target]:
    """Return all targets; their examples are made in a folder."""
    return [*_declarations(folder), *_records(folder), *_weights(folder), *_data(folder), *_texts()]


def _declarations(folder: Path) -> Iterable[Target]:
    from nasformer.cli.target import read_architecture
    from nasformer.compare.experiment import Experiment

    space = nf.load_space("digits")
    space.save(folder / "space.yaml")
    space.save(folder / "space.json")
    yield Target("space.yaml", (folder / "space.yaml").read_bytes(), mutations.of_yaml, _space)
    yield Target("space.json", (folder / "space.json").read_bytes(), mutations.of_json, _space)
    official = b"""SUPERNET: {MLP_RATIO: 4.0, NUM_HEADS: 4, EMBED_DIM: 256, DEPTH: 14}
SEARCH_SPACE: {MLP_RATIO: [3.5, 4.0], NUM_HEADS: [3, 4], DEPTH: [12, 13, 14], EMBED_DIM: [192, 216, 240]}
"""
    yield Target("official.yaml", official, mutations.of_yaml, _space)
    recipe = to_json(nf.Recipe(sampling="sandwich", budget={"params": "5e6:6e6"}).to_dict()).encode()
    yield Target("recipe.yaml", recipe, mutations.of_yaml, nf.Recipe.load)
    experiment = b"""title: mine
tasks: [{name: a, space: digits, fitness: 'table:digits-exhaustive', budget: {params: 20e3:60e3}, evaluations: 20}]
strategies: [random, {name: evolution, label: mine, options: {population: 4}}]
seeds: 3
"""
    yield Target("experiment.yaml", experiment, mutations.of_yaml, Experiment.load)
    winner = to_json(space.largest.to_dict()).encode()
    yield Target("winner.json", winner, mutations.of_json, lambda path: _costs(read_architecture(space, str(path))))


def _space(path: Path) -> None:
    space = nf.load_space(path)
    assert space.fingerprint
    _costs(space.largest, space)
    space.size()


def _costs(architecture: nf.Architecture, space: nf.SearchSpace | None = None) -> None:
    space = space or nf.load_space("digits")
    assert str(architecture)
    space.params(architecture), space.macs(architecture)
    assert (architecture in space) in (True, False)


def _records(folder: Path) -> Iterable[Target]:
    from nasformer.cli.outcome import summary
    from nasformer.registry import get_strategy
    from nasformer.search.resume import MISFITS
    from nasformer.search.state import StrategyState
    from nasformer.search.study import Store, Study, export_study, import_study, read_lines

    space = nf.load_space("digits")
    fitness = nf.TableFitness("digits-exhaustive")
    storage = folder / "study.log"
    result = nf.Searcher(space, "evolution", fitness, population=4, parents=2, mutants=2, crossovers=2).run(
        {"params": 60e3},
        evaluations=8,
        confirm=2,
        storage=storage,
        fitness_spec={"fitness": {"spec": "training-free"}},
        progress=False,
    )
    result.save(folder / "result.jsonl")

    def read_result(path: Path) -> None:
        found = nf.SearchResult.load(path)
        summary(found), found.to_frame(), found.pareto, found.winners

    yield Target("result.jsonl", (folder / "result.jsonl").read_bytes(), mutations.of_lines, read_result)

    def import_(path: Path) -> None:
        store = Store(path.with_suffix(".log"))
        name = import_study(store, read_lines(read_text(path)))
        nf.Searcher.open(store, name)
        found = Study.load(store, name)
        found.trials(), found.confirmation()

    exported = "".join(to_json(line) + "\n" for line in export_study(Study.load(storage)))
    yield Target("study.jsonl", exported.encode(), mutations.of_lines, import_)

    def load(path: Path) -> None:
        Study.load(path).trials()
        nf.Searcher.open(path)

    yield Target("study.log", storage.read_bytes(), mutations.of_lines, load)
    study = Study.load(storage)
    strategy: Any = get_strategy("evolution")
    asked = strategy(space.feasible(), seed=0)
    asked.tell(result.trials)
    study.save_state(StrategyState(trials=len(result.trials), retried=0, seconds=1.0, fields=asked.state() or {}))
    (saved,) = folder.glob("study.log.*.state")

    def state(path: Path) -> None:
        saved.write_bytes(path.read_bytes())
        study.state()
        with suppress(*MISFITS):  # as if it were whole
            fields = parse_json(read_text(path))["fields"]
            strategy(space.feasible(), seed=0).restore(fields, study.trials())

    yield Target("study.state", saved.read_bytes(), mutations.of_json, state)
    table = "".join(to_json({**each.to_dict(), "top1": 90.0, "loss": 1.0}) + "\n" for each in space.sample(60, seed=0))
    yield Target("table.jsonl", table.encode(), mutations.of_lines, nf.TableFitness)
    (folder / "fit.jsonl").write_text(table)
    nf.SurrogateFitness.fit(folder / "fit.jsonl").save(folder / "surrogate.json")

    def surrogate(path: Path) -> None:
        found = nf.SurrogateFitness.load(path)
        found.check(space.feasible())
        list(found.evaluate(space.sample(2, seed=0)))

    yield Target("surrogate.json", (folder / "surrogate.json").read_bytes(), mutations.of_json, surrogate)
    latency = Path(__file__).parent.parent / "compatibility" / "files_of_0_1" / "latency.json"
    yield Target(
        "latency.json", latency.read_bytes(), mutations.of_json, lambda path: nf.LatencyTable.load(path).cost()
    )


def _weights(folder: Path) -> Iterable[Target]:
    from nasformer.cli.source import read_source
    from nasformer.export import export, open_model
    from nasformer.supernet import load_network
    from nasformer.supernet.autoformer import write_autoformer
    from nasformer.training.state import read_state
    from nasformer.training.weights import trained_on
    from tests.tiny import tiny_space

    net = nf.Supernet(tiny_space())
    net.metadata = {"training": {"data": {"name": "digits", "classes": ["a"] * 4}, "recipe": nf.Recipe().to_dict()}}
    net.save(folder / "supernet.safetensors")

    def supernet(path: Path) -> None:
        trained_on(path)
        nf.Supernet.load(path)

    yield Target(
        "supernet.safetensors", (folder / "supernet.safetensors").read_bytes(), mutations.of_safetensors, supernet
    )
    net.extract(net.space.largest).save(folder / "network.safetensors", metadata=net.metadata)

    def network(path: Path) -> None:
        load_network(path)
        read_source(str(path), None, None, None)

    yield Target(
        "network.safetensors", (folder / "network.safetensors").read_bytes(), mutations.of_safetensors, network
    )
    write_autoformer(net, folder / "official.pth")

    def official(path: Path) -> None:
        nf.Supernet.from_autoformer(path, net.space)

    yield Target("official.pth", (folder / "official.pth").read_bytes(), mutations.of_bytes, official)
    buffer = io.BytesIO()
    torch.save({"format_version": 1, "identity": {}, "epoch": 1, "history": [], "model": {}, "optimizer": {}}, buffer)

    def state(path: Path) -> None:
        read_state(path.parent, {}, torch.device("cpu"))

    yield Target("training.pt", buffer.getvalue(), mutations.of_bytes, state)
    digits = nf.Supernet(nf.load_space("digits"))
    export(digits.extract(digits.space.smallest), nf.load_dataset("digits"), folder / "export", images=4, repeats=1)
    yield Target(
        "model.safetensors",
        (folder / "export" / "model.safetensors").read_bytes(),
        mutations.of_safetensors,
        lambda path: open_model(path),
    )


def _data(folder: Path) -> Iterable[Target]:
    from PIL import Image

    from nasformer.data.label_table import LabelTable
    from nasformer.data.label_targets import infer_task, read_targets
    from nasformer.data.picture import read_image
    from nasformer.data.series_file import read_series

    def labels(path: Path) -> None:
        table = LabelTable.read(path)
        for name in [*table.columns][1:]:
            read_targets(table, [name], infer_task(table, [name]))

    rows = "image,label,age\n" + "".join(
        f"{number}.png,{'cat' if number % 3 else 'dog'},{number}.5\n" for number in range(20)
    )
    yield Target("labels.csv", rows.encode(), mutations.of_plain, labels)
    times = "time,a,b\n" + "".join(f"2024-01-{day:02d},{day},{day / 3}\n" for day in range(1, 25))
    yield Target("series.csv", times.encode(), mutations.of_plain, read_series)
    for kind in ("png", "jpeg", "gif", "tiff"):
        buffer = io.BytesIO()
        Image.radial_gradient("L").resize((16, 16)).save(buffer, kind)
        yield Target(f"image.{kind}", buffer.getvalue(), mutations.of_bytes, lambda path: read_image(path, "RGB"))


def _texts() -> Iterable[Target]:
    from nasformer.cli.searching import read_options
    from nasformer.cost import as_budgets, as_limits
    from nasformer.data.held_out import read_held_out
    from nasformer.data.names import parse_name, with_prefix

    def of_text(read: Callable[[str], Any]) -> Callable[[Path], object]:
        return lambda path: read(path.read_text(encoding="utf-8", errors="replace"))

    costs = nf.load_space("digits").known_costs
    yield Target(
        "budget.txt",
        b"5e6 <= params <= 6M and macs <= 1.4G",
        mutations.of_plain,
        of_text(lambda text: as_limits(text, costs)),
    )
    yield Target(
        "budgets.txt", b"macs <= 1M, 2M, 4M", mutations.of_plain, of_text(lambda text: as_budgets(text, costs))
    )
    yield Target("option.txt", b"a=[1, {b: 0.5}]", mutations.of_plain, of_text(lambda text: read_options([text])))
    yield Target(
        "name.txt", b"labels.csv?task=multi-label", mutations.of_plain, of_text(lambda t: parse_name(f"table:{t}"))
    )
    yield Target("path.txt", b"/tmp", mutations.of_plain, of_text(with_prefix))
    held = base64.b85encode(zlib.compress(b'{"search": ["a.png"], "test": ["b.png"]}'))
    yield Target("held.txt", held, mutations.of_plain, of_text(read_held_out))
