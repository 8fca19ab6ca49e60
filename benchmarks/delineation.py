"""How well P waves are found: ours beside NeuroKit2's delineator.

    python benchmarks/delineation.py [--json] [--fit]

Reads LUDB and MIT-BIH from $ECG_DATA_ROOT (default ../shared/data). Beats are the annotated ones.
LUDB marks P waves in each lead: a beat has one where most leads have it, and its PR interval is
the median over the leads. The first beat of each recording is left out, as its P wave often lies
before the marks begin. MIT-BIH says nothing of P waves; sinus beats are taken to have one, beats
in atrial fibrillation or flutter and ventricular ones not.

Ours decides with weights that were fitted on both databases (`--fit` does it again and prints
them). Here each record is judged by weights fitted on four fifths of the records without it. The
peer, NeuroKit2's "dwt", knows one lead: II in LUDB, the first in MIT-BIH.

Percentages: P waves found of those marked (sensitivity), those marked of those found (positive
predictivity), beats without a P wave that were left without (specificity).
"""

from __future__ import annotations

import argparse
import os
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from p_wave_examples import LEADS, Example, Truth, ludb_example, mitdb_example
from table import Row, cpu_name, show

from ecgmodels.data.databases.mitdb import DS1, DS2
from ecgmodels.data.recordings.delineation import EVIDENCE, find_p_waves, p_wave_evidence

CPUS = min(4, os.cpu_count() or 1)
SETUPS = {"12 leads": LEADS, "lead II": ("ii",), "lead V1": ("v1",)}
FOLDS = 5
HALF_HOUR = "100"


@dataclass(frozen=True, kw_only=True, eq=False)
class Answer:
    """What was found in an example; float64 [beat], seconds, and 1, 0 or NaN where unknown."""

    present: NDArray[np.float64]
    pr_interval_s: NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, eq=False)
class Case:
    """One record seen through some of its leads: what is known, and what was found."""

    setup: str
    truth: Truth
    evidence: NDArray[np.float64]
    ours: Answer
    peer: Answer


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="print rows as JSON")
    parser.add_argument("--fit", action="store_true", help="print weights fitted anew, only")
    options = parser.parse_args()
    with ProcessPoolExecutor(CPUS) as pool:
        records = [*range(1, 201), *sorted(DS1 + DS2)]
        cases = list(pool.map(read_cases, records, [not options.fit] * len(records)))
    if options.fit:
        *weights, intercept = fit([case for record in cases for case in record])
        for name, value in zip((*EVIDENCE, "intercept"), (*weights, intercept), strict=True):
            print(f"{name:12} {value:7.3f}")
    else:
        judged = [*judge(cases)]
        show([*ludb_rows(judged), *mitdb_rows(judged), time_row()], as_json=options.json)


def read_cases(record: int | str, with_peer: bool) -> list[Case]:
    """Examine a record: one of LUDB by number, in each of the setups, or one of MIT-BIH by name."""
    warnings.simplefilter("ignore")
    if isinstance(record, str):
        example = mitdb_example(record)
        peer = by_neurokit(example, lead=0) if with_peer else nothing(example)
        return [_case("MIT-BIH", example, peer)]
    whole = ludb_example(record)
    peer = by_neurokit(whole, lead=LEADS.index("ii")) if with_peer else nothing(whole)
    return [_case(setup, ludb_example(record, leads), peer) for setup, leads in SETUPS.items()]


def _case(setup: str, example: Example, peer: Answer) -> Case:
    waves = find_p_waves(example.record, example.beats)
    return Case(
        setup=setup,
        truth=example.truth,
        evidence=p_wave_evidence(example.record, example.beats),
        ours=Answer(
            present=np.where(waves.known, waves.present.astype(float), np.nan),
            pr_interval_s=waves.pr_interval_s,
        ),
        peer=peer,
    )


def nothing(example: Example) -> Answer:
    unknown = np.full(len(example.beats), np.nan)
    return Answer(present=unknown, pr_interval_s=unknown)


def by_neurokit(example: Example, *, lead: int) -> Answer:
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
    return Answer(present=(~np.isnan(peak)).astype(float), pr_interval_s=(qrs - onset) / rate_hz)


def fit(cases: Iterable[Case]) -> NDArray[np.float64]:
    """Return the weight of each kind of evidence, and last the intercept."""
    from sklearn.linear_model import LogisticRegression

    evidence, expected, weight = [], [], []
    for case in cases:
        answer = case.truth.expected
        kept = ~np.isnan(answer) & ~np.isnan(case.evidence).any(axis=1)
        evidence.append(case.evidence[kept])
        expected.append(answer[kept])
        # MIT-BIH has a hundred times as many beats, and labels that are taken, not marked. Absence
        # is the rarer answer everywhere.
        beat = 0.1 if case.setup == "MIT-BIH" else 1.0
        weight.append(beat * np.where(answer[kept] == 1, 1.0, 3.0))
    x, y, w = map(np.concatenate, (evidence, expected, weight))
    scale = x.std(axis=0)
    model = LogisticRegression().fit(x / scale, y, sample_weight=w)
    return np.append(model.coef_[0] / scale, model.intercept_[0])


