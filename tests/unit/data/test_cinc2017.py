"""The challenge's training set, and made-up folders of its form."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import scipy.io

from ecgmodels.data import PrepareOptions, prepare
from ecgmodels.data.databases import Recordings, open_recordings
from ecgmodels.errors import DataError

REPOSITORY = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def source() -> Path:
    root = Path(os.environ.get("ECG_DATA_ROOT", REPOSITORY.parent / "shared" / "data"))
    if not (root / "cinc2017").is_dir():
        pytest.skip(f"no recordings of the 2017 challenge in {root} (set ECG_DATA_ROOT)")
    return root / "cinc2017"


@pytest.fixture(scope="module")
def recordings(source: Path) -> Recordings:
    return open_recordings("cinc2017", source)


def write_recording(folder: Path, name: str, leads: int = 1) -> None:
    """Write a recording as the challenge does: MATLAB's version 4, whose header has 24 bytes."""
    folder.mkdir(parents=True, exist_ok=True)
    samples = np.arange(leads * 3000, dtype=np.int16).reshape(leads, 3000) % 500
    scipy.io.savemat(folder / f"{name}.mat", {"val": samples}, format="4")
    signal = f"{name}.mat 16+24 1000/mV 16 0 0 0 0 ECG"
    lines = [f"{name} {leads} 300 3000 05:05:15 1/05/2000 ", *[signal] * leads]
    (folder / f"{name}.hea").write_text("\n".join(lines) + "\n")


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """Three recordings, two of them labelled."""
    for name in ("A1", "A2", "A3"):
        write_recording(tmp_path, name)
    (tmp_path / "RECORDS").write_text("A1\nA2\nA3\n")
    (tmp_path / "REFERENCE-v3.csv").write_text("A1,N\nA3,~\n")
    return tmp_path


def test_the_first_400_recordings_have_the_labels_of_revision_3(
    recordings: Recordings, source: Path
) -> None:
    counts = Counter[str]()
    for record_id in recordings.record_ids:
        counts.update(recordings.class_counts(record_id))
    assert counts == {"N": 244, "O": 110, "A": 34, "~": 12}
    assert list(recordings.record_ids) == (source / "RECORDS").read_text().split()
    assert recordings.excluded == {}


@pytest.mark.parametrize(
    ("record_id", "label"), [("A00001", "N"), ("A00004", "A"), ("A00005", "A"), ("A00022", "~")]
)
def test_a_recording_carries_its_label(recordings: Recordings, record_id: str, label: str) -> None:
    assert recordings.read(record_id).labels == (label,)


def test_signals_are_those_that_scipy_reads_from_the_mat_files(
    recordings: Recordings, source: Path
) -> None:
    for record_id in recordings.record_ids[::40]:
        record = recordings.read(record_id)
        stored = scipy.io.loadmat(source / f"{record_id}.mat")["val"]
        np.testing.assert_allclose(record.signal_mv, stored / 1000, rtol=1e-12)
        assert record.rate_hz == 300
        assert record.leads == ("ECG",)
        assert 9 <= record.signal_mv.shape[1] / 300 <= 61


def test_nothing_is_known_of_the_patients(recordings: Recordings) -> None:
    record = recordings.read("A00001")
    assert not recordings.patients_known
    assert recordings.patient_of("A00001") == record.patient_id == "A00001"
    assert (record.age, record.sex) == (None, None)
    assert recordings.official_splits == ()


def test_the_noisy_class_is_kept_and_not_scored(small: Path) -> None:
    task = open_recordings("cinc2017", small).task
    assert task.default_classes == ("N", "A", "O", "~")
    assert task.scored_classes == ("N", "A", "O")


def test_a_recording_without_a_label_is_left_out_with_the_reason(small: Path) -> None:
    opened = open_recordings("cinc2017", small)
    assert opened.record_ids == ("A1", "A3")
    assert opened.excluded == {"A2": "not in REFERENCE-v3.csv"}


def test_a_label_without_a_recording_is_reported(small: Path) -> None:
    with (small / "REFERENCE-v3.csv").open("a") as file:
        file.write("A9,O\n")
    opened = open_recordings("cinc2017", small)
    assert opened.record_ids == ("A1", "A3")
    assert opened.excluded["A9"] == "labelled, but no recording is listed"


def test_labels_with_a_byte_order_mark_and_crlf_are_read(small: Path) -> None:
    (small / "REFERENCE-v3.csv").write_bytes(b"\xef\xbb\xbfA1,N\r\nA2,O\r\nA3,~\r\n")
    opened = open_recordings("cinc2017", small)
    assert [opened.read(record_id).labels for record_id in opened.record_ids] == [
        ("N",),
        ("O",),
        ("~",),
    ]


def test_without_records_the_folder_is_the_listing(small: Path) -> None:
    (small / "RECORDS").unlink()
    assert open_recordings("cinc2017", small).record_ids == ("A1", "A3")


