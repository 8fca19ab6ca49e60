"""Small, label-preserving changes to normalised training segments, made on their device.

They follow the way of the signal: the heart, moved and scaled; the body and the room, which add
their own; the electrode, which may be off.

    time shift, amplitude scale, baseline wander + mains hum, white noise, lead dropout

A recording's template takes part in what befalls a recording as a whole, its amplitude and its
missing leads, so that the two go on telling whether a beat is larger than the patient's own. It
does not in what differs from beat to beat, shift, wander, hum and noise: a median over beats is
rid of these. Padding stays exactly 0.

Axes: b batch, l lead, t time, w wave.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ecgmodels.loading.batches import Batch
from ecgmodels.training.config import TrainingConfig

WANDER_HZ = (0.05, 0.5)
"""Where baselines wander: from the lowest frequency that an ECG must keep (Kligfield et al. 2007,
AHA/ACC/HRS recommendations, part I) up to where breathing and movement mostly end (Sornmo and
Laguna 2005, "Bioelectrical Signal Processing", section 7.1)."""

WANDER_WAVES = 3
"""Sinusoids that add up to one wander: enough not to repeat itself within a segment."""

HUM_SWAYS_TO = 0.5
"""The least share of its amplitude that hum falls to while it sways, at `WANDER_HZ` too, for what
couples the body to the mains is the body's movement."""


@dataclass(frozen=True, kw_only=True)
class Augmentation:
    """What an epoch does to its batches, drawn from torch's default generator."""

    config: TrainingConfig
    scale: Tensor
    """float32 [lead, 1], the normalisation's units per microvolt"""
    rate_hz: float

    def __call__(self, batch: Batch) -> Batch:
        """Return the batch changed at random; the very batch if no change is asked for."""
        config, mask = self.config, batch.signal_mask
        signal, template = batch.signal, batch.template
        if config.time_shift:
            signal = shifted(signal, mask, config.time_shift)
        if config.amplitude_scale:
            gain = amplitudes(signal, config.amplitude_scale)
            signal = signal * gain
            template = None if template is None else template * gain
        signal = self._with_waves(signal)
        if config.noise_uv:
            signal = torch.addcmul(signal, torch.randn_like(signal), config.noise_uv * self.scale)
        if config.lead_dropout:
            silent = silent_leads(signal, config.lead_dropout)
            signal = signal.masked_fill(silent, 0)
            template = None if template is None else template.masked_fill(silent, 0)
        if signal is batch.signal:
            return batch
        if mask is not None:
            signal = signal.masked_fill(~mask[:, None], 0)
        return batch._replace(signal=signal, template=template)

    def _with_waves(self, signal: Tensor) -> Tensor:
        """Add the baseline's wander and the mains' hum, which together are one product."""
        config, waves = self.config, []
        if config.baseline_wander_uv:
            waves.append(baseline_wander(signal, config.baseline_wander_uv, self.rate_hz))
        if config.mains_hum_uv:
            waves.append(mains_hum(signal, config.mains_hum_uv, config.mains_hz, self.rate_hz))
        if not waves:
            return signal
        weights, sinusoids = zip(*waves, strict=True)
        weights_blw, waves_bwt = torch.cat(weights, dim=2), torch.cat(sinusoids, dim=1)
        return torch.baddbmm(signal, weights_blw * self.scale, waves_bwt)


def shifted(signal: Tensor, mask: Tensor | None, share: float) -> Tensor:
    """Return each of `signal: float32 [b, l, t]` moved by up to `share` of the time axis.

    All its leads move together, and the sample at its edge is held: the edge of what
    `mask: bool [b, t]` says is the recording's.
    """
    batch, _, samples = signal.shape
    furthest = round(share * samples)
    shift = torch.randint(-furthest, furthest + 1, (batch, 1), device=signal.device)
    source = (torch.arange(samples, device=signal.device) + shift).clamp_(min=0)
    last = samples - 1 if mask is None else mask.sum(dim=1, keepdim=True) - 1
    source = source.clamp(max=last)
    return signal.take_along_dim(source[:, None], dim=2)


def amplitudes(signal: Tensor, spread: float) -> Tensor:
    """Return float32 [b, 1, 1], a factor within 1 +- `spread` for each segment.

    Electrode contact and body size change amplitude.
    """
    return _uniform((len(signal), 1, 1), 1 - spread, 1 + spread, signal)


def baseline_wander(signal: Tensor, most_uv: float, rate_hz: float) -> tuple[Tensor, Tensor]:
    """Return weights float32 [b, l, w] in microvolts and waves float32 [b, w, t] at most 1.

    Their product, which stays within `most_uv`, is a sum of slow sinusoids of random phases; leads
    wander at the same frequencies, each with an amplitude and a sign of its own.
    """
    batch, leads, samples = signal.shape
    shares = torch.rand(batch, leads, WANDER_WAVES, device=signal.device)
    shares = shares / shares.sum(dim=2, keepdim=True)
    amplitude_uv = _uniform((batch, leads, 1), -most_uv, most_uv, signal)
    frequency_hz = _uniform((batch, WANDER_WAVES, 1), *WANDER_HZ, signal)
    return shares * amplitude_uv, _sinusoids(frequency_hz, samples, rate_hz)


def mains_hum(
    signal: Tensor, most_uv: float, mains_hz: float, rate_hz: float
) -> tuple[Tensor, Tensor]:
    """Return a weight float32 [b, l, 1] in microvolts and a wave float32 [b, 1, t] at most 1.

    The wave has a random phase, and an amplitude that sways slowly; leads pick it up by amounts,
    and with signs, of their own.
    """
    batch, leads, samples = signal.shape
    amplitude_uv = _uniform((batch, leads, 1), -most_uv, most_uv, signal)
    hum = _sinusoids(torch.full((batch, 1, 1), mains_hz, device=signal.device), samples, rate_hz)
    sway = _sinusoids(_uniform((batch, 1, 1), *WANDER_HZ, signal), samples, rate_hz)
    least = HUM_SWAYS_TO
    return amplitude_uv, hum * sway.mul_((1 - least) / 2).add_((1 + least) / 2)


def silent_leads(signal: Tensor, probability: float) -> Tensor:
    """Return bool [b, l, 1]: leads that are silent, the lead's mean, for a segment.

    Each is with `probability`; where that would be all of a segment, one of them is not.
    """
    chance = torch.rand(*signal.shape[:2], 1, device=signal.device)
    return (chance < probability) & (chance < chance.amax(dim=1, keepdim=True))


def _sinusoids(frequency_hz: Tensor, samples: int, rate_hz: float) -> Tensor:
    """Return float32 [b, w, t] of `frequency_hz: float32 [b, w, 1]` and random phases."""
    time_s = torch.arange(samples, device=frequency_hz.device) / rate_hz
    turns = torch.addcmul(torch.rand_like(frequency_hz), frequency_hz, time_s)
    return turns.mul_(2 * math.pi).sin_()


def _uniform(shape: tuple[int, ...], low: float, high: float, like: Tensor) -> Tensor:
    return torch.empty(shape, device=like.device).uniform_(low, high)
