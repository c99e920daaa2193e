"""axe-core, which finds what keeps people from using a page: fetched from npm once, kept in the user's cache."""

from __future__ import annotations

import os
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest

VERSION = "4.14.1"
FILE = "package/axe.min.js"


def source() -> str:
    """Return its script; without npm or its registry the test is skipped."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "nasformer-tests"
    archive = cache / f"axe-core-{VERSION}.tgz"
    if not archive.is_file():
        if shutil.which("npm") is None:
            pytest.skip("npm is missing, which fetches axe-core: apt-get install npm")
        cache.mkdir(parents=True, exist_ok=True)
        fetch = ["npm", "pack", "--silent", f"axe-core@{VERSION}"]
        done = subprocess.run(fetch, cwd=cache, capture_output=True, text=True, timeout=120, check=False)
        if done.returncode:
            pytest.skip(f"npm cannot fetch axe-core: {done.stderr.strip()[-200:]}")
    with tarfile.open(archive) as packed:
        member = packed.extractfile(FILE)
        assert member is not None
        return member.read().decode()
