"""A real PostgreSQL server in a temporary folder, on a free port, for as long as the tests run."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def binaries() -> Path | None:
    """Return the folder of ``initdb`` and ``pg_ctl``, the newest there is; None where there is none."""
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))
    found = shutil.which("pg_ctl")
    return debian[-1] if debian else Path(found).resolve().parent if found else None


@contextmanager
def server() -> Iterator[str]:
    """Run a server and yield its URL. Its folder is none of pytest's: those are closed to the server's user."""
    tools = binaries()
    assert tools is not None
    user = _unprivileged()
    prefix = ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups"] if user else []
    with tempfile.TemporaryDirectory(prefix="nasformer-postgresql-") as folder:
        if user:
            shutil.chown(folder, user)
        settings = f"-p {(port := _free_port())} -k {folder} -c listen_addresses=127.0.0.1"
        base = [*prefix, str(tools / "pg_ctl"), "-D", f"{folder}/data"]
        _call([*prefix, str(tools / "initdb"), "-D", f"{folder}/data", "-A", "trust", "-U", "tester", "-E", "UTF8"])
        _call([*base, "-o", settings, "-l", f"{folder}/log", "-w", "start"])
        try:
            yield f"postgresql://tester@127.0.0.1:{port}/postgres"
        finally:
            _call([*base, "-m", "immediate", "stop"])


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _unprivileged() -> str | None:
    """Return whom to run the server as, which refuses to run as root; None: as we are."""
    if os.geteuid() != 0:
        return None
    known = {entry.pw_name for entry in pwd.getpwall()}
    return "postgres" if "postgres" in known else "nobody"


def _call(command: list[str]) -> None:
    done = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, cwd="/", text=True, check=False)
    assert done.returncode == 0, done.stderr
