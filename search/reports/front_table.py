"""The front as a table for people."""

from __future__ import annotations

from collections import Counter

from search.reports.descriptions import describe_configuration
from search.reports.progress import format_value
from search.study.fronts import front_records
from search.study.records import CandidateRecord, Phase
from search.study.study import Study


def front_table(study: Study) -> str:
    """Return the front, smallest first, with what the whole study did in a last line."""
    records = front_records(study)
    if not records:
        return "no candidate has finished an epoch yet"
    learned = [o.metric for o in study.objectives if not o.exact]
    rows = [_row(record, learned) for record in records]
    header = ["trial", *records[0].costs, *learned, "epochs", "seconds", "configuration"]
    return "\n".join([*_aligned([header, *rows]), "", _summary(study)])


def _row(record: CandidateRecord, learned: list[str]) -> list[str]:
    return [
        str(record.number),
        *(format_value(value) for value in record.costs.values()),
        *(format_value(record.metrics.get(metric)) for metric in learned),
        str(record.epochs),
        f"{record.seconds:.1f}",
        describe_configuration(record.candidate),
    ]


def _summary(study: Study) -> str:
    phases = Counter(record.phase for record in study.records.values())
    parts = [f"{phases[phase]} {phase.value}" for phase in Phase if phases[phase]]
    epochs = sum(record.epochs for record in study.records.values())
    seconds = sum(record.seconds for record in study.records.values())
    return (
        f"{len(study.records)} candidates tried ({', '.join(parts)}), "
        f"{len(study.rejections)} proposals turned down untrained; "
        f"{epochs} epochs, {seconds:.0f} s of training"
    )


def _aligned(rows: list[list[str]]) -> list[str]:
    """Pad every column but the last; numbers and headers stand to the right."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]) - 1)]
    return [
        "  ".join([*(cell.rjust(width) for cell, width in zip(row, widths, strict=False)), row[-1]])
        for row in rows
    ]
