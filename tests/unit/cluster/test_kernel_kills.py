"""The kernel's count of processes that it killed for lack of memory."""

from pathlib import Path

import pytest

from cluster import kernel_kills


def test_the_kernels_own_counter_is_read():
    vmstat = Path("/proc/vmstat")
    if not vmstat.exists():
        pytest.skip("reads /proc/vmstat")
    assert f"oom_kill {kernel_kills.memory_kills()}\n" in vmstat.read_text()


def test_without_such_a_counter_there_were_none(monkeypatch, tmp_path):
    monkeypatch.setattr(kernel_kills, "_COUNTERS", tmp_path / "missing")
    assert kernel_kills.memory_kills() == 0
