"""Zero-cost proxies: scores of architectures without training; one per file, named by the file.

Other packages register theirs in the entry-point group ``nasformer.fitness.proxies``. Listing names imports nothing.
"""

from __future__ import annotations

from nasformer._plugins import Plugins
from nasformer.errors import FitnessError
from nasformer.fitness.proxies._proxy import Proxy

__all__ = ["DEFAULT", "Proxy", "get_proxy", "proxy_names"]

DEFAULT = "params"
"""The proxy that ranks best on average over the tables of ``benchmarks/results/training_free.md``."""


_PROXIES = Plugins("proxy", "fitness.proxies", lambda: Proxy, FitnessError)


def proxy_names() -> list[str]:
    """Return the names of all installed proxies.

    >>> proxy_names()
    ['az-nas', 'dss', 'params', 'prenas']
    """
    return _PROXIES.names()


def get_proxy(name: str) -> type[Proxy]:
    """Return a proxy by name, or by ``module:Class`` of an imported module.

    Raises:
        FitnessError: Unknown name, failed import, a module that is not imported, or an object that is no proxy.

    >>> get_proxy("dss").__name__
    'DssProxy'
    """
    _PROXIES.require_imported(name)
    found: type[Proxy] = _PROXIES.get(name)
    return found
