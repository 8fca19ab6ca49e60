"""Splits are lists of records; what keeps them honest is that no patient is on two sides."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from ecgmodels.errors import DataError


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


def grouped_folds(
    class_counts: Mapping[str, Mapping[str, int]],
    patient_of: Mapping[str, str],
    *,
    folds: int,
    classes: Sequence[str],
    test: tuple[str, ...],
) -> dict[str, Split]:
    """Cut the development records into folds of whole patients with like shares of each class.

    Patients are dealt out from the one with the largest share of a class downwards, each to the
    fold where it raises the sum of squared class shares least, so that a patient who is two fifths
    of a class gets a fold with little else of it. A class weighs the more the rarer it is (one
    over the square root of its beats). Nothing is drawn at random.

    Args:
        class_counts: development record id -> class -> beats; its order is kept in the parts.
        patient_of: record id -> patient id.
        folds: number of folds, at least 2.
        classes: the classes to balance; each must occur on both sides of every fold.
        test: the test records, carried along.

    Returns:
        "fold-0" ... -> Split, whose validation parts together are the development records.

    Raises:
        DataError: there are too few patients, or a fold lacks a class on one side.
    """
    totals = {name: sum(counts[name] for counts in class_counts.values()) for name in classes}
    weights = [max(totals[name], 1) ** -0.5 for name in classes]
    shares: dict[str, list[float]] = {}
    for record, counts in class_counts.items():
        share = shares.setdefault(patient_of[record], [0.0] * len(classes))
        for index, name in enumerate(classes):
            share[index] += counts[name] / max(totals[name], 1)

    loads = [[0.0] * len(classes) for _ in range(folds)]
    fold_of: dict[str, int] = {}
    for patient in sorted(shares, key=lambda patient: (-max(shares[patient]), patient)):
        # (load + share)^2 - load^2 is 2 load share, but for a term that is the same in every fold.
        cost = [
            sum(w * a * b for w, a, b in zip(weights, load, shares[patient], strict=True))
            for load in loads
        ]
        fold = cost.index(min(cost))
        fold_of[patient] = fold
        loads[fold] = [a + b for a, b in zip(loads[fold], shares[patient], strict=True)]

    splits = {}
    for fold in range(folds):
        inside = {record: fold_of[patient_of[record]] == fold for record in class_counts}
        split = Split(
            train=tuple(record for record in class_counts if not inside[record]),
            validation=tuple(record for record in class_counts if inside[record]),
            test=test,
        )
        _check_classes(f"fold-{fold}", split, class_counts, classes)
        splits[f"fold-{fold}"] = split
    return splits


def _check_classes(
    name: str,
    split: Split,
    class_counts: Mapping[str, Mapping[str, int]],
    classes: Sequence[str],
) -> None:
    for part in ("train", "validation"):
        for label in classes:
            if not any(class_counts[record][label] for record in split.parts[part]):
                raise DataError(
                    f"split '{name}' has no {label} beat in its {part} part",
                    hint="ask for fewer folds (0 keeps the fixed split alone) or add patients",
                )


def _records_by_patient(
    records: Iterable[str], patient_of: Mapping[str, str]
) -> dict[str, frozenset[str]]:
    grouped: dict[str, frozenset[str]] = {}
    for record in records:
        patient = patient_of[record]
        grouped[patient] = grouped.get(patient, frozenset()) | {record}
    return grouped
