from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from ecgmodels.data import Split
from ecgmodels.data.preparation.splits import check_split, grouped_folds, stratified_split
from ecgmodels.errors import DataError

CLASSES = ("N", "S", "V")
Cohort = tuple[dict[str, dict[str, int]], dict[str, str]]


def named(cohort: list[list[tuple[int, int, int]]]) -> Cohort:
    """Name records and patients: class counts, and whose each record is."""
    counts, patient_of = {}, {}
    for patient, records in enumerate(cohort):
        for number, beats in enumerate(records):
            counts[f"r{patient}-{number}"] = dict(zip(CLASSES, beats, strict=True))
            patient_of[f"r{patient}-{number}"] = f"p{patient}"
    return counts, patient_of


# For each patient, for each of its records, beats of each class.
cohorts = st.lists(
    st.lists(st.tuples(*[st.integers(1, 500)] * 3), min_size=1, max_size=3),
    min_size=4,
    max_size=20,
).map(named)
seeds = st.integers(0, 2**40)


def labelled(patients: int, rare: int = 0) -> Cohort:
    """A cohort of one recording a patient: N, every fourth S, and some of class R."""
    counts = {f"r{i:03d}": {"S" if i % 4 == 0 else "N": 1} for i in range(patients)}
    for record in list(counts)[1 : 1 + rare]:
        counts[record]["R"] = 1
    return counts, {record: record for record in counts}


def folds_of(cohort: Cohort, folds: int, seed: int = 0) -> dict[str, Split]:
    return grouped_folds(
        *cohort, folds=folds, seed=seed, classes=CLASSES, scored=CLASSES, test=("t",)
    )


def stratified(cohort: Cohort, seed: int = 0, scored: tuple[str, ...] = ("N", "S")) -> Split:
    classes = (*CLASSES, "R")
    return stratified_split(*cohort, seed=seed, classes=classes, scored=scored)


@settings(deadline=None)
@given(cohort=cohorts, folds=st.integers(2, 4), seed=seeds)
def test_folds_never_divide_a_patient_and_validate_each_record_once(
    cohort: Cohort, folds: int, seed: int
) -> None:
    counts, patient_of = cohort
    splits = folds_of(cohort, folds, seed)
    for split in splits.values():
        assert set(split.train) | set(split.validation) == set(counts)
        train = {patient_of[record] for record in split.train}
        assert not train & {patient_of[record] for record in split.validation}
    validated = [record for split in splits.values() for record in split.validation]
    assert sorted(validated) == sorted(counts)


@settings(deadline=None)
@given(cohort=cohorts, seed=seeds)
def test_a_stratified_split_is_complete_and_divides_no_patient(cohort: Cohort, seed: int) -> None:
    split = stratified(cohort, seed, scored=CLASSES)
    assert sorted(split.train + split.validation + split.test) == sorted(cohort[0])
    check_split("stratified", split, cohort[1])


@settings(deadline=None)
@given(cohort=cohorts, folds=st.integers(2, 4), seed=seeds)
def test_splits_are_the_same_every_time_in_whatever_order_records_come(
    cohort: Cohort, folds: int, seed: int
) -> None:
    counts, patient_of = cohort
    backwards = (dict(reversed(counts.items())), patient_of)
    for name, split in folds_of(cohort, folds, seed).items():
        again = folds_of(backwards, folds, seed)[name]
        assert sorted(again.validation) == sorted(split.validation)
    assert sorted(stratified(backwards, seed).test) == sorted(stratified(cohort, seed).test)


@settings(deadline=None, max_examples=25)
@given(first=seeds, second=seeds, patients=st.integers(60, 100))
def test_another_seed_gives_another_split(first: int, second: int, patients: int) -> None:
    assume(first != second)
    cohort = labelled(patients)
    assert stratified(cohort, first) != stratified(cohort, second)
    folds = [
        grouped_folds(*cohort, folds=4, seed=seed, classes="NS", scored="NS", test=())
        for seed in (first, second)
    ]
    assert folds[0] != folds[1]


@settings(deadline=None, max_examples=25)
@given(seed=seeds, patients=st.integers(40, 200), rare=st.integers(3, 12))
def test_parts_have_the_shares_asked_for_of_each_class(seed: int, patients: int, rare: int) -> None:
    counts, _ = cohort = labelled(patients, rare)
    split = stratified(cohort, seed)
    for name in ("N", "S", "R"):
        total = sum(name in of_class for of_class in counts.values())
        for part, share in ((split.validation, 0.15), (split.test, 0.15), (split.train, 0.7)):
            assert abs(sum(name in counts[record] for record in part) - share * total) <= 2
    assert abs(len(split.test) - 0.15 * patients) <= 2


