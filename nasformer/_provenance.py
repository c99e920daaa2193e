"""Provenance: versions of packages, and a brief description of this computer."""

from __future__ import annotations

import inspect
import os
import platform
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

_PACKAGES = ("nasformer", "numpy", "optuna", "nevergrad", "torch")


def library_version() -> str:
    """Return the version of the installed library."""
    return installed("nasformer").get("nasformer", "unknown")


def installed(*packages: str) -> dict[str, str]:
    """Return the versions of the installed ones of these packages, without importing them."""
    found = {}
    for name in packages:
        with suppress(PackageNotFoundError):
            found[name] = version(name)
    return found


def versions(*further: str) -> dict[str, str]:
    """Return the versions of relevant and of further installed packages, without importing them."""
    return {"python": platform.python_version(), **installed(*_PACKAGES, *further)}


def machine() -> dict[str, str]:
    """Return the system, the processor and the number of cores."""
    cores = os.cpu_count()
    return {
        "system": f"{platform.system()} {platform.release()}",
        "processor": processor(),
        "cores": "unknown" if cores is None else str(cores),
    }


def processor() -> str:
    """Return the processor's name."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    models = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(models, "") or platform.processor() or platform.machine()


def own_source(kind: object) -> tuple[str, ...]:
    """Return the source of the module of a class or function; empty for ours and compiled ones."""
    module = inspect.getmodule(kind)
    if module is None or module.__name__.startswith("nasformer."):
        return ()
    try:
        return (inspect.getsource(module),)
    except OSError:  # compiled
        return ()
