"""The command line: one file per command; errors are one line, with ``--json`` also JSON, and exit code 2."""

from __future__ import annotations

import importlib
import io
import logging
import os
import signal
import sys
from collections.abc import Sequence

import typer

from nasformer._console import printable
from nasformer.cli.benchmark import benchmark
from nasformer.cli.compare import compare
from nasformer.cli.cost import cost
from nasformer.cli.data import data
from nasformer.cli.demo import demo
from nasformer.cli.diagnose import diagnose
from nasformer.cli.evaluate import evaluate
from nasformer.cli.export import export
from nasformer.cli.export_autoformer import export_autoformer
from nasformer.cli.finetune import finetune
from nasformer.cli.fit import fit
from nasformer.cli.from_timm import from_timm
from nasformer.cli.import_autoformer import import_autoformer
from nasformer.cli.latency import latency
from nasformer.cli.output import Stopped, print_json, remember, say, should_report_error, stoppable
from nasformer.cli.predict import predict
from nasformer.cli.retrain import retrain
from nasformer.cli.search import search
from nasformer.cli.spaces import spaces
from nasformer.cli.study import study
from nasformer.cli.surrogate import surrogate
from nasformer.cli.train import train
from nasformer.cli.watch import watch
from nasformer.cli.weights import weights
from nasformer.errors import NasformerError

app = typer.Typer(
    name="nasformer",
    help="Search for vision transformers that fit a budget.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 80},
)
_COMMANDS = {
    "Start here": (fit, demo),
    "Look": (spaces, data, cost, latency, watch),
    "Make a supernet": (train, from_timm, import_autoformer, export_autoformer),
    "Search": (search, compare, surrogate, diagnose),
    "Use a network": (finetune, retrain, evaluate, export, predict, benchmark),
}
for _panel, _group in _COMMANDS.items():
    for _command in _group:
        app.command(rich_help_panel=_panel)(stoppable(_command))
app.add_typer(study, rich_help_panel="Search")
app.add_typer(weights, rich_help_panel="Make a supernet")


_TRUST = typer.Option([], metavar="MODULE", help="Import MODULE, which files may then name; repeatable.")


@app.callback(invoke_without_command=True)
def _options(
    verbose: bool = typer.Option(False, "--verbose", "-v", help="Log progress."),
    version: bool = typer.Option(False, "--version", help="Print the version and exit."),
    trust: list[str] = _TRUST,
) -> None:
    handler = logging.StreamHandler()
    handler.setFormatter(_PlainFormatter("%(levelname)s %(message)s"))
    logging.basicConfig(handlers=[handler], level=logging.INFO if verbose else logging.WARNING)
    if version:
        from nasformer._provenance import library_version

        print(library_version())
        raise typer.Exit
    for module in trust:
        try:
            importlib.import_module(module)
        except (ImportError, ValueError) as error:
            raise typer.BadParameter(f"--trust {module}: {error}") from None


class _PlainFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return printable(super().format(record))


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit: 0 success, 2 bad input or a reported failure, 130 interrupted, also by SIGTERM."""
    if "TORCHELASTIC_RUN_ID" not in os.environ:  # torchrun ends the other ranks with it
        signal.signal(signal.SIGTERM, signal.default_int_handler)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # as of standard error: a terminal that is not UTF-8
    sys.exit(run(arguments))


def run(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    typed = list(sys.argv[1:] if arguments is None else arguments)
    json = "--json" in typed
    remember(typed)
    try:
        code = app(typed, prog_name="nasformer", standalone_mode=False)
    except NasformerError as error:
        return _fail(str(error), json)
    except OSError as error:
        return _fail(f"{error.filename or 'the system'}: {error.strerror or error}", json)
    except (Stopped, KeyboardInterrupt, typer.Abort) as stop:
        words = " ".join(map(str, stop.args))
        say(words if words.startswith("stopped") else f"stopped. {words}".strip())
        return 130
    except Exception as error:
        if hasattr(error, "format_message"):  # usage errors of click and typer
            return _fail(f"{error.format_message()} (see 'nasformer --help')", json)
        if should_report_error():
            raise
        return 1
    return code if isinstance(code, int) else 0


def _fail(message: str, json: bool) -> int:
    """Print an error as one line, with ``--json`` also as JSON on standard output, and return the exit code."""
    line = " ".join(message.split())
    say(f"error: {line}", style="red")
    if json and should_report_error():
        print_json({"error": line})
    return 2
