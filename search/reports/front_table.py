"""The front as a table for people."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from search.reports.descriptions import describe_configuration
from search.reports.progress import counted, format_value
from search.study.fronts import NO_FRONT, front_records
from search.study.records import CandidateRecord, Failure, Phase
from search.study.study import Study


def front_table(study: Study) -> str:
    """Return the front, smallest first, with what the whole study did in a last line."""
    records = front_records(study)
    if not records:
        return f"the front is empty: {NO_FRONT}\n\n{_summary(study)}"
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
    own = [record for record in study.records.values() if record.imported is None]
    imported = len(study.records) - len(own)
    taken_over = f"; {counted(imported, 'candidate')} imported" if imported else ""
    phases = Counter(record.phase for record in own)
    parts = [f"{phases[phase]} {phase.value}" for phase in Phase if phases[phase]]
    by_phase = f" ({', '.join(parts)})" if parts else ""
    epochs = sum(record.epochs for record in own)
    seconds = sum(record.seconds for record in own)
    return (
        f"{counted(len(own), 'candidate')} tried{by_phase}, "
        f"{counted(len(study.rejections), 'proposal')} turned down untrained; "
        f"{counted(epochs, 'epoch')}, {seconds:.0f} s of training"
        f"{taken_over}"
        f"{_causes('failed', (r.failure for r in study.records.values() if r.failure))}"
        f"{_causes('tried again', (s for r in study.records.values() for s in r.setbacks))}"
    )


def _causes(what: str, failures: Iterable[Failure]) -> str:
    counts = Counter(failure.cause for failure in failures)
    told = ", ".join(f"{count} x {cause}" for cause, count in sorted(counts.items()))
    return f"; {what}: {told}" if told else ""


def _aligned(rows: list[list[str]]) -> list[str]:
    """Pad every column but the last; numbers and headers stand to the right."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]) - 1)]
    return [
        "  ".join([*(cell.rjust(width) for cell, width in zip(row, widths, strict=False)), row[-1]])
        for row in rows
    ]
