"""Upload to a hub with huggingface_hub; the layout is timm's, so ``hf-hub:USER/NAME`` loads it."""

from __future__ import annotations

from pathlib import Path

from nasformer.errors import ExportError
from nasformer.export.description import FILE


def push(folder: str | Path, repository: str, *, private: bool = True) -> str:
    """Upload an export, and return its URL.

    Args:
        folder: A folder of ``export``.
        repository: ``USER/NAME``; created if missing.
        private: Whether a new repository is private.

    Raises:
        ExportError: The folder is not an export, or the hub is unreachable or refuses.
    """
    from huggingface_hub import HfApi

    if not (Path(folder) / FILE).is_file():
        raise ExportError(f"{folder} is not an export: {FILE} is missing; run 'nasformer export'", folder)
    hub = HfApi(library_name="nasformer")
    try:
        address = hub.create_repo(repository, private=private, exist_ok=True)
        hub.upload_folder(repo_id=repository, folder_path=folder, commit_message="Add a network by nasformer")
    except Exception as error:  # many error classes of network, hub and names
        lines = str(error).splitlines() or [type(error).__name__]
        raise ExportError(
            f"{folder} was written, but its upload as {repository!r} failed: {lines[0]}", repository
        ) from error
    return str(address)