def test_records_may_lie_in_folders_with_the_labels_beside(tmp_path: Path) -> None:
    """As on PhysioNet: training/A00/A00001.mat, and REFERENCE-v3.csv next to training."""
    write_recording(tmp_path / "training" / "A00", "A00001")
    (tmp_path / "training" / "RECORDS").write_text("A00/A00001\n")
    (tmp_path / "REFERENCE-v3.csv").write_text("A00001,O\n")
    opened = open_recordings("cinc2017", tmp_path / "training")
    record = opened.read("A00001")
    assert (record.id, record.labels) == ("A00001", ("O",))


@pytest.mark.parametrize("suffix", [".mat", ".hea"])
def test_a_missing_file_is_named(small: Path, suffix: str) -> None:
    (small / f"A3{suffix}").unlink()
    opened = open_recordings("cinc2017", small)
    assert opened.record_ids == ("A1", "A3")
    with pytest.raises(DataError, match=rf"record A3 is incomplete: .*A3\{suffix} is missing"):
        opened.class_counts("A3")
    with pytest.raises(DataError, match=rf"A3\{suffix} is missing"):
        opened.read("A3")


def test_missing_labels_are_named(small: Path) -> None:
    (small / "REFERENCE-v3.csv").unlink()
    with pytest.raises(DataError, match=r"REFERENCE-v3\.csv is missing"):
        _ = open_recordings("cinc2017", small).record_ids


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("A1,N\nA2\n", r"line 2: 1 cells, expected 2"),
        ("A1,N\nA1,O\n", r"line 2: label is 'O', expected 'N' as before for record A1"),
        ("B1,N\n", r"none of the 3 recordings in .* has a label"),
    ],
)
def test_wrong_labels_are_named(small: Path, content: str, message: str) -> None:
    (small / "REFERENCE-v3.csv").write_text(content)
    with pytest.raises(DataError, match=message):
        _ = open_recordings("cinc2017", small).record_ids


@pytest.mark.parametrize(
    ("label", "message"),
    [
        ("B", r"line 2: label is 'B', expected one of N, A, O, ~ for record A3"),
        ("", r"line 2: label is '', expected something"),
    ],
)
def test_a_label_that_is_none_of_the_classes_costs_that_recording_alone(
    small: Path, label: str, message: str
) -> None:
    (small / "REFERENCE-v3.csv").write_text(f"A1,N\nA3,{label}\n")
    opened = open_recordings("cinc2017", small)
    assert opened.record_ids == ("A1", "A3")
    assert opened.excluded == {"A2": "not in REFERENCE-v3.csv"}
    assert opened.class_counts("A1") == {"N": 1}
    for tell in (opened.class_counts, opened.read):
        with pytest.raises(DataError, match=message):
            tell("A3")


def test_a_recording_of_two_leads_is_refused(small: Path) -> None:
    write_recording(small, "A1", leads=2)
    with pytest.raises(DataError, match="A1 has the leads ECG, ECG, expected one"):
        open_recordings("cinc2017", small).read("A1")


def test_a_folder_without_recordings_is_refused(tmp_path: Path) -> None:
    (tmp_path / "REFERENCE-v3.csv").write_text("A1,N\n")
    with pytest.raises(DataError, match=r"neither a file RECORDS nor recordings"):
        _ = open_recordings("cinc2017", tmp_path).record_ids


def test_a_folder_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="does not exist"):
        open_recordings("cinc2017", tmp_path / "nowhere")


def lose(path: Path) -> None:
    path.unlink()


def empty(path: Path) -> None:
    path.write_bytes(b"")


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:40])


def mislabel(path: Path) -> None:
    path.write_text(path.read_text().replace("A4,N", "A4,Q"))


@pytest.mark.parametrize("listed", [True, False])
@pytest.mark.parametrize(
    ("spoil", "name", "message"),
    [
        (lose, "A4.hea", "A4.hea is missing"),
        (lose, "A4.mat", "A4.mat is missing"),
        (empty, "A4.hea", "A4.hea is not a WFDB header"),
        (cut, "A4.hea", "A4.hea"),
        (cut, "A4.mat", "A4.mat is cut short"),
        (mislabel, "REFERENCE-v3.csv", "line 5: label is 'Q'"),
    ],
)
def test_one_bad_recording_is_told_and_the_others_are_prepared(
    tmp_path: Path, spoil: Callable[[Path], None], name: str, message: str, listed: bool
) -> None:
    source = tmp_path / "training"
    names = [f"A{number}" for number in range(10)]
    for record_id in names:
        write_recording(source, record_id)
    if listed:
        (source / "RECORDS").write_text("\n".join(names))
    labels = [f"{record_id},{'NA'[number % 2]}" for number, record_id in enumerate(names)]
    (source / "REFERENCE-v3.csv").write_text("\n".join(labels) + "\n")
    spoil(source / name)
    told: dict[str, DataError] = {}
    options = PrepareOptions(folds=0)
    manifest = prepare(
        "cinc2017", source, tmp_path / "out", options, processes=1, on_failure=told.__setitem__
    )
    assert list(told) == list(manifest.failed) == ["A4"]
    assert message in manifest.failed["A4"]
    assert (manifest.record_count, manifest.excluded) == (9, {})
    with pytest.raises(DataError, match=re.escape(message)):
        prepare("cinc2017", source, tmp_path / "strict", options, processes=1, strict=True)
