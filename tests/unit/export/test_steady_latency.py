"""One figure for a network's latency: what other work adds does not count."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch

from ecgmodels import EfficientECGConfig
from ecgmodels.errors import ECGModelsError
from ecgmodels.inference import steady_latency
from ecgmodels.inference.latency import processor_name
from ecgmodels.inference.steady_latency import (
    device_model,
    require_measurable,
    steady_latency_ms,
    steady_seconds,
)

CONFIG = EfficientECGConfig(leads=1, samples=32, classes=2, base="tiny")


class Machine:
    """A clock that calls and pauses move; `disturbance` is added to a call that begins then."""

    def __init__(self, disturbance: Callable[[float], float] = lambda now_s: 0.0) -> None:
        self.now_s = 0.0
        self.disturbance = disturbance
        self.calls = 0

    def call(self) -> None:
        self.calls += 1
        self.now_s += 0.001 + self.disturbance(self.now_s)

    def clock(self) -> float:
        return self.now_s

    def pause(self, seconds: float) -> None:
        self.now_s += seconds

    def measured_s(self) -> float:
        return steady_seconds(self.call, self.clock, self.clock, self.pause)


def test_a_quiet_machine_says_how_long_a_call_takes() -> None:
    assert Machine().measured_s() == pytest.approx(0.001)


def test_bursts_of_other_work_do_not_count() -> None:
    """Two thirds of the time everything takes twice as long."""
    busy = Machine(lambda now_s: 0.001 if now_s % 0.3 < 0.2 else 0.0)
    assert busy.measured_s() == pytest.approx(0.001, rel=0.05)


def test_single_outliers_do_not_count() -> None:
    noise: Iterator[float] = iter([0.0, 0.0, 0.05] * 100_000)
    assert Machine(lambda now_s: next(noise)).measured_s() == pytest.approx(0.001)


def test_it_ends_though_no_two_medians_agree() -> None:
    slower = Machine(lambda now_s: now_s)  # every call takes longer than the last
    assert slower.measured_s() > 0.001
    assert slower.calls < 1_000


@pytest.mark.parametrize("runtime", ["torch", "onnx"])
def test_a_network_is_measured_and_the_process_left_as_it_was(runtime) -> None:
    torch.set_num_threads(2)
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    assert 0.0 < steady_latency_ms(CONFIG, runtime=runtime) < 100.0
    assert torch.equal(torch.rand(3), expected)
    assert torch.get_num_threads() == 2


def test_what_a_thread_waits_is_not_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """So it makes no difference how often it has to leave its core to others."""
    wait_s = 0.01
    as_it_is = steady_latency._module

    def waiting(*given: Any) -> Callable[[], object]:
        call = as_it_is(*given)
        return lambda: (time.sleep(wait_s), call())

    monkeypatch.setattr(steady_latency, "_module", waiting)
    assert 0.0 < steady_latency_ms(CONFIG, runtime="torch") < 1e3 * wait_s


def test_onnx_and_a_gpu_do_not_go_together() -> None:
    with pytest.raises(ECGModelsError, match="on the CPU") as caught:
        require_measurable("onnx", "cuda")
    assert "torch" in caught.value.hint


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_missing_gpu_is_told_before_anything_is_measured() -> None:
    with pytest.raises(ECGModelsError, match="torch finds none"):
        steady_latency_ms(CONFIG, runtime="torch", device="cuda")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
def test_a_network_is_measured_on_a_gpu() -> None:
    assert 0.0 < steady_latency_ms(CONFIG, runtime="torch", device="cuda") < 100.0
    assert device_model("cuda")


def test_the_cpu_is_named() -> None:
    assert device_model("cpu") == processor_name()
