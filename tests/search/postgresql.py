"""A real PostgreSQL server in a temporary folder, on a free port, for as long as the tests run."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
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


class Server:
    """A server that can be stopped and frozen.

    Args:
        folder: Its folder, and that of its data.
    """

    def __init__(self, folder: str) -> None:
        tools, user = binaries(), _unprivileged()
        assert tools is not None
        prefix = ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups"] if user else []
        if user:
            shutil.chown(folder, user)
        self.data = Path(folder, "data")
        self.settings = f"-p {(port := _free_port())} -k {folder} -c listen_addresses=127.0.0.1"
        self.base, self.log = [*prefix, str(tools / "pg_ctl"), "-D", str(self.data)], f"{folder}/log"
        self.url = f"postgresql://tester@127.0.0.1:{port}/postgres"
        _call([*prefix, str(tools / "initdb"), "-D", str(self.data), "-A", "trust", "-U", "tester", "-E", "UTF8"])

    def start(self) -> None:
        _call([*self.base, "-o", self.settings, "-l", self.log, "-w", "start"])

    def stop(self, mode: str = "immediate") -> None:
        _call([*self.base, "-m", mode, "stop"])

    def freeze(self) -> None:
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        """Send a signal to the server and the processes of its sessions."""
        main = int((self.data / "postmaster.pid").read_text().split()[0])
        children = Path(f"/proc/{main}/task/{main}/children").read_text().split()
        for process in (main, *map(int, children)):
            os.kill(process, number)


@contextmanager
def server() -> Iterator[Server]:
    """Run a server. Its folder is none of pytest's: those are closed to the server's user."""
    with tempfile.TemporaryDirectory(prefix="nasformer-postgresql-") as folder:
        made = Server(folder)
        made.start()
        try:
            yield made
        finally:
            if (made.data / "postmaster.pid").exists():
                made.stop()


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
