"""A model's folder on a hub, by huggingface_hub: the layout is timm's, so ``hf-hub:USER/NAME`` opens it there."""

from __future__ import annotations

from pathlib import Path

from nasformer.errors import ExportError
from nasformer.export.description import FILE


def push(folder: str | Path, repository: str, *, private: bool = True) -> str:
    """Upload an exported folder, and return its address.

    Args:
        folder: What ``export`` wrote.
        repository: ``USER/NAME``; made if it is not there.
        private: Whether a new one is seen by its owner alone.

    Raises:
        ExportError: The folder is no export, or the hub cannot be reached or refuses.
    """
    from huggingface_hub import HfApi

    if not (Path(folder) / FILE).is_file():
        raise ExportError(f"{folder} is no export: it holds no {FILE}; 'nasformer export' makes one", folder)
    hub = HfApi(library_name="nasformer")
    try:
        address = hub.create_repo(repository, private=private, exist_ok=True)
        hub.upload_folder(repo_id=repository, folder_path=folder, commit_message="Add a network by nasformer")
    except Exception as error:  # of the network, of the hub, of the name: its classes are many
        lines = str(error).splitlines() or [type(error).__name__]
        raise ExportError(
            f"{folder} is written, but not on the hub as {repository!r}: {lines[0]}", repository
        ) from error
    return str(address)
