"""How well P waves are found: ours beside NeuroKit2's delineator.

    python benchmarks/delineation.py [--json] [--fit]

Reads LUDB and MIT-BIH from $ECG_DATA_ROOT (default ../shared/data). Beats are the annotated ones.
LUDB marks P waves in each lead: a beat has one where most leads have it, and its PR interval is
the median over the leads. The first beat of each recording is left out, as its P wave often lies
before the marks begin. MIT-BIH says nothing of P waves; sinus beats are taken to have one, beats
in atrial fibrillation or flutter and ventricular ones not.

Ours was fitted on LUDB's even records and MIT-BIH's DS1 (`--fit` does it again and prints the
numbers); the rows are of the odd records and DS2. The peer, NeuroKit2's "dwt", knows one lead: II.

Percentages: P waves found of those marked (sensitivity), those marked of those found (positive
predictivity), beats without a P wave that were left without (specificity).
"""

from __future__ import annotations

import argparse
import os
import time
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from p_wave_examples import LEADS, Example, ludb_example, mitdb_example
from table import Row, cpu_name, show

from ecgmodels.data.databases.mitdb import DS1, DS2
from ecgmodels.data.recordings.delineation import EVIDENCE, find_p_waves, p_wave_evidence

CPUS = min(4, os.cpu_count() or 1)
SETUPS = {"12 leads": LEADS, "lead II": ("ii",), "lead V1": ("v1",)}
HALF_HOUR = "100"


@dataclass(frozen=True, kw_only=True, eq=False)
class Found:
    """What was found in an example: 1, 0 or NaN, and seconds; float64 [beat]."""

    present: NDArray[np.float64]
    pr_interval_s: NDArray[np.float64]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="print rows as JSON")
    parser.add_argument("--fit", action="store_true", help="print weights fitted anew, only")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    with ProcessPoolExecutor(CPUS) as pool:
        if options.fit:
            fit(pool)
        else:
            show([*ludb_rows(pool), *mitdb_rows(pool), time_row()], as_json=options.json)


def ludb_rows(pool: ProcessPoolExecutor) -> Iterator[Row]:
    names = range(1, 201, 2)
    peer = list(pool.map(ludb_by_neurokit, names))
    truth = [ludb_example(name) for name in names]
    for title, leads in SETUPS.items():
        ours = list(pool.map(ludb_by_ours, names, [leads] * len(names)))
        for figure, measure in FIGURES.items():
            unit = "%" if figure in PERCENTAGES else "ms"
            yield _row(f"LUDB, {title}: {figure}", measure(truth, ours), measure(truth, peer), unit)


def mitdb_rows(pool: ProcessPoolExecutor) -> Iterator[Row]:
    ours, peer = (list(pool.map(work, DS2)) for work in (mitdb_by_ours, mitdb_by_neurokit))
    truth = [mitdb_example(name) for name in DS2]
    for title, measure in {
        "sinus beats with a P wave": sensitivity,
        "beats in atrial fibrillation without": specificity_in_fibrillation,
        "ventricular beats without": specificity_elsewhere,
    }.items():
        yield _row(f"MIT-BIH, 2 leads: {title}", measure(truth, ours), measure(truth, peer), "%")


def time_row() -> Row:
    example = mitdb_example(HALF_HOUR)
    seconds = []
    for work in (lambda: by_ours(example), lambda: by_neurokit(example, lead=0)):
        work()  # imports
        start = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - start)
    return _row("half an hour, ours 2 leads, peer 1", *seconds, "s", cpus=1)


def fit(pool: ProcessPoolExecutor) -> None:
    """Print weights: each of LUDB's setups counts alike, MIT-BIH's beats a tenth each."""
    from sklearn.linear_model import LogisticRegression

    even = range(2, 201, 2)
    parts = [
        *(
            pool.map(ludb_evidence, even, [leads] * len(even))
            for leads in (LEADS, ("ii",), ("v1",))
        ),
        pool.map(mitdb_evidence, DS1),
    ]
    evidence, expected, weight = [], [], []
    for index, part in enumerate(parts):
        for rows, answer in part:
            kept = ~np.isnan(answer) & ~np.isnan(rows).any(axis=1)
            evidence.append(rows[kept])
            expected.append(answer[kept])
            # Absence is the rarer answer, and the one that a wrong P wave costs most.
            weight.append(
                (1.0 if index < len(SETUPS) else 0.1) * np.where(answer[kept] == 1, 1.0, 3.0)
            )
    x, y, w = map(np.concatenate, (evidence, expected, weight))
    scale = x.std(axis=0)
    model = LogisticRegression().fit(x / scale, y, sample_weight=w)
    for name, value in zip(EVIDENCE, model.coef_[0] / scale, strict=True):
        print(f"{name:12} {value:7.3f}")
    print(f"{'intercept':12} {model.intercept_[0]:7.3f}")


