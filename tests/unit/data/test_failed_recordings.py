"""One recording that cannot be prepared is named, and costs nothing else."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ecgmodels.data import (
    Manifest,
    PrepareOptions,
    Record,
    check_dataset,
    open_dataset,
    prepare,
)
from ecgmodels.data.segmentation.segment import segment_record
from ecgmodels.errors import DataError
from tests.made_recordings import AAMI, made_record, resolved
from tests.unit.data.preparing import OPTIONS, content, cut_short, names
from tests.wfdb_folder import write_record


def test_a_damaged_recording_is_named_and_the_others_are_prepared(
    recordings: Path, tmp_path: Path
) -> None:
    cut_short(recordings, "s004a")
    told: dict[str, DataError] = {}
    manifest = prepare(
        "synthetic",
        recordings,
        tmp_path / "out",
        OPTIONS,
        processes=2,
        on_failure=told.__setitem__,
    )
    assert list(told) == ["s004a"]
    assert "copy the recording again" in told["s004a"].hint
    assert list(manifest.failed) == ["s004a"]
    assert "s004a.dat is cut short" in manifest.failed["s004a"]
    dataset = open_dataset(tmp_path / "out")
    assert len(dataset.records) == 11
    assert "s004a" not in dataset.records.ids
    assert sum(manifest.splits["fold-0"].records.values()) == 11
    check_dataset(tmp_path / "out")


def test_failures_are_written_down_alike_wherever_the_recordings_lie(
    recordings: Path, tmp_path: Path
) -> None:
    cut_short(recordings, "s004a")
    elsewhere = Path(shutil.copytree(recordings, tmp_path / "elsewhere" / "of another name"))
    prepare("synthetic", recordings, tmp_path / "a", OPTIONS, processes=1)
    prepare("synthetic", elsewhere, tmp_path / "b", OPTIONS, processes=2)
    assert content(tmp_path / "a") == content(tmp_path / "b")


@pytest.mark.parametrize("processes", [1, 2])
def test_when_strict_a_damaged_recording_ends_the_preparation_and_leaves_nothing(
    recordings: Path, tmp_path: Path, processes: int
) -> None:
    cut_short(recordings, "s004a")
    with pytest.raises(DataError, match=r"s004a\.dat is cut short") as caught:
        prepare(
            "synthetic", recordings, tmp_path / "out", OPTIONS, processes=processes, strict=True
        )
    assert "copy the recording again" in caught.value.hint
    assert names(tmp_path) == ["recordings"]


def test_when_every_recording_is_damaged_the_first_is_named(
    recordings: Path, tmp_path: Path
) -> None:
    cut_short(recordings, *(path.stem for path in recordings.glob("*.dat")))
    with pytest.raises(DataError, match=r"none of the 12 records can be prepared; s000a: .*short"):
        prepare("synthetic", recordings, tmp_path / "out", OPTIONS, processes=1)
    assert names(tmp_path) == ["recordings"]


def test_a_part_of_which_every_recording_is_damaged_is_named(
    prepared_once: tuple[Path, Manifest], recordings: Path, tmp_path: Path
) -> None:
    _, validation = open_dataset(prepared_once[0]).development()
    cut_short(recordings, *set(validation.record_id.tolist()))
    with pytest.raises(DataError, match="'patients' has no record in its validation part"):
        prepare("synthetic", recordings, tmp_path / "out", OPTIONS, processes=1)


def test_a_class_that_vanishes_from_a_part_with_a_damaged_recording_is_not_scored(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "recordings"
    lines = ["record,patient,label,split"]
    for number, part in enumerate(["train", "validation", "test"] * 2):
        write_record(folder, f"r{number}", seed=number)
        lines.append(f"r{number},P{number},{'AB'[number // 3]},{part}")
    (folder / "records.csv").write_text("\n".join(lines) + "\n")
    cut_short(folder, "r4")
    manifest = prepare("wfdb-folder", folder, tmp_path / "B", PrepareOptions(folds=0), processes=1)
    assert manifest.scored_classes == ("A",)
    assert manifest.unscored == {"B": "none in the validation part"}
    cut_short(folder, "r0")
    with pytest.raises(DataError, match="'table' has no A in its train") as caught:
        prepare("wfdb-folder", folder, tmp_path / "none", PrepareOptions(folds=0), processes=1)
    assert caught.value.hint.startswith("mend the 2 records that failed (r0: r0.dat is cut short")


def test_a_recording_whose_annotations_are_gone_is_named_before_any_is_read(
    recordings: Path, tmp_path: Path
) -> None:
    (recordings / "s004a.atr").unlink()
    options = PrepareOptions(split="stratified", folds=2)
    manifest = prepare("synthetic", recordings, tmp_path / "out", options, processes=1)
    assert list(manifest.failed) == ["s004a"]
    with pytest.raises(DataError, match=r"s004a\.atr is missing"):
        prepare("synthetic", recordings, tmp_path / "no", options, processes=1, strict=True)


@pytest.mark.parametrize("error", [MemoryError(), OSError(5, "Input/output error")])
def test_what_the_machine_lacks_is_a_failure_of_the_record(
    made: Callable[..., None], tmp_path: Path, error: Exception
) -> None:
    def spoil(record: Record) -> Record:
        if record.id == "r7":
            raise error
        return record

    made(spoil)
    manifest = prepare("made", tmp_path, tmp_path / "out", OPTIONS, processes=1)
    assert list(manifest.failed) == ["r7"]
    assert "record r7 cannot be prepared" in manifest.failed["r7"]


def test_a_bug_is_raised_as_it_is_and_says_on_which_record(
    made: Callable[..., None], tmp_path: Path
) -> None:
    def spoil(record: Record) -> Record:
        if record.id == "r7":
            raise ZeroDivisionError("a bug")
        return record

    made(spoil)
    with pytest.raises(ZeroDivisionError, match="a bug") as caught:
        prepare("made", tmp_path, tmp_path / "out", OPTIONS, processes=1)
    assert caught.value.__notes__ == ["while preparing record r7 of made"]
    assert names(tmp_path) == []


def test_recordings_with_one_signal_are_reported_as_copies(
    made: Callable[..., None], tmp_path: Path
) -> None:
    copied = {"r5": made_record().signal_mv + 4.0}  # as r4

    made(lambda record: replace(record, signal_mv=copied.get(record.id, record.signal_mv)))
    manifest = prepare("made", tmp_path, tmp_path / "out", OPTIONS, processes=1)
    assert [set(group) for group in manifest.duplicates] == [{"r4", "r5"}]


def test_a_recording_whose_segments_would_fill_the_memory_is_a_failure_of_its_own(
    made: Callable[..., None], tmp_path: Path
) -> None:
    ten_minutes = np.tile(made_record().signal_mv, 60)
    made(lambda r: replace(r, signal_mv=ten_minutes) if r.id == "r7" else r)
    options = PrepareOptions(crop_s=9.99, stride_s=0.01, rate_hz=1000, folds=2)
    manifest = prepare("made", tmp_path, tmp_path / "out", options, processes=1)
    assert manifest.failed == {
        "r7": "record r7: its segments would take 1.1 GiB (segments x leads x samples: "
        "59,002 x 1 x 9,990), at most 1 GiB are allowed"
    }
    assert manifest.record_count == 23


def test_a_recording_that_a_higher_rate_would_make_too_large_is_refused() -> None:
    record = made_record(signal_mv=np.tile(made_record().signal_mv, 5400))
    options = resolved(AAMI, rate_hz=10_000)
    with pytest.raises(DataError, match=r"its signal would take 1\.0 GiB .* 1 x 1 x 540,000,000"):
        segment_record(record, options, AAMI)


def test_flat_leads_are_counted(made: Callable[..., None], tmp_path: Path) -> None:
    flat = np.ones((1, 1000))

    made(lambda r: replace(r, signal_mv=flat) if r.id in ("r3", "r4") else r)
    manifest = prepare("made", tmp_path, tmp_path / "out", OPTIONS, processes=1)
    assert manifest.totals.flat_leads == {"MLII": 2}
    assert manifest.totals.rejected == {"every lead flat or invalid": 2}


def test_recordings_without_any_segment_are_an_error_that_says_why(
    made: Callable[..., None], tmp_path: Path
) -> None:
    made(lambda record: replace(record, signal_mv=np.ones((1, 1000))))
    with pytest.raises(DataError, match=r"no record has a segment: every lead flat .*\(24\)"):
        prepare("made", tmp_path, tmp_path / "out", OPTIONS, processes=1)
