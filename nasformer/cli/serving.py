"""A server of web pages on this machine, which answers under its own names only."""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Callable, Iterable
from contextlib import suppress
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from nasformer.errors import NasformerError

Application = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


def serve(application: Application, host: str, port: int, say: Callable[[str], object]) -> None:
    """Serve a WSGI application until Ctrl-C; other host names than the address are refused.

    Args:
        application: The application.
        host: Address to listen on.
        port: Port to listen on; 0: a free one.
        say: Called with the address of the page.

    Raises:
        NasformerError: The address cannot be taken.
    """
    kind = _Server6 if ":" in host else _Server
    try:
        server: WSGIServer = make_server(host, port, only_for(host, application), kind, _Handler)
    except OSError as error:
        reason = error.strerror or error
        raise NasformerError(
            f"cannot listen on {host}:{port}: {reason}; choose another host or --port", port
        ) from error
    with server, suppress(KeyboardInterrupt):
        say(f"http://{f'[{host}]' if ':' in host else host}:{server.server_port}/")
        server.serve_forever()


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True  # a browser keeps connections open that ask nothing


class _Server6(_Server):
    address_family = socket.AF_INET6


class _Handler(WSGIRequestHandler):
    def log_message(self, format: str, *values: object) -> None:
        """Log no request."""


def only_for(host: str, served: Application) -> Application:
    """Return an application that refuses requests for another host, such as a page whose name leads to this one."""
    names = {"localhost", host.lower(), socket.gethostname().lower()}

    def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        asked = re.sub(r":\d*$", "", environ.get("HTTP_HOST", "")).strip("[]").lower()
        if asked in names or _is_address(asked):
            return served(environ, start_response)
        start_response("403 Forbidden", [("Content-Type", "text/plain")])
        return [b"this server is not of the host that was asked for"]

    return application


def _is_address(host: str) -> bool:
    """Whether a host is an IP address, which leads nowhere else."""
    with suppress(ValueError):
        return bool(ipaddress.ip_address(host))
    return False