def sensitivity(truth: list[Example], found: list[Found]) -> float:
    expected, present = _both(truth, found)
    return _percent(present[expected == 1] == 1)


def positive_predictivity(truth: list[Example], found: list[Found]) -> float:
    expected, present = _both(truth, found)
    return _percent(expected[present == 1] == 1)


def specificity(truth: list[Example], found: list[Found]) -> float:
    expected, present = _both(truth, found)
    return _percent(present[expected == 0] == 0)


def specificity_in_fibrillation(truth: list[Example], found: list[Found]) -> float:
    kept = [
        replace(one, expected=np.where(one.fibrillating, one.expected, np.nan)) for one in truth
    ]
    return specificity(kept, found)


def specificity_elsewhere(truth: list[Example], found: list[Found]) -> float:
    kept = [
        replace(one, expected=np.where(one.fibrillating, np.nan, one.expected)) for one in truth
    ]
    return specificity(kept, found)


def _only(example: Example, kept: NDArray[np.bool_]) -> Example:
    return replace(example, expected=np.where(kept, example.expected, np.nan))


def mean_pr_error_ms(truth: list[Example], found: list[Found]) -> float:
    return float(np.mean(_pr_errors_ms(truth, found)))


def sd_pr_error_ms(truth: list[Example], found: list[Found]) -> float:
    return float(np.std(_pr_errors_ms(truth, found), ddof=1))


PERCENTAGES: dict[str, Callable[[list[Example], list[Found]], float]] = {
    "sensitivity": sensitivity,
    "positive predictivity": positive_predictivity,
    "specificity": specificity,
    "specificity in atrial fibrillation": specificity_in_fibrillation,
}
FIGURES = PERCENTAGES | {
    "PR interval, mean error": mean_pr_error_ms,
    "PR interval, SD of error": sd_pr_error_ms,
}


def _both(
    truth: list[Example], found: list[Found]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return what was expected and what was found, where both are known."""
    expected = np.concatenate([one.expected for one in truth])
    present = np.concatenate([one.present for one in found])
    known = ~np.isnan(expected) & ~np.isnan(present)
    return expected[known], present[known]


def _pr_errors_ms(truth: list[Example], found: list[Found]) -> NDArray[np.float64]:
    errors = [
        (one.pr_interval_s - other.pr_interval_s)[(other.expected == 1) & (one.present == 1)]
        for one, other in zip(found, truth, strict=True)
    ]
    joined = 1000 * np.concatenate(errors)
    return joined[~np.isnan(joined)]


def _percent(right: NDArray[np.bool_]) -> float:
    return 100 * float(np.mean(right))


def _row(name: str, ours: float, peer: float, unit: str, cpus: int = CPUS) -> Row:
    return Row(name=name, device=cpu_name(cpus), ours=ours, peer=peer, unit=unit)


def by_ours(example: Example) -> Found:
    waves = find_p_waves(example.record, example.beats)
    return Found(
        present=np.where(waves.known, waves.present.astype(float), np.nan),
        pr_interval_s=waves.pr_interval_s,
    )


def by_neurokit(example: Example, *, lead: int) -> Found:
    import neurokit2

    rate_hz = int(example.record.rate_hz)
    cleaned = neurokit2.ecg_clean(example.record.signal_mv[lead], sampling_rate=rate_hz)
    _, waves = neurokit2.ecg_delineate(
        cleaned, rpeaks=example.beats.sample, sampling_rate=rate_hz, method="dwt"
    )
    peak, onset, qrs = (
        np.asarray(waves[f"ECG_{name}"], dtype=float)
        for name in ("P_Peaks", "P_Onsets", "R_Onsets")
    )
    return Found(present=(~np.isnan(peak)).astype(float), pr_interval_s=(qrs - onset) / rate_hz)


def ludb_by_ours(name: int, leads: tuple[str, ...]) -> Found:
    return by_ours(ludb_example(name, leads))


def ludb_by_neurokit(name: int) -> Found:
    warnings.simplefilter("ignore")
    return by_neurokit(ludb_example(name), lead=LEADS.index("ii"))


def ludb_evidence(
    name: int, leads: tuple[str, ...]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    example = ludb_example(name, leads)
    return p_wave_evidence(example.record, example.beats), example.expected


def mitdb_by_ours(name: str) -> Found:
    return by_ours(mitdb_example(name))


def mitdb_by_neurokit(name: str) -> Found:
    warnings.simplefilter("ignore")
    return by_neurokit(mitdb_example(name), lead=0)


def mitdb_evidence(name: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    example = mitdb_example(name)
    return p_wave_evidence(example.record, example.beats), example.expected


if __name__ == "__main__":
    main()
