"""``nasformer study dashboard``: show the studies of a storage in a browser."""

from __future__ import annotations

from typing import Annotated

import typer

from nasformer.cli.options import Storage
from nasformer.cli.output import console, messages
from nasformer.errors import StudyError

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
    from nasformer.cli.serving import serve
    from nasformer.search.study import Store

    try:
        from optuna_dashboard import wsgi
    except ImportError as error:
        raise StudyError("the dashboard is not installed: pip install 'nasformer[dashboard]'", error) from error
    store = Store(storage, create=False)
    if host not in _LOCAL:
        messages.print("there is no authentication: whoever reaches this address may delete studies", soft_wrap=True)

    def say(address: str) -> None:
        console.print(f"{address} shows {store.name}; stop with Ctrl-C", soft_wrap=True)

    serve(wsgi(store.optuna), host, port, say)
