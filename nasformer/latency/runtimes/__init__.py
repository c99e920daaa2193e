"""Runtimes: what runs deployed networks; one per file, named by the file.

Other packages register theirs in the entry-point group ``nasformer.latency.runtimes``. Listing names imports nothing.
"""

from __future__ import annotations

from importlib.util import find_spec

from nasformer._onnx import MODULES
from nasformer._plugins import Plugins
from nasformer.errors import BudgetError
from nasformer.latency.runtimes._runtime import Runtime

__all__ = ["Runtime", "default_runtime", "get_runtime", "runtime_names"]


_RUNTIMES = Plugins("runtime", "latency.runtimes", lambda: Runtime, BudgetError)


def runtime_names() -> list[str]:
    """Return the names of all runtimes.

    >>> runtime_names()
    ['compile', 'onnxruntime', 'torch']
    """
    return _RUNTIMES.names()


def get_runtime(name: str) -> type[Runtime]:
    """Return a runtime by name, or by ``module:Class``.

    Raises:
        BudgetError: Unknown name, failed import, or an object that is no runtime.
    """
    found: type[Runtime] = _RUNTIMES.get(name)
    return found


def default_runtime(device: str = "cpu") -> str:
    """Return "onnxruntime" for the CPU where it is installed, else "torch"."""
    return "onnxruntime" if device == "cpu" and all(map(find_spec, MODULES)) else "torch"
