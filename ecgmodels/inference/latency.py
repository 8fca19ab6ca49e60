"""How long one segment takes on one thread: a network as it is, folded, and exported."""

from __future__ import annotations

import copy
import gc
import platform
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from ecgmodels.configs import Config
from ecgmodels.export.onnx import example_inputs, named_inputs
from ecgmodels.export.session import OnnxModel
from ecgmodels.inference.folding import folded
from ecgmodels.models.network import ECGNetwork

REPEATS = 500
"""Enough for the 99th percentile to be more than a single outlier."""
_ROUNDS = 5
"""The kinds take turns, so that what else the machine does falls on all of them."""
_WARM_UP = 10
"""Calls before each turn that do not count."""


@dataclass(frozen=True, kw_only=True)
class Latency(Config):
    """Milliseconds from a segment's inputs in memory to its logits."""

    p50_ms: float
    """Median."""
    p99_ms: float
    repeats: int
    device: str
    """The processor, of which one thread is used."""


def latencies(
    model: ECGNetwork, exported: Mapping[str, Path] | None = None, *, repeats: int = REPEATS
) -> dict[str, Latency]:
    """Measure one segment at a time on one thread of the CPU.

    It does not depend on the weights' values, so a network with random ones will do.

    Args:
        exported: files that `export_onnx` or `quantise` wrote of the model, by what to call them.
        repeats: of each kind.

    Returns:
        Under "eager" the network as training has it, under "folded" with batch norm folded into
        its convolutions, and each exported file under its name.

    Raises:
        ECGModelsError: a file is given, and onnxruntime is not installed or cannot read it.
    """
    eager = copy.deepcopy(model).cpu().float().eval()
    inputs = example_inputs(model.config, 1, torch.Generator().manual_seed(0))
    calls: dict[str, Callable[[], object]] = {
        name: lambda network=network: network(*inputs)  # type: ignore[misc]
        for name, network in (("eager", eager), ("folded", folded(eager)))
    }
    for name, path in (exported or {}).items():
        session = OnnxModel(path)
        given = named_inputs(session.inputs, inputs)
        calls[name] = lambda session=session, given=given: session.logits(given)  # type: ignore[misc]
    with _one_thread(), uncollected(), torch.inference_mode():
        seconds_ns = _take_turns(calls, repeats)
    return {name: _latency(durations_ns) for name, durations_ns in seconds_ns.items()}


def processor_name() -> str:
    """Return the processor's model, as far as the system tells."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return named[0] if named else platform.processor() or platform.machine()


def _take_turns(calls: Mapping[str, Callable[[], object]], repeats: int) -> dict[str, list[int]]:
    """Return the nanoseconds of each kind's calls."""
    durations_ns: dict[str, list[int]] = {name: [] for name in calls}
    for round_ in range(_ROUNDS):
        for name, call in calls.items():
            for _ in range(_WARM_UP):
                call()
            for _ in range(repeats * round_ // _ROUNDS, repeats * (round_ + 1) // _ROUNDS):
                begun_ns = time.perf_counter_ns()
                call()
                durations_ns[name].append(time.perf_counter_ns() - begun_ns)
    return durations_ns


def _latency(durations_ns: list[int]) -> Latency:
    p50_ns, p99_ns = np.percentile(durations_ns, [50, 99])
    return Latency(
        p50_ms=float(p50_ns) / 1e6,
        p99_ms=float(p99_ns) / 1e6,
        repeats=len(durations_ns),
        device=processor_name(),
    )


@contextmanager
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def uncollected() -> Iterator[None]:
    """Keep Python's garbage collector, which is not the network's, out of it."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
