"""Augmentations: each does what it says, in microvolts where it says so, and nothing else."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
import torch
from torch import Tensor

from ecgmodels import ConfigError, TrainingConfig
from ecgmodels.loading.batches import Batch
from ecgmodels.training.augmentation import WANDER_HZ, Augmentation

RATE_HZ = 256.0
SCALE = torch.tensor([[1 / 100], [1 / 500]])
"""Two leads whose standard deviations are 100 and 500 microvolts."""

EACH: dict[str, dict[str, Any]] = {
    "amplitude_scale": {"amplitude_scale": 0.2},
    "baseline_wander_uv": {"baseline_wander_uv": 200.0},
    "mains_hum_uv": {"mains_hum_uv": 50.0},
    "noise_uv": {"noise_uv": 30.0},
    "time_shift": {"time_shift": 0.1},
    "lead_dropout": {"lead_dropout": 0.3},
}
OF_THE_RECORDING = ("amplitude_scale", "lead_dropout")
EVERYTHING = {key: value for options in EACH.values() for key, value in options.items()}

each = pytest.mark.parametrize("name", EACH)


def batch_of(signal: Tensor, *, valid: Tensor | None = None, template: bool = False) -> Batch:
    segments, _, samples = signal.shape
    mask = None if valid is None else torch.arange(samples) < valid[:, None]
    return Batch(
        signal=signal if mask is None else signal.masked_fill(~mask[:, None], 0),
        signal_mask=mask,
        features=torch.zeros(segments, 0),
        feature_mask=torch.zeros(segments, 0, dtype=torch.bool),
        label=torch.zeros(segments, dtype=torch.int64),
        template=signal.clone() if template else None,
    )


def changed(batch: Batch, *, seed: int = 0, scale: Tensor = SCALE, **options: Any) -> Batch:
    torch.manual_seed(seed)
    config = TrainingConfig(**options)
    return Augmentation(config=config, scale=scale, rate_hz=RATE_HZ)(batch)


def in_uv(signal: Tensor) -> Tensor:
    return signal / SCALE


def spectrum(signal: Tensor) -> tuple[Tensor, Tensor]:
    """Return frequencies in Hz and the power at each, summed over segments and leads."""
    tapered = signal * torch.hann_window(signal.shape[2], periodic=False)
    power = torch.fft.rfft(tapered).abs().square().sum(dim=(0, 1))
    return torch.fft.rfftfreq(signal.shape[2], 1 / RATE_HZ), power


def test_a_batch_is_left_alone_when_nothing_is_asked_for() -> None:
    torch.manual_seed(0)
    batch = batch_of(torch.randn(8, 2, 64), valid=torch.arange(57, 65), template=True)
    state = torch.get_rng_state()
    assert Augmentation(config=TrainingConfig(), scale=SCALE, rate_hz=RATE_HZ)(batch) is batch
    assert torch.equal(torch.get_rng_state(), state)


@each
def test_the_seed_decides_alone(name: str) -> None:
    batch = batch_of(torch.randn(32, 2, 64))
    first, again, other = (changed(batch, seed=seed, **EACH[name]).signal for seed in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert not torch.equal(first, batch.signal)


@each
def test_the_segments_of_a_batch_are_changed_differently(name: str) -> None:
    batch = batch_of(torch.randn(1, 2, 64).expand(64, 2, 64))
    signal = changed(batch, **EACH[name]).signal
    assert len(torch.unique(signal, dim=0)) >= (3 if name == "lead_dropout" else 10)


@each
def test_what_is_handed_in_is_not_written_to(name: str) -> None:
    batch = batch_of(torch.randn(16, 2, 64), template=True)
    before = batch.signal.clone()
    changed(batch, **EACH[name])
    assert torch.equal(batch.signal, before)
    assert batch.template is not None
    assert torch.equal(batch.template, before)


@pytest.mark.parametrize("options", [*EACH.values(), EVERYTHING], ids=[*EACH, "all together"])
def test_padding_stays_exactly_0(options: dict[str, Any]) -> None:
    batch = batch_of(torch.randn(64, 2, 100) + 5, valid=torch.arange(64) % 50 + 1)
    assert batch.signal_mask is not None
    signal = changed(batch, **options).signal
    beyond = ~batch.signal_mask[:, None].expand_as(signal)
    assert (signal[beyond] == 0).all()
    assert not torch.equal(signal, batch.signal)


@each
def test_a_template_is_changed_only_as_the_recording_is(name: str) -> None:
    batch = batch_of(torch.randn(64, 2, 100), template=True)
    result = changed(batch, **EACH[name])
    assert result.template is not None
    # Signal and template were equal, so what befalls both leaves them so.
    expected = result.signal if name in OF_THE_RECORDING else batch.template
    assert expected is not None
    torch.testing.assert_close(result.template, expected)


def test_amplitudes_stay_within_their_range_and_are_those_of_all_leads() -> None:
    signal = changed(batch_of(torch.ones(1000, 2, 4)), amplitude_scale=0.2).signal
    assert 0.8 <= signal.min() < 0.82
    assert 1.18 < signal.max() <= 1.2
    assert torch.equal(signal, signal[:, :1, :1].expand_as(signal))


def test_noise_is_white_and_in_microvolts_for_every_lead() -> None:
    signal = changed(batch_of(torch.zeros(300, 2, 256)), noise_uv=50.0).signal
    assert signal.std(dim=(0, 2)).tolist() == pytest.approx([0.5, 0.1], rel=0.02)
    _, power = spectrum(signal)
    octaves = power[1:].chunk(4)
    assert max(map(float, map(torch.mean, octaves))) < 1.05 * float(power[1:].mean())


def test_a_shift_moves_all_leads_together_and_holds_the_edge() -> None:
    ramp = torch.arange(100.0).expand(200, 2, 100)
    signal = changed(batch_of(ramp), time_shift=0.1).signal
    shift = signal[:, 0, 50] - 50
    assert shift.min() == -10
    assert shift.max() == 10
    assert torch.equal(signal[:, 0], signal[:, 1])
    assert signal.min() == 0
    assert signal.max() == 99


def test_a_shift_holds_the_edge_of_each_segments_own_recording() -> None:
    ramp = torch.arange(1.0, 101).expand(200, 2, 100)
    signal = changed(batch_of(ramp, valid=torch.full((200,), 60)), time_shift=0.2).signal
    assert signal[:, :, :60].min() == 1
    assert signal[:, :, :60].max() == 60
    assert (signal[:, 0, 59] == 60).sum() > 80  # half of all were moved to the left


def test_a_baseline_wanders_slowly_within_its_microvolts() -> None:
    minute = batch_of(torch.zeros(100, 2, int(60 * RATE_HZ)))
    wander_uv = in_uv(changed(minute, baseline_wander_uv=200.0).signal)
    assert wander_uv.abs().max() <= 200.001
    assert wander_uv.abs().amax(dim=(0, 2)).min() > 150
    frequency_hz, power = spectrum(wander_uv)
    resolution_hz = 4 / 60  # of a Hann window over a minute
    low, high = WANDER_HZ[0] - resolution_hz, WANDER_HZ[1] + resolution_hz
    within = (frequency_hz >= low) & (frequency_hz <= high)
    assert power[within].sum() / power.sum() > 0.999
    assert power[frequency_hz < 0.2].sum() / power.sum() < 0.6


def test_leads_wander_and_hum_by_amounts_of_their_own() -> None:
    for options in (EACH["baseline_wander_uv"], EACH["mains_hum_uv"]):
        signal = in_uv(changed(batch_of(torch.zeros(500, 2, 256)), **options).signal)
        first, second = signal.std(dim=2).unbind(dim=1)
        assert abs(float(torch.corrcoef(torch.stack((first, second)))[0, 1])) < 0.5


@pytest.mark.parametrize("mains_hz", [50.0, 60.0])
def test_hum_has_the_frequency_of_the_mains_and_sways_within_its_microvolts(
    mains_hz: float,
) -> None:
    minute = batch_of(torch.zeros(100, 2, int(60 * RATE_HZ)))
    hum_uv = in_uv(changed(minute, mains_hum_uv=80.0, mains_hz=mains_hz).signal)
    assert hum_uv.abs().max() <= 80.001
    assert hum_uv.abs().amax(dim=(0, 2)).min() > 60
    frequency_hz, power = spectrum(hum_uv)
    assert abs(float(frequency_hz[power.argmax()]) - mains_hz) < 0.1
    assert power[(frequency_hz - mains_hz).abs() < 1].sum() / power.sum() > 0.999
    seconds = hum_uv.unfold(2, int(RATE_HZ), int(RATE_HZ)).abs().amax(dim=3)
    least_share = (seconds.amin(dim=2) / seconds.amax(dim=2)).flatten()
    assert least_share.min() > 0.45
    assert least_share.median() < 0.65


def test_hum_and_wander_begin_at_random_phases() -> None:
    for options in (EACH["baseline_wander_uv"], EACH["mains_hum_uv"]):
        signal = changed(batch_of(torch.zeros(2000, 2, 8)), **options).signal
        start = signal[:, 0, 0]
        assert abs(float(start.mean())) < 0.1 * float(start.std())


def test_leads_are_silent_as_often_as_asked_but_never_all_of_them() -> None:
    batch = batch_of(torch.ones(5000, 3, 4))
    for probability in (0.1, 0.5, 0.95):
        signal = changed(batch, scale=torch.ones(3, 1), lead_dropout=probability).signal
        silent = (signal == 0).all(dim=2)
        assert torch.equal(silent, (signal == 0).any(dim=2))
        assert not silent.all(dim=1).any()
        # Where all three would have been, one of them is not.
        expected = probability - probability**3 / 3
        assert silent.float().mean(dim=0).tolist() == pytest.approx([expected] * 3, abs=0.02)


def test_a_silent_lead_is_silent_whatever_was_added_to_it() -> None:
    signal = changed(batch_of(torch.randn(500, 2, 32)), **EVERYTHING).signal
    silent = (signal == 0).all(dim=2)
    assert silent.any()
    assert torch.equal(silent, (signal == 0).any(dim=2))


def test_options_that_the_data_leave_without_effect_are_refused() -> None:
    dropped = TrainingConfig(lead_dropout=0.1)
    with pytest.raises(ConfigError, match=r"lead_dropout 0\.1 has no effect: .* one lead"):
        dropped.require_fit(leads=1, rate_hz=128.0)
    dropped.require_fit(leads=2, rate_hz=128.0)
    humming = TrainingConfig(mains_hum_uv=10.0, mains_hz=60.0)
    with pytest.raises(ConfigError, match="half the sampling rate, got 60 Hz at rate_hz 120"):
        humming.require_fit(leads=1, rate_hz=120.0)
    dataclasses.replace(humming, mains_hz=50.0).require_fit(leads=1, rate_hz=120.0)
