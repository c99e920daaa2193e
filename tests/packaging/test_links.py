"""The root folders strategies/ and spaces/ are packages of nasformer through two tracked links."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

FOLDERS = ("strategies", "spaces")


@pytest.mark.parametrize("folder", FOLDERS)
def test_link_leads_to_the_root_folder(root: Path, folder: str) -> None:
    link = root / "nasformer" / folder
    assert link.is_symlink()
    assert link.readlink() == Path("..") / folder


@pytest.mark.parametrize("folder", FOLDERS)
def test_git_tracks_a_link(root: Path, folder: str) -> None:
    if not (root / ".git").exists():
        pytest.skip("not a git checkout")
    listed = subprocess.run(
        ["git", "ls-files", "--stage", f"nasformer/{folder}"], cwd=root, capture_output=True, text=True, check=True
    ).stdout
    assert listed.split()[:1] == ["120000"], f"nasformer/{folder} is not tracked as a link: {listed!r}"


@pytest.mark.parametrize("folder", FOLDERS)
def test_import_from_the_root_is_refused(root: Path, folder: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", f"import {folder}"], cwd=root, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == (
        f"ImportError: '{folder}' is the folder of nasformer's {folder}: write 'import nasformer.{folder}' instead"
    )


@pytest.mark.parametrize("folder", FOLDERS)
def test_checkout_without_links_gets_one_clear_line(checkout: Path, folder: str) -> None:
    link = checkout / "nasformer" / folder
    link.unlink()
    link.write_text(f"../{folder}")  # what git writes where links are off
    done = subprocess.run(
        [sys.executable, "-c", "import nasformer"], cwd=checkout, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    assert last.startswith("ImportError: ")
    assert f"nasformer/{folder}" in last
    assert "symbolic links" in last
