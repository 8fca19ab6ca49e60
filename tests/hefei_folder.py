"""Files in the format that the Hefei Hi-tech Cup published, with made-up content."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

LEADS = ("I", "II", "V1", "V2", "V3", "V4", "V5", "V6")

# Findings of the competition's list, cut to a few.
CLASSES = ("窦性心律", "窦性心动过速", "QRS低电压", "ST-T改变", "心房颤动", "完全性右束支传导阻滞")

ROWS = (  # id, age, gender, labels: as ragged as those of the competition
    ("100001.txt", "65", "FEMALE", ("窦性心律",)),
    ("100002.txt", "", "MALE", ("窦性心律", "ST-T改变")),
    ("100003.txt", "41", "", ("窦性心动过速",)),
    ("100004.txt", "78", "male", ("心房颤动", "完全性右束支传导阻滞", "QRS低电压")),
    ("100005.txt", "", "", ("窦性心律",)),
    ("100006.txt", "23", "Female", ("窦性心律", "QRS低电压")),
    ("100007.txt", "57", "MALE", ()),
    ("100008.txt", "34", "FEMALE", ("心房颤动",)),
)


def made_up_signal(seed: int, *, samples: int = 5000) -> NDArray[np.int64]:
    """Return int64 [time, lead] at 500 Hz, 4.88 microvolts a unit: a beat each 0.8 s, and noise."""
    rng = np.random.default_rng(seed)
    phase_s = np.arange(samples) / 500 % 0.8
    waves_uv = [(0.20, 0.030, 120), (0.35, 0.010, 900), (0.38, 0.010, -250), (0.60, 0.050, 250)]
    beat_uv = sum(
        height * np.exp(-(((phase_s - centre) / width) ** 2)) for centre, width, height in waves_uv
    )
    share = rng.uniform(0.3, 1.5, len(LEADS))
    signal_uv = np.outer(beat_uv, share) + rng.normal(0, 10, (samples, len(LEADS)))
    return np.rint(signal_uv / 4.88).astype(np.int64)


def write_signal(path: Path, units: NDArray[np.int64], *, leads: Sequence[str] = LEADS) -> None:
    """Write a recording, [time, lead], as the competition's files are."""
    rows = [" ".join(leads), *(" ".join(map(str, row)) for row in units.tolist())]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(rows) + "\n", encoding="ascii")


def label_lines(rows: Sequence[tuple[str, str, str, Sequence[str]]] = ROWS) -> list[str]:
    """Return the lines of the label file, of which every other ends with a tab."""
    return [
        "\t".join((record_id, age, gender, *labels)) + "\t" * (number % 2)
        for number, (record_id, age, gender, labels) in enumerate(rows)
    ]


def write_hefei_folder(
    folder: Path,
    *,
    encoding: str = "utf-8",
    classes: Sequence[str] = CLASSES,
    rows: Sequence[tuple[str, str, str, Sequence[str]]] = ROWS,
) -> Path:
    """Write classes, labels and recordings as round 2 named them, and return the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "hf_round2_arrythmia.txt").write_text("\n".join(classes) + "\n", encoding=encoding)
    (folder / "hf_round2_label.txt").write_text(
        "\n".join(label_lines(rows)) + "\n", encoding=encoding
    )
    for seed, (record_id, *_) in enumerate(rows):
        stem = record_id.removesuffix(".txt")
        write_signal(folder / "hf_round2_train" / f"{stem}.txt", made_up_signal(seed))
    return folder
