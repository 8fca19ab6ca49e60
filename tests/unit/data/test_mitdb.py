"""MIT-BIH, opened and prepared, against counts taken from wfdb's annotations here, from scratch."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import wfdb

from ecgmodels.data import (
    PrepareOptions,
    Recordings,
    check_dataset,
    describe_dataset,
    open_dataset,
    prepare,
)
from ecgmodels.data.databases import open_recordings
from ecgmodels.data.segmentation.features import FeatureContext, compute_features
from ecgmodels.errors import DataError

# de Chazal et al. 2004, tables I and II, written down here independently of the package.
CLASS_OF = {
    **dict.fromkeys(["N", "L", "R", "e", "j"], "N"),
    **dict.fromkeys(["A", "a", "J", "S"], "S"),
    **dict.fromkeys(["V", "E"], "V"),
    "F": "F",
    **dict.fromkeys(["/", "f", "Q"], "Q"),
}
PACED = {"102", "104", "107", "217"}
# fmt: off
DS2 = {
    "100", "103", "105", "111", "113", "117", "121", "123", "200", "202", "210",
    "212", "213", "214", "219", "221", "222", "228", "231", "232", "233", "234",
}
# fmt: on
S_RICH = {"118", "124", "201", "207", "209", "220", "223"}  # at least 30 of DS1's 944 S beats


@pytest.fixture(scope="module")
def opened(mitdb_source: Path) -> Recordings:
    return open_recordings("mitdb", mitdb_source)


@pytest.fixture(scope="module")
def annotated(mitdb_source: Path) -> dict[str, Counter[str]]:
    records = (mitdb_source / "RECORDS").read_text().split()
    return {
        record: Counter(
            CLASS_OF[symbol]
            for symbol in wfdb.rdann(str(mitdb_source / record), "atr").symbol
            if symbol in CLASS_OF
        )
        for record in records
    }


def test_the_paced_records_are_excluded_and_no_other(
    opened: Recordings, annotated: dict[str, Counter[str]]
) -> None:
    assert len(annotated) == 48
    assert set(opened.record_ids) == set(annotated) - PACED
    assert set(opened.excluded) == PACED
    assert all("paced" in reason for reason in opened.excluded.values())


@pytest.mark.parametrize(
    ("task", "moved", "expected"),
    [
        ("de-chazal", "", {"N": 90_125, "S": 2_781, "V": 7_009, "F": 803, "Q": 15}),
        ("de-chazal-5", "", {"N": 90_125, "S": 2_781, "V": 7_009, "F": 803, "Q": 15}),
        # Escape beats: 16 atrial (e), 229 nodal (j), none supraventricular (n) in the database.
        ("wfdb", "ejn", {"N": 89_880, "S": 3_026, "V": 7_009, "F": 803, "Q": 15}),
        ("wfdb-5", "ejn", {"N": 89_880, "S": 3_026, "V": 7_009, "F": 803, "Q": 15}),
    ],
)
def test_each_mapping_counts_its_own_classes(
    mitdb_source: Path, task: str, moved: str, expected: dict[str, int]
) -> None:
    recordings = open_recordings("mitdb", mitdb_source, task)
    counts: Counter[str] = Counter()
    codes: Counter[str] = Counter()
    for record in recordings.record_ids:
        counts.update(recordings.class_counts(record))
        codes.update(wfdb.rdann(str(mitdb_source / record), "atr").symbol)
    assert dict(counts) == expected
    assert expected["S"] == sum(codes[code] for code in "AaJS" + moved)
    assert recordings.task.default_classes == tuple("NSVFQ" if task.endswith("5") else "NSVF")


def test_all_48_records_have_the_published_counts(annotated: dict[str, Counter[str]]) -> None:
    total = sum(annotated.values(), Counter[str]())
    assert total == {"N": 90_631, "S": 2_781, "V": 7_236, "F": 803, "Q": 8_043}


def test_counts_before_reading_are_those_of_the_annotations(
    opened: Recordings, annotated: dict[str, Counter[str]]
) -> None:
    for record in opened.record_ids:
        assert opened.class_counts(record) == annotated[record], record


def test_each_record_has_as_many_segments_of_each_class_as_annotated_beats(
    mitdb_dataset: Path, annotated: dict[str, Counter[str]]
) -> None:
    dataset = open_dataset(mitdb_dataset)
    assert dataset.classes == ("N", "S", "V", "F")
    assert set(dataset.records.ids.tolist()) == set(annotated) - PACED
    assert set(dataset.manifest.excluded) == PACED
    for record in dataset.records:
        beats = annotated[record.id]
        assert record.class_counts == tuple(beats[name] for name in "NSVF"), record.id
        assert sum(record.rejected.values()) == beats["Q"], record.id


def test_the_shards_hold_what_the_manifest_counts(
    mitdb_dataset: Path, annotated: dict[str, Counter[str]]
) -> None:
    dataset = open_dataset(mitdb_dataset)
    development = np.concatenate([part.label for part in dataset.development()])
    test = dataset.test()
    assert set(test.record_id.tolist()) == DS2
    assert np.bincount(test.label).tolist() == [44_259, 1_837, 3_221, 388]
    assert np.bincount(development).tolist() == [45_866, 944, 3_788, 415]
    assert sum(annotated[record]["S"] for record in DS2) == 1_837


def test_the_fixed_split_has_rare_beats_on_both_sides(mitdb_dataset: Path) -> None:
    dataset = open_dataset(mitdb_dataset)
    assert dataset.manifest.class_counts["train"] == {"N": 34_273, "S": 656, "V": 2_602, "F": 397}
    assert dataset.manifest.class_counts["validation"] == {
        "N": 11_593,
        "S": 288,
        "V": 1_186,
        "F": 18,
    }


def test_every_fold_has_s_rich_records_on_both_sides(mitdb_dataset: Path) -> None:
    dataset = open_dataset(mitdb_dataset)
    folds = [name for name in dataset.splits if name != "fixed"]
    assert folds == ["fold-0", "fold-1", "fold-2", "fold-3"]
    validated = []
    for fold in folds:
        train, validation = dataset.development(fold)
        assert S_RICH & set(train.record_id.tolist())
        assert S_RICH & set(validation.record_id.tolist())
        assert np.bincount(validation.label)[1] >= 170
        assert np.bincount(validation.label)[2] >= 600
        validated += sorted(set(validation.record_id.tolist()))
    assert len(validated) == len(set(validated)) == 22


def test_201_and_202_are_one_patient_and_the_manifest_says_so(mitdb_dataset: Path) -> None:
    dataset = open_dataset(mitdb_dataset)
    assert dataset.manifest.shared_patients == (("201", "202"),)
    train = dataset.development()[0]
    test = dataset.test()
    shared = set(train.patient_id.tolist()) & set(test.patient_id.tolist())
    assert shared == {"201"}
    assert "201 and 202 are of one patient" in describe_dataset(mitdb_dataset)


def test_the_strict_split_shares_no_patient(opened: Recordings) -> None:
    split = opened.official_split("de-chazal-strict")
    assert "202" in split.train
    assert len(split.test) == 21
    patients = {
        part: {opened.patient_of(record) for record in records}
        for part, records in split.parts.items()
    }
    assert not patients["test"] & (patients["train"] | patients["validation"])
    assert opened.shared_patients("de-chazal-strict") == ()
    assert opened.shared_patients("de-chazal") == (("201", "202"),)


def test_114_which_stores_v5_first_is_read_mlii_first(
    opened: Recordings, mitdb_source: Path
) -> None:
    stored = wfdb.rdrecord(str(mitdb_source / "114"))
    record = opened.read("114")
    assert stored.sig_name == ["V5", "MLII"]
    assert record.leads == ("MLII", "V5")
    np.testing.assert_array_equal(record.signal_mv, stored.p_signal.T[::-1])


def test_the_dataset_keeps_the_second_leads_name_and_the_patients(mitdb_dataset: Path) -> None:
    dataset = open_dataset(mitdb_dataset)
    records = {record.id: record for record in dataset.records}
    assert records["100"].leads == ("MLII", "V5")
    assert records["103"].leads == ("MLII", "V2")
    assert records["124"].leads == ("MLII", "V4")
    assert (records["100"].age, records["100"].sex) == (69.0, "male")
    assert (records["103"].age, records["103"].sex) == (None, "male")  # the header says -1
    missing = dict(zip(dataset.features, records["103"].missing, strict=True))
    assert missing["age"] == records["103"].segments > 0
    assert missing["sex"] == 0


def test_rr_intervals_span_beats_whose_class_is_left_out(
    mitdb_dataset: Path, mitdb_source: Path
) -> None:
    """Record 203 has four Q beats: they are no segments, but their neighbours' RR ends at them."""
    annotation = wfdb.rdann(str(mitdb_source / "203"), "atr")
    beats = [
        (sample, symbol)
        for sample, symbol in zip(annotation.sample, annotation.symbol, strict=True)
        if symbol in CLASS_OF
    ]
    expected = [
        (beats[i][0] - beats[i - 1][0]) / 360 for i in range(1, len(beats)) if beats[i][1] != "Q"
    ]
    dataset = open_dataset(mitdb_dataset)
    train = dataset.development()[0]
    rows = train.record_id == "203"
    rr_previous_s = train.features[rows, dataset.features.index("rr_previous_s")]
    assert np.isnan(rr_previous_s[0])
    np.testing.assert_allclose(rr_previous_s[1:], expected, rtol=1e-6)


