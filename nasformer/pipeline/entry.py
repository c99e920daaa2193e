"""fit: from a dataset and budgets to exported networks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from nasformer.data.batches import Readers
from nasformer.data.names import slug, with_prefix
from nasformer.errors import BudgetError
from nasformer.pipeline.context import RunContext, Settings
from nasformer.pipeline.result import FitResult
from nasformer.pipeline.run import finish


def fit(
    data: str | Path,
    *,
    params: float | Sequence[float] | None = None,
    macs: float | Sequence[float] | None = None,
    latency_ms: float | Sequence[float] | None = None,
    memory: float | Sequence[float] | None = None,
    hours: float | None = None,
    space: str | Path | None = None,
    timm: str | None = None,
    weights: str | Path | None = None,
    timm_options: Mapping[str, Any] | None = None,
    transformers: str | Path | None = None,
    image_size: int | None = None,
    format: str | None = None,
    epochs: int | None = None,
    evaluations: int = 100,
    strategy: str = "thompson",
    compare: bool = False,
    seed: int = 0,
    out: str | Path | None = None,
    device: str = "auto",
    readers: Readers = 0,
    progress: bool = True,
    say: Callable[[str], None] = print,
    command: str = "",
) -> FitResult:
    """Make the best ViTs for a dataset within budgets: look, choose a space, train, search, fine-tune, export, report.

    The same call goes on where an earlier one was stopped.

    Args:
        data: A folder of images with a folder per class, a label table, or a dataset's name, as for ``load_dataset``.
        params: Most parameters, or several budgets.
        macs: Most multiply-accumulates per image, or several budgets.
        latency_ms: Most milliseconds per image on this machine, or several budgets.
        memory: Most bytes of weights and activations for one image, or several budgets. One of these has several
            values at most; the others hold for each.
        hours: Time of the run, to which trainings are cut; None: as long as the default recipe takes.
        space: A space, by name or file; None: one for the data and the budgets, or around a checkpoint.
        timm: A trained model of timm to make smaller, by name.
        weights: Its state dict; None: timm's own.
        timm_options: Arguments of ``timm.create_model``.
        transformers: Instead, a folder of a trained model of transformers.
        image_size: Pixels of images from files; None: 64 or the median, whichever is less; of a checkpoint its own.
        format: Format of the files; None: "onnx" where it is installed, else "safetensors".
        epochs: Epochs of the supernet; None: those of the default recipe.
        evaluations: Evaluations of the searches, over all budgets.
        strategy: Strategy of the searches.
        compare: Whether to train the largest uniform ViT of each budget alone too, for its part of the compute.
        seed: Seed of splits, weights and searches.
        out: Folder of the run; None: "runs/NAME-fit".
        device: "auto" is the first available of cuda, mps and cpu.
        readers: Processes that read images.
        progress: Whether to show progress bars.
        say: Called with a line per stage.
        command: The shell command, for the report.

    Raises:
        BudgetError: No budget is given, or it cannot be met.
        NasformerError: A stage fails, or ``out`` has another run.
    """
    settings = Settings(
        data=with_prefix(str(data)),
        budgets=_budgets({"params": params, "macs": macs, "latency_ms": latency_ms, "memory": memory}),
        hours=hours,
        **{name: None if value is None else str(value) for name, value in
           {"space": space, "weights": weights, "transformers": transformers}.items()},
        timm=timm,
        timm_options=dict(timm_options or {}),
        image_size=image_size,
        format=format,
        epochs=epochs,
        evaluations=evaluations,
        strategy=strategy,
        compare=compare,
        seed=seed,
    )  # fmt: skip
    folder = Path(out) if out is not None else Path("runs") / f"{slug(settings.data)}-fit"
    return finish(
        RunContext(settings, folder, {"device": device, "readers": readers, "progress": progress}, say), command
    )


def _budgets(given: Mapping[str, float | Sequence[float] | None]) -> tuple[Mapping[str, float], ...]:
    """Return a budget for each value of the cost that has several.

    Raises:
        BudgetError: There is none, or two costs have several.
    """
    known = {name: value for name, value in given.items() if value is not None}
    many = {name: list(value) for name, value in known.items() if isinstance(value, Sequence)}
    if not known or len(many) > 1:
        raise BudgetError(
            f"give a budget, params, macs, latency_ms or memory, of which one may have several values, got {known}",
            known,
        )
    if not many:
        return ({**known},)  # type: ignore[dict-item]  # numbers only
    ((name, values),) = many.items()
    return tuple({**known, name: value} for value in values)  # type: ignore[dict-item]
