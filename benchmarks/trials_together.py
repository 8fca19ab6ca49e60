"""What several small trials of one architecture learn from on one device: as a stack, and apart.

    python benchmarks/trials_together.py [--quick] [--device cpu|cuda] [--trials K ...] [--json]

Segments/s of training steps of 64, of all trials together once they are under way. Ours is one
process that trains them as a stack (`ecgmodels.training.stacked`), on all CPUs or as one CUDA
graph. The peer is a process a trial (`ecgmodels.training.learner`), each on its share of the CPUs,
or all on the one GPU. A single trial is the same both ways. They are measured in turn, and the
median of each counts.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from statistics import median
from typing import Any

import numpy as np
import torch
from alone import alone
from made_segments import MadeSegments
from table import Row, cpu_name, show

from ecgmodels import EfficientECGConfig, TrainingConfig
from ecgmodels.data import Normalisation
from ecgmodels.loading.batches import DeviceSegments, to_device
from ecgmodels.models.registry import cost
from ecgmodels.training.distributed import Ranks
from ecgmodels.training.learner import Learner
from ecgmodels.training.stacked import StackedLearner

CPUS = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
BATCH = 64
STEPS = 8
"""In an epoch, after which the clock is looked at."""
SEGMENTS, RATE_HZ = 4096, 250.0
SIZES = (("tiny", 1.25), ("small", 1.6))
"""Base and width: about 20 k and 300 k parameters."""
INPUTS = ((2, 256), (12, 1000))


@dataclass(frozen=True, kw_only=True)
class Work:
    """What each trial does, and for how long it is watched."""

    base: str
    width: float
    leads: int
    samples: int
    device: str
    seconds: float

    @property
    def model(self) -> EfficientECGConfig:
        return EfficientECGConfig(
            leads=self.leads, samples=self.samples, classes=5, base=self.base, width=self.width
        )

    def learner(self, seed: int, data: DeviceSegments) -> Learner:
        config = TrainingConfig(
            epochs=10_000, batch_size=BATCH, segments_per_epoch=BATCH * STEPS, learning_rate=1e-3
        )
        return Learner(
            self.model,
            config,
            data,
            rate_hz=RATE_HZ,
            seed=seed,
            ranks=Ranks(),
            device=data.device,
        )

    def data(self) -> DeviceSegments:
        random = np.random.default_rng(0)
        shape = (SEGMENTS, self.leads, self.samples)
        made = MadeSegments(
            signal_uv=random.integers(-1000, 1000, shape, dtype=np.int16),
            valid_samples=np.full(SEGMENTS, self.samples, np.int32),
            label=random.integers(5, size=SEGMENTS),
            features=np.zeros((SEGMENTS, 0), np.float32),
            record=np.zeros(SEGMENTS, np.int32),
        )
        normalisation = Normalisation(
            signal_mean_uv=(0.0,) * self.leads,
            signal_std_uv=(577.0,) * self.leads,
            feature_mean=(),
            feature_std=(),
        )
        where = torch.empty(0, device=self.device).device
        return to_device(made, normalisation, names=(), wanted=(), device=where)


def stack_rate(work: Work, trials: int) -> float:
    """Return the segments/s of a stack of so many trials."""
    torch.set_num_threads(CPUS)
    data = work.data()
    learners = [work.learner(seed, data) for seed in range(trials)]
    if trials == 1:
        return _rate(learners[0].train_epoch, work)
    stack = StackedLearner(learners)
    return trials * _rate(lambda epoch: stack.train_epoch([epoch] * trials), work)


def processes_rate(work: Work, trials: int) -> float:
    """Return the segments/s of a process a trial, together."""
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(trials)
    with ProcessPoolExecutor(trials, context, _wait_at, (barrier,)) as processes:
        share = max(1, CPUS // trials)
        rates = [processes.submit(_process_rate, work, seed, share) for seed in range(trials)]
        return sum(rate.result() for rate in rates)


def _process_rate(work: Work, seed: int, threads: int) -> float:
    torch.set_num_threads(threads)
    learner = work.learner(seed, work.data())
    return _rate(learner.train_epoch, work, ready=_barrier.wait)


def _wait_at(barrier: Any) -> None:
    global _barrier
    _barrier = barrier


def _rate(
    train: Callable[[int], Any], work: Work, ready: Callable[[], object] = lambda: None
) -> float:
    """Return the segments/s of one trial; each epoch waits for the device at its end."""
    train(1)
    ready()
    begin = time.perf_counter()
    epoch, now = 1, begin
    while now - begin < work.seconds:
        epoch += 1
        train(epoch)
        now = time.perf_counter()
    return (epoch - 1) * STEPS * BATCH / (now - begin)


def row(work: Work, trials: int, repeats: int, device: str) -> Row:
    ours, peer = [], []
    for _ in range(repeats):
        ours.append(alone(stack_rate, work, trials))
        peer.append(processes_rate(work, trials))
    parameters = cost(work.model)["parameters"]
    trials_are = "1 trial" if trials == 1 else f"{trials} trials"
    return Row(
        name=f"{trials_are}, {parameters / 1000:.0f} k parameters, {work.leads} x {work.samples}",
        device=device,
        ours=median(ours),
        peer=median(peer),
        unit="segments/s",
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--trials", nargs="+", type=int, default=[1, 2, 4, 8], metavar="K")
    parser.add_argument("--quick", action="store_true", help="one input, shorter, once")
    parser.add_argument("--json", action="store_true", help="print JSON rows")
    options = parser.parse_args()
    on_gpu = torch.device(options.device).type == "cuda"
    device = torch.cuda.get_device_name(options.device) if on_gpu else cpu_name(CPUS)
    rows = []
    for leads, samples in INPUTS[:1] if options.quick else INPUTS:
        for base, width in SIZES:
            work = Work(
                base=base,
                width=width,
                leads=leads,
                samples=samples,
                device=options.device,
                seconds=2.0 if options.quick else 5.0,
            )
            for trials in options.trials:
                rows.append(row(work, trials, 1 if options.quick else 3, device))
                print(f"{rows[-1].name} measured", file=sys.stderr)
    show(rows, as_json=options.json)


if __name__ == "__main__":
    main()
