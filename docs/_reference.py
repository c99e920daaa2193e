"""Reference pages from the code: strategies, recipe keys, commands and the Python API as Markdown."""

from __future__ import annotations

import html
import importlib
import inspect
import os
import subprocess
import sys
from collections.abc import Iterable
from typing import Any

from griffe import Docstring

_PACKAGES = (
    "nasformer",
    "nasformer.architecture",
    "nasformer.dimension",
    "nasformer.space",
    "nasformer.cost",
    "nasformer.search",
    "nasformer.search.study",
    "nasformer.supernet",
    "nasformer.data",
    "nasformer.tasks",
    "nasformer.training",
    "nasformer.training.sampling",
    "nasformer.fitness",
    "nasformer.fitness.proxies",
    "nasformer.growth",
    "nasformer.pipeline",
    "nasformer.compare",
    "nasformer.diagnose",
    "nasformer.latency",
    "nasformer.latency.memory",
    "nasformer.latency.runtimes",
    "nasformer.export",
    "nasformer.export.formats",
    "nasformer.export.timm",
    "nasformer.report",
    "nasformer.testing",
    "nasformer.errors",
)


def packages() -> tuple[str, ...]:
    """Return the packages and modules with a page, in the order of the data flow."""
    return _PACKAGES


def api(package: str) -> str:
    """Return the page of a package: the directives of mkdocstrings for its public names."""
    module = importlib.import_module(package)
    head = f"# {package}\n\n{_paragraph(inspect.getdoc(module) or '')}\n\n"
    if package == "nasformer":
        return head + _face(module)
    lines = []
    for name in _public(module):
        home = _home(module, name)
        here = home.rpartition(".")[0]
        own = here == package or (here.startswith(package + ".") and not _shown_elsewhere(here, name, package))
        lines.append(f"::: {home}\n" if own else f"- [`{name}`][{home}]\n")
    links = [line for line in lines if line.startswith("-")]
    also = "\n## Also here\n\n" + "".join(links) if links else ""
    return head + "\n".join(line for line in lines if not line.startswith("-")) + also


def _face(module: Any) -> str:
    """Return the table of the names of ``nf``, with their first lines."""
    elsewhere = {_home(each, name) for each in map(importlib.import_module, _PACKAGES[1:]) for name in _public(each)}
    rows, here = [], []
    for name in _public(module):
        home = _home(module, name)
        if name != "__version__":
            rows.append((f"[`nf.{name}`][{home}]", _first_line(getattr(module, name))))
            here += [] if home in elsewhere else [f"::: {home}\n"]
    head = "`import nasformer as nf` has the names that most programs need.\n\n"
    return head + _table(("name", ""), rows) + "\n" + "\n".join(here)


def _public(module: Any) -> list[str]:
    """Return the names of ``__all__``; of a module without, its own public classes and functions."""
    if hasattr(module, "__all__"):
        return list(module.__all__)
    members = inspect.getmembers(module, lambda each: inspect.isclass(each) or inspect.isfunction(each))
    own = [(name, each) for name, each in members if each.__module__ == module.__name__ and name[0] != "_"]
    return [name for name, each in sorted(own, key=lambda pair: inspect.getsourcelines(pair[1])[1])]


def _home(module: Any, name: str) -> str:
    """Return the path where a name is defined; a value has that of the module that exports it."""
    value = getattr(module, name)
    if inspect.isclass(value) or inspect.isfunction(value):
        return f"{value.__module__}.{value.__qualname__}"
    return f"{module.__name__}.{name}"


def _shown_elsewhere(home: str, name: str, package: str) -> bool:
    """Return whether a package further inside has its own page with this name."""
    inner = [each for each in _PACKAGES if each.startswith(package + ".") and (home + ".").startswith(each + ".")]
    return any(name in _public(importlib.import_module(each)) for each in inner)


def strategies() -> str:
    """Return a section for each strategy of the registry: what it does, and its options."""
    from nasformer.registry import get_strategy, strategy_names

    return "\n".join(_strategy(name, get_strategy(name)) for name in strategy_names())


def _strategy(name: str, strategy: Any) -> str:
    doc = inspect.getdoc(importlib.import_module(strategy.__module__)) or ""
    text = f"## {name}\n\n{_paragraph(doc)}\n\n"
    told = _described(strategy, "parameters")
    common = {"self", "feasible", "seed", "evaluations", "batch_size"}
    options = [each for each in inspect.signature(strategy).parameters.values() if each.name not in common]
    rows = []
    for each in options:
        if each.kind in (each.VAR_KEYWORD, each.VAR_POSITIONAL):
            rows.append((f"`{each.name}`", "", told.get(f"**{each.name}", told.get(each.name, ""))))
        else:
            rows.append((f"`{each.name}`", _value(each.default), told.get(each.name, "")))
    return text + (_table(("option", "default", ""), rows) if rows else "No options.\n")


def recipe() -> str:
    """Return the table of the keys of a recipe."""
    from nasformer.training import Recipe

    return _keys(Recipe) + "\n## Keys of `affine`\n\n" + _keys(Recipe.model_fields["affine"].annotation)


def _keys(model: Any) -> str:
    told = _described(model, "attributes")
    missing = set(model.model_fields) - set(told)
    assert not missing, f"{model.__name__} has no description of {missing}"
    rows = [
        (f"`{key}`", _value(field.get_default(call_default_factory=True)), told[key])
        for key, field in model.model_fields.items()
    ]
    return _table(("key", "default", ""), rows)


def commands() -> str:
    """Return a section for each command, as Typer writes it; examples become blocks of code."""
    command = [sys.executable, "-m", "typer", "nasformer.cli", "utils", "docs", "--name", "nasformer"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env={**os.environ, "COLUMNS": "200"})
    lines: list[str] = []
    for line in done.stdout.splitlines():
        if line.startswith("* `--help`"):
            continue
        example = line.startswith("  ") and not line.lstrip().startswith("*")
        if example and lines and lines[-1].strip() and not lines[-1].startswith("    "):
            lines.append("")
        lines.append(f"    {html.unescape(line.strip())}" if example else line)
    text = "\n".join(lines).partition("**Commands**:")[2]
    return text[text.index("\n## ") :]


def _described(value: Any, kind: str) -> dict[str, str]:
    """Return the descriptions of parameters or attributes in a docstring by name."""
    for section in Docstring(inspect.getdoc(value) or "").parse("google", warnings=False):
        if section.kind.value == kind:
            return {each.name: " ".join(each.description.split()) for each in section.value}
    return {}


def _value(value: Any) -> str:
    if value is inspect.Parameter.empty:
        return "required"
    if hasattr(value, "model_dump"):
        value = value.model_dump(exclude_defaults=True) or "none"
    if isinstance(value, type) or callable(value):
        return f"`{value.__name__}`"
    return f"`{value}`" if value != "" else "`''`"


def _first_line(value: Any) -> str:
    return (inspect.getdoc(value) or "").split("\n", 1)[0]


def _paragraph(doc: str) -> str:
    return doc.split("\n>>>", 1)[0].replace("``", "`").strip()


def _table(header: Iterable[str], rows: Iterable[tuple[str, ...]]) -> str:
    header = list(header)
    lines = [header, ["---"] * len(header), *rows]
    cells = [[cell.replace("``", "`").replace("|", "\\|") for cell in line] for line in lines]
    return "".join(f"| {' | '.join(line)} |\n" for line in cells)
