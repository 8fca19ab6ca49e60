"""The waveforms of synthetic recordings: beats as sums of Gaussians, and noise.

One Gaussian each for P, Q, R, S and T is the idea of McSharry et al., "A dynamical model for
generating synthetic electrocardiogram signals", IEEE Trans Biomed Eng 50(3), 2003.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

RATE_HZ = 360

DRAWN_LEADS = ("II", "V1", "I", "V2", "V3", "V4", "V5", "V6")
"""Leads with a waveform of their own; the other limb leads follow from I and II."""

# Rows P, Q, R, S, T; columns centre from R [s], standard deviation [s], then mV in each drawn lead.
# fmt: off
_NORMAL = np.array(
    [
        [-0.160, 0.022, 0.12, 0.06, 0.06, 0.07, 0.07, 0.06, 0.05, 0.05],
        [-0.028, 0.008, -0.10, 0.00, -0.05, 0.00, -0.02, -0.05, -0.08, -0.08],
        [0.000, 0.011, 1.10, 0.22, 0.55, 0.45, 0.80, 1.40, 1.30, 1.00],
        [0.028, 0.010, -0.18, -0.80, -0.10, -1.10, -0.75, -0.40, -0.20, -0.08],
        [0.270, 0.048, 0.28, 0.08, 0.18, 0.45, 0.45, 0.40, 0.32, 0.24],
    ]
)
# Right bundle branch block: a late, wide R' in V1 and V2, a wide S in I, II and V6.
_BLOCK = np.array(
    [
        [-0.160, 0.022, 0.12, 0.06, 0.06, 0.07, 0.07, 0.06, 0.05, 0.05],
        [-0.028, 0.008, -0.08, 0.12, -0.05, 0.12, 0.05, -0.04, -0.06, -0.06],
        [0.000, 0.012, 0.95, -0.25, 0.50, -0.10, 0.40, 1.10, 1.10, 0.90],
        [0.055, 0.022, -0.38, 0.75, -0.35, 0.55, 0.10, -0.25, -0.35, -0.38],
        [0.290, 0.052, 0.24, -0.18, 0.16, -0.12, 0.15, 0.30, 0.28, 0.22],
    ]
)
_VENTRICULAR = np.array(
    [
        [-0.160, 0.022, 0.00, 0.00, 0.00, 0.00, 0.00, 0.00, 0.00, 0.00],
        [-0.050, 0.020, -0.15, 0.20, -0.10, 0.15, 0.10, 0.00, -0.05, -0.10],
        [0.010, 0.032, 1.35, 0.90, 0.80, 1.10, 0.90, 0.60, 0.30, 0.20],
        [0.085, 0.026, -0.70, 0.15, -0.40, -0.10, -0.40, -0.70, -0.80, -0.70],
        [0.300, 0.060, -0.42, -0.30, -0.30, -0.40, -0.40, -0.30, -0.20, -0.15],
    ]
)
_ECTOPIC_P = np.array([-0.115, 0.018, -0.05, -0.03, -0.03, -0.03, -0.03, -0.03, -0.02, -0.02])
_F_WAVES = np.array([0.05, 0.09, 0.03, 0.07, 0.05, 0.04, 0.03, 0.03])
# fmt: on
_P, _QRS, _T = 0, slice(1, 4), 4
_WINDOW_S = (-0.35, 0.60)


@dataclass(frozen=True, kw_only=True)
class Waveform:
    """What makes one patient's beats look like nobody else's; 1 is the template's own.

    Gains are of as many of `DRAWN_LEADS`, from the first, as are to be drawn.
    """

    block: bool
    """Sinus and atrial beats have a bundle branch block."""
    gain: NDArray[np.float64]
    """Amplitude in each lead."""
    ventricular_gain: NDArray[np.float64]
    """The same of beats from the ventricles; negative points the other way."""
    ventricular_width: float
    qrs_width: float
    qt: float
    muscle_mv: float
    """Standard deviation of the noise."""

    def template(self, symbol: str) -> NDArray[np.float64]:
        """Return float64 [wave, column] of a beat with this annotation code."""
        columns = 2 + len(self.gain)
        conducted = (_BLOCK if self.block else _NORMAL)[:, :columns].copy()
        conducted[_QRS, :2] *= self.qrs_width
        conducted[:, 2:] *= self.gain
        ventricular = _VENTRICULAR[:, :columns].copy()
        ventricular[:, 1] *= self.ventricular_width
        ventricular[:, 2:] *= self.ventricular_gain
        if symbol == "V":
            return ventricular
        if symbol == "F":
            return (conducted + ventricular) / 2
        if symbol == "A":
            conducted[_P] = _ECTOPIC_P[:columns]
        return conducted


def draw_beats(
    waveform: Waveform,
    symbols: NDArray[np.str_],
    rr_s: NDArray[np.float64],
    fibrillating: NDArray[np.bool_],
    beats: NDArray[np.int64],
    samples: int,
    generator: Generator,
) -> NDArray[np.float64]:
    """Return float64 [drawn lead, time] in mV: each beat's Gaussians, summed where they overlap."""
    leads = len(waveform.gain)
    templates = {symbol: waveform.template(symbol) for symbol in np.unique(symbols).tolist()}
    waves = np.stack([templates[symbol] for symbol in symbols.tolist()])  # [beat, wave, column]
    waves[:, _T, 0] *= waveform.qt * np.sqrt(rr_s.clip(0.4, 1.3))  # Bazett: QT grows with sqrt(RR)
    waves[:, :, 2:] *= generator.normal(1, 0.05, (len(beats), 1, 1))
    waves[fibrillating, _P, 2:] = 0.0

    window = np.arange(round(_WINDOW_S[0] * RATE_HZ), round(_WINDOW_S[1] * RATE_HZ))
    position = beats[:, None] + window
    inside = (position >= 0) & (position < samples)
    shape = np.zeros((leads, len(beats), len(window)))
    for wave in range(waves.shape[1]):
        centre, width = waves[:, wave, 0, None], waves[:, wave, 1, None]
        bell = np.exp(-0.5 * ((window / RATE_HZ - centre) / width) ** 2)
        for lead in range(leads):
            shape[lead] += waves[:, wave, 2 + lead, None] * bell
    return np.stack(
        [np.bincount(position[inside], lead[inside], minlength=samples) for lead in shape]
    )


def draw_noise(
    leads: int, samples: int, muscle_mv: float, generator: Generator
) -> NDArray[np.float64]:
    """Return float64 [drawn lead, time] in mV: baseline wander, muscle, a little mains."""
    time_s = np.arange(samples) / RATE_HZ
    breath = 0.08 * np.sin(2 * np.pi * 0.25 * time_s + generator.uniform(0, 2 * np.pi))
    drift = 0.10 * np.sin(2 * np.pi * 0.03 * time_s + generator.uniform(0, 2 * np.pi))
    mains = 0.01 * np.sin(2 * np.pi * 60 * time_s)
    muscle = generator.normal(0, muscle_mv, (leads, samples))
    return muscle + breath + drift + mains


def fibrillatory_waves(leads: int, samples: int, generator: Generator) -> NDArray[np.float64]:
    """Return float64 [drawn lead, time] in mV: f waves of about 6 a second, largest in V1."""
    phase = 2 * np.pi * np.cumsum(generator.normal(6, 1.5, samples)) / RATE_HZ
    return np.sin(phase) * _F_WAVES[:leads, None]
