"""A study's plan as aligned lines for people."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from search.engine.spending import SECONDS_PER_HOUR
from search.planning.epoch_seconds import Timing
from search.planning.forecast import MOST_CANDIDATES, SEEDS, Spread
from search.planning.outline import size
from search.planning.study_plan import StudyPlan
from search.reports.progress import format_value

_INDENT = " " * 9
_SHOWN_TIMINGS = 8


def plan_table(planned: StudyPlan) -> str:
    """Return sizes, trials at a time, seconds of an epoch, and what the search would cost."""
    return "\n".join([*_space(planned), *_trials(planned), *_seconds(planned), *_cost(planned)])


def _space(planned: StudyPlan) -> Iterator[str]:
    outline = planned.outline
    yield (
        f"space    {outline.within} of {outline.drawn} candidates drawn at random keep the bounds, "
        f"{outline.refused} cannot be built"
    )
    for bound in outline.unmeasured:
        yield f"{_INDENT}bounds.{bound.name} is left out: a study measures what it proposes"
    yield from _quartiles(outline.costs())
    yield ""


def _trials(planned: StudyPlan) -> Iterator[str]:
    yield f"on       {planned.cluster}"
    for each in planned.slots:
        share = planned.outline.share(each.shape)
        yield (
            f"trials   {each.count} at a time, each {each.shape}: {each.limit} "
            f"{'limit' if each.limit.endswith('s') else 'limits'} it; "
            f"{share:.0%} of the candidates"
        )
    yield ""


def _seconds(planned: StudyPlan) -> Iterator[str]:
    if planned.probed is None:
        yield f"epochs   of the {len(planned.timings)} candidates that the study has trained"
    else:
        yield f"epochs   of {len(planned.timings)} of {planned.probed} candidates of the probe"
        if len(planned.timings) < planned.probed:
            yield (
                f"{_INDENT}the others finished none in time, or failed: what is foreseen beyond "
                "those below is a guess"
            )
    timings = sorted(planned.timings, key=lambda timing: size(timing.costs))
    yield from _timed(planned, timings)
    errors = planned.errors()
    for shape, model in planned.pace.models.items():
        yield f"seconds  an epoch takes {model} on {shape}, up to {errors[shape]:.0%} off those"
    for each in planned.slots:
        if each.shape not in planned.pace.models and planned.outline.share(each.shape) > 0:
            yield f"seconds  on {each.shape} none was timed: taken to be {planned.pace.others}"
    yield from _quartiles({"s an epoch": planned.epoch_seconds()}, header=False)
    yield ""


def _timed(planned: StudyPlan, timings: Sequence[Timing]) -> Iterator[str]:
    """Show some of the timings, from the smallest to the largest candidate."""
    count = min(len(timings), _SHOWN_TIMINGS)
    last = len(timings) - 1
    shown = [timings[round(place * last / max(1, count - 1))] for place in range(count)]
    names = list(shown[0].costs)
    rows = [
        [
            *(format_value(timing.costs[name]) for name in names),
            str(timing.resources.workers),
            str(timing.epochs),
            f"{timing.seconds:.3g}",
            f"{planned.pace.seconds(timing.resources, timing.costs):.3g}",
        ]
        for timing in shown
    ]
    yield from _aligned([[*names, "workers", "epochs", "s an epoch", "by the model"], *rows])


def _cost(planned: StudyPlan) -> Iterator[str]:
    found = planned.forecast
    names = ["candidates", "epochs", "worker-hours", "GPU-hours", "wall-clock hours"]
    figures = ["candidates", "epochs", "worker_hours", "gpu_hours", "hours"]
    if not found.spread("gpu_hours", in_full=True).most:
        names.remove("GPU-hours")
        figures.remove("gpu_hours")
    halved = planned.study_file.halving.name != "none"
    rows = [
        [
            "with halving" if halved else "as the study",
            *(_spread(found.spread(f)) for f in figures),
        ],
        ["all in full", *(_spread(found.spread(f, in_full=True)) for f in figures)],
        ["share", *(f"{found.ratio(f).median:.2f}" for f in figures)],
    ]
    yield f"cost     foreseen, median of {SEEDS} seeds (least to most):"
    yield from _aligned([["", *names], *rows])
    yield f"{_INDENT}about {_duration(found.spread('hours').median * SECONDS_PER_HOUR)} in all"
    if found.capped:
        yield f"{_INDENT}of the first {MOST_CANDIDATES:,} candidates only; the search goes on"
    yield (
        f"{_INDENT}The search was simulated on made-up learning curves, with candidates by chance; "
        "what halving\n"
        f"{_INDENT}saves depends on the real ones. Early stops, failures and what other work takes "
        "are not in it."
    )


def _quartiles(rows: Mapping[str, Mapping[str, float]], *, header: bool = True) -> Iterator[str]:
    names = list(next(iter(rows.values())))
    table = [["", *names]] if header else []
    for name, values in rows.items():
        table.append([name, *(_number(values[quartile]) for quartile in names)])
    yield from _aligned(table)


def _spread(found: Spread) -> str:
    if found.least == found.most:
        return _number(found.median)
    return f"{_number(found.median)} ({_number(found.least)} to {_number(found.most)})"


def _number(value: float) -> str:
    return f"{value:,.0f}" if float(value).is_integer() or value >= 1000 else f"{value:.3g}"


def _duration(seconds: float) -> str:
    if seconds < 120.0:
        return f"{seconds:.0f} s"
    if seconds < 2 * SECONDS_PER_HOUR:
        return f"{seconds / 60.0:.0f} minutes"
    return f"{seconds / SECONDS_PER_HOUR:,.1f} hours"


def _aligned(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Pad every column: the first stands to the left, the others to the right."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    for row in rows:
        first = row[0].ljust(widths[0]) if rows[0][0] == "" else row[0].rjust(widths[0])
        others = (cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))
        yield (_INDENT + "  ".join([first, *others])).rstrip()
