"""Splits are lists of records; what keeps them honest is that no patient is on two sides."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from ecgmodels.data.preparation.dealing import deal
from ecgmodels.errors import DataError

ClassCounts = Mapping[str, Mapping[str, int]]
"""Record id -> class -> beats, or 1 for a recording that has it; absent is 0."""


@dataclass(frozen=True, kw_only=True)
class Split:
    """Record ids of each part. The test part is the same in every split of one dataset."""

    train: tuple[str, ...]
    validation: tuple[str, ...]
    test: tuple[str, ...]

    @property
    def parts(self) -> dict[str, tuple[str, ...]]:
        """Return part name -> record ids."""
        return {"train": self.train, "validation": self.validation, "test": self.test}

    def without(self, records: Iterable[str]) -> Split:
        """Return the split less some records."""
        gone = set(records)
        kept = {
            part: tuple(record for record in ids if record not in gone)
            for part, ids in self.parts.items()
        }
        return Split(**kept)


def check_split(
    name: str,
    split: Split,
    patient_of: Mapping[str, str],
    shared_patients: Iterable[Sequence[str]] = (),
) -> None:
    """Assert that no part is empty and no record or patient is in two parts.

    Args:
        name: the split's name, for the message.
        split: the record ids of each part.
        patient_of: record id -> patient id.
        shared_patients: groups of records of one patient that a customary split (de Chazal's)
            has on both sides of the test border; train and validation may not share them.

    Raises:
        DataError: a part is empty, or two parts share a record or an undeclared patient.
    """
    declared = {frozenset(group) for group in shared_patients}
    for part, records in split.parts.items():
        if not records:
            raise DataError(
                f"split '{name}' has no record in its {part} part",
                hint="prepare more recordings, or choose another split",
            )
    for (part, records), (other_part, others) in combinations(split.parts.items(), 2):
        here = _records_by_patient(records, patient_of)
        there = _records_by_patient(others, patient_of)
        for patient in sorted(here.keys() & there.keys()):
            crossing = here[patient] | there[patient]
            if other_part == "test" and crossing in declared and not here[patient] & there[patient]:
                continue
            raise DataError(
                f"split '{name}' has patient {patient} in {part} and {other_part} "
                f"(records {', '.join(sorted(crossing))})",
                hint="put all records of a patient into one part",
            )


def check_classes(
    name: str, split: Split, class_counts: ClassCounts, scored: Sequence[str], *, hint: str
) -> None:
    """Assert that every part has every scored class (the test part, where it is counted).

    Args:
        name: the split's name, for the message.
        split: the record ids of each part.
        class_counts: of the records; a part of which no record is in it is not checked.
        scored: the classes.
        hint: what to do; the classes that every part has are appended to it.

    Raises:
        DataError: names each class that is missing, and where.
    """
    missing: dict[str, list[str]] = {}
    for part, records in split.parts.items():
        counted = [class_counts[record] for record in records if record in class_counts]
        present = {label for counts in counted for label, count in counts.items() if count}
        for label in scored:
            if counted and label not in present:
                missing.setdefault(label, []).append(part)
    if not missing:
        return
    named = [
        f"no {label} at all" if len(parts) == 3 else f"no {label} in its {'/'.join(parts)} part"
        for label, parts in missing.items()
    ]
    more = f", and so for {len(named) - 5} more classes" if len(named) > 5 else ""
    everywhere = [label for label in scored if label not in missing]
    raise DataError(
        f"split '{name}' has {', '.join(named[:5])}{more}",
        hint=f"{hint}; classes in every part: {','.join(everywhere) or 'none'}",
    )


def grouped_folds(
    class_counts: ClassCounts,
    patient_of: Mapping[str, str],
    *,
    folds: int,
    seed: int,
    classes: Sequence[str],
    scored: Sequence[str],
    test: tuple[str, ...],
) -> dict[str, Split]:
    """Cut the development records into folds of whole patients with like shares of each class.

    See `ecgmodels.data.preparation.dealing.deal` for how.

    Args:
        class_counts: of the development records; its order is kept in the parts.
        patient_of: record id -> patient id.
        folds: number of folds, at least 2.
        seed: other seeds give other folds.
        classes: the classes to balance.
        scored: those of them that must occur on both sides of every fold.
        test: the test records, carried along.

    Returns:
        "fold-0" ... -> Split, whose validation parts together are the development records.

    Raises:
        DataError: a scored class has too few patients, or a fold lacks it on one side.
    """
    part_of = _deal_records(
        class_counts, patient_of, [1 / folds] * folds, seed=seed, classes=classes, scored=scored
    )
    splits = {}
    for fold in range(folds):
        split = Split(
            train=tuple(record for record in class_counts if part_of[record] != fold),
            validation=tuple(record for record in class_counts if part_of[record] == fold),
            test=test,
        )
        hint = f"ask for fewer folds than {folds} (0 keeps the fixed split alone) or leave it out"
        check_classes(f"fold-{fold}", split, class_counts, scored, hint=hint)
        splits[f"fold-{fold}"] = split
    return splits


def stratified_split(
    class_counts: ClassCounts,
    patient_of: Mapping[str, str],
    *,
    seed: int,
    classes: Sequence[str],
    scored: Sequence[str],
    validation: float = 0.15,
    test: float = 0.15,
) -> Split:
    """Divide records into parts of whole patients with like shares of each class.

    A class with fewer than three patients cannot be in every part: its patients go to train.

    Args:
        class_counts: of all records; its order is kept in the parts.
        patient_of: record id -> patient id.
        seed: other seeds give other parts.
        classes: the classes to balance.
        scored: those of them that every part must have.
        validation: share of the validation part.
        test: share of the test part.

    Raises:
        DataError: there are fewer than three patients, or a part lacks a scored class.
    """
    sizes = [1 - validation - test, validation, test]
    patients = {patient_of[record] for record in class_counts}
    if len(patients) < len(sizes):
        raise DataError(
            f"there are {len(patients)} patients, a split needs one each for train, validation "
            "and test",
            hint="prepare more recordings, or state whose each recording is",
        )
    part_of = _deal_records(
        class_counts,
        patient_of,
        sizes,
        seed=seed,
        classes=classes,
        scored=scored,
        rare_part=0,
    )
    parts = [
        tuple(record for record in class_counts if part_of[record] == part) for part in range(3)
    ]
    split = Split(train=parts[0], validation=parts[1], test=parts[2])
    hint = "leave such classes out, or prepare more recordings of them (three patients at least)"
    check_classes("stratified", split, class_counts, scored, hint=hint)
    return split


def _deal_records(
    class_counts: ClassCounts,
    patient_of: Mapping[str, str],
    sizes: Sequence[float],
    *,
    seed: int,
    classes: Sequence[str],
    scored: Sequence[str],
    rare_part: int | None = None,
) -> dict[str, int]:
    """Return record id -> the part that its patient was dealt to."""
    patients = sorted({patient_of[record] for record in class_counts})
    part = deal(
        _counts_by_patient(class_counts, patient_of, patients, classes),
        patients,
        sizes,
        seed=seed,
        scored=np.array([label in scored for label in classes] + [True]),
        rare_part=rare_part,
    )
    of_patient = dict(zip(patients, part.tolist(), strict=True))
    return {record: of_patient[patient_of[record]] for record in class_counts}


def _counts_by_patient(
    class_counts: ClassCounts,
    patient_of: Mapping[str, str],
    patients: Sequence[str],
    classes: Sequence[str],
) -> NDArray[np.float64]:
    """Return float64 [patient, class and, last, records]."""
    row_of = {patient: row for row, patient in enumerate(patients)}
    column_of = {label: column for column, label in enumerate(classes)}
    counts = np.zeros((len(patients), len(classes) + 1))
    for record, of_class in class_counts.items():
        row = counts[row_of[patient_of[record]]]
        row[-1] += 1
        for label, count in of_class.items():
            if count and label in column_of:
                row[column_of[label]] += count
    return counts


def _records_by_patient(
    records: Iterable[str], patient_of: Mapping[str, str]
) -> dict[str, frozenset[str]]:
    grouped: dict[str, set[str]] = {}
    for record in records:
        grouped.setdefault(patient_of[record], set()).add(record)
    return {patient: frozenset(ids) for patient, ids in grouped.items()}
