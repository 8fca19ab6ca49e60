from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ecgmodels.data import describe_dataset
from ecgmodels.data.storage.text import aligned, counted, listed, spread
from tests.unit.data.made_datasets import (
    FEATURES,
    MadeRecord,
    make_record,
    make_records,
    write_dataset,
)

BEATS = {
    "segments": "beats",
    "beats": "annotations",
    "window_ms": (375.0, 625.0),
    "edges": "pad",
    "skip_first_s": 300.0,
    "crop_s": None,
    "stride_s": None,
    "short": None,
    "score": "segment",
}


def describe(folder: Path, records: list[MadeRecord], **options: Any) -> list[str]:
    """Return the lines that describe a dataset of these records."""
    write_dataset(folder, records, **options)
    return describe_dataset(folder).splitlines()


def test_beats_are_described_by_their_window_and_source(tmp_path: Path) -> None:
    lines = describe(tmp_path, make_records(), options=BEATS, samples_before=24)
    for expected in (
        f"Made-up numbers 1 (made-up), {tmp_path}",
        "task: rhythm, split: official",
        "records: 6 of 6 patients, 0.0 hours",
        "leads: I, II",
        "  recorded as I II in 3; I V5 in 3 records",
        "segments: 375 ms before to 625 ms after each beat, windows over an end repeat the end "
        "sample, none from the first 300 s of a record",
        "length: 64 samples (0.64 s) at 100 Hz, int16 microvolts",
        "recorded at 500 Hz",
        "filter: 0.5 to 40 Hz, zero phase",
        "beats: annotated",
        "labels: one class a segment, scored: all; each segment is answered for itself",
        "splits: fixed, fold-0",
        "  fold-0: train 2 records of 2 patients, validation 2 records of 2 patients",
    ):
        assert expected in lines


def test_segments_and_records_with_a_class_are_counted_apart_where_they_differ(
    tmp_path: Path,
) -> None:
    records = [
        make_record(n, segments=6, part="test" if n > 3 else "development") for n in range(6)
    ]
    lines = describe(tmp_path / "beats", records)
    assert "segments    records  patients  N  S  V  segments" in lines
    assert "train             2         2  4  4  4        12" in lines
    assert "records with the class  N  S  V" in lines
    assert "validation              2  2  2" in lines
    one_each = [
        make_record(n, segments=1, part="test" if n > 3 else "development") for n in range(6)
    ]
    lines = describe(tmp_path / "records", one_each)
    assert "train             2         2  1  1  0         2" in lines
    assert not any(line.startswith("records with the class") for line in lines)


def test_many_classes_are_rows(tmp_path: Path) -> None:
    classes = tuple(f"diagnosis number {number}" for number in range(30))
    records = make_records(4, 2, classes=classes, multi_label=True, segments=1)
    lines = describe(tmp_path, records, classes=classes, multi_label=True)
    header = next(line for line in lines if line.startswith("segments  "))
    assert header.split() == ["segments", "train", "validation", "test"]
    assert sum(line.startswith("diagnosis number ") for line in lines) == 30
    assert max(map(len, lines)) < 200


def test_the_share_without_any_class_is_told_of_several_labels(tmp_path: Path) -> None:
    records = []
    for record in make_records(multi_label=True):
        has = int(record.entry.id not in ("r1", "r4"))
        cut = replace(record.segments, label=np.full_like(record.segments.label, has))
        entry = replace(record.entry, class_counts=(3 * has,) * 3)
        records.append(replace(record, segments=cut, entry=entry))
    lines = describe(tmp_path, records, multi_label=True)
    assert "  without any class: 6 segments (33.3%)" in lines
    assert any(line.startswith("labels: any number of classes a segment") for line in lines)


def test_classes_too_rare_to_be_scored_are_told_with_the_reason(tmp_path: Path) -> None:
    unscored = {"S": "too rare", "V": "too rare"}
    lines = describe(tmp_path, make_records(), scored_classes=("N",), unscored=unscored)
    assert "  not scored, too rare: S, V" in lines
    assert any(line.startswith("labels: one class a segment, scored: N; ") for line in lines)


def test_ages_sexes_and_features_are_told_with_what_is_missing(tmp_path: Path) -> None:
    lines = describe(tmp_path, make_records(5, 1, features=()), features=())
    assert "age in years: known of 4 records, 51 to 55, median 52.5" in lines
    assert "sex: 2 female, 2 male, 2 unknown" in lines
    assert "features: none" in lines
    records = make_records()
    missing = [sum(record.entry.missing[i] for record in records) for i in range(len(FEATURES))]
    lines = describe(tmp_path / "with", records)
    features = [line.partition(", mean ") for line in lines if ", mean " in line]
    assert [line for line, _, _ in features] == [
        f"  age: missing in {missing[0]} segments",
        f"  rr_next_s: missing in {missing[1]} segments, not causal",
    ]
    assert all(spread.endswith(" in train") and " and SD " in spread for _, _, spread in features)


