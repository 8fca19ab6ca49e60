"""How well beats are found in all 48 records of MIT-BIH and 200 of LUDB: ours beside the library.

    python benchmarks/detection.py [--detectors xqrs neurokit] [--json]

Reads them from $ECG_DATA_ROOT/mitdb and ludb (default ../shared/data). Ours is `detect_beats`,
which runs the library's detector in every lead and believes the better one; the peer is the same
detector as its library's users call it, on the first lead of the file.

Detections are compared with the annotated beats as ANSI/AAMI EC57 asks: within 150 ms, one to one,
gross (the sum over all records, of all beats). EC57 leaves ventricular flutter out, which is in
record 207 alone, between the marks [ and ]; figures with it are named so. Per detector:

100 - sensitivity            percentage of the annotated beats that were missed
100 - positive predictivity  percentage of the detections that are no beats
..., first lead alone        ours with nothing but that lead
..., with flutter            the flutter of record 207 counts, where no beats are annotated
off by more than 10 ms       percentage of the found beats
time a record                seconds for half an hour, ours in two leads, the peer in one
errors in N                  missed and extra beats in ours' five worst records
errors in LUDB               the same over 1,831 beats of a database on which nothing was chosen:
                             ten seconds each, ours in twelve leads, the peer in II, between the
                             first and the last beat that its marks have
"""

from __future__ import annotations

import argparse
import os
import time
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

import numpy as np
from numpy.typing import NDArray
from p_wave_examples import ludb_example
from table import Row, cpu_name, show

from ecgmodels.data.recordings.beat_matching import (
    TOLERANCE_S,
    DetectionCounts,
    count_detections,
    match_beats,
)
from ecgmodels.data.recordings.detection import Detector, detect_beats
from ecgmodels.data.recordings.records import Record
from ecgmodels.data.recordings.wfdb_annotations import read_annotations
from ecgmodels.data.recordings.wfdb_records import read_wfdb_record

CPUS = min(4, os.cpu_count() or 1)
DATA = Path(os.environ.get("ECG_DATA_ROOT", Path(__file__).parents[2] / "shared" / "data"))
WAYS = ("all leads", "first lead", "library")
WORST = 5


@dataclass(frozen=True, kw_only=True)
class Result:
    """What one way of detecting made of one record."""

    record: str
    counts: DetectionCounts
    with_flutter: DetectionCounts
    close: int
    """Found beats within 10 ms of their annotation."""
    seconds: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--detectors", nargs="+", default=["xqrs", "neurokit"], help="which")
    parser.add_argument("--json", action="store_true", help="print rows as JSON")
    options = parser.parse_args()
    records = (DATA / "mitdb" / "RECORDS").read_text().split()
    rows: list[Row] = []
    with ProcessPoolExecutor(CPUS) as pool:
        for detector in options.detectors:
            by_record = list(pool.map(detect, records, [detector] * len(records)))
            by_way = dict(zip(WAYS, zip(*by_record, strict=True), strict=True))
            rows.extend(rows_of(detector, by_way))
            ours, peer = zip(
                *pool.map(errors_in_ludb, range(1, 201), [detector] * 200), strict=True
            )
            rows.append(_row(detector, "errors in LUDB", sum(ours), sum(peer), "beats"))
    show(rows, as_json=options.json)


def rows_of(detector: str, results: dict[str, tuple[Result, ...]]) -> Iterator[Row]:
    def row(name: str, ours: float, peer: float, unit: str = "%") -> Row:
        return _row(detector, name, ours, peer, unit)

    def gross(way: str, part: Callable[[Result], DetectionCounts]) -> DetectionCounts:
        return sum(map(part, results[way]), DetectionCounts(found=0, missed=0, extra=0))

    def without(result: Result) -> DetectionCounts:
        return result.counts

    for suffix, way, part in (
        ("", "all leads", without),
        (", first lead alone", "first lead", without),
        (", with flutter", "all leads", lambda result: result.with_flutter),
    ):
        ours, peer = gross(way, part), gross("library", part)
        yield row(
            f"100 - sensitivity{suffix}",
            100 * (1 - ours.sensitivity),
            100 * (1 - peer.sensitivity),
        )
        yield row(
            f"100 - positive predictivity{suffix}",
            100 * (1 - ours.positive_predictivity),
            100 * (1 - peer.positive_predictivity),
        )
    off = [
        100 * (1 - sum(one.close for one in results[way]) / gross(way, without).found)
        for way in ("all leads", "library")
    ]
    yield row("off by more than 10 ms", *off)
    seconds = [median(one.seconds for one in results[way]) for way in ("all leads", "library")]
    yield row("time a record", *seconds, "s")
    pairs = zip(results["all leads"], results["library"], strict=True)
    for ours, peer in sorted(pairs, key=lambda pair: -_errors(pair[0]))[:WORST]:
        yield row(f"errors in {ours.record}", _errors(ours), _errors(peer), "beats")


