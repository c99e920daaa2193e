"""Colours can be read on both papers, and strategies told apart by those who see fewer."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from numpy.typing import NDArray

from nasformer.report import palette
from nasformer.report.palette import VARIABLES, style

TEXT, GRAPHICS = 4.5, 3.0  # WCAG 2.2, 1.4.3 and 1.4.11
APART = 10.0  # CIELAB; about 2.3 is just noticeable side by side
SERIES = 12
VISION = {  # Machado, Oliveira and Fernandes (2009), severity 1
    "full": np.eye(3),
    "protanopia": np.array([[0.1523, 1.0526, -0.2049], [0.1145, 0.7863, 0.0993], [-0.0039, -0.0481, 1.052]]),
    "deuteranopia": np.array([[0.3673, 0.8606, -0.228], [0.2801, 0.6725, 0.0474], [-0.0118, 0.0429, 0.9689]]),
}
TO_XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])


def linear(colour: str) -> NDArray[np.float64]:
    """Return linear red, green and blue, (3,)."""
    channels = np.array([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)])
    return np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)


def contrast(first: str, second: str) -> float:
    """Return the ratio that WCAG defines.

    >>> contrast("#000000", "#ffffff")
    21.0
    """
    dark, light = sorted(float(TO_XYZ[1] @ linear(colour)) for colour in (first, second))
    return (light + 0.05) / (dark + 0.05)


def lab(colour: str, vision: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return lightness and two hues as seen, (3,)."""
    xyz = TO_XYZ @ np.clip(vision @ linear(colour), 0, 1) / np.array([0.9505, 1.0, 1.089])
    f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def shade(name: str, mode: str) -> str:
    return str(getattr(VARIABLES[name], mode))


@pytest.mark.parametrize("mode", ["light", "dark"])
def test_text_contrasts_with_what_it_stands_on(mode: str) -> None:
    for paper in ("paper", "good", "bad"):
        assert contrast(shade("ink", mode), shade(paper, mode)) >= TEXT
    assert contrast(shade("muted", mode), shade("paper", mode)) >= TEXT


@pytest.mark.parametrize("mode", ["light", "dark"])
def test_lines_contrast_with_the_paper(mode: str) -> None:
    for index in range(SERIES):
        assert contrast(shade(f"series-{index}", mode), shade("paper", mode)) >= GRAPHICS


@pytest.mark.parametrize("vision", VISION)
@pytest.mark.parametrize("mode", ["light", "dark"])
def test_strategies_with_the_same_dashes_differ_in_colour(mode: str, vision: str) -> None:
    for first, second in combinations(range(SERIES), 2):
        if style(first).line == style(second).line:
            seen = [lab(shade(f"series-{index}", mode), VISION[vision]) for index in (first, second)]
            assert np.linalg.norm(seen[0] - seen[1]) >= APART, (first, second)


def test_no_two_strategies_share_a_marker_before_the_colours_come_round() -> None:
    looks = [style(index) for index in range(4 * SERIES)]
    assert len({look.marker for look in looks[:SERIES]}) == SERIES
    assert len(set(looks)) == len(looks)


def test_every_colour_of_a_figure_is_a_variable() -> None:
    lights = [tone.light for tone in VARIABLES.values()]
    assert len(set(lights)) == len(lights)
    assert {style(index).colour for index in range(SERIES)} <= set(lights)
    assert palette.css(dark=True).count("--series-") == SERIES
