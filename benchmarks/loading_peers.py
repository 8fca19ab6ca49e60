"""The same shuffled batches as users of other libraries read them.

Each way gives normalised float32 [batch, lead, time] and labels, one batch after another, and
returns segments/s; what it takes to store the data its own way first is not counted. The first
batch is compared with the segments themselves.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

BATCH = 128
SHUFFLED = 8192
"""Segments that Ray Data shuffles at a time, beside the order of its blocks."""
BLOCKS = 16


@dataclass(frozen=True, kw_only=True)
class Cut:
    """The segments, by where they are in their recordings; signal.npy holds them too."""

    source: Path
    record: np.ndarray[Any, Any]
    start_sample: np.ndarray[Any, Any]
    label: np.ndarray[Any, Any]
    leads: tuple[str, ...]
    samples: int
    mean_uv: tuple[float, ...]
    std_uv: tuple[float, ...]

    @property
    def segments(self) -> int:
        return len(self.label)

    def normalised(self, signal_uv: torch.Tensor) -> torch.Tensor:
        mean, std = (torch.tensor(values)[:, None] for values in (self.mean_uv, self.std_uv))
        return (signal_uv.float() - mean) / std


class _Beats(torch.utils.data.Dataset[tuple[torch.Tensor, int]]):
    """A map-style dataset as its users write it: an item is cut from its record's file."""

    def __init__(self, cut: Cut) -> None:
        self.cut = cut

    def __len__(self) -> int:
        return self.cut.segments

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        import wfdb

        cut = self.cut
        first = int(cut.start_sample[index])
        path = str(cut.source / str(cut.record[index]))
        record = wfdb.rdrecord(path, sampfrom=first, sampto=first + cut.samples)
        columns = [_column(record.sig_name, lead) for lead in cut.leads]
        signal_uv = torch.from_numpy(1000 * record.p_signal[:, columns].T)
        return cut.normalised(signal_uv), int(cut.label[index])


def _column(names: list[str], lead: str) -> int:
    """Return the lead's column; what a dataset calls "V" is the record's other lead."""
    if lead in names:
        return names.index(lead)
    return 1 - names.index("MLII")


def wfdb_loader(cut: Cut, *, folder: Path, most: int, workers: int) -> float:
    """Read with a torch DataLoader."""
    torch.set_num_threads(1)
    chosen = np.random.default_rng(0).permutation(cut.segments)[:most]
    loader = torch.utils.data.DataLoader(
        torch.utils.data.Subset(_Beats(cut), chosen.tolist()),
        batch_size=BATCH,
        num_workers=workers,
    )
    # Rounding to whole microvolts is the only difference.
    _check(cut, folder, next(iter(loader))[0], chosen, tolerance_uv=0.51)
    return _rate(batch[0] for batch in loader)


def memory_map(cut: Cut, *, folder: Path, most: int) -> float:
    """Index numpy's memory map with a batch's indices."""
    torch.set_num_threads(1)
    signal = np.load(folder / "signal.npy", mmap_mode="r")
    order = np.random.default_rng(0).permutation(cut.segments)[:most]

    def batches() -> Iterator[torch.Tensor]:
        for begin in range(0, len(order), BATCH):
            index = order[begin : begin + BATCH]
            torch.from_numpy(cut.label[index])
            yield cut.normalised(torch.from_numpy(signal[index]))

    _check(cut, folder, next(batches()), order)
    _rate(batches())  # reads the file into the cache
    return _rate(batches())


def hugging_face(cut: Cut, *, folder: Path, most: int) -> float:
    """Shuffle and read a saved dataset with the torch format."""
    import datasets

    torch.set_num_threads(1)
    datasets.disable_progress_bars()
    signal = np.load(folder / "signal.npy", mmap_mode="r")
    shape = (len(cut.leads), cut.samples)
    features = datasets.Features(
        {"signal": datasets.Array2D(shape, "int16"), "label": datasets.Value("int64")}
    )
    whole = {"signal": signal, "label": cut.label}
    datasets.Dataset.from_dict(whole, features=features).save_to_disk(folder / "datasets")
    saved = datasets.load_from_disk(folder / "datasets").with_format("torch")
    order = np.random.default_rng(0).permutation(cut.segments)[:most]
    shuffled = saved.select(order)

    def batches() -> Iterator[torch.Tensor]:
        for batch in shuffled.iter(batch_size=BATCH):
            yield cut.normalised(batch["signal"])

    _check(cut, folder, next(batches()), order)
    return _rate(batches())


def ray_data(cut: Cut, *, folder: Path, most: int, cpus: int) -> float:
    """Iterate over blocks in Ray's object store, shuffled as far as a local shuffle does."""
    import ray.data

    from cluster.connect import connect

    torch.set_num_threads(1)
    with connect("local", cpus=cpus):
        ray.data.DataContext.get_current().enable_progress_bars = False
        logging.getLogger("ray.data").setLevel(logging.ERROR)
        signal = np.array_split(np.load(folder / "signal.npy")[:most], BLOCKS)
        blocks = ray.data.from_numpy(signal).materialize()
        batches = blocks.randomize_block_order().iter_torch_batches(
            batch_size=BATCH, local_shuffle_buffer_size=SHUFFLED
        )
        first = next(iter(batches))["data"]  # starts what it needs
        assert first.shape == (BATCH, len(cut.leads), cut.samples)
        return _rate(cut.normalised(batch["data"]) for batch in batches)


def _rate(batches: Iterable[torch.Tensor]) -> float:
    begun_s = time.perf_counter()
    segments = sum(len(batch) for batch in batches)
    return segments / (time.perf_counter() - begun_s)


def _check(
    cut: Cut,
    folder: Path,
    batch: torch.Tensor,
    order: np.ndarray[Any, Any],
    *,
    tolerance_uv: float = 0.0,
) -> None:
    signal = np.load(folder / "signal.npy", mmap_mode="r")[order[: len(batch)]]
    expected = cut.normalised(torch.from_numpy(signal))
    tolerance = 1e-4 + tolerance_uv / min(cut.std_uv)
    torch.testing.assert_close(batch.float(), expected, rtol=0, atol=tolerance)
