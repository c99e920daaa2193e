"""``nasformer export``: a found network as a model that others run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nasformer.cli.options import Data, Json, Root, StudyName, SupernetPath
from nasformer.cli.output import console, print_json, print_table

if TYPE_CHECKING:
    from nasformer.supernet import VisionTransformer


def export(
    target: Annotated[
        str,
        typer.Argument(
            metavar="RUN|SPACE|STORAGE|FILE",
            help="Folder of a search or of a fine-tuning, a space, a study's storage, or a network's .safetensors.",
        ),
    ],
    architecture: Annotated[
        str | None,
        typer.Argument(metavar="[ARCH]", help="With a space: JSON, a file, or smallest, centroid, largest."),
    ] = None,
    format: Annotated[str, typer.Option(help="safetensors, timm, onnx or torch-export.")] = "safetensors",
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Default: exports/NAME-FORMAT.", show_default=False)
    ] = None,
    dtype: Annotated[str, typer.Option(help="fp32, bf16 (safetensors, timm, torch-export) or int8 (onnx).")] = "fp32",
    study: StudyName = None,
    supernet: SupernetPath = None,
    data: Data = None,
    root: Root = None,
    images: Annotated[int, typer.Option(min=1, help="Test images for the accuracy.")] = 2000,
    licence: Annotated[
        str | None, typer.Option("--license", help="Of the weights, as MIT.", show_default=False)
    ] = None,
    json: Json = False,
) -> None:
    """Write a network as a model that runs elsewhere, checked by loading it in a fresh process.

    The winner of a search has the weights that it inherits from the supernet; a fine-tuned or retrained network its
    own. Beside the model: preprocessing, classes, architecture, costs, provenance, what was measured on test images,
    and a model card.

    Examples:
      nasformer export runs/digits-tpe-seed0 --format onnx

      nasformer export runs/digits-finetune --format timm --out exports/digits

      nasformer export digits smallest --format onnx --dtype int8
    """
    from nasformer.export.formats import FORMATS
    from nasformer.export.write import export as write

    net, training, name, source = _network(target, architecture, study, supernet)
    dataset = _dataset(training, data, root, net)
    folder = out or Path("exports") / f"{name}-{format}"
    made = {**source, **({"licence": licence} if licence else {})}
    how: dict[str, Any] = {"format": format, "dtype": dtype, "training": training, "source": made, "images": images}
    found = write(net, folder, dataset, **how)
    if json:
        print_json({"folder": str(folder), **found})
        return
    checked, measured = found["verification"], found["measured"]
    console.print(
        f"{folder / FORMATS[format].file}: {found['params']:,} parameters, {dtype}. In a fresh process its logits "
        f"differ by at most {checked['max_difference']:.2g} on {checked['images']} images.",
        markup=False,
        soft_wrap=True,
    )
    rows = [(f"accuracy % of {measured['images']:,} test images", measured["accuracy"], measured["accuracy_fp32"], "")]
    rows += [(f"ms, batch {r['batch_size']}", r["ms"], r["ms_fp32"], f"{r['ratio']:.2f}x") for r in measured["speed"]]
    print_table("", ("", "exported", "PyTorch fp32", "speed"), rows)
    console.print(f"Next: nasformer predict {folder} IMAGE, nasformer benchmark {folder}", markup=False, soft_wrap=True)


def _network(
    target: str, architecture: str | None, study: str | None, supernet: Path | None
) -> tuple[VisionTransformer, dict[str, Any], str, dict[str, Any]]:
    """Return the network, how its weights were trained, a name for it, and where it comes from."""
    from nasformer.cli.training import read_target
    from nasformer.registry import load_supernet
    from nasformer.supernet import load_network
    from nasformer.supernet.checkpoint import read_checkpoint
    from nasformer.training.subnet import FILE

    path = Path(target)
    file = path / FILE if (path / FILE).is_file() else path
    if file.suffix == ".safetensors":
        header, _ = read_checkpoint(file, "network")
        training = dict(header["metadata"].get("training", {}))
        return load_network(file), training, file.parent.name or file.stem, {"weights": str(file)}
    if _is_storage(target):
        space, chosen, found = _of_study(target, study)
    else:
        (space, chosen), found = read_target(target, architecture), {}
    net, weights = load_supernet(space, supernet)
    told = {"space": space.name, "space_fingerprint": space.fingerprint, "supernet": str(weights), **found}
    name = path.name if path.is_dir() else space.name
    return net.extract(chosen), dict(net.metadata.get("training", {})), name, told


def _is_storage(target: str) -> bool:
    return "://" in target or Path(target).suffix == ".log"


def _of_study(storage: str, name: str | None) -> tuple[Any, Any, dict[str, Any]]:
    """Return the space of a study, the best architecture that it holds, and where that comes from.

    Raises:
        StudyError: The study cannot be read, or has no evaluated trial.
    """
    from nasformer.errors import StudyError
    from nasformer.search.study import Study

    found = Study.load(storage, name)
    told = [trial for trial in found.trials() if trial.value is not None]
    if not told:
        raise StudyError(f"study {found.name!r} has no evaluated architecture yet; run it first", found.name)
    best = max(told, key=lambda trial: trial.value or 0.0)
    source = {"study": found.name, "seed": found.settings.get("seed"), "strategy": found.settings.get("strategy")}
    return found.space, best.architecture, source


def _dataset(training: dict[str, Any], name: str | None, root: Path | None, net: VisionTransformer) -> Any:
    from nasformer.data import load_dataset
    from nasformer.errors import DataError

    record = training.get("data", {})
    chosen = name or record.get("name")
    if chosen is None:
        raise DataError("the weights do not say what they were trained on; give --data NAME", name)
    return load_dataset(chosen, seed=record.get("seed") or 0, root=root, image_size=net.geometry.image_size)
