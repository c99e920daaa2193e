"""Verification: an export, loaded by a fresh process, reproduces the network's outputs on real examples.

``python -m nasformer.export.verify FOLDER FORMAT INPUTS OUTPUTS`` is that process.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from nasformer.errors import ExportError, NasformerError
from nasformer.export.description import Description
from nasformer.export.formats import Array
from nasformer.export.opened import open_model

TOLERANCES = {"fp32": 1e-4, "bf16": 0.05, "int8": 0.25}
"""Maximal difference relative to the largest output, allowing for rounding only."""

_SECONDS = 600


@dataclass(frozen=True)
class Verification:
    """The result of a verification.

    Attributes:
        images: Number of compared images, or windows.
        largest_difference: Maximal absolute difference between outputs of the file and of the float32 network.
        largest_output: Maximal absolute output of the float32 network.
        tolerance: Maximal accepted difference.
        same_class: ``Task.agreement`` of both: the share of images with the same class, or of labels told alike.
    """

    images: int
    largest_difference: float
    largest_output: float
    tolerance: float
    same_class: float | None

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, ready for JSON."""
        return asdict(self)


def verify(
    folder: Path, description: Description, inputs: Array, expected: Array, *, tolerance: float | None = None
) -> Verification:
    """Compare an export with the original network.

    Args:
        folder: The export.
        description: Its description; format "timm" is loaded by timm's factory.
        inputs: ``(batch, *input_shape)``.
        expected: The network's outputs ``(batch, outputs)``.
        tolerance: Absolute tolerance; None: the dtype's.

    Raises:
        ExportError: It cannot be loaded, or differs by more than the tolerance.
    """
    format, dtype = description.format, description.dtype
    outputs = _outputs_of_a_fresh_process(folder, format, inputs)
    if outputs.shape != expected.shape:
        raise ExportError(f"{folder.name} gives outputs {outputs.shape}, expected {expected.shape}", outputs.shape)
    scale = float(np.abs(expected).max())
    found = Verification(
        images=len(inputs),
        largest_difference=float(np.abs(outputs - expected).max()),
        largest_output=scale,
        tolerance=TOLERANCES[dtype] * max(scale, 1e-3) if tolerance is None else tolerance,
        same_class=description.task.agreement(outputs, expected),
    )
    if not found.largest_difference <= found.tolerance:  # a NaN too
        raise ExportError(
            f"the {format} file in {dtype} differs from the network by {found.largest_difference:.2g} "
            f"on {len(inputs)} {description.task.examples}, more than {found.tolerance:.2g}; nothing was written, "
            "--tolerance allows more",
            found,
        )
    return found


def _outputs_of_a_fresh_process(folder: Path, format: str, inputs: Array) -> Array:
    with tempfile.TemporaryDirectory() as place:
        given, returned = Path(place, "inputs.npy"), Path(place, "outputs.npy")
        np.save(given, inputs)
        command = [sys.executable, "-m", __name__, str(folder), format, str(given), str(returned)]
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=_SECONDS)
        except subprocess.TimeoutExpired as error:
            raise ExportError(f"a fresh process did not finish {folder.name} within {_SECONDS} s", folder) from error
        if done.returncode:
            last = (done.stderr.strip().splitlines() or ["no message"])[-1]
            raise ExportError(f"a fresh process cannot run {folder.name}: {last}", folder)
        outputs: Array = np.load(returned)
    return outputs


def main() -> int:
    """Run a model on inputs in batches of several sizes; print one line and return 1 if it cannot be loaded."""
    folder, format, given, returned = sys.argv[1:]
    inputs: Array = np.load(given)
    try:
        model = open_model(folder, format=format)
    except NasformerError as error:
        print(error, file=sys.stderr)
        return 1
    parts = [part for part in np.split(inputs, [1, 3]) if len(part)]  # 1, 2 and the rest: tests dynamic batch sizes
    np.save(returned, np.concatenate([model.run(np.ascontiguousarray(part)) for part in parts]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