def detect(name: str, detector: Detector) -> tuple[Result, ...]:
    """Return the results of all `WAYS` for one record."""
    record = read_wfdb_record(DATA / "mitdb", name, patient_id=name)
    alone = replace(record, signal_mv=record.signal_mv[:1], leads=record.leads[:1])
    ways: dict[str, Callable[[], NDArray[np.int64]]] = {
        "all leads": lambda: detect_beats(record, detector).sample,
        "first lead": lambda: detect_beats(alone, detector).sample,
        "library": lambda: LIBRARIES[detector](record),
    }
    detect_beats(_first_minute(record), detector)  # imports
    return tuple(_measure(record, ways[way]) for way in WAYS)


def errors_in_ludb(number: int, detector: Detector) -> tuple[int, int]:
    """Return missed and extra beats of ours in all leads, and of the library in lead II."""
    example = ludb_example(number)
    record, marked = example.record, example.beats.sample
    alone = replace(record, signal_mv=record.signal_mv[1:2], leads=record.leads[1:2])
    errors = []
    for found in (detect_beats(record, detector).sample, LIBRARIES[detector](alone)):
        around = TOLERANCE_S * record.rate_hz
        inside = found[(found >= marked[0] - around) & (found <= marked[-1] + around)]
        counts = count_detections(inside, marked, record.rate_hz)
        errors.append(counts.missed + counts.extra)
    return errors[0], errors[1]


def _row(detector: str, name: str, ours: float, peer: float, unit: str) -> Row:
    title = f"{detector}: {name}"
    return Row(name=title, device=cpu_name(CPUS), ours=ours, peer=peer, unit=unit)


def _first_minute(record: Record) -> Record:
    return replace(record, signal_mv=record.signal_mv[:, : round(60 * record.rate_hz)])


def _measure(record: Record, find: Callable[[], NDArray[np.int64]]) -> Result:
    start = time.perf_counter()
    detected = find()
    seconds = time.perf_counter() - start
    assert record.beats is not None
    annotated = record.beats.sample
    with_flutter = count_detections(detected, annotated, record.rate_hz)
    detected, annotated = (_outside_flutter(record, sample) for sample in (detected, annotated))
    i, j = match_beats(detected, annotated, TOLERANCE_S * record.rate_hz)
    return Result(
        record=record.id,
        counts=count_detections(detected, annotated, record.rate_hz),
        with_flutter=with_flutter,
        close=int(np.sum(np.abs(detected[i] - annotated[j]) <= 0.010 * record.rate_hz)),
        seconds=seconds,
    )


def _outside_flutter(record: Record, sample: NDArray[np.int64]) -> NDArray[np.int64]:
    place, symbol = read_annotations(DATA / "mitdb", record.id)
    inside = np.zeros(len(sample), dtype=np.bool_)
    for begin, end in zip(place[symbol == "["], place[symbol == "]"], strict=True):
        inside |= (sample >= begin) & (sample <= end)
    return sample[~inside]


def _errors(result: Result) -> int:
    return result.counts.missed + result.counts.extra


def _xqrs(record: Record) -> NDArray[np.int64]:
    from wfdb.processing import xqrs_detect

    warnings.simplefilter("ignore")
    found = xqrs_detect(np.nan_to_num(record.signal_mv[0]), fs=record.rate_hz, verbose=False)
    return np.unique(np.asarray(found, dtype=np.int64))


def _neurokit(record: Record) -> NDArray[np.int64]:
    import neurokit2

    warnings.simplefilter("ignore")
    rate_hz = int(record.rate_hz)
    cleaned = neurokit2.ecg_clean(np.nan_to_num(record.signal_mv[0]), sampling_rate=rate_hz)
    _, found = neurokit2.ecg_peaks(cleaned, sampling_rate=rate_hz)
    return np.unique(np.asarray(found["ECG_R_Peaks"], dtype=np.int64))


LIBRARIES: dict[str, Callable[[Record], NDArray[np.int64]]] = {
    "xqrs": _xqrs,
    "neurokit": _neurokit,
}


if __name__ == "__main__":
    main()
