"""Which classes can be scored: those that every part has, and enough patients for the folds."""

from __future__ import annotations

from typing import Any

from ecgmodels.data.preparation.planning import unscorable
from ecgmodels.data.preparation.splits import Split

SPLIT = Split(train=("a", "b", "c"), validation=("d", "e"), test=("f", "g"))
PATIENT_OF = {"a": "1", "b": "1", "c": "2", "d": "3", "e": "4", "f": "5", "g": "6"}
COUNTS = {
    "a": {"AF": 1, "PVC": 1},
    "b": {"AF": 1, "LBBB": 1},
    "c": {"AF": 1},
    "d": {"AF": 1, "PVC": 1, "LBBB": 1},
    "e": {},
    "f": {"AF": 1, "PVC": 1},
    "g": {"AF": 0, "RBBB": 0},
}


def unscored(*arguments: Any, folds: int, multi_label: bool = False) -> dict[str, str]:
    return unscorable(*arguments, folds=folds, multi_label=multi_label)


def test_a_class_in_every_part_is_scored() -> None:
    assert unscored(SPLIT, COUNTS, PATIENT_OF, ["AF", "PVC"], folds=0) == {}


def test_a_class_that_a_part_lacks_is_named_with_the_part() -> None:
    reasons = unscored(SPLIT, COUNTS, PATIENT_OF, ["AF", "LBBB", "RBBB"], folds=0)
    assert reasons == {"LBBB": "none in the test part", "RBBB": "no recording has it"}


def test_folds_need_a_patient_each_and_recordings_of_one_patient_count_once() -> None:
    assert unscored(SPLIT, COUNTS, PATIENT_OF, ["AF"], folds=3) == {}
    assert unscored(SPLIT, COUNTS, PATIENT_OF, ["AF"], folds=4) == {"AF": "3 patients for 4 folds"}


def test_of_several_labels_one_that_all_have_tells_nothing() -> None:
    counts = {record: {**of_class, "sinus": 1} for record, of_class in COUNTS.items()}
    reasons = unscored(SPLIT, counts, PATIENT_OF, ["AF", "sinus"], folds=0, multi_label=True)
    assert reasons == {
        "AF": "all of the train part have it",
        "sinus": "all of the train/validation/test part have it",
    }
