"""Resolve a command's target to a network with weights: a training, search, study, space or architecture."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nasformer.cli.search import RESULT
from nasformer.cli.target import origin, read_architecture, read_target, require_alone, run_file, searched_with
from nasformer.errors import ArchitectureError, CheckpointError, DataError

if TYPE_CHECKING:
    from nasformer.architecture import Architecture
    from nasformer.data import Dataset
    from nasformer.search import SearchResult
    from nasformer.space import SearchSpace
    from nasformer.supernet import Supernet, VisionTransformer
    from nasformer.supernet.repair import Repair

_WEIGHTS = ("network.safetensors", "model.safetensors")
_CONFIRM = "confirm.json"
_RECORDS = ("finetune.json", "retrain.json", _CONFIRM)
_ARCHITECTURE = ("space", "space_fingerprint", "study", "strategy", "search_seed", "evaluations")
"""Provenance entries of an architecture; the others are of its weights."""


@dataclass(frozen=True)
class Source:
    """A network with weights.

    Attributes:
        net: The network.
        name: Default name.
        file: Weights file.
        data: Record of the training dataset; empty if unknown.
        held_out: Names of its search and test images, if they are files.
        provenance: Provenance, ready for JSON.
        supernet: The supernet that the network was extracted from; None: it has weights of its own.
    """

    net: VisionTransformer
    name: str
    file: Path
    data: Mapping[str, Any] = field(default_factory=dict)
    held_out: str | None = None
    provenance: Mapping[str, Any] = field(default_factory=dict)
    supernet: Supernet | None = None

    def repaired(self, data: Dataset, wanted: bool | None, **options: Any) -> Repair | None:
        """Return the network, repaired on the train images.

        Args:
            data: The dataset.
            wanted: Whether to repair it; None: if it is of a trained checkpoint, and the images suffice.
            **options: device, readers and seed of ``repair``.

        Returns:
            The repair; None: it is not wanted.

        Raises:
            CheckpointError: It is wanted, but the network has weights of its own.
        """
        from nasformer.training.repair import repair, repairs_by_default

        if wanted and self.supernet is None:
            raise CheckpointError(f"--repair is of subnets of a supernet, but {self.file} is a network", self.file)
        if wanted is None:
            wanted = self.supernet is not None and repairs_by_default(self.supernet, data)
        if self.supernet is None or not wanted:
            return None
        return repair(self.supernet, self.net.architecture, data, **options)

    def dataset(self, name: str | None, root: Path | None) -> Dataset:
        """Return its training dataset with the same splits, or another by name.

        Raises:
            DataError: The dataset is unknown, cannot be loaded, or its splits differ.
        """
        from nasformer.data import resizable
        from nasformer.training.opening import open_dataset

        wanted = name or self.data.get("name")
        if wanted is None:
            raise DataError(f"{self.file} does not record its dataset; give --data NAME", self.file)
        size = self.net.geometry.image_size if resizable(wanted) or not self.net.resizes else None
        shape: dict[str, Any] = {"image_size": size, "in_channels": self.net.geometry.in_channels, "root": root}
        dataset = open_dataset(wanted, self.data, self.file, held_out=self.held_out, **shape)
        return dataset.learnt_by(self.data, self.file)


def read_source(
    target: str, architecture: str | None, supernet: Path | None, study: str | None, data: str | None = None
) -> Source:
    """Return the network of a target.

    Args:
        target: A trained network or its folder, a search's folder, ``result.jsonl`` or winner's file, a study's
            storage, a space, or an architecture as JSON or JSON file, with weights from ``supernet``.
        architecture: Architecture of a space.
        supernet: The supernet to inherit from; None: the weights of the search, or the kept ones of the space.
        study: Study name in the storage.
        data: Dataset by name, whose weights of a space are preferred.

    Raises:
        NasformerError: It is none of these, unreadable, or the arguments conflict.
    """
    path = Path(target)
    if study is not None or path.suffix == ".log" or "://" in target:
        require_alone(target, architecture)
        return _of_study(target, study, supernet)
    weights = path if path.suffix == ".safetensors" else _weights_in(path, supernet)
    if weights is not None:
        return _of_network(weights, architecture, supernet)
    if _is_architecture(target) and (supernet is not None or run_file(target) is None):
        require_alone(target, architecture)
        if supernet is None:
            raise ArchitectureError(
                f"the architecture {target[:60]!r} has no weights; give --supernet FILE, or its space before it", target
            )
        return _of_architecture(target, supernet)
    _require_contents(target)
    return _inherited(*read_target(target, architecture, supernet, data), supernet, searched_with(target), data)


def _require_contents(target: str) -> None:
    run = run_file(target)
    if run is not None and Path(target).is_dir() and not run.is_file():
        raise CheckpointError(
            f"{target} contains none of {', '.join((*_WEIGHTS, run.name))}: neither a network nor a search; "
            "for a supernet give SPACE ARCH --supernet FILE",
            target,
        )


def _weights_in(folder: Path, supernet: Path | None) -> Path | None:
    """Return the weights in a folder; None: there are none, or they are not those asked for."""
    found = (folder / name for name in _WEIGHTS if (folder / name).is_file())
    weights = next(found, None) if folder.is_dir() else None
    if weights is None or not (folder / _CONFIRM).is_file():
        return weights
    return weights if supernet is None and _search_of(weights) else None


def _search_of(weights: Path) -> SearchResult | None:
    """Return the search whose winner has these weights from its confirmation; None: it has another by now."""
    from nasformer._record import read_record
    from nasformer.search import SearchResult

    run, record = weights.parent / RESULT, weights.parent / _CONFIRM
    if not (run.is_file() and record.is_file()):
        return None
    result = SearchResult.load(run)
    winner = read_record(record).get("architecture")
    return result if result.reranking and result.best.architecture.to_dict() == winner else None


def _is_architecture(target: str) -> bool:
    """Whether a target is an architecture: JSON, or a JSON file that does not declare a space."""
    if target.lstrip().startswith("{"):
        return True
    from nasformer._parse import parse_json, read_text

    if Path(target).suffix != ".json" or not Path(target).is_file():
        return False
    try:
        data = parse_json(read_text(target))
    except ValueError:
        return False
    return isinstance(data, dict) and ("architecture" in data or isinstance(data.get("num_heads"), list))


def _of_network(path: Path, architecture: str | None, supernet: Path | None) -> Source:
    from nasformer.export.description import Description
    from nasformer.supernet import load_network
    from nasformer.supernet.checkpoint import read_checkpoint

    if architecture is not None or supernet is not None:
        other = architecture or supernet
        raise CheckpointError(f"{path} is a network with its own architecture, got also {str(other)[:60]!r}", other)
    metadata = dict(read_checkpoint(path, "network")[0]["metadata"])
    net = load_network(path)
    if "export" in metadata:
        known = Description.from_json(metadata["export"], path)
        kept = {key: value for key, value in known.provenance.items() if key not in ("data", "versions")}
        return Source(net, known.name, path, known.provenance.get("data", {}), metadata.get("held_out"), kept)
    training = dict(metadata.get("training", {}))
    result = _search_of(path)
    found = {} if result is None else origin(result.space, result.settings)
    provenance = {**found, **_record_beside(path), **_weights(path, training)}
    return Source(net, path.resolve().parent.name, path, training.get("data", {}), metadata.get("held_out"), provenance)


def _record_beside(path: Path) -> dict[str, Any]:
    """Return the provenance that finetune or retrain wrote beside a network."""
    from nasformer._parse import parse_json, read_text

    for name in _RECORDS:
        try:
            record = parse_json(read_text(path.parent / name))
            known = {key: record[key] for key in ("teacher", "repair") if key in record}
            return {"training": record["kind"], **_past(record["source"]), **known}
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            continue
    return {}


def _past(source: Mapping[str, Any]) -> dict[str, Any]:
    """Return the provenance before a training: the architecture's unchanged, that of the initial weights as "from"."""
    kept = {key: value for key, value in source.items() if key in _ARCHITECTURE}
    weights = {key: value for key, value in source.items() if key not in _ARCHITECTURE}
    if "weights" in weights:
        weights["weights"] = Path(weights["weights"]).name
    return {**kept, **({"from": weights} if weights else {})}


