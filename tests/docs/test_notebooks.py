"""The notebooks are the tutorials, and run; in one, a bar shows progress."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

NOTEBOOKS = ("own-strategy", "photos")
SMALLER = {
    "--epochs 60 --evaluations 30": "--epochs 2 --evaluations 6",
    "evaluations=60": "evaluations=10",
    "label < 4": "label < 2",
}


def read(path: Path) -> Any:
    jupytext = pytest.importorskip("jupytext", reason="pip install 'nasformer[docs]'")
    return jupytext.read(path)


def cells(path: Path) -> list[tuple[str, str]]:
    return [(cell.cell_type, cell.source) for cell in read(path).cells]


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_the_notebook_is_the_page(root: Path, name: str) -> None:
    folder = root / "docs" / "tutorials"
    assert cells(folder / f"{name}.ipynb") == cells(folder / f"{name}.md"), "make notebooks"
    outputs = [cell.outputs for cell in read(folder / f"{name}.ipynb").cells if cell.cell_type == "code"]
    assert not any(outputs), "outputs are not stored"


def run(path: Path, *options: str) -> None:
    """Run a notebook in its folder by nbmake; the command nasformer is the one of this checkout."""
    pytest.importorskip("nbmake", reason="pip install 'nasformer[docs]'")
    bin_folder = path.parent / "bin"
    bin_folder.mkdir()
    command = bin_folder / "nasformer"
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -P -m nasformer "$@"\n')
    command.chmod(0o755)
    environment = {
        **os.environ,
        "PATH": f"{bin_folder}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
        "CUDA_VISIBLE_DEVICES": "",
    }
    arguments = ["-q", "-p", "no:cacheprovider", "--nbmake", "--nbmake-timeout", "3600", *options, path.name]
    line = [sys.executable, "-P", "-m", "pytest", *arguments]
    done = subprocess.run(line, cwd=path.parent, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("name", NOTEBOOKS)
def test_the_notebook_runs(root: Path, tmp_path: Path, name: str) -> None:
    text = (root / "docs" / "tutorials" / f"{name}.ipynb").read_text()
    for long, short in SMALLER.items():
        text = text.replace(long, short)
    (tmp_path / "small.ipynb").write_text(text)
    run(tmp_path / "small.ipynb")


@pytest.mark.slow
def test_progress_shows_in_a_notebook(tmp_path: Path) -> None:
    nbformat = pytest.importorskip("nbformat", reason="pip install 'nasformer[docs]'")
    code = "import nasformer as nf\nnf.Searcher('digits', 'random', lambda each: each.depth).run(evaluations=5);"
    cell = nbformat.v4.new_code_cell(code)
    kernel = {"name": "python3", "display_name": "Python 3"}
    nbformat.write(nbformat.v4.new_notebook(cells=[cell], metadata={"kernelspec": kernel}), tmp_path / "bar.ipynb")
    run(tmp_path / "bar.ipynb", "--overwrite")
    (done,) = nbformat.read(tmp_path / "bar.ipynb", as_version=4).cells
    shown = [output.data["text/plain"] for output in done.outputs if output.output_type == "display_data"]
    assert len(shown) == 1, done.outputs
    assert "5/5" in shown[0]
    assert "best 4" in shown[0]