def test_without_patient_ids_recordings_count_as_patients_and_it_says_so(tmp_path: Path) -> None:
    lines = describe(tmp_path, make_records(), patients_known=False)
    assert ("records: 6 (no patient ids: each recording counts as a patient), 0.0 hours") in lines
    assert "segments    records  N  S  V  segments" in lines


def test_whole_recordings_are_described_by_their_lengths(tmp_path: Path) -> None:
    records = [
        make_record(n, samples=s, part="test" if n > 3 else "development")
        for n, s in enumerate([64, 96, 64, 64, 96])
    ]
    lines = describe(tmp_path, records, options={"crop_s": None, "stride_s": None, "short": None})
    assert "segments: whole recordings, filled with 0 up to the next of some lengths" in lines
    assert "lengths: 2, from 64 to 96 samples (0.64 to 0.96 s) at 100 Hz, int16 microvolts" in lines
    assert "  segments: 9 of 64, 6 of 96 samples" in lines


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"split": "stratified", "seed": 7}, "task: rhythm, split: stratified (seed 7)"),
        ({"settings": {"min_likelihood": 50.0, "keep": ("a", "b")}}, "settings: keep a b, min_"),
        ({"filter_hz": None}, "filter: none"),
        ({"beats": "xqrs"}, "beats: found by the detector xqrs"),
        (
            {"score": "max"},
            "labels: one class a segment, scored: all; a record's answer is the max",
        ),
        ({"short": "drop", "stride_s": 5.0}, "segments: crops of 10 s, one every 5 s, shorter rec"),
    ],
)
def test_options_are_told(options: dict[str, Any], expected: str, tmp_path: Path) -> None:
    lines = describe(tmp_path, make_records(), options=options)
    assert any(line.startswith(expected) for line in lines)


def test_what_is_not_in_the_dataset_is_told_with_reasons(tmp_path: Path) -> None:
    lines = describe(
        tmp_path,
        make_records(),
        failed={f"bad{number}": "the signal is cut short" for number in range(12)},
        excluded={"102": "paced", "104": "paced", "999": "unlabelled"},
    )
    text = "\n".join(lines)
    assert "records that failed: 12\n  bad0: the signal is cut short\n" in text
    assert "  bad9: the signal is cut short\n  and 2 more\n" in text
    assert "records left out: 3\n  2  paced\n  1  unlabelled\n" in text
    assert "segments not cut: 6 (invalid samples)" in lines
    assert "records with a flat lead: II 1" in lines
    assert (
        "padded segments: 3, clipped samples: 15, invalid samples interpolated: 30 "
        "(at most 0.1 s in a row)"
    ) in lines


def test_copies_of_a_recording_are_told_and_where_a_split_has_them_apart(tmp_path: Path) -> None:
    records = make_records(20, 10)
    for copy, of in [(1, 3), (0, 25), (5, 7), (9, 11), (13, 15), (17, 19)]:
        sha256 = records[of].entry.signal_sha256
        records[copy] = replace(
            records[copy], entry=replace(records[copy].entry, signal_sha256=sha256)
        )
    text = "\n".join(describe(tmp_path, records))
    assert "recordings that are copies of each other: 6\n  r0 = r25\n  r1 = r3\n" in text
    assert "  r13 = r15\n  and 1 more\n" in text
    assert "of them on different sides of split 'fixed': 1\n    r0 in validation, r25 in te" in text


def test_nothing_wrong_is_told_in_as_many_words(tmp_path: Path) -> None:
    records = [
        replace(record, entry=replace(record.entry, rejected={}, flat_leads=()))
        for record in make_records()
    ]
    lines = describe(tmp_path, records)
    for what in (
        "segments not cut",
        "records that failed",
        "records left out",
        "records with a flat lead",
        "recordings that are copies of each other",
    ):
        assert f"{what}: none" in lines


def test_tables_are_aligned() -> None:
    assert aligned(["part", "N"], [["train", "1,000"], ["test", "2"]]) == (
        "part       N\ntrain  1,000\ntest       2"
    )


def test_long_lists_end_with_how_many_more() -> None:
    assert listed("bad", ["a", "b", "c"], most=2) == "bad: 3\n  a\n  b\n  and 1 more"
    assert listed("bad", []) == "bad: none"


def test_counts_are_listed_the_largest_first() -> None:
    assert counted("out", {"b": 2, "a": 1000}) == "out: 1,002\n  1,000  a\n      2  b"
    assert spread({"x": 1, "y": 3}, "records") == "y in 3; x in 1 records"
    assert spread({str(n): 100 - n for n in range(13)}, "records").endswith(
        "9 in 91; 3 others in 267 records"
    )
