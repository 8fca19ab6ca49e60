"""Small, label-preserving changes to normalised training segments, made on their device."""

from __future__ import annotations

import torch
from torch import Tensor


def augment(
    signal: Tensor,
    *,
    amplitude_scale: float,
    noise_uv: float,
    time_shift: float,
    scale: Tensor,
) -> Tensor:
    """Return `signal: float32 [batch, lead, time]` changed at random.

    Args:
        signal: normalised segments.
        amplitude_scale: each segment is multiplied by a number within 1 +- this (electrode
            contact and body size change amplitude).
        noise_uv: standard deviation of white noise.
        time_shift: each segment moves by up to this share of its length; its edge is held.
        scale: float32 [lead, 1], the normalisation's units per microvolt.
    """
    batch, _, samples = signal.shape
    if time_shift:
        furthest = round(time_shift * samples)
        shift = torch.randint(-furthest, furthest + 1, (batch, 1, 1), device=signal.device)
        time = torch.arange(samples, device=signal.device) + shift
        signal = signal.take_along_dim(time.clamp_(0, samples - 1), dim=2)
    if amplitude_scale:
        spread = torch.empty(batch, 1, 1, device=signal.device)
        signal = signal * spread.uniform_(1 - amplitude_scale, 1 + amplitude_scale)
    if noise_uv:
        signal = torch.addcmul(signal, torch.randn_like(signal), noise_uv * scale)
    return signal
