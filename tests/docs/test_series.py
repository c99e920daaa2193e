"""The tutorial on series is run, block by block, with shorter trainings and searches."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pandas as pd
import pytest
import torch

from nasformer.cli import run

BLOCK = re.compile(r"^```(sh|python|yaml)\n(.*?)^```", re.DOTALL | re.MULTILINE)
SHORTER = {"--epochs 20": "--epochs 1", "--evaluations 60": "--strategy random --evaluations 4"}


@pytest.mark.slow
def test_the_tutorial(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("onnxscript", reason="pip install 'nasformer[onnx]'")
    torch.set_num_threads(1)
    monkeypatch.chdir(tmp_path)
    done = []
    for kind, text in BLOCK.findall((root / "docs" / "tutorials" / "series.md").read_text()):
        if kind == "yaml":
            Path("co2.yaml").write_text(text)
        elif kind == "python":
            exec(compile(text, "series.md", "exec"), {})
        for line in text.splitlines() if kind == "sh" else ():
            for long, short in SHORTER.items():
                line = line.replace(long, short)
            program, *arguments = shlex.split(line)
            assert program == "nasformer"
            code = run(arguments)
            assert code == 0, f"{line}: {capsys.readouterr().err}"
            done.append(arguments[0])
    assert done == ["data", "spaces", "train", "search", "retrain", "export", "predict"]
    forecast = pd.read_csv("forecast.csv")
    assert len(forecast) == 26
    assert forecast["co2"].between(360, 385).all()  # the series ends at 371 parts per million
