"""An epoch over shards that are not in the page cache."""

from __future__ import annotations

import gc
import os
import sys
import threading
import time
from pathlib import Path
from statistics import median

import torch
from alone import alone
from made_segments import mapped, write_shards
from table import Row, cpu_name

from ecgmodels.loading.batches import DeviceSegments
from ecgmodels.loading.paging import read_window
from ecgmodels.loading.sampling import segment_order

LEADS, SAMPLES, SHARDS, ROWS = 2, 256, 8, 2**17  # shards of 128 MiB, 1 GiB together
BATCH = 512
RANDOM_BATCHES = 4
"""So many of the random epoch: at one disk access a segment, the whole would take minutes."""
_CHUNK = 4 * 2**20


def cold_rows(folder: Path, *, quick: bool) -> list[Row]:
    """Read by turns in windows, from end to end and at random."""
    if not hasattr(os, "posix_fadvise"):
        print("cold skipped: this system cannot drop files from its cache", file=sys.stderr)
        return []
    paths = write_shards(folder, SHARDS, ROWS, LEADS, SAMPLES)
    windows, ends, scattered, grown = [], [], [], []
    for repeat in range(1 if quick else 3):
        ends.append(alone(_read_from_end_to_end, paths))
        rate, memory_mb = alone(_read_in_windows, paths, repeat)
        windows.append(rate)
        grown.append(memory_mb)
        scattered.append(alone(_read_at_random, paths, repeat))
    data_mb = SHARDS * ROWS * LEADS * SAMPLES * 2 / 1e6

    def row(name: str, ours: float, peer: float, unit: str) -> Row:
        return Row(name=name, device=cpu_name(1), ours=ours, peer=peer, unit=unit)

    return [
        row("cold epoch, file read", median(windows), median(ends), "MB/s"),
        row("cold epoch, random order", median(windows), median(scattered), "MB/s"),
        row("cold epoch, memory", max(grown), data_mb, "MB"),
    ]


def _read_from_end_to_end(paths: list[Path]) -> float:
    _drop(paths)
    buffer = bytearray(_CHUNK)
    read = 0
    begun_s = time.perf_counter()
    for path in paths:
        with path.open("rb", buffering=0) as file:
            while count := file.readinto(buffer):
                read += count
    return read / (time.perf_counter() - begun_s) / 1e6


def _read_in_windows(paths: list[Path], seed: int) -> tuple[float, float]:
    data = _cold(paths)
    window = read_window(len(data), 2 * data.segment_samples, memory_bytes=0)
    assert window is not None
    order = segment_order(len(data), seed=seed, number=0, window=window)
    with _Peak() as peak:
        rate = _read(data, torch.from_numpy(order), window.segments)
    return rate, peak.grown_mb


def _read_at_random(paths: list[Path], seed: int) -> float:
    data = _cold(paths)
    order = torch.from_numpy(segment_order(len(data), seed=seed, number=0))
    return _read(data, order[: RANDOM_BATCHES * BATCH], 0)


def _cold(paths: list[Path]) -> DeviceSegments:
    torch.set_num_threads(1)
    data = mapped(paths)
    list(data.batches(torch.arange(BATCH).split(128)))  # what a first call loads and allocates
    del data
    gc.collect()
    _drop(paths)
    return mapped(paths)


def _read(data: DeviceSegments, order: torch.Tensor, read_ahead: int) -> float:
    begun_s = time.perf_counter()
    for _ in data.batches(order.split(BATCH), read_ahead=read_ahead):
        pass
    seconds = time.perf_counter() - begun_s
    return len(order) * data.segment_samples * 2 / seconds / 1e6


def _drop(paths: list[Path]) -> None:
    """Have the system forget the files' pages, which nobody may have mapped."""
    for path in paths:
        with path.open("rb") as file:
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


class _Peak:
    """How far this process's own memory (not what is mapped from files) grows."""

    def __enter__(self) -> _Peak:
        self._begun_mb = self._highest_mb = _own_memory_mb()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    @property
    def grown_mb(self) -> float:
        return self._highest_mb - self._begun_mb

    def _watch(self) -> None:
        while not self._ended.wait(0.01):
            self._highest_mb = max(self._highest_mb, _own_memory_mb())


def _own_memory_mb() -> float:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("RssAnon"):
            return int(line.split()[1]) * 1024 / 1e6
    raise RuntimeError("/proc/self/status has no RssAnon")
