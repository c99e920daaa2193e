"""``nasformer study dashboard``: show the studies of a storage in a browser."""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Annotated, Any

import typer

from nasformer.cli.options import Storage
from nasformer.cli.output import console, messages
from nasformer.errors import StudyError

Application = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]
_LOCAL = ("127.0.0.1", "localhost", "::1")


def dashboard(
    storage: Storage,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on.")] = 8080,
) -> None:
    """Serve optuna-dashboard for a storage until Ctrl-C.

    It has no authentication: whoever reaches the address may change and delete
    studies. Requests for another host name than the address are refused.

    Examples:
      nasformer study dashboard --storage digits.log
    """
    from nasformer.search.study import Store

    try:
        from bottle import run
        from optuna_dashboard import wsgi
    except ImportError as error:
        raise StudyError("the dashboard is not installed: pip install 'nasformer[dashboard]'", error) from error
    store = Store(storage, create=False)
    console.print(f"http://{host}:{port}/ shows {store.name}; stop with Ctrl-C", soft_wrap=True)
    if host not in _LOCAL:
        messages.print("there is no authentication: whoever reaches this address may delete studies", soft_wrap=True)
    run(only_for(host, wsgi(store.optuna)), host=host, port=port)


def only_for(host: str, served: Application) -> Application:
    """Return an application that refuses requests for another host, such as a page whose name leads to this one."""
    names = {"localhost", host.lower(), socket.gethostname().lower()}

    def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        asked = re.sub(r":\d*$", "", environ.get("HTTP_HOST", "")).strip("[]").lower()
        if asked in names or _is_address(asked):
            return served(environ, start_response)
        start_response("403 Forbidden", [("Content-Type", "text/plain")])
        return [b"this dashboard is not of the host that was asked for"]

    return application


def _is_address(host: str) -> bool:
    """Whether a host is an IP address, which leads nowhere else."""
    with suppress(ValueError):
        return bool(ipaddress.ip_address(host))
    return False
