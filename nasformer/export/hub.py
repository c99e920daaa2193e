"""Hub: hand an exported folder on to huggingface.co. Not run by our tests: it needs the network and an account."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from nasformer.export.description import read_description


def push(folder: str | Path, repo: str, **options: Any) -> str:
    """Upload an exported folder, from which ``timm.create_model("hf-hub:REPO", pretrained=True)`` loads.

    Args:
        folder: What ``export`` wrote.
        repo: "user/name"; it is made where it is absent.
        **options: Of ``huggingface_hub.upload_folder``, as ``revision`` and ``token``.

    Returns:
        The address of the commit.

    Raises:
        ExportError: The folder holds no exported model.
    """
    from huggingface_hub import create_repo, upload_folder

    read_description(Path(folder))
    create_repo(repo, exist_ok=True, token=options.get("token"))
    return str(upload_folder(repo_id=repo, folder_path=str(folder), **options))
