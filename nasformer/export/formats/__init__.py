"""Formats of exported networks: writer and opener, one format per file, named by the file.

Other packages register theirs in the entry-point group ``nasformer.export.formats``. Files are read without torch
where the format needs none, so formats import it in their functions.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from nasformer._onnx import need
from nasformer._plugins import Plugins
from nasformer.errors import ExportError
from nasformer.export.formats._format import Array, Format, Run

if TYPE_CHECKING:
    from nasformer.supernet.model import VisionTransformer
    from nasformer.tasks import Task

__all__ = ["Array", "Format", "Run", "format_names", "format_of", "get_format", "require_format"]

DTYPES = ("fp32", "bf16", "int8")


_FORMATS = Plugins("format", "export.formats", lambda: Format, ExportError)


def format_names() -> list[str]:
    """Return the names of all installed formats.

    >>> format_names()
    ['onnx', 'onnx-pixels', 'safetensors', 'timm', 'torch-export']
    """
    return _FORMATS.names()


def get_format(name: str) -> Format:
    """Return a format by name, or by ``module:Class``.

    Raises:
        ExportError: Unknown name, failed import, or an object that is no format.

    >>> get_format("onnx").file
    'model.onnx'
    """
    found: Format = _FORMATS.get(name)()
    return found


def format_of(path: Path) -> Format:
    """Return the first format of a file's suffix.

    Raises:
        ExportError: There is none.
    """
    formats = [*map(get_format, format_names())]
    for each in formats:
        if Path(each.file).suffix == path.suffix:
            return each
    known = ", ".join(dict.fromkeys(Path(each.file).suffix for each in formats))
    raise ExportError(f"{path} is not a model: its extension is none of {known}", path)


def require_format(name: str, dtype: str, net: VisionTransformer | None = None, task: Task | None = None) -> Format:
    """Return a format that supports a dtype, a network and its task, and whose packages are installed.

    Raises:
        ExportError: One of these fails.
    """
    found = get_format(name)
    if dtype not in DTYPES:
        raise ExportError(f"--dtype is {', '.join(DTYPES)}, got {dtype!r}", dtype)
    if dtype not in found.dtypes:
        takers = ", ".join(each for each in format_names() if dtype in get_format(each).dtypes)
        raise ExportError(f"the format {name} does not support {dtype}; {dtype} is for {takers}", dtype)
    if net is not None and (reason := found.misfit(net, task)):
        raise ExportError(f"{reason}; take format safetensors", net)
    for module in found.needs:
        need(module)
    return found
