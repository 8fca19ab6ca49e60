"""How long a network takes for one segment, as one figure that holds when it is measured again.

Other work on the machine only ever adds to a call. So the median of a few calls is taken again and
again, with pauses between, until the lowest medians agree; the lowest is the answer. On one thread
of the CPU the thread's own time counts, in which it is not made to wait for others.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

import torch
from torch import Tensor

from ecgmodels.errors import ECGModelsError
from ecgmodels.export.onnx import example_inputs, export_onnx, named_inputs
from ecgmodels.export.packages import export_package
from ecgmodels.export.session import OnnxModel
from ecgmodels.inference.latency import processor_name, uncollected
from ecgmodels.models.base import ModelConfig
from ecgmodels.models.network import ECGNetwork
from ecgmodels.models.registry import build_model
from ecgmodels.training.threads import torch_threads

Runtime = Literal["onnx", "torch"]
"""The exported file in onnxruntime, or the module as `load_model` gives it."""
Device = Literal["cpu", "cuda"]

_WARM_UP = 5
"""Calls before each round that do not count."""
_CALLS = 20
"""Of a round, at least; and as many as it takes for `_ROUND_S`."""
_ROUND_S = 0.01
_PAUSE_S = 0.02
"""Between rounds, so that not all of them meet the same burst of other work."""
_AGREEING = 3
"""The lowest medians that have to lie within `_TOLERANCE` of each other."""
_TOLERANCE = 0.03
_FEWEST_ROUNDS = 10
_LIMIT_S = 5.0
"""After so long, medians that do not agree have to do."""


def steady_latency_ms(
    config: ModelConfig, *, runtime: Runtime = "onnx", device: Device = "cpu", threads: int = 1
) -> float:
    """Return the milliseconds from one segment's inputs in memory to its logits.

    The network is built with random weights, on which the time does not depend; the process's
    random numbers and threads are left as they are.

    Args:
        threads: of the CPU.

    Raises:
        ECGModelsError: `require_measurable`'s, or the network cannot be exported.
    """
    require_measurable(runtime, device)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = build_model(config).eval()
    call = _exported(model, threads) if runtime == "onnx" else _module(model, device)
    # Other threads, and a GPU, work while this one waits.
    clock = time.thread_time if device == "cpu" and threads == 1 else time.perf_counter
    with torch_threads(threads), uncollected(), torch.inference_mode():
        return 1e3 * steady_seconds(call, clock)


def require_measurable(runtime: Runtime, device: Device) -> None:
    """Check that this machine can run networks like that.

    Raises:
        ECGModelsError: a package or the device is missing, or they do not go together.
    """
    if runtime == "onnx":
        if device != "cpu":
            raise ECGModelsError(
                "exported networks are run on the CPU", hint='take the runtime "torch" on a GPU'
            )
        for package in ("onnx", "onnxscript", "onnxruntime"):
            export_package(package)
    if device == "cuda" and not torch.cuda.is_available():
        raise ECGModelsError(
            "latency is to be measured on a GPU, and torch finds none on this machine",
            hint='drive the study from a machine that has one, or measure on the "cpu"',
        )


def device_model(device: Device) -> str:
    """Return what the CPU or GPU calls itself."""
    return torch.cuda.get_device_name() if device == "cuda" else processor_name()


def steady_seconds(
    call: Callable[[], object],
    clock: Callable[[], float],
    now: Callable[[], float] = time.perf_counter,
    pause: Callable[[float], None] = time.sleep,
) -> float:
    """Return how long `call` takes when nothing else disturbs it.

    Args:
        clock: the seconds that count, so far.
        now: wall-clock seconds, to end in time.
        pause: waits so many seconds.
    """
    begun = now()
    medians: list[float] = []
    while True:
        medians.append(_median_of_round(call, clock, now))
        if len(medians) >= _FEWEST_ROUNDS:
            lowest = sorted(medians)[:_AGREEING]
            if lowest[-1] <= (1.0 + _TOLERANCE) * lowest[0] or now() - begun >= _LIMIT_S:
                return lowest[0]
        pause(_PAUSE_S)


def _median_of_round(
    call: Callable[[], object], clock: Callable[[], float], now: Callable[[], float]
) -> float:
    for _ in range(_WARM_UP):
        call()
    durations: list[float] = []
    begun = now()
    while len(durations) < _CALLS or now() - begun < _ROUND_S:
        before = clock()
        call()
        durations.append(clock() - before)
    return statistics.median(durations)


def _exported(model: ECGNetwork, threads: int) -> Callable[[], object]:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        export_onnx(model, path)
        session = OnnxModel(path.read_bytes(), threads=threads)
    given = named_inputs(session.inputs, _one_segment(model))
    return lambda: session.logits(given)


def _module(model: ECGNetwork, device: Device) -> Callable[[], object]:
    network = model.to(device)
    inputs = [each if each is None else each.to(device) for each in _one_segment(model)]
    if device == "cpu":
        return lambda: network(*inputs)

    def on_gpu() -> None:
        network(*inputs)
        torch.cuda.synchronize()

    return on_gpu


def _one_segment(model: ECGNetwork) -> Sequence[Tensor | None]:
    return example_inputs(model.config, 1, torch.Generator().manual_seed(0))
