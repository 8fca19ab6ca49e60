"""Rows of a benchmark, each beside its peer: printed as a table, or as JSON for a program."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass


@dataclass(frozen=True, kw_only=True)
class Row:
    """One figure of ours and of its peer, measured in the same run on the same device."""

    name: str
    device: str
    ours: float
    peer: float
    unit: str
    """Of `ours` and `peer`."""

    @property
    def ratio(self) -> float:
        """Ours divided by the peer's: 0.1 is a tenth of a time, 10 is ten times a rate."""
        return self.ours / self.peer

    def to_dict(self) -> dict[str, object]:
        return {**asdict(self), "ratio": self.ratio}


def show(rows: Sequence[Row], *, as_json: bool) -> None:
    """Print the rows: as a JSON list, or as an aligned table with the ratio last."""
    print(json.dumps([row.to_dict() for row in rows], indent=2) if as_json else as_table(rows))


def as_table(rows: Sequence[Row]) -> str:
    """Return the rows as text: words to the left of their column, numbers to the right."""
    cells = [("name", "device", "ours", "peer", "unit", "ours/peer")]
    for row in rows:
        ours, peer, ratio = (f"{value:.3g}" for value in (row.ours, row.peer, row.ratio))
        cells.append((row.name, row.device, ours, peer, row.unit, ratio))
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    aligns = ("<", "<", ">", ">", "<", ">")
    return "\n".join(
        "  ".join(
            f"{cell:{align}{width}}"
            for cell, align, width in zip(line, aligns, widths, strict=True)
        )
        for line in cells
    )


def cpu_name(cpus: int) -> str:
    """Return a device name for so many of this machine's CPUs, such as "4 of 8 x86_64 CPUs"."""
    return f"{cpus} of {os.cpu_count()} {platform.machine()} CPUs"