def test_rr_ratio_marks_the_premature_beats_of_record_209(opened: Recordings) -> None:
    record = opened.read("209")
    assert record.beats is not None
    around = FeatureContext(
        record=record, beats=record.beats, start=record.beats.sample, stop=record.beats.sample + 1
    )
    ratio = compute_features(around, ["rr_ratio"])[:, 0]
    assert np.isnan(ratio[:2]).all()
    # Many of its 383 come in runs, whose short intervals are in the mean: not all are far below 1.
    assert np.nanmedian(ratio[record.beats.symbol == "A"]) < 0.9
    assert np.nanmedian(ratio[record.beats.symbol == "N"]) == pytest.approx(1.0, abs=0.05)


def test_segments_are_centred_on_the_beat_in_microvolts(
    mitdb_dataset: Path, mitdb_source: Path
) -> None:
    """Record 100's R waves are about 1 mV above the baseline, at the window's beat index."""
    dataset = open_dataset(mitdb_dataset)
    test = dataset.test()
    rows = (test.record_id == "100") & (test.label == 0)
    median = np.median(test.signal_uv[rows, 0], axis=0)
    assert dataset.manifest.samples_before == 48
    assert abs(int(median.argmax()) - 48) <= 1
    assert 700 < median.max() < 1_500
    annotated = wfdb.rdann(str(mitdb_source / "100"), "atr").sample
    first_beat = annotated[1]  # 0 is a rhythm mark
    assert test.start_sample[rows][0] == round(first_beat * 128 / 360) - 48


