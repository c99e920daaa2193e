"""``nasformer study dashboard``: show the studies of a storage in a browser."""

from __future__ import annotations

from typing import Annotated

import typer

from nasformer.cli.options import Storage
from nasformer.cli.output import console


def dashboard(
    storage: Storage,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on.")] = 8080,
) -> None:
    """Serve optuna-dashboard for a storage until Ctrl-C.

    Examples:
      nasformer study dashboard --storage digits.log
    """
    from nasformer.errors import StudyError
    from nasformer.search.study import Store

    try:
        from optuna_dashboard import run_server
    except ImportError as error:
        raise StudyError("the dashboard is not installed: pip install 'nasformer[dashboard]'", error) from error
    store = Store(storage, create=False)
    console.print(f"http://{host}:{port}/ shows {store.name}; stop with Ctrl-C", soft_wrap=True)
    run_server(store.optuna, host=host, port=port)
