"""Before a signal is read: which records there are, whose they are, and which part each is in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ecgmodels.data.databases import Recordings
from ecgmodels.data.preparation.options import STRATIFIED, ResolvedOptions
from ecgmodels.data.preparation.splits import (
    ClassCounts,
    Split,
    check_classes,
    check_split,
    grouped_folds,
    stratified_split,
)
from ecgmodels.data.preparation.workers import FailedRecord
from ecgmodels.errors import DataError

LEAVE_OUT = "leave such classes out, choose another split, or prepare more recordings"


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Which record goes where, as long as none fails."""

    split: Split
    """Where nothing is labelled, everything is in its test part."""
    patient_of: Mapping[str, str]
    scored: tuple[str, ...]
    """The scored classes among those kept."""
    unscored: Mapping[str, str]
    """Class -> why it is not scored, though the task has it so."""
    failed: tuple[FailedRecord, ...]
    """Records of which not even patient and labels can be read; they are not in the split."""

    @property
    def order(self) -> tuple[str, ...]:
        """The records in the order they are prepared: the development part first."""
        return self.split.train + self.split.validation + self.split.test


def plan_records(recordings: Recordings, options: ResolvedOptions) -> Plan:
    """Decide the fixed split, and find out what stands in its way while it costs little.

    Raises:
        DataError: there are no records; or a part is empty, shares a patient with another, or
            lacks a scored class, as far as labels can be had without the signals.
    """
    records = recordings.record_ids
    if not records:
        raise DataError(
            f"there is no recording for task '{options.task}', {len(recordings.excluded)} are "
            "left out",
            hint=next(iter(recordings.excluded.values()), "give the folder of the recordings"),
        )
    scored = tuple(name for name in recordings.task.scored_classes if name in options.classes)
    if not options.classes:
        patient_of, _, failed = _survey(recordings, count=False)
        split = Split(train=(), validation=(), test=tuple(patient_of))
        return Plan(split=split, patient_of=patient_of, scored=(), unscored={}, failed=failed)

    # To count annotated beats costs as much as to read the signals; labels of records are a table.
    count = options.split == STRATIFIED or recordings.task.labels == "record"
    patient_of, counts, failed = _survey(recordings, count=count)
    if not patient_of:
        return Plan(split=_NOTHING, patient_of={}, scored=scored, unscored={}, failed=failed)
    assert options.split is not None, "resolve gives labelled recordings a split"
    unscored: dict[str, str] = {}
    if options.split == STRATIFIED:
        split = stratified_split(
            counts,
            patient_of,
            seed=options.seed,
            classes=options.classes,
            scored=[label for label in scored if _patients(counts, patient_of, label) >= _PARTS],
        )
    else:
        official = recordings.official_split(options.split)
        split = official.without(record.id for record in failed)
    shared = recordings.shared_patients(options.split)
    check_split(options.split, split, patient_of, shared)
    if count:
        unscored = unscorable(
            split,
            counts,
            patient_of,
            scored,
            folds=options.folds,
            multi_label=recordings.task.multi_label,
        )
        if len(unscored) == len(scored):
            check_classes(options.split, split, counts, scored, hint=LEAVE_OUT)
            folds_of(options, split, counts, patient_of, scored)
        scored = tuple(label for label in scored if label not in unscored)
        folds_of(options, split, counts, patient_of, scored)
    return Plan(split=split, patient_of=patient_of, scored=scored, unscored=unscored, failed=failed)


def unscorable(
    split: Split,
    class_counts: ClassCounts,
    patient_of: Mapping[str, str],
    scored: Sequence[str],
    *,
    folds: int,
    multi_label: bool,
) -> dict[str, str]:
    """Return class -> why it cannot be scored.

    A part has none of it (a mean over such classes would measure their absence), too few patients
    have it for the folds, or, among several labels, nothing is without it.
    """
    reasons = {}
    for label in scored:
        patients = {
            part: _patients({record: class_counts[record] for record in records}, patient_of, label)
            for part, records in split.parts.items()
        }
        development = patients["train"] + patients["validation"]
        lacking = [part for part, count in patients.items() if not count]
        everywhere = [
            part
            for part, records in split.parts.items()
            if all(class_counts[record].get(label) for record in records)
        ]
        if len(lacking) == _PARTS:
            reasons[label] = "no recording has it"
        elif everywhere and multi_label:
            reasons[label] = f"all of the {'/'.join(everywhere)} part have it"
        elif lacking:
            reasons[label] = f"none in the {'/'.join(lacking)} part"
        elif folds and development < folds:
            reasons[label] = f"{development} patients for {folds} folds"
    return reasons


def _patients(class_counts: ClassCounts, patient_of: Mapping[str, str], label: str) -> int:
    return len({patient_of[record] for record, of in class_counts.items() if of.get(label)})


def folds_of(
    options: ResolvedOptions,
    split: Split,
    class_counts: ClassCounts,
    patient_of: Mapping[str, str],
    scored: tuple[str, ...],
) -> dict[str, Split]:
    """Return the folds of the split's development records; none where none are asked for."""
    if not options.folds:
        return {}
    return grouped_folds(
        {record: class_counts[record] for record in split.train + split.validation},
        patient_of,
        folds=options.folds,
        seed=options.seed,
        classes=options.classes,
        scored=scored,
        test=split.test,
    )


_PARTS = 3
_NOTHING = Split(train=(), validation=(), test=())


def _survey(
    recordings: Recordings, *, count: bool
) -> tuple[dict[str, str], dict[str, Mapping[str, int]], tuple[FailedRecord, ...]]:
    """Return record -> patient, record -> class -> count, and what cannot be read that far."""
    patient_of: dict[str, str] = {}
    counts: dict[str, Mapping[str, int]] = {}
    failed = []
    for record_id in recordings.record_ids:
        try:
            patient = recordings.patient_of(record_id)
            if count:
                counts[record_id] = recordings.class_counts(record_id)
        except DataError as error:
            failed.append(FailedRecord(id=record_id, error=error))
        else:
            patient_of[record_id] = patient
    return patient_of, counts, tuple(failed)
