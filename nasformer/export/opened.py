"""open_model: load an export by folder or file.

ONNX files need neither torch nor timm. Safetensors and ONNX files are pure data; loading a ``.pt2`` in torch can run
code, so open only files from trusted sources.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nasformer.errors import ExportError, NasformerError
from nasformer.export.description import FILE, Description
from nasformer.export.formats import Array, Run, format_names, format_of, get_format


@dataclass(frozen=True)
class Model:
    """A loaded export.

    Attributes:
        path: Its file.
        description: Its metadata.
        run: Maps inputs ``(batch, *input_shape)`` to outputs ``(batch, outputs)``.
    """

    path: Path
    description: Description
    run: Run

    def predictions(self, inputs: Array, top: int = 5) -> list[dict[str, Any]]:
        """Return what the outputs for inputs ``(batch, *input_shape)`` mean, by ``Task.predictions``."""
        return self.description.task.predictions(self.run(inputs), top)


def open_model(path: str | Path, *, format: str | None = None, device: str = "cpu") -> Model:
    """Load an export by folder or model file.

    Args:
        path: The folder or the file.
        format: Name of the format that opens it; None: the first of its extension.
        device: Device of safetensors files; other formats run on the CPU.

    Raises:
        ExportError: It is missing, damaged, not an export of nasformer, or its library is not installed.
    """
    file = _file(Path(path))
    opener = format_of(file) if format is None else get_format(format)
    if device != "cpu" and not opener.on_device:
        raise ExportError(f"{file.name} runs on the CPU; --device {device} is for model.safetensors", device)
    try:
        description, run = opener.open(file, device)
    except NasformerError:
        raise
    except Exception as error:  # corrupt files can raise anything
        lines = str(error).splitlines() or [type(error).__name__]
        raise ExportError(f"cannot open {file}: {lines[0]}; export it again", file) from error
    return Model(file, description, run)


def _file(path: Path) -> Path:
    if path.is_dir():
        path = _of_run(path)
        known = dict.fromkeys(get_format(name).file for name in format_names())
        found = [path / name for name in known if (path / name).is_file()]
        if not found:
            raise ExportError(f"{path} has none of {', '.join(known)}; export it first: nasformer export {path}", path)
        return found[0]
    if not path.is_file():
        raise ExportError(f"there is no model {path}; create it with 'nasformer export'", path)
    return path


def _of_run(path: Path) -> Path:
    """Return the exported folder of a run of ``fit``; other folders unchanged.

    Raises:
        ExportError: The run has several.
    """
    found = sorted(each.parent for each in path.glob(f"models/*/{FILE}"))
    if len(found) > 1:
        raise ExportError(f"{path} has {len(found)} networks; give one: {', '.join(map(str, found))}", path)
    return found[0] if found else path
