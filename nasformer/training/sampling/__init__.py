"""Sampling: which subnets each step of a supernet's training runs; one way per file, named by the file.

A ``SubnetSampler`` draws the subnets of steps, and ``SamplingSchedule`` decides when which choices are open to it: the
largest subnet first, then choices that open step by step, then all of them. Other packages register samplers in the
entry-point group ``nasformer.training.sampling``. Listing names imports nothing.
"""

from __future__ import annotations

from nasformer._plugins import Plugins
from nasformer.errors import RecipeError
from nasformer.training.sampling._references import reference_subnets
from nasformer.training.sampling._sampler import SubnetSampler
from nasformer.training.sampling._schedule import SamplingSchedule

__all__ = ["SamplingSchedule", "SubnetSampler", "get_sampler", "reference_subnets", "sampler_names"]


_SAMPLERS = Plugins("sampling", "training.sampling", lambda: SubnetSampler, RecipeError)


def sampler_names() -> list[str]:
    """Return the names of all installed samplers.

    >>> sampler_names()
    ['bins', 'candidates', 'sandwich', 'shift', 'stratified', 'uniform']
    """
    return _SAMPLERS.names()


def get_sampler(name: str) -> type[SubnetSampler]:
    """Return a sampler by name, or by ``module:Class`` of an imported module.

    Raises:
        RecipeError: Unknown name, failed import, a module that is not imported, or an object that is no sampler.

    >>> get_sampler("uniform").__name__
    'UniformSampler'
    """
    _SAMPLERS.require_imported(name)
    found: type[SubnetSampler] = _SAMPLERS.get(name)
    return found
