"""Latencies of one segment."""

from __future__ import annotations

import gc

import pytest
import torch

from ecgmodels import EfficientECGConfig, build_model
from ecgmodels.inference.latency import Latency, latencies, processor_name

from .conftest import Exported


def test_every_kind_is_measured_as_often_as_asked_for(exported: Exported) -> None:
    measured = latencies(exported.model, {"onnx": exported.path}, repeats=23)
    assert list(measured) == ["eager", "folded", "onnx"]
    for latency in measured.values():
        assert latency.repeats == 23
        assert 0 < latency.p50_ms <= latency.p99_ms
        assert latency.device == processor_name()


def test_measuring_leaves_threads_collector_and_network_as_they_were() -> None:
    torch.set_num_threads(2)
    model = build_model(EfficientECGConfig(leads=1, samples=32, classes=2, base="tiny")).train()
    latencies(model, repeats=2)
    assert torch.get_num_threads() == 2
    assert gc.isenabled()
    assert model.training


def test_a_latency_goes_to_json_and_back() -> None:
    latency = Latency(p50_ms=0.5, p99_ms=0.75, repeats=100, device="a processor")
    assert Latency.from_dict(latency.to_dict()) == latency


def test_the_processor_has_a_name() -> None:
    assert processor_name().strip()


@pytest.mark.parametrize("repeats", [1, 4, 5])
def test_few_repeats_are_counted_too(repeats: int) -> None:
    model = build_model(EfficientECGConfig(leads=1, samples=32, classes=2, base="tiny"))
    assert latencies(model, repeats=repeats)["eager"].repeats == repeats
