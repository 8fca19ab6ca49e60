"""The search space as a picture: what networks of each size cost, and what bounds leave of them."""

from __future__ import annotations

import importlib
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ecgmodels.files import write_atomically
from search.errors import StudyError
from search.objectives import LOG10_PREFIX, Bound
from search.reports.space_survey import Sample, groups

AXES: Mapping[str, str] = {
    "parameters": "parameters",
    "macs": "multiply-accumulates for one segment (MACs)",
}
"""Cost -> what its axis says: the horizontal one first."""

# Okabe & Ito's colours ("Color Universal Design", 2008), which the colour-blind tell apart too.
_COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#666666")
_OUTSIDE = "#ececec"
_LINE: Mapping[str, Any] = {"color": "black", "linewidth": 0.8, "linestyle": "--"}
_BESIDE: Mapping[str, Any] = {
    "textcoords": "offset points",
    "horizontalalignment": "right",
    "verticalalignment": "bottom",
    "fontsize": "small",
}
_INCHES = (7.2, 4.4)
_DOTS_PER_INCH = 120


def draw_figure(
    samples: Sequence[Sample], bounds: Sequence[Bound], path: Path, *, title: str
) -> None:
    """Write the picture of parameters against MACs, on logarithmic axes, coloured by group.

    Args:
        samples: the proposals; those that the space refused have no place in it.
        bounds: what lies outside is shaded.
        path: the suffix says the format (.png, .svg, .pdf).
        title: what is searched.

    Raises:
        StudyError: matplotlib is not there, nothing can be built, or the costs are others.
    """
    figure_module, ticker = _matplotlib()
    drawn = [sample for sample in samples if sample.costs is not None]
    if not drawn or not set(AXES) <= set(drawn[0].costs or {}):
        raise StudyError(
            f"there is no figure without candidates that cost {' and '.join(AXES)}",
            hint="leave out --figure",
        )
    figure = figure_module.Figure(figsize=_INCHES, layout="constrained")
    axes = figure.add_subplot(xscale="log", yscale="log")
    axes.set_title(title, fontsize="medium")
    axes.set(xlabel=AXES["parameters"], ylabel=AXES["macs"])
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(ticker.EngFormatter(sep=""))
    axes.grid(color="#dddddd", linewidth=0.6)
    axes.set_axisbelow(True)
    _draw_points(axes, drawn)
    _draw_bounds(axes, bounds)
    picture = io.BytesIO()
    try:
        figure.savefig(picture, format=path.suffix.removeprefix("."), dpi=_DOTS_PER_INCH)
    except ValueError as error:  # a suffix that stands for no format, or none at all
        raise StudyError(f"{path}: {error}", hint="name a .png, .svg or .pdf file") from error
    write_atomically(path, picture.getvalue())


def _draw_points(axes: Any, samples: Sequence[Sample]) -> None:
    """Draw a point a candidate, the groups in order of size, those outside the bounds pale."""
    names = [group.name for group in groups(samples)]
    names = [name for name in names if any(sample.group == name for sample in samples)]
    for index, name in enumerate(names):
        own = [sample for sample in samples if sample.group == name]
        colour = _COLOURS[index % len(_COLOURS)]
        for within, strength in ((False, 0.25), (True, 0.7)):
            costs = [sample.costs or {} for sample in own if sample.within_bounds == within]
            x, y = ([cost[axis] for cost in costs] for axis in AXES)
            axes.scatter(x, y, s=7, color=colour, alpha=strength, linewidths=0)
        axes.scatter([], [], s=30, color=colour, label=f"{name} ({len(own):,})")
    # Beside the axes, where it hides no point.
    axes.figure.legend(title="base or family", loc="outside right upper", framealpha=1.0)


def _draw_bounds(axes: Any, bounds: Sequence[Bound]) -> None:
    """Leave what lies within the bounds white, and write each limit beside its line."""
    (left, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()
    across, along = _range("parameters", bounds), _range("macs", bounds)
    x, y = (across[0] or left, across[1] or right), (along[0] or bottom, along[1] or top)
    axes.set_facecolor(_OUTSIDE)
    axes.fill_between(x, y[0], y[1], color="white", linewidth=0, zorder=0)
    for limit, words in zip(across, ("at least", "at most"), strict=True):
        if limit is not None and left < limit < right:
            axes.axvline(limit, **_LINE)
            place = {"xy": (limit, 0.02), "xycoords": axes.get_xaxis_transform()}
            axes.annotate(f"{words} {limit:,.0f}", **place, **_BESIDE, xytext=(-1, 0), rotation=90)
    for limit, words in zip(along, ("at least", "at most"), strict=True):
        if limit is not None and bottom < limit < top:
            axes.axhline(limit, **_LINE)
            place = {"xy": (0.98, limit), "xycoords": axes.get_yaxis_transform()}
            axes.annotate(f"{words} {limit:,.0f}", **place, **_BESIDE, xytext=(0, 2))
    axes.set(xlim=(left, right), ylim=(bottom, top))


def _range(name: str, bounds: Sequence[Bound]) -> tuple[float | None, float | None]:
    """Return the limits of a cost, from bounds of it and of its logarithm."""
    least = [b.min for b in bounds if b.name == name and b.min is not None]
    most = [b.max for b in bounds if b.name == name and b.max is not None]
    of_logarithm = [b for b in bounds if b.name == LOG10_PREFIX + name]
    least += [10**b.min for b in of_logarithm if b.min is not None]
    most += [10**b.max for b in of_logarithm if b.max is not None]
    return max(least, default=None), min(most, default=None)


def _matplotlib() -> tuple[Any, Any]:
    """Return matplotlib's figure and ticker modules; a plain figure needs no display."""
    try:
        return importlib.import_module("matplotlib.figure"), importlib.import_module(
            "matplotlib.ticker"
        )
    except ImportError as error:
        raise StudyError(
            f"--figure needs matplotlib, which cannot be imported: {error}",
            hint="pip install 'ecgsearch[plots]'",
        ) from error
