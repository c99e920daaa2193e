"""Checkpoints: self-describing safetensors files. Nothing in them is executed.

The header is JSON under the key ``nasformer``: the kind ("supernet" or "network"), the versions of the format and of
the library, the declaration of the space or of the network, and the caller's metadata. Files are written atomically.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, TypeVar

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as serialise
from torch import Tensor, nn

from nasformer._io import to_json, write_file
from nasformer._parse import check_download, parse_json
from nasformer._provenance import library_version
from nasformer.errors import CheckpointError, shown

Net = TypeVar("Net", bound=nn.Module)

FORMAT_VERSION = 1
_FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
_RECORDS = (
    ("metadata", "training", "data"),
    ("metadata", "training", "recipe"),
    ("metadata", "imported"),
    ("metadata", "original"),
)


def write_checkpoint(path: str | Path, kind: str, tensors: Mapping[str, Tensor], header: Mapping[str, Any]) -> Path:
    """Write ``tensors`` and ``header`` to ``path`` atomically.

    Raises:
        CheckpointError: The file cannot be written.
    """
    versions = {"kind": kind, "format_version": FORMAT_VERSION, "library_version": library_version()}
    text = to_json({**versions, **header})
    content = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    replace_file(path, serialise(content, metadata={"nasformer": text}))
    return Path(path)


def read_checkpoint(path: str | Path, kind: str) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Return the header and the tensors of ``path``.

    Raises:
        CheckpointError: The file is missing, corrupt, of another kind or from a newer library.
    """
    return _read(path, kind, with_tensors=True)


def read_header(path: str | Path, kind: str) -> dict[str, Any]:
    """Return the header of ``path`` without its tensors; errors as of ``read_checkpoint``."""
    return _read(path, kind, with_tensors=False)[0]


def _read(path: str | Path, kind: str, *, with_tensors: bool) -> tuple[dict[str, Any], dict[str, Tensor]]:
    try:
        check_download(path)
        with _utf8(path) as name, safe_open(name, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()} if with_tensors else {}  # noqa: SIM118
    except (SafetensorError, OSError, ValueError) as error:
        raise CheckpointError(f"cannot read the checkpoint {path}: {first_line(error)}", path) from error
    return _header(path, kind, metadata), tensors


@contextmanager
def _utf8(path: str | Path) -> Iterator[str | Path]:
    """Yield a name of an existing file that safetensors takes: one in UTF-8."""
    if str(path).encode(errors="replace").decode() == str(path):
        yield path
        return
    with Path(path).open("rb") as file:
        yield f"/dev/fd/{file.fileno()}"


def fingerprint(net: nn.Module) -> str:
    """Return the SHA-256 of a network's weights."""
    digest = hashlib.sha256()
    for name, tensor in sorted(net.state_dict().items()):
        digest.update(f"{name} {tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy())
    return digest.hexdigest()


def build(make: Callable[[], Net], tensors: Mapping[str, Tensor], path: str | Path) -> Net:
    """Return a network whose parameters are ``tensors``; nothing is allocated before their shapes are compared.

    Args:
        make: Makes the network with any weights.
        tensors: The parameters.
        path: Their file, for messages.

    Raises:
        CheckpointError: A tensor is missing, unknown, not finite, or of another shape or type; the message names it.
    """
    with torch.device("meta"):
        _check(make().state_dict(), tensors, path)
    net = make()
    fill(net, tensors, path)
    return net


def require_layers(number: int, tensors: Mapping[str, Tensor], path: str | Path) -> None:
    """Raise CheckpointError if a file holds fewer tensors than the layers that its header declares."""
    if number > len(tensors):
        raise CheckpointError(
            f"the header of {path} declares {number:,} layers, but the file holds {len(tensors):,} tensors", path
        )


def fill(net: nn.Module, tensors: Mapping[str, Tensor], path: str | Path) -> None:
    """Copy ``tensors`` into the parameters of ``net``; arguments and errors as of ``build``."""
    own = net.state_dict()
    _check(own, tensors, path)
    for name in own:
        if not tensors[name].isfinite().all():
            raise CheckpointError(
                f"in the checkpoint {path}, {name} holds NaN or infinite values, as after a diverged training; "
                "take another checkpoint, or train again at a lower learning rate",
                name,
            )
    with torch.no_grad():
        for name, tensor in own.items():
            tensor.copy_(tensors[name])


def is_floating(tensor: Tensor) -> bool:
    """Whether the values of a tensor are those of a dense floating-point tensor of 16 bits or more."""
    return tensor.dtype in _FLOATS and tensor.layout is torch.strided and not tensor.is_meta


def _check(own: Mapping[str, Tensor], tensors: Mapping[str, Tensor], path: str | Path) -> None:
    """Raise CheckpointError if the names, shapes or types of ``tensors`` are not those of ``own``."""
    unmatched = sorted(own.keys() ^ tensors.keys())
    if unmatched:
        side = "lacks" if unmatched[0] in own else "has an unknown"
        raise CheckpointError(
            f"the checkpoint {path} {side} tensor {unmatched[0]} ({len(unmatched)} such in all)", unmatched
        )
    for name, tensor in own.items():
        if tensors[name].shape != tensor.shape:
            shapes = f"{tuple(tensors[name].shape)}, but its header asks for {tuple(tensor.shape)}"
            raise CheckpointError(f"in the checkpoint {path}, {name} is {shapes}", name)
        if not is_floating(tensors[name]):
            kind = str(tensors[name].dtype).removeprefix("torch.")
            raise CheckpointError(
                f"in the checkpoint {path}, {name} is {kind}, but weights are numbers of floating point, of 16 bits or "
                "more; convert them",
                name,
            )


def replace_file(path: str | Path, content: str | bytes) -> None:
    """Write ``content`` to ``path`` atomically.

    Raises:
        CheckpointError: The file cannot be written.
    """
    try:
        write_file(path, content)
    except OSError as error:
        reason = error.strerror or str(error)
        raise CheckpointError(f"cannot write {path}: {reason}; an existing file is unchanged", path) from error


def first_line(error: BaseException) -> str:
    """Return the first line of an error's message, or its type if empty; torch's advice on pickles is left out."""
    if isinstance(error, UnpicklingError) or "weights_only" in str(error):
        found = re.search(r"(?:GLOBAL|globals:) (\w+(?:\.\w+)*)", str(error))
        return f"it holds {found[1]}, which is code, not data" if found else "it is no file of weights, or damaged"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    lines = str(error).splitlines()
    return lines[0] if lines else type(error).__name__


def _require_mapping(header: Any, names: Sequence[str]) -> None:
    for name in names:
        header = header.get(name, {})
        if not isinstance(header, dict):
            raise TypeError(f"{name} is {shown(header)}")


def _header(path: str | Path, kind: str, metadata: Mapping[str, str]) -> dict[str, Any]:
    try:
        header: Any = parse_json(metadata["nasformer"], finite=False)
        found, format_version = header["kind"], int(header["format_version"])
        for names in (("metadata",), ("metadata", "training"), *_RECORDS):
            _require_mapping(header, names)
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        reason = "it has no valid header" if isinstance(error, KeyError) else error
        raise CheckpointError(f"{path} is not a nasformer checkpoint: {reason}", path) from error
    if format_version > FORMAT_VERSION:
        raise CheckpointError(
            f"{path} has format version {format_version}, this library reads up to {FORMAT_VERSION}: upgrade nasformer",
            path,
        )
    if found != kind:
        raise CheckpointError(f"{path} holds a {found}, not a {kind}", path)
    return {"metadata": {}, **header}
