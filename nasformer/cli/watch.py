"""``nasformer watch``: the page of a run in a browser while it works."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from pathlib import Path
from threading import Lock
from typing import Annotated, Any

import typer

from nasformer.cli.output import console
from nasformer.errors import NasformerError

_HOST = "127.0.0.1"
_LEAST, _MOST, _SHARE = 2.0, 60.0, 0.1  # a page is asked for so often, and takes such a share of a core


def watch(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a search, a training or a fit.")],
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on; 0: a free one.")] = 0,
) -> None:
    """Show the page of a run in a browser while it works.

    The page follows the run: trials, learning curves and stages so far, then
    the report. It is served on this machine only, until Ctrl-C.

    Examples:
      nasformer watch runs/digits-thompson-seed0
    """
    from nasformer.cli.serving import serve

    if not run.is_dir():
        raise NasformerError(f"{run} is no folder of a run; give the --out of the run", run)
    serve(
        _Watched(run),
        _HOST,
        port,
        lambda address: console.print(f"{address} shows {run}; stop with Ctrl-C", soft_wrap=True),
    )


class _Watched:
    """A WSGI application: ``/`` is the page, ``/state`` changes with it; nothing else is served."""

    def __init__(self, folder: Path) -> None:
        self.folder, self._lock = folder, Lock()
        self._kept, self._seconds = ("", ""), _LEAST

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Answer a request."""
        from nasformer.report.live import state_of

        served = {"/": ("text/html", self._page), "/state": ("text/plain", lambda: state_of(self.folder))}
        kind, make = served.get(environ["PATH_INFO"], ("text/plain", None))
        status, text = ("200 OK", make()) if make else ("404 Not Found", "only the page itself is here")
        start_response(status, [("Content-Type", f"{kind}; charset=utf-8"), ("Cache-Control", "no-store")])
        return [text.encode(errors="backslashreplace")]

    def _page(self) -> str:
        """Return the page, made again if the run has written something."""
        from nasformer.report.live import fault_page, live_page, state_of

        with self._lock:  # Matplotlib draws one figure at a time
            state, began = state_of(self.folder), time.perf_counter()
            if self._kept[0] != state:
                try:
                    html = live_page(self.folder, self._seconds)
                except (NasformerError, OSError, ValueError, LookupError) as error:  # half written, or damaged
                    html = fault_page(self.folder, error, self._seconds)
                self._kept = (state, html)
                self._seconds = min(_MOST, max(_LEAST, (time.perf_counter() - began) / _SHARE))
            return self._kept[1]
