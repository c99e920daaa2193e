"""Versions and the machine, as results and reports record them."""

from importlib.metadata import version
from pathlib import Path

import pytest

from nasformer import __version__, _provenance


def test_versions_are_those_that_are_installed() -> None:
    found = _provenance.versions("timm", "no-such-package")
    assert found["nasformer"] == __version__ == _provenance.library_version() == version("nasformer")
    assert found["timm"] == version("timm")
    assert "no-such-package" not in found
    assert next(iter(found)) == "python"


def test_a_machine_that_does_not_say_what_it_is_still_has_a_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(*_: object, **__: object) -> str:
        raise FileNotFoundError("/proc/cpuinfo")

    monkeypatch.setattr(Path, "read_text", absent)
    monkeypatch.setattr("os.cpu_count", lambda: None)
    assert _provenance.processor()
    assert _provenance.machine()["cores"] == "unknown"