def _of_study(storage: str, name: str | None, supernet: Path | None) -> Source:
    from nasformer.cli.study.look import winner
    from nasformer.search.study import Study

    study = Study.load(storage, name)
    found = {**origin(study.space, study.settings), "study": study.name}
    return _inherited(study.space, winner(study).architecture, found, supernet, study.settings)


def _of_architecture(text: str, supernet: Path) -> Source:
    from nasformer.supernet import Supernet

    space = Supernet.load(supernet).space
    return _inherited(space, read_architecture(space, text), origin(space), supernet)


def _inherited(
    space: SearchSpace,
    architecture: Architecture,
    origin: Mapping[str, Any],
    supernet: Path | None,
    searched: Mapping[str, Any] | None = None,
    data: str | None = None,
) -> Source:
    from nasformer.training.opening import load_supernet, supernet_file

    net, path = load_supernet(space, supernet_file(space, supernet, data, searched=searched))
    training = net.metadata.get("training", {})
    provenance = {
        "training": "weights inherited from a supernet, not trained further",
        **origin,
        **_weights(path, training),
        **({"imported": net.metadata["imported"]} if "imported" in net.metadata else {}),
    }
    held_out = net.metadata.get("held_out")
    return Source(net.extract(architecture), space.name, path, training.get("data", {}), held_out, provenance, net)


def _weights(path: Path, training: Mapping[str, Any]) -> dict[str, Any]:
    """Return the provenance of a weights file: its name without folder (private), hash, recipe and data."""
    known = {"weights": path.name, "weights_sha256": _hash(path)}
    if "recipe" in training:
        known["recipe"] = training["recipe"]
    if "fingerprint" in training.get("data", {}):
        known["trained_on"] = training["data"]["fingerprint"]
    return known


def _hash(path: Path) -> str:
    from hashlib import file_digest

    with path.open("rb") as file:
        return file_digest(file, "sha256").hexdigest()
