"""`import nasformer`, `--help` and `spaces` answer at once: they load none of the heavy libraries."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = ("torch", "timm", "pandas", "sklearn", "scipy", "nevergrad", "matplotlib")

_RUN = """
import contextlib, io, json, sys
arguments = json.loads(sys.argv[1])
import nasformer
if arguments:
    from nasformer.cli import main
    sys.argv = ["nasformer", *arguments]
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        try:
            main()
        except SystemExit as stop:
            assert not stop.code, printed.getvalue()
    assert printed.getvalue().strip(), "it printed nothing"
print(json.dumps(sorted(sys.modules)))
"""


@pytest.mark.parametrize(
    "arguments",
    [[], ["--help"], ["search", "--help"], ["study", "--help"], ["spaces"]],
    ids=lambda words: " ".join(words) or "import",
)
def test_no_heavy_library_is_loaded(arguments: list[str], tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _RUN, json.dumps(arguments)], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    loaded = {name.partition(".")[0] for name in json.loads(done.stdout.splitlines()[-1])}
    assert not loaded & set(HEAVY)
