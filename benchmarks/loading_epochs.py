"""An epoch of shuffled batches: ours, and as users of other libraries read it."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import loading_peers as peers
import numpy as np
import torch
from alone import alone, skipped
from loading_peers import BATCH, Cut
from table import Row, cpu_name

from ecgmodels.data import PrepareOptions, open_dataset, prepare, write_synthetic_recordings
from ecgmodels.loading.batches import to_device
from ecgmodels.loading.sampling import epoch_batches

CPUS = min(4, os.cpu_count() or 1)
EPOCHS = 3
"""Of ours; the last one counts."""

WAYS: tuple[tuple[str, Callable[..., float], dict[str, Any], int], ...] = (
    ("wfdb in a DataLoader", peers.wfdb_loader, {"workers": 0}, 2_000),
    ("wfdb in a DataLoader, 2 workers", peers.wfdb_loader, {"workers": 2}, 6_000),
    (".npy memory map", peers.memory_map, {}, 10**9),
    ("datasets", peers.hugging_face, {}, 6_000),
    ("Ray Data", peers.ray_data, {"cpus": CPUS}, 10**9),
)
"""Name, function, options, and at most so many segments are read."""


def epoch_rows(folder: Path, *, quick: bool) -> list[Row]:
    """Cut the segments as they are recorded, unfiltered, so that all ways can give the same."""
    database, source = _recordings(folder)
    dataset = folder / "dataset"
    options = PrepareOptions(rate_hz="native", filter_hz="none", edges="drop", features=())
    prepare(database, source, dataset, options, processes=CPUS)
    cut = _cut(dataset, source, folder)
    ours = alone(_ours, dataset)
    rows = []
    for name, way, settings, most in WAYS:
        most = most // 4 if quick else most
        try:
            peer = alone(way, cut, folder=folder, most=min(most, cut.segments), **settings)
        except ImportError as error:
            rows += skipped(name, error)
            continue
        rows.append(
            Row(
                name=f"epoch, {name}",
                device=cpu_name(CPUS),
                ours=ours,
                peer=peer,
                unit="segments/s",
            )
        )
    return rows


def _recordings(folder: Path) -> tuple[str, Path]:
    root = os.environ.get("ECG_DATA_ROOT", Path(__file__).parents[2] / "shared" / "data")
    mitdb = Path(root) / "mitdb"
    if mitdb.is_dir():
        return "mitdb", mitdb
    made = folder / "recordings"
    write_synthetic_recordings(made, records=44, seconds_per_record=1800.0)
    return "synthetic", made


def _cut(dataset: Path, source: Path, folder: Path) -> Cut:
    """Write down for the peers which segments these are."""
    opened = open_dataset(dataset)
    train, _ = opened.development()
    np.save(folder / "signal.npy", np.asarray(train.signal_uv))
    normalisation = opened.normalisation("fixed")
    return Cut(
        source=source,
        record=train.record_id,
        start_sample=train.start_sample,
        label=train.label,
        leads=opened.leads,
        samples=opened.samples,
        mean_uv=normalisation.signal_mean_uv,
        std_uv=normalisation.signal_std_uv,
    )


def _ours(dataset: Path) -> float:
    torch.set_num_threads(1)
    opened = open_dataset(dataset)
    train, _ = opened.development()
    data = to_device(
        train, opened.normalisation("fixed"), names=(), wanted=(), device=torch.device("cpu")
    )
    for epoch in range(1, EPOCHS + 1):
        begun_s = time.perf_counter()
        indices = epoch_batches(len(data), BATCH, None, seed=0, epoch=epoch)
        for batch in data.batches(torch.from_numpy(indices)):
            assert batch.signal.dtype == torch.float32
        seconds = time.perf_counter() - begun_s
    return indices.size / seconds