@settings(deadline=None, max_examples=25)
@given(seed=seeds, patients=st.integers(40, 200), folds=st.integers(2, 10))
def test_folds_have_equal_shares_of_each_class(seed: int, patients: int, folds: int) -> None:
    counts, _ = cohort = labelled(patients)
    splits = grouped_folds(*cohort, folds=folds, seed=seed, classes="NS", scored="NS", test=())
    for name in ("N", "S"):
        held = [
            sum(name in counts[record] for record in split.validation) for split in splits.values()
        ]
        assert max(held) - min(held) <= 1


@settings(deadline=None, max_examples=25)
@given(seed=seeds, patients=st.integers(12, 60))
def test_a_class_of_three_patients_is_in_every_part_and_one_of_two_in_train(
    seed: int, patients: int
) -> None:
    counts, _ = cohort = labelled(patients, rare=3)
    split = stratified(cohort, seed, scored=("N", "S", "R"))
    assert [sum("R" in counts[r] for r in part) for part in split.parts.values()] == [1, 1, 1]
    counts, _ = cohort = labelled(patients, rare=2)
    assert {record for record in counts if "R" in counts[record]} <= set(
        stratified(cohort, seed).train
    )


def test_a_scored_class_of_two_patients_is_refused_with_the_classes_that_can_stay() -> None:
    with pytest.raises(DataError, match="'stratified' has no R in its validation/test part") as (
        refused
    ):
        stratified(labelled(40, rare=2), scored=("N", "S", "R"))
    assert "classes in every part: N,S" in refused.value.hint


def test_two_patients_cannot_be_divided_in_three() -> None:
    cohort = ({"a": {"N": 1}, "b": {"N": 1}, "c": {"N": 1}}, {"a": "p", "b": "p", "c": "q"})
    with pytest.raises(DataError, match="there are 2 patients"):
        stratified(cohort)


def test_records_without_a_class_are_shared_out_too() -> None:
    cohort = ({f"r{i}": {} for i in range(100)}, {f"r{i}": f"r{i}" for i in range(100)})
    split = stratified(cohort, scored=())
    assert [len(part) for part in split.parts.values()] == [70, 15, 15]


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


@pytest.mark.parametrize("seed", range(5))
def test_one_who_is_most_of_a_class_gets_a_fold_with_little_else_of_it(seed: int) -> None:
    counts = {
        "a": {"N": 9_000, "S": 400, "V": 900},
        "b": {"N": 9_000, "S": 100, "V": 900},
        "c": {"N": 9_000, "S": 100, "V": 900},
        "d": {"N": 9_000, "S": 100, "V": 900},
        "e": {"N": 9_000, "S": 2, "V": 900},
        "f": {"N": 9_000, "S": 2, "V": 900},
    }
    splits = folds_of((counts, {record: record for record in counts}), 2, seed)
    validated = {split.validation for split in splits.values()}
    assert validated == {("a", "e", "f"), ("b", "c", "d")}
    assert {split.test for split in splits.values()} == {("t",)}


def test_a_fold_without_a_scored_class_is_refused() -> None:
    counts = {"a": {"N": 5, "S": 3}, "b": {"N": 5, "S": 0}}
    with pytest.raises(DataError, match=r"has no S in its (train|validation) part") as refused:
        grouped_folds(
            counts,
            {"a": "a", "b": "b"},
            folds=2,
            seed=0,
            classes=("N", "S"),
            scored=("N", "S"),
            test=(),
        )
    assert "ask for fewer folds than 2" in refused.value.hint


def test_a_class_that_is_not_scored_may_be_missing_from_a_fold() -> None:
    counts, patient_of = labelled(20, rare=1)
    splits = grouped_folds(counts, patient_of, folds=4, seed=0, classes="NSR", scored="NS", test=())
    assert len(splits) == 4


def test_twenty_thousand_patients_and_seventy_one_classes_are_dealt_in_seconds() -> None:
    classes = [f"c{number}" for number in range(71)]
    has = np.random.default_rng(0).random((20_000, 71)) < 1 / np.arange(1, 72) ** 1.3
    counts = {
        f"r{row}": {classes[column]: 1 for column in np.flatnonzero(labels)}
        for row, labels in enumerate(has)
    }
    begun_s = time.process_time()
    splits = grouped_folds(
        counts,
        {record: record for record in counts},
        folds=10,
        seed=0,
        classes=classes,
        scored=classes,
        test=(),
    )
    assert time.process_time() - begun_s < 3
    held = [len([r for r in split.validation if "c70" in counts[r]]) for split in splits.values()]
    assert max(held) - min(held) <= 1


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
