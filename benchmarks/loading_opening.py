"""Opening a million segments."""

from __future__ import annotations

import time
from pathlib import Path
from statistics import median

import numpy as np
from alone import alone, skipped
from table import Row, cpu_name

from ecgmodels.data import PrepareOptions, open_dataset, prepare, write_synthetic_recordings

RECORDS, SECONDS, STRIDE_S = 32, 1600.0, 0.05
"""Crops of 1 s from recordings that a second beat every 0.05 s: 1,023,392 segments."""
CPUS = 2


def opening_rows(folder: Path, *, quick: bool) -> list[Row]:
    """Prepare the segments (with two processes: seconds), then open them again and again."""
    write_synthetic_recordings(
        folder / "recordings", records=RECORDS, seconds_per_record=SECONDS, leads=1
    )
    dataset, peer = folder / "dataset", folder / "datasets"
    options = PrepareOptions(
        task="rhythm", crop_s=1.0, stride_s=STRIDE_S, rate_hz=100.0, features=()
    )
    prepare("synthetic", folder / "recordings", dataset, options, processes=CPUS)
    repeats = 5 if quick else 20
    segments, ours_s = alone(_open, dataset, repeats)
    if segments < 1_000_000:
        raise RuntimeError(f"only {segments:,} segments were prepared")
    try:
        peer_s = alone(_open_datasets, dataset, peer, repeats)
    except ImportError as error:
        return skipped("opening, datasets", error)
    return [
        Row(
            name=f"open {segments:,} segments, datasets",
            device=cpu_name(1),
            ours=1000 * ours_s,
            peer=1000 * peer_s,
            unit="ms",
        )
    ]


def _open(dataset: Path, repeats: int) -> tuple[int, float]:
    open_dataset(dataset).test()  # verifies what has not been yet
    seconds = []
    for _ in range(repeats):
        begun_s = time.perf_counter()
        opened = open_dataset(dataset)
        parts = (*opened.development(), opened.test())
        seconds.append(time.perf_counter() - begun_s)
    return sum(map(len, parts)), median(seconds)


def _open_datasets(dataset: Path, folder: Path, repeats: int) -> float:
    import datasets
    import pyarrow as pa

    opened = open_dataset(dataset)
    parts = (*opened.development(), opened.test())
    signal = np.concatenate([np.asarray(part.signal_uv) for part in parts])
    label = np.concatenate([part.label for part in parts])
    rows = pa.FixedSizeListArray.from_arrays(pa.array(signal.ravel()), signal[0].size)
    table = pa.table({"signal": rows, "label": label})
    datasets.disable_progress_bars()
    datasets.Dataset(table).save_to_disk(folder)
    seconds = []
    for _ in range(repeats):
        begun_s = time.perf_counter()
        datasets.load_from_disk(folder)
        seconds.append(time.perf_counter() - begun_s)
    return median(seconds)
