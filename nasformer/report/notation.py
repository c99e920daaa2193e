"""Number formats of reports, figures and the command line."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from nasformer import _io
from nasformer._console import printable
from nasformer.cost import Limits
from nasformer.data.names import parse_name
from nasformer.search.progress import duration as duration
from nasformer.tasks import Metric

MISSING = "–"
_TIES = re.compile(r"(?<=\d) (?=(?:%|[kMGT]|ms|×)(?!\w))|(?<=[≤≥×]) (?=\d)|(?<=\bp) (?=[=<])|(?<=[=<]) (?=\d)")
_PREFIXES = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))
_NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
_COST_NAMES = {"params": "parameters", "macs": "MACs", "memory": "bytes in use", "latency_ms": "ms of latency"}


def compact(number: float) -> str:
    """Return a number with three digits and an SI prefix.

    >>> compact(60_000), compact(59_210), compact(1_050_000_000), compact(12)
    ('60 k', '59.2 k', '1.05 G', '12')
    """
    for scale, prefix in _PREFIXES:
        if abs(number) >= 0.9995 * scale:
            return f"{number / scale:.3g} {prefix}"
    return f"{number:.3g}"


def grouped(number: float | None) -> str:
    """Return a whole number in groups of three digits.

    >>> grouped(1056964608), grouped(None)
    ('1,056,964,608', '–')
    """
    return MISSING if number is None else _io.grouped(round(number))


def amount(cost: float) -> str:
    """Return a cost: a whole number in groups of three digits, a fraction to the thousandth.

    >>> amount(6_000_000), amount(4.25), amount(5.0)
    ('6,000,000', '4.25', '5')
    """
    return f"{cost:,}" if isinstance(cost, int) else f"{cost:,.3f}".rstrip("0").rstrip(".")


def extent(size: int, axes: int = 2) -> str:
    """Return the size of an image, or of a series.

    >>> extent(16), extent(336, axes=1)
    ('16 × 16', '336 steps')
    """
    return f"{size} × {size}" if axes == 2 else f"{size} steps"


def fitting(metric: Metric, values: Iterable[float]) -> Metric:
    """Return a metric with digits for the range of its values, in percent at least two.

    >>> accuracy = Metric("accuracy", "accuracy", "%", digits=2)
    >>> fitting(accuracy, [97.101, 97.134]).text(97.5), fitting(accuracy, [97.5]).text(97.5)
    ('97.500 %', '97.50 %')
    """
    known = [value for value in values if math.isfinite(value)]
    span = max(known, default=0.0) - min(known, default=0.0)
    least = 2 if metric.unit == "%" else 0
    return (
        metric
        if span <= 0
        else dataclasses.replace(metric, digits=min(9, max(least, math.ceil(1.5 - math.log10(span)))))
    )


def written(value: float | None, metric: Metric) -> str:
    """Return a value of a metric; None: unknown."""
    return MISSING if value is None else metric.text(value)


def worth(metric: Metric, fitness: float) -> str:
    """Return a fitness as its metric: a fitness is negative where less is better.

    >>> worth(Metric("mse", "MSE"), -1.25), worth(Metric("f1", "F1", "%", True, digits=1), 97.5)
    ('1.2500', '97.5 %')
    """
    return metric.text(metric.sign * fitness)


def signed(difference: float) -> str:
    """Return a difference with three digits and sign.

    >>> signed(0.1234), signed(-1234.5), signed(0.0), signed(-1e-12)
    ('+0.123', '−1,230', '0', '−1e-12')
    """
    if difference == 0:
        return "0"
    rounded = float(f"{difference:.3g}")
    text = f"{abs(rounded):,.0f}" if abs(rounded) >= 1000 else f"{abs(rounded):.3g}"
    return f"{'+' if difference > 0 else '−'}{text}"


def points(metric: Metric) -> str:
    """Return the unit of a difference of a metric, after a space.

    >>> from nasformer.tasks import Metric
    >>> points(Metric("f1", "F1", "%")), points(Metric("loss", "loss", "nats")), points(Metric("mae", "MAE"))
    (' percentage points', ' nats', '')
    """
    return " percentage points" if metric.unit == "%" else f" {metric.unit}".rstrip()


def estimate(found: Mapping[str, Any] | None, metric: Metric | None = None, sign: bool = False) -> str:
    """Return a figure with its interval, with the digits of a metric, if given.

    >>> estimate({"value": 1.5, "low": -0.25, "high": 3.0}, sign=True), estimate({"value": 0.5, "low": None})
    ('+1.50 (−0.25 to +3.00)', '0.50')
    """
    if found is None or found["value"] is None or not math.isfinite(found["value"]):
        return MISSING
    decimals = 2 if metric is None else metric.digits
    told = (found.get(key) for key in ("value", "low", "high"))
    value, low, high = (
        None if end is None else f"{end:{'+' if sign else ''}.{decimals}f}".replace("-", "−") for end in told
    )
    return f"{value}" if low is None or high is None else f"{value} ({low} to {high})"


def p_value(p: float) -> str:
    """Return a p-value.

    >>> p_value(0.0312), p_value(1e-9), p_value(1.0)
    ('p = 0.031', 'p < 0.0001', 'p = 1')
    """
    return "p < 0.0001" if p < 1e-4 else f"p = {p:.2g}"


def sentence(text: str) -> str:
    """Return a text with its first letter capitalised."""
    return f"{text[:1].upper()}{text[1:]}"


def counted(count: int, noun: str) -> str:
    """Return a number of things in words.

    >>> counted(3, "seed"), counted(1, "seed"), counted(20, "seed")
    ('three seeds', 'one seed', '20 seeds')
    """
    return f"{worded(count)} {noun}" if count == 1 else f"{worded(count)} {noun}s"


def worded(count: int) -> str:
    """Return a number, in words if small.

    >>> worded(3), worded(20)
    ('three', '20')
    """
    return _NUMBERS[count] if count < len(_NUMBERS) else f"{count:,}"


def cost_name(name: str) -> str:
    """Return the display name of a cost.

    >>> cost_name("params"), cost_name("latency_ms")
    ('parameters', 'ms of latency')
    """
    return _COST_NAMES.get(name, name.replace("_", " "))


def budget(limits: Limits) -> str:
    """Return limits in words.

    >>> from nasformer.cost import as_limits
    >>> budget(as_limits({"params": (5e4, 6e4), "macs": 1.4e6}, ["params", "macs"]))
    '50,000 to 60,000 parameters and at most 1,400,000 MACs'
    """
    return " and ".join(f"{span(*ends)} {cost_name(name)}" for name, ends in limits.items()) or "no budget"


def short_budget(limits: Limits) -> str:
    """Return limits in few characters.

    >>> from nasformer.cost import as_limits
    >>> short_budget(as_limits({"params": (5e6, 6e6), "macs": 1.4e9}, ["params", "macs"]))
    '5 M to 6 M parameters, ≤ 1.4 G MACs'
    """
    return ", ".join(f"{span(*ends, short=True)} {cost_name(name)}" for name, ends in limits.items())


def span(low: float | None, high: float | None, short: bool = False) -> str:
    """Return the bounds of a cost.

    >>> span(None, 60_000), span(5.5, 8.0), span(None, 60_000, short=True)
    ('at most 60,000', '5.5 to 8', '≤ 60 k')
    """
    text, least, most = (compact, "≥", "≤") if short else (amount, "at least", "at most")
    if low is None:
        return "any" if high is None else f"{most} {text(high)}"
    return f"{least} {text(low)}" if high is None else f"{text(low)} to {text(high)}"


def listed(items: list[str]) -> str:
    """Return items as a list in a sentence.

    >>> listed(["random", "evolution", "tpe"]), listed(["tpe"])
    ('random, evolution and tpe', 'tpe')
    """
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}"


def tied(text: str) -> str:
    r"""Return a text whose numbers a line break does not part from their units and signs.

    >>> tied("at least 95 %, ≤ 60 k parameters (p = 0.1)").replace("\N{NO-BREAK SPACE}", "~")
    'at least 95~%, ≤~60~k parameters (p~=~0.1)'
    """
    return _TIES.sub("\N{NO-BREAK SPACE}", text)


def data_name(name: str) -> str:
    """Return a dataset's name for a sentence: of a path its last part.

    >>> data_name("imagefolder:/data/Pets and more"), data_name("digits")
    ('Pets and more', 'digits')
    """
    return Path(parse_name(name).path).name or name


def shortened(text: str, width: int) -> str:
    """Return text in at most ``width`` printable characters.

    >>> shortened("nevergrad (optimizer=NGOpt)", 12)
    'nevergrad (…'
    """
    clean = printable(text)
    return clean if len(clean) <= width else clean[: width - 1] + "…"
