"""What it costs to prepare MIT-BIH: ours beside a script that a user would write.

    python benchmarks/data_preparation.py [--repeats N] [--json]

Reads MIT-BIH from $ECG_DATA_ROOT/mitdb (default ../shared/data/mitdb). Both filter (0.5 to 40 Hz,
zero phase) and resample (360 to 128 Hz) whole records and cut a second around each beat.

read, 1 process        seconds for the signals and annotations of all 48 records; the peer is wfdb
prepare, 1 process     seconds until the dataset is on disk; the peer is the script: wfdb, scipy and
                       numpy, saved as .npy (no RR features, checks, checksums or splits)
prepare, N processes   the same beside the script's time over a multiprocessing.Pool
prepare, Ray           the same on a Ray of this machine that is up already; the peer is ours by
                       processes
largest process        MB of memory, the dataset on disk as its peer: what grows and what must not
"""

from __future__ import annotations

import argparse
import contextlib
import multiprocessing
import os
import resource
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from statistics import median

import numpy as np
from table import Row, cpu_name, show

CPUS = min(4, os.cpu_count() or 1)
BAND_HZ, BEFORE, AFTER = (0.5, 40.0), 48, 80
PACED = ("102", "104", "107", "217")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=3, help="the median of so many is shown")
    parser.add_argument("--json", action="store_true", help="print rows as JSON")
    options = parser.parse_args()
    source = _mitdb()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)

        def seconds(work: Callable[[], object]) -> float:
            return median(_seconds(work, folder) for _ in range(options.repeats))

        out = folder / "ours"
        ours = {
            count: seconds(lambda count=count: _ours(source, out, count)) for count in (1, CPUS)
        }
        peer = {
            count: seconds(lambda count=count: _script(source, out, count)) for count in (1, CPUS)
        }
        with _ray_mapper() as mapper:
            _seconds(lambda: _ours(source, out, None, mapper), folder)  # its workers start once
            by_ray = seconds(lambda: _ours(source, out, None, mapper))
        rows = [
            _row(
                "read, 1 process",
                1,
                seconds(lambda: _read_ours(source)),
                seconds(lambda: _read_wfdb(source)),
            ),
            _row("prepare, 1 process", 1, ours[1], peer[1]),
            _row(f"prepare, {CPUS} processes", CPUS, ours[CPUS], peer[CPUS]),
            _row("prepare, Ray", CPUS, by_ray, ours[CPUS]),
            _memory_row(source, out),
        ]
    show(rows, as_json=options.json)


def _ours(source: Path, out: Path, processes: int | None, mapper: object = None) -> None:
    from ecgmodels.data import PrepareOptions, prepare

    prepare("mitdb", source, out, PrepareOptions(), processes=processes, mapper=mapper)


@contextlib.contextmanager
def _ray_mapper() -> Iterator[object]:
    from cluster.connect import connect
    from search.cli.over_ray import map_on_ray

    with connect(None, cpus=CPUS):
        yield map_on_ray


def _script(source: Path, out: Path, processes: int) -> None:
    out.mkdir()
    jobs = [(source, record) for record in _records(source)]
    if processes == 1:
        pieces = [_script_record(job) for job in jobs]
    else:
        with multiprocessing.get_context("spawn").Pool(processes) as pool:
            pieces = pool.map(_script_record, jobs, chunksize=1)
    np.save(out / "signal.npy", np.concatenate([signal for signal, _ in pieces]))
    np.save(out / "symbol.npy", np.concatenate([symbol for _, symbol in pieces]))


def _script_record(job: tuple[Path, str]) -> tuple[np.ndarray, np.ndarray]:
    import wfdb
    from scipy import signal as scipy_signal

    stem = str(job[0] / job[1])
    record, annotation = wfdb.rdrecord(stem), wfdb.rdann(stem, "atr")
    sections = scipy_signal.butter(3, BAND_HZ, "bandpass", fs=record.fs, output="sos")
    filtered = scipy_signal.sosfiltfilt(sections, record.p_signal, axis=0)
    resampled = scipy_signal.resample_poly(filtered, 16, 45, axis=0)
    kept = np.isin(annotation.symbol, list("NLRejAaJSVEF"))
    centres = np.round(annotation.sample[kept] * 16 / 45).astype(int)
    inside = (centres >= BEFORE) & (centres + AFTER <= len(resampled))
    windows = resampled[centres[inside, None] + np.arange(-BEFORE, AFTER)]
    scaled = np.clip(1000 * windows, -32767, 32767).astype(np.int16)
    return scaled.transpose(0, 2, 1), np.asarray(annotation.symbol)[kept][inside]


def _read_ours(source: Path) -> None:
    from ecgmodels.data.recordings.wfdb_records import read_wfdb_record

    for record in _all_records(source):
        read_wfdb_record(source, record, patient_id=record)


def _read_wfdb(source: Path) -> None:
    import wfdb

    for record in _all_records(source):
        wfdb.rdrecord(str(source / record))
        wfdb.rdann(str(source / record), "atr")


def _memory_row(source: Path, out: Path) -> Row:
    """Prepare in a process of its own, and ask it for its peak and its largest worker's."""
    shutil.rmtree(out, ignore_errors=True)
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as alone:
        peak_mb = alone.submit(_peak_mb, source, out).result()
    on_disk_mb = sum(path.stat().st_size for path in out.rglob("*") if path.is_file()) / 1e6
    return Row(
        name="largest process", device=cpu_name(CPUS), ours=peak_mb, peer=on_disk_mb, unit="MB"
    )


def _peak_mb(source: Path, out: Path) -> float:
    _ours(source, out, CPUS)
    peaks_kb = [
        resource.getrusage(who).ru_maxrss
        for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    ]
    return max(peaks_kb) * 1024 / 1e6


def _seconds(work: Callable[[], object], folder: Path) -> float:
    for made in folder.iterdir():
        shutil.rmtree(made)
    begun_s = time.perf_counter()
    work()
    return time.perf_counter() - begun_s


def _row(name: str, cpus: int, ours_s: float, peer_s: float) -> Row:
    return Row(name=name, device=cpu_name(cpus), ours=ours_s, peer=peer_s, unit="s")


def _records(source: Path) -> list[str]:
    return [record for record in _all_records(source) if record not in PACED]


def _all_records(source: Path) -> list[str]:
    return sorted(path.stem for path in source.glob("*.hea"))


def _mitdb() -> Path:
    root = os.environ.get("ECG_DATA_ROOT", Path(__file__).parents[2] / "shared" / "data")
    source = Path(root) / "mitdb"
    if not source.is_dir():
        sys.exit(f"there is no {source}: set ECG_DATA_ROOT to a folder that holds mitdb/")
    return source


if __name__ == "__main__":
    main()
