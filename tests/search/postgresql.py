"""A real PostgreSQL server in a temporary folder, on a free port, for as long as the tests run."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def binaries() -> Path | None:
    """Return the folder of ``initdb`` and ``pg_ctl``, the newest there is; None where there is none."""
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))
    found = shutil.which("pg_ctl")
    return debian[-1] if debian else Path(found).resolve().parent if found else None


@contextmanager
def server(folder: Path) -> Iterator[str]:
    """Run a server whose files are in a folder, and yield its URL."""
    tools = binaries()
    assert tools is not None
    user = _unprivileged()
    prefix = ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups"] if user else []
    if user:
        _give(folder, user)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    settings = f"-p {port} -k {folder} -c listen_addresses=127.0.0.1"
    base = [*prefix, str(tools / "pg_ctl"), "-D", str(folder / "data")]
    _call([*prefix, str(tools / "initdb"), "-D", str(folder / "data"), "-A", "trust", "-U", "tester", "-E", "UTF8"])
    _call([*base, "-o", settings, "-l", str(folder / "log"), "-w", "start"])
    try:
        yield f"postgresql://tester@127.0.0.1:{port}/postgres"
    finally:
        _call([*base, "-m", "immediate", "stop"])


def _unprivileged() -> str | None:
    """Return whom to run the server as, which refuses to run as root; None: as we are."""
    if os.geteuid() != 0:
        return None
    known = {entry.pw_name for entry in pwd.getpwall()}
    return "postgres" if "postgres" in known else "nobody"


def _give(folder: Path, user: str) -> None:
    """Let a user write a folder, and pass through those above it."""
    shutil.chown(folder, user)
    for above in folder.parents:
        if above.stat().st_uid == os.geteuid() and above != Path("/"):
            above.chmod(above.stat().st_mode | 0o011)


def _call(command: list[str]) -> None:
    done = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, cwd="/", text=True, check=False)
    assert done.returncode == 0, done.stderr
