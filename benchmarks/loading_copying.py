"""Batches beside the machine's copy bandwidth."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import numpy as np
import torch
from alone import alone
from made_segments import mapped, write_shards
from table import Row, cpu_name

from ecgmodels.loading.batches import DeviceSegments

SHAPES = ((2, 128, 100_000), (2, 256, 100_000), (12, 1000, 20_000))
"""Leads, samples, segments: of MIT-BIH's number of beats, and of PTB-XL's of recordings."""
BATCH_SIZES = (128, 512)
COPIED_FLOATS = 2**26
CPUS = min(4, os.cpu_count() or 1)


def copying_rows(folder: Path, *, quick: bool) -> list[Row]:
    """Measure on one thread, as trials of a search run, and on all."""
    rows = []
    for shape in SHAPES:
        leads, samples, segments = shape
        home = folder / f"{leads}x{samples}"
        home.mkdir()
        (path,) = write_shards(home, 1, segments, leads, samples)
        for threads in sorted({1, CPUS}):
            rows += alone(_rows_of, path, threads, 3 if quick else 7)
        path.unlink()
    return rows


def _rows_of(path: Path, threads: int, repeats: int) -> list[Row]:
    torch.set_num_threads(threads)
    data = mapped([path])
    leads, samples = data.segment_samples // data.samples, data.samples
    full, other = torch.ones(COPIED_FLOATS), torch.ones(COPIED_FLOATS)
    copied = 2 * 4 * COPIED_FLOATS
    rows = []
    for batch_size in BATCH_SIZES:
        steps = max(1, 2 * 10**8 // (batch_size * data.segment_samples * 6))
        chosen = np.random.default_rng(0).integers(len(data), size=(steps, batch_size))
        indices = torch.from_numpy(chosen)
        batches, copies, clones = [], [], []
        for _ in range(repeats):  # by turns, as the machine's speed changes
            batches.append(_seconds(lambda indices=indices: _read(data, indices)))
            copies.append(_seconds(lambda: other.copy_(full)))
            clones.append(_seconds(full.clone))
        copy = copied / median(copies) / 1e9
        ours = indices.numel() * data.segment_samples * 6 / median(batches) / 1e9
        rows.append(_row(f"batches of {batch_size} x {leads} x {samples}", threads, ours, copy))
    if (leads, samples) == SHAPES[0][:2]:
        new = copied / median(clones) / 1e9
        rows.append(_row("a copy into new memory", threads, new, copy))
    return rows


def _read(data: DeviceSegments, indices: torch.Tensor) -> None:
    for _ in data.batches(indices):
        pass


def _seconds(work: Callable[[], object]) -> float:
    begun_s = time.perf_counter()
    work()
    return time.perf_counter() - begun_s


def _row(name: str, threads: int, ours: float, peer: float) -> Row:
    return Row(name=name, device=cpu_name(threads), ours=ours, peer=peer, unit="GB/s")
