from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ecgmodels.data import Split
from ecgmodels.data.preparation.splits import check_split, grouped_folds
from ecgmodels.errors import DataError

CLASSES = ("N", "S", "V")
cohorts = st.lists(  # for each patient, for each of its records, beats of each class
    st.lists(st.tuples(*[st.integers(1, 500)] * 3), min_size=1, max_size=3),
    min_size=4,
    max_size=20,
)


def named(
    cohort: list[list[tuple[int, int, int]]],
) -> tuple[dict[str, dict[str, int]], dict[str, str]]:
    counts, patient_of = {}, {}
    for patient, records in enumerate(cohort):
        for number, beats in enumerate(records):
            counts[f"r{patient}-{number}"] = dict(zip(CLASSES, beats, strict=True))
            patient_of[f"r{patient}-{number}"] = f"p{patient}"
    return counts, patient_of


@settings(deadline=None)
@given(cohort=cohorts, folds=st.integers(2, 4))
def test_folds_never_divide_a_patient_and_validate_each_record_once(
    cohort: list[list[tuple[int, int, int]]], folds: int
) -> None:
    counts, patient_of = named(cohort)
    splits = grouped_folds(counts, patient_of, folds=folds, classes=CLASSES, test=())
    for split in splits.values():
        assert set(split.train) | set(split.validation) == set(counts)
        train = {patient_of[record] for record in split.train}
        assert not train & {patient_of[record] for record in split.validation}
    validated = [record for split in splits.values() for record in split.validation]
    assert sorted(validated) == sorted(counts)


@settings(deadline=None)
@given(cohort=cohorts, folds=st.integers(2, 4))
def test_folds_are_the_same_every_time(
    cohort: list[list[tuple[int, int, int]]], folds: int
) -> None:
    counts, patient_of = named(cohort)
    first = grouped_folds(counts, patient_of, folds=folds, classes=CLASSES, test=())
    assert first == grouped_folds(counts, patient_of, folds=folds, classes=CLASSES, test=())


@settings(deadline=None)
@given(
    st.dictionaries(
        st.text("abcdef", min_size=1, max_size=3),
        st.tuples(st.sampled_from("xyz"), st.sampled_from(["train", "validation", "test"])),
        min_size=3,
    )
)
def test_a_split_passes_exactly_when_no_patient_is_in_two_parts(
    placed: dict[str, tuple[str, str]],
) -> None:
    patient_of = {record: patient for record, (patient, _) in placed.items()}
    parts = {
        part: tuple(record for record, (_, where) in placed.items() if where == part)
        for part in ("train", "validation", "test")
    }
    split = Split(**parts)
    places = {patient: {part for p, part in placed.values() if p == patient} for patient in "xyz"}
    if all(parts.values()) and all(len(where) <= 1 for where in places.values()):
        check_split("any", split, patient_of)
    else:
        with pytest.raises(DataError):
            check_split("any", split, patient_of)


def test_one_who_is_most_of_a_class_gets_a_fold_with_little_else_of_it() -> None:
    counts = {
        "a": {"N": 9_000, "S": 400, "V": 900},
        "b": {"N": 9_000, "S": 100, "V": 900},
        "c": {"N": 9_000, "S": 100, "V": 900},
        "d": {"N": 9_000, "S": 100, "V": 900},
        "e": {"N": 9_000, "S": 2, "V": 900},
        "f": {"N": 9_000, "S": 2, "V": 900},
    }
    splits = grouped_folds(counts, {r: r for r in counts}, folds=2, classes=CLASSES, test=("t",))
    assert splits["fold-0"].validation == ("a", "e", "f")
    assert splits["fold-1"].validation == ("b", "c", "d")
    assert splits["fold-1"].test == ("t",)


def test_a_fold_without_a_scored_class_is_refused() -> None:
    counts = {"a": {"N": 5, "S": 3}, "b": {"N": 5, "S": 0}}
    with pytest.raises(DataError, match="has no S beat"):
        grouped_folds(counts, {"a": "a", "b": "b"}, folds=2, classes=("N", "S"), test=())


def test_only_the_declared_patient_may_cross_and_only_the_test_border() -> None:
    patient_of = {"201": "201", "202": "201", "101": "101", "100": "100"}
    declared = (("201", "202"),)
    customary = Split(train=("201",), validation=("101",), test=("202", "100"))
    check_split("de-chazal", customary, patient_of, declared)
    with pytest.raises(DataError, match="patient 201 in train and test"):
        check_split("de-chazal", customary, patient_of)
    inside = Split(train=("201",), validation=("202",), test=("100",))
    with pytest.raises(DataError, match="patient 201 in train and validation"):
        check_split("de-chazal", inside, patient_of, declared)


def test_a_record_in_two_parts_is_refused_even_where_its_patient_is_declared() -> None:
    split = Split(train=("201", "202"), validation=("101",), test=("202",))
    with pytest.raises(DataError, match="patient 201 in train and test"):
        check_split("s", split, {"201": "201", "202": "201", "101": "101"}, (("201", "202"),))
