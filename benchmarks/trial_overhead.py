"""What a trial costs beyond its learning: ours beside Ray Tune as users write it.

    python benchmarks/trial_overhead.py [--trials N] [--wide-trials N] [--many N] [--quick] [--json]

Every trial learns nothing for three epochs (trivial_problem). Every search has at most four CPUs,
a fresh local Ray and a process of its own. The figures are seconds as the driver sees them; their
definitions are Stopwatch's properties:

warm trial, by functions       overhead_s: what a one-worker trial keeps its slot beyond its
                               learning; the peer is OptunaSearch over function trainables
warm trial, by reused actors   the same; the peer is Tune alone, random, with actors reused
first result                   cold_start_s: from the start of the search; the peer is functions,
                               which Tune starts one by one, ours all at once
first wide trial               first_trial_s: the first of several trials of two workers, one at a
                               time; the peer is a TorchTrainer nested in a function trainable
later wide trial               later_trial_s: the median of those after it
N trials in all                total_s: with random parameters on both sides; the peer is Tune alone
                               with actors reused

Each one-worker search is repeated, the ways by turns, and the median shown.
"""

from __future__ import annotations

import argparse
import multiprocessing
import sys
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from statistics import median

from stopwatch import Stopwatch
from table import Row, cpu_name, show

CPUS = 4
WIDE_WORKERS = 2
FUNCTION_TRIALS = 8
"""Of the stock search: two a slot tell enough, as each costs seconds."""


def main() -> None:
    options = _options()
    repeats = 1 if options.quick else 2
    trials = options.trials or (40 if options.quick else 100)
    wide_trials = options.wide_trials or (2 if options.quick else 3)
    many = options.many or (200 if options.quick else 2_000)
    rows = [*narrow_rows(trials, repeats), *wide_rows(wide_trials), many_row(many)]
    show(rows, as_json=options.json)


def narrow_rows(trials: int, repeats: int) -> list[Row]:
    """Compare one-worker trials, as many at a time as there are CPUs."""
    ours, functions, reused = [], [], []
    for _ in range(repeats):
        ours.append(_alone(_ours, trials=trials, workers=1, cpus=CPUS))
        functions.append(_alone(_functions, trials=FUNCTION_TRIALS, cpus=CPUS))
        reused.append(_alone(_reused_actors, trials=trials, cpus=CPUS))
    our_overhead_s = median(run.overhead_s for run in ours)
    return [
        _row(
            "warm trial, by functions",
            our_overhead_s,
            median(run.overhead_s for run in functions),
        ),
        _row(
            "warm trial, by reused actors",
            our_overhead_s,
            median(run.overhead_s for run in reused),
        ),
        _row(
            "first result",
            median(run.cold_start_s for run in ours),
            median(run.cold_start_s for run in functions),
        ),
    ]


def wide_rows(trials: int) -> list[Row]:
    """Compare trials of two workers, one at a time."""
    ours = _alone(_ours, trials=trials, workers=WIDE_WORKERS, cpus=WIDE_WORKERS)
    nested = _alone(_nested_trainers, trials=trials, workers=WIDE_WORKERS)
    return [
        _row("first wide trial", ours.first_trial_s, nested.first_trial_s),
        _row("later wide trial", ours.later_trial_s, nested.later_trial_s),
    ]


def many_row(trials: int) -> Row:
    """Compare searches of many one-worker trials as wholes."""
    ours = _alone(_ours_by_chance, trials=trials, workers=1, cpus=CPUS)
    reused = _alone(_reused_actors, trials=trials, cpus=CPUS)
    return _row(f"{trials:,} trials in all", ours.total_s, reused.total_s)


def _row(name: str, ours_s: float, peer_s: float) -> Row:
    return Row(name=name, device=cpu_name(CPUS), ours=ours_s, peer=peer_s, unit="s")


def _alone(search: Callable[..., Stopwatch], *, trials: int, **options: int) -> Stopwatch:
    """Search in a process of its own, so that no settings of one way reach another."""
    began = f"{search.__name__.strip('_')} x {trials}"
    with (
        tempfile.TemporaryDirectory(prefix="bench") as folder,
        ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as process,
    ):
        stopwatch = process.submit(search, Path(folder), trials=trials, **options).result()
    if stopwatch.trials != trials:
        raise RuntimeError(f"{began}: {stopwatch.trials} trials came to their end")
    print(f"{began} measured", file=sys.stderr)
    return stopwatch


# Imported where they run: importing ours changes settings of Ray in the process.


def _ours(folder: Path, **options: int) -> Stopwatch:
    from our_searches import search

    return search(folder, **options)


def _ours_by_chance(folder: Path, **options: int) -> Stopwatch:
    from our_searches import search

    return search(folder, sampler="random", **options)


def _functions(folder: Path, **options: int) -> Stopwatch:
    from peer_searches import search_with_functions

    return search_with_functions(folder, **options)


def _reused_actors(folder: Path, **options: int) -> Stopwatch:
    from peer_searches import search_with_reused_actors

    return search_with_reused_actors(folder, **options)


def _nested_trainers(folder: Path, **options: int) -> Stopwatch:
    from peer_searches import search_with_nested_trainers

    return search_with_nested_trainers(folder, **options)


def _options(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--trials", type=int, help="one-worker trials a search of ours")
    parser.add_argument("--wide-trials", type=int, help="two-worker trials a search, at least 2")
    parser.add_argument("--many", type=int, help="trials of the searches that are timed as wholes")
    parser.add_argument("--quick", action="store_true", help="fewer trials, no repeats")
    parser.add_argument("--json", action="store_true", help="print JSON rows")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()