def test_normalisation_comes_from_the_training_records_alone(mitdb_dataset: Path) -> None:
    dataset = open_dataset(mitdb_dataset)
    for split in ("fixed", "fold-2"):
        train = dataset.development(split)[0]
        normalisation = dataset.normalisation(split)
        signal = np.asarray(train.signal_uv, dtype=np.float64)
        np.testing.assert_allclose(normalisation.signal_mean_uv, signal.mean(axis=(0, 2)))
        np.testing.assert_allclose(normalisation.signal_std_uv, signal.std(axis=(0, 2)))
        features = train.features.astype(np.float64)
        np.testing.assert_allclose(normalisation.feature_mean, np.nanmean(features, axis=0))
        np.testing.assert_allclose(normalisation.feature_std, np.nanstd(features, axis=0))


def test_the_train_part_of_the_fixed_split_is_read_without_a_copy(mitdb_dataset: Path) -> None:
    train, validation = open_dataset(mitdb_dataset).development()
    for part in train, validation:
        assert not part.signal_uv[:10].flags.owndata
        assert not part.signal_uv[:10].flags.writeable


def test_the_whole_dataset_is_sound(mitdb_dataset: Path) -> None:
    check = check_dataset(mitdb_dataset)
    assert (check.records, check.patients, check.segments) == (44, 43, 100_718)
    assert not list(mitdb_dataset.parent.glob(".*"))


def test_a_missing_record_is_named(mitdb_source: Path, tmp_path: Path) -> None:
    source = tmp_path / "mitdb"
    source.mkdir()
    for file in mitdb_source.iterdir():
        if file.name != "209.dat":
            (source / file.name).symlink_to(file)
    with pytest.raises(DataError, match=r"record 209 is incomplete: .*209\.dat is missing"):
        prepare("mitdb", source, tmp_path / "out", PrepareOptions())
    assert not (tmp_path / "out").exists()


def test_the_manifest_is_readable_json_with_the_options_written_out(mitdb_dataset: Path) -> None:
    values = json.loads((mitdb_dataset / "dataset.json").read_text())
    assert values["options"]["leads"] == ["MLII", "second"]
    assert values["options"]["task"] == "de-chazal"
    assert values["options"]["split"] == "de-chazal"
    assert values["scored_classes"] == ["N", "S", "V"]
    assert values["non_causal_features"] == ["rr_next_s"]
    assert values["database_version"] == "1.0.0"