def judge(cases: Sequence[list[Case]]) -> Iterator[tuple[Case, Answer]]:
    """Yield each case with the answer of weights fitted on the other folds' records."""
    for fold in range(FOLDS):
        others = [case for i, record in enumerate(cases) if i % FOLDS != fold for case in record]
        weights = fit(others)
        for case in (case for record in cases[fold::FOLDS] for case in record):
            score = case.evidence @ weights[:-1] + weights[-1]
            present = np.where(np.isnan(score), np.nan, score > 0)
            yield case, Answer(present=present, pr_interval_s=case.ours.pr_interval_s)


def ludb_rows(judged: Sequence[tuple[Case, Answer]]) -> Iterator[Row]:
    for setup in SETUPS:
        cases = [case for case, _ in judged if case.setup == setup]
        ours = [answer for case, answer in judged if case.setup == setup]
        peer = [case.peer for case in cases]
        for figure, measure in FIGURES.items():
            unit = "ms" if figure.startswith("PR") else "%"
            truths = [case.truth for case in cases]
            yield _row(
                f"LUDB, {setup}: {figure}", measure(truths, ours), measure(truths, peer), unit
            )


def mitdb_rows(judged: Sequence[tuple[Case, Answer]]) -> Iterator[Row]:
    kept = [(case, answer) for case, answer in judged if case.setup == "MIT-BIH"]
    truths, ours = [case.truth for case, _ in kept], [answer for _, answer in kept]
    peer = [case.peer for case, _ in kept]
    for title, measure in {
        "sinus beats with a P wave": sensitivity,
        "beats in atrial fibrillation without": specificity_in_fibrillation,
        "ventricular beats without": specificity_elsewhere,
    }.items():
        yield _row(f"MIT-BIH, 2 leads: {title}", measure(truths, ours), measure(truths, peer), "%")


def time_row() -> Row:
    example = mitdb_example(HALF_HOUR)
    ways: tuple[Callable[[], object], ...] = (
        lambda: find_p_waves(example.record, example.beats),
        lambda: by_neurokit(example, lead=0),
    )
    seconds = []
    for work in ways:
        work()  # imports
        start = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - start)
    return _row("half an hour, ours 2 leads, peer 1", *seconds, "s", cpus=1)


def sensitivity(truth: Sequence[Truth], found: Sequence[Answer]) -> float:
    expected, present = _both(truth, found)
    return 100 * float(np.mean(present[expected == 1] == 1))


def positive_predictivity(truth: Sequence[Truth], found: Sequence[Answer]) -> float:
    expected, present = _both(truth, found)
    return 100 * float(np.mean(expected[present == 1] == 1))


def specificity(truth: Sequence[Truth], found: Sequence[Answer]) -> float:
    expected, present = _both(truth, found)
    return 100 * float(np.mean(present[expected == 0] == 0))


def specificity_in_fibrillation(truth: Sequence[Truth], found: Sequence[Answer]) -> float:
    return specificity([one.only(one.fibrillating) for one in truth], found)


def specificity_elsewhere(truth: Sequence[Truth], found: Sequence[Answer]) -> float:
    return specificity([one.only(~one.fibrillating) for one in truth], found)


def mean_pr_error_ms(truth: Sequence[Truth], found: Sequence[Answer]) -> float:
    return float(np.mean(_pr_errors_ms(truth, found)))


def sd_pr_error_ms(truth: Sequence[Truth], found: Sequence[Answer]) -> float:
    return float(np.std(_pr_errors_ms(truth, found), ddof=1))


FIGURES: dict[str, Callable[[Sequence[Truth], Sequence[Answer]], float]] = {
    "sensitivity": sensitivity,
    "positive predictivity": positive_predictivity,
    "specificity": specificity,
    "specificity in atrial fibrillation": specificity_in_fibrillation,
    "PR interval, mean error": mean_pr_error_ms,
    "PR interval, SD of error": sd_pr_error_ms,
}


def _both(
    truth: Sequence[Truth], found: Sequence[Answer]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return what was expected and what was found, where both are known."""
    expected = np.concatenate([one.expected for one in truth])
    present = np.concatenate([one.present for one in found])
    known = ~np.isnan(expected) & ~np.isnan(present)
    return expected[known], present[known]


def _pr_errors_ms(truth: Sequence[Truth], found: Sequence[Answer]) -> NDArray[np.float64]:
    errors = [
        (one.pr_interval_s - other.pr_interval_s)[(other.expected == 1) & (one.present == 1)]
        for one, other in zip(found, truth, strict=True)
    ]
    joined = 1000 * np.concatenate(errors)
    return joined[~np.isnan(joined)]


def _row(name: str, ours: float, peer: float, unit: str, cpus: int = CPUS) -> Row:
    return Row(name=name, device=cpu_name(cpus), ours=ours, peer=peer, unit=unit)


if __name__ == "__main__":
    main()
