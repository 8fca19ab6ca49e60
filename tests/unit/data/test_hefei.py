"""The Hefei reader on files in the published format, written here: no recording is at hand."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from ecgmodels.data import PrepareOptions, prepare
from ecgmodels.data.databases import open_recordings
from ecgmodels.data.databases.hefei import HefeiSettings
from ecgmodels.data.databases.hefei_files import read_labels, read_signal
from ecgmodels.data.recordings.leads import (
    CANONICAL_12,
    INDEPENDENT_8,
    lead_order,
    with_derived_limb_leads,
)
from ecgmodels.errors import DataError
from tests.hefei_folder import (
    CLASSES,
    LEADS,
    ROWS,
    made_up_signal,
    write_hefei_folder,
    write_signal,
)

LABELS = "hf_round2_label.txt"
CLASS_LIST = "hf_round2_arrythmia.txt"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_hefei_folder(tmp_path_factory.mktemp("hefei"))


@pytest.fixture
def spoilt(tmp_path: Path) -> Path:
    """A folder of two recordings that a test may spoil."""
    return write_hefei_folder(tmp_path / "hefei", rows=ROWS[:2])


@pytest.fixture
def one_signal(tmp_path: Path) -> Callable[[str], Path]:
    """Write the text of one recording and return its file."""

    def write(text: str) -> Path:
        path = tmp_path / "7.txt"
        path.write_text(text)
        return path

    return write


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gbk"])
def test_classes_and_labels_are_read_in_either_encoding(tmp_path: Path, encoding: str) -> None:
    opened = open_recordings("hefei", write_hefei_folder(tmp_path, encoding=encoding))
    assert opened.task.classes == CLASSES
    assert opened.task.multi_label
    assert dict(opened.class_counts("100001")) == {"窦性心律": 1}
    assert dict(opened.class_counts("100004")) == {
        "QRS低电压": 1,
        "心房颤动": 1,
        "完全性右束支传导阻滞": 1,
    }


def test_there_are_as_many_classes_as_the_list_names(tmp_path: Path) -> None:
    forty = tuple(f"心电异常{number}" for number in range(40))
    rows = (("1.txt", "50", "MALE", forty[::-1]), ("2.txt", "50", "MALE", forty[7:8]))
    opened = open_recordings("hefei", write_hefei_folder(tmp_path, classes=forty, rows=rows))
    assert opened.task.classes == opened.task.scored_classes == forty
    assert opened.read("1").labels == forty  # in the order of the classes
    assert opened.read("2").labels == (forty[7],)


def test_the_signal_is_the_files_numbers_times_4_88_microvolts(folder: Path) -> None:
    record = open_recordings("hefei", folder).read("100002")
    assert record.rate_hz == 500
    assert record.leads == LEADS
    assert record.signal_mv.shape == (8, 5000)
    np.testing.assert_allclose(record.signal_mv, made_up_signal(1).T * 0.00488, rtol=1e-12)


def test_missing_ages_and_genders_are_missing(folder: Path) -> None:
    opened = open_recordings("hefei", folder)
    people = {record_id: opened.read(record_id) for record_id in opened.record_ids}
    assert {record_id: (person.age, person.sex) for record_id, person in people.items()} == {
        "100001": (65, "female"),
        "100002": (None, "male"),
        "100003": (41, None),
        "100004": (78, "male"),
        "100005": (None, None),
        "100006": (23, "female"),
        "100008": (34, "female"),
    }


def test_a_recording_without_a_label_is_excluded(folder: Path) -> None:
    opened = open_recordings("hefei", folder)
    assert dict(opened.excluded) == {"100007": "no label in hf_round2_label.txt"}
    assert "100007" not in opened.record_ids


def test_patients_are_unknown_and_there_is_no_official_split(folder: Path) -> None:
    opened = open_recordings("hefei", folder)
    assert not opened.patients_known
    assert opened.official_splits == ()
    assert opened.patient_of("100001") == "100001"


def test_derived_leads_follow_from_i_and_ii(folder: Path) -> None:
    plain = open_recordings("hefei", folder).read("100004")
    opened = open_recordings("hefei", folder, settings=HefeiSettings(derived_leads=True))
    record = opened.read("100004")
    assert opened.leads == record.leads == CANONICAL_12
    lead = dict(zip(record.leads, record.signal_mv, strict=True))
    for index, name in enumerate(LEADS):
        np.testing.assert_array_equal(lead[name], plain.signal_mv[index])
    np.testing.assert_allclose(lead["III"], lead["II"] - lead["I"])
    np.testing.assert_allclose(lead["aVR"], -(lead["I"] + lead["II"]) / 2)
    np.testing.assert_allclose(lead["aVL"], lead["I"] - lead["II"] / 2)
    np.testing.assert_allclose(lead["aVF"], lead["II"] - lead["I"] / 2)


@given(arrays(np.float64, (8, 5), elements=st.floats(-30, 30)))
def test_derived_leads_keep_the_laws_of_einthoven_and_goldberger(eight: np.ndarray) -> None:
    lead = dict(zip(CANONICAL_12, with_derived_limb_leads(eight), strict=True))
    np.testing.assert_allclose(lead["I"] + lead["III"], lead["II"], atol=1e-12)
    np.testing.assert_allclose(lead["aVR"] + lead["aVL"] + lead["aVF"], 0, atol=1e-12)
    np.testing.assert_allclose(lead["aVL"] - lead["aVR"], 1.5 * lead["I"], atol=1e-12)


@given(st.permutations(INDEPENDENT_8), st.sampled_from([str, str.lower, str.upper]))
def test_leads_are_found_in_any_order_and_case(
    stored: list[str], spell: Callable[[str], str]
) -> None:
    order = lead_order([spell(name) for name in stored], INDEPENDENT_8, where="a record")
    assert tuple(stored[index] for index in order) == INDEPENDENT_8


def test_columns_are_found_by_their_names(tmp_path: Path) -> None:
    units = made_up_signal(3)
    mixed = [5, 0, 7, 2, 1, 3, 6, 4]
    path = tmp_path / "1.txt"
    write_signal(path, units[:, mixed], leads=[LEADS[column].lower() for column in mixed])
    np.testing.assert_allclose(read_signal(path), units.T * 0.00488, rtol=1e-12)


def test_tabs_carriage_returns_and_a_missing_last_newline_are_no_matter(
    tmp_path: Path, one_signal: Callable[[str], Path]
) -> None:
    write_signal(tmp_path / "1.txt", made_up_signal(0))
    text = (tmp_path / "1.txt").read_text()
    other = one_signal(text.rstrip().replace(" ", "\t ").replace("\n", "\r\n"))
    np.testing.assert_array_equal(read_signal(other), read_signal(tmp_path / "1.txt"))


@settings(max_examples=50)
@given(
    row=st.integers(0, 19),
    column=st.integers(0, 7),
    word=st.sampled_from(["3.5", "nan", "-", "+-3", "5-3", "1e3", "0x1", "½", "--4", "\0"]),
)
def test_one_wrong_word_in_a_signal_is_named_with_its_line(
    row: int, column: int, word: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    rows = [["0"] * 8 for _ in range(20)]
    rows[row][column] = word
    path = tmp_path_factory.getbasetemp() / "7.txt"
    path.write_text(" ".join(LEADS) + "\n" + "\n".join(map(" ".join, rows)), encoding="latin-1")
    with pytest.raises(DataError, match=rf"7\.txt, line {row + 2} has '.*', expected whole"):
        read_signal(path)


@pytest.mark.filterwarnings("error")
@settings(max_examples=200)
@given(
    header=st.just(b"I II V1 V2 V3 V4 V5 V6\n") | st.binary(max_size=30),
    body=st.text("01-+. \n\r\t\v\fx", max_size=60).map(str.encode) | st.binary(max_size=60),
)
def test_any_other_bytes_are_refused_with_the_files_name(
    header: bytes, body: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.getbasetemp() / "8.txt"
    path.write_bytes(header + body)
    with pytest.raises(DataError, match=r"8\.txt"):
        read_signal(path)
    with contextlib.suppress(DataError):
        read_labels(path, ["x"])


def test_a_row_with_too_few_numbers_is_named_though_another_has_more(
    one_signal: Callable[[str], Path],
) -> None:
    rows = [["1"] * 8 for _ in range(5000)]
    rows[40].pop()
    rows[41].append("1")
    path = one_signal("\n".join(map(" ".join, [list(LEADS), *rows])))
    with pytest.raises(DataError, match=r"line 42 has 7 numbers, expected 8"):
        read_signal(path)


@pytest.mark.parametrize("rows", [0, 1, 4999, 5001])
def test_another_length_than_10_s_is_refused(tmp_path: Path, rows: int) -> None:
    write_signal(tmp_path / "1.txt", made_up_signal(0, samples=rows))
    with pytest.raises(DataError, match=rf"1\.txt has {rows:,} rows .* expected 5,000"):
        read_signal(tmp_path / "1.txt")


def test_a_missing_lead_is_named(tmp_path: Path) -> None:
    write_signal(tmp_path / "1.txt", made_up_signal(0)[:, :7], leads=LEADS[:7])
    with pytest.raises(DataError, match=r"1\.txt has no lead V6; its leads are I, II"):
        read_signal(tmp_path / "1.txt")


def test_an_empty_file_is_no_recording(one_signal: Callable[[str], Path]) -> None:
    with pytest.raises(DataError, match=r"7\.txt has no lead I, II"):
        read_signal(one_signal(""))


@pytest.mark.parametrize("word", ["8388609", "-8388609", "9" * 23, "-" + "9" * 23, str(2**64 + 5)])
def test_a_number_that_no_recorder_gives_is_named_with_its_line(
    one_signal: Callable[[str], Path], word: str
) -> None:
    rows = [["1"] * 8 for _ in range(5000)]
    rows[0][0], rows[1][1] = "8388608", "-8388608"  # 24 bits: as large as they may be
    text = "\n".join(map(" ".join, [list(LEADS), *rows]))
    assert np.abs(read_signal(one_signal(text))).max() == 8388608 * 4.88e-3
    rows[40][3] = word
    path = one_signal("\n".join(map(" ".join, [list(LEADS), *rows])))
    with pytest.raises(DataError, match=rf"7\.txt, line 42 has {word}, expected at most 8,388,608"):
        read_signal(path)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("100001.txt\t50\tMALE\t窦性心律", "line 3: record 100001 is on line 1, too"),
        ("100001\t50\tMALE\t窦性心律", "line 3: record 100001 is on line 1, too"),
        ("\t50\tMALE\t窦性心律", "line 3 names no record"),
    ],
)
def test_a_wrong_line_of_the_label_file_is_named(spoilt: Path, line: str, message: str) -> None:
    with (spoilt / LABELS).open("a", encoding="utf-8") as file:
        file.write(line + "\n")
    with pytest.raises(DataError, match=message):
        _ = open_recordings("hefei", spoilt).record_ids


@pytest.mark.parametrize(
    ("age", "gender", "message"),
    [
        ("old", "MALE", "line 1: record 100001 has the age 'old', expected 0 to 120"),
        ("-1", "MALE", "line 1: record 100001 has the age '-1'"),
        ("180", "MALE", "has the age '180'"),
        ("nan?", "MALE", "has the age 'nan\\?'"),
        ("50", "X", "line 1: record 100001 has the gender 'X', expected FEMALE, MALE"),
    ],
)
def test_a_wrong_age_or_gender_costs_that_recording_alone(
    tmp_path: Path, age: str, gender: str, message: str
) -> None:
    rows = (("100001.txt", age, gender, CLASSES[:1]), ROWS[1])
    opened = open_recordings("hefei", write_hefei_folder(tmp_path, rows=rows))
    with pytest.raises(DataError, match=message):
        opened.read("100001")
    assert opened.read("100002").sex == "male"


def test_a_class_listed_twice_is_an_error(spoilt: Path) -> None:
    (spoilt / CLASS_LIST).write_text("甲\n乙\n甲\n", encoding="utf-8")
    with pytest.raises(DataError, match=f"{CLASS_LIST}, line 3: the class '甲' is on line 1"):
        open_recordings("hefei", spoilt)


def test_text_in_another_encoding_is_an_error(spoilt: Path) -> None:
    (spoilt / LABELS).write_bytes(b"100001.txt\t50\tMALE\t\xff\xfe\xff\n")
    with pytest.raises(DataError, match=f"{LABELS} is text in neither UTF-8 nor GBK"):
        _ = open_recordings("hefei", spoilt).record_ids


def test_two_rounds_in_one_folder_must_be_told_apart(spoilt: Path) -> None:
    (spoilt / "hf_round1_arrythmia.txt").write_text("窦性心律\nST-T改变\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"hf_round1_arrythmia\.txt, hf_round2_arrythmia\.txt"):
        open_recordings("hefei", spoilt)
    chosen = HefeiSettings(classes_file="hf_round1_arrythmia.txt")
    opened = open_recordings("hefei", spoilt, settings=chosen)
    assert opened.task.classes == ("窦性心律", "ST-T改变")
    assert opened.record_ids == ("100001", "100002")


def test_recordings_of_one_name_must_be_told_apart(spoilt: Path) -> None:
    write_signal(spoilt / "testA" / "100001.txt", made_up_signal(9))
    with pytest.raises(DataError, match=r"100001 could be any of .*100001\.txt, .*100001\.txt"):
        open_recordings("hefei", spoilt).class_counts("100001")
    chosen = HefeiSettings(signals_folder="hf_round2_train")
    opened = open_recordings("hefei", spoilt, settings=chosen)
    assert opened.record_ids == ("100001", "100002")


@pytest.mark.parametrize("setting", ["labels_file", "classes_file", "signals_folder"])
def test_a_file_of_the_settings_that_is_not_there_is_named(spoilt: Path, setting: str) -> None:
    with pytest.raises(DataError, match=f"{setting} is 'elsewhere'"):
        open_recordings("hefei", spoilt, settings=HefeiSettings(**{setting: "elsewhere"}))


@pytest.mark.parametrize("missing", [LABELS, CLASS_LIST])
def test_a_folder_without_labels_or_classes_is_refused(spoilt: Path, missing: str) -> None:
    (spoilt / missing).unlink()
    with pytest.raises(DataError, match="has no file"):
        open_recordings("hefei", spoilt)


def test_a_label_written_twice_counts_once(tmp_path: Path) -> None:
    path = tmp_path / "label.txt"
    path.write_text("1.txt\t50\tMALE\t甲\t\t甲\t\n\n", encoding="utf-8")
    assert read_labels(path, ["甲"])["1"].labels == ("甲",)


def test_a_recording_is_read_in_milliseconds(tmp_path: Path) -> None:
    write_signal(tmp_path / "1.txt", made_up_signal(0))
    read_signal(tmp_path / "1.txt")
    seconds = []
    for _ in range(5):
        start = time.perf_counter()
        read_signal(tmp_path / "1.txt")
        seconds.append(time.perf_counter() - start)
    assert min(seconds) < 0.05  # measured: 0.002


def replace_text(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (
            lambda folder: (folder / "hf_round2_train" / "5.txt").unlink(),
            f"{LABELS}, line 6: there is no 5.txt in",
        ),
        (
            lambda folder: write_signal(folder / "again" / "5.txt", made_up_signal(9)),
            "record 5 could be any of again/5.txt, hf_round2_train/5.txt",
        ),
        (
            lambda folder: replace_text(
                folder / LABELS, "5.txt\t50\tMALE\t窦", "5.txt\t50\tMALE\t"
            ),
            f"{LABELS}, line 6: record 5 has the label '性心律', which is not in the list",
        ),
        (
            lambda folder: replace_text(
                folder / LABELS, "5.txt\t50\tMALE\t窦性心律\t", "5.txt 50 MALE 窦性心律"
            ),
            f"{LABELS}, line 6: record 5 has 1 columns, expected id, age, gender and labels",
        ),
        (
            lambda folder: replace_text(folder / LABELS, "5.txt\t50\tMALE\t", "5.txt 50 MALE "),
            f"{LABELS}, line 6: record 5 has 2 columns, expected id, age, gender and labels",
        ),
        (
            lambda folder: replace_text(folder / LABELS, "5.txt\t50\tMALE\t", "5.txt\t50 MALE "),
            f"{LABELS}, line 6: record 5 has the age '50 MALE 窦性心律', expected 0 to 120",
        ),
        (
            lambda folder: replace_text(folder / LABELS, "5.txt\t50", "5.txt\told"),
            f"{LABELS}, line 6: record 5 has the age 'old'",
        ),
        (
            lambda folder: (folder / "hf_round2_train" / "5.txt").write_text("I II\n"),
            "hf_round2_train/5.txt has no lead V1",
        ),
    ],
)
def test_one_bad_recording_is_told_and_the_others_are_prepared(
    tmp_path: Path, spoil: Callable[[Path], object], message: str
) -> None:
    rows = [(f"{n}.txt", "50", "MALE", ((CLASSES[0], CLASSES[4])[1 - n % 2],)) for n in range(10)]
    source = write_hefei_folder(tmp_path / "hefei", rows=rows)
    spoil(source)
    told: dict[str, DataError] = {}
    options = PrepareOptions(folds=0)
    manifest = prepare(
        "hefei", source, tmp_path / "out", options, processes=1, on_failure=told.__setitem__
    )
    assert list(told) == list(manifest.failed) == ["5"]
    assert message in manifest.failed["5"]
    assert (manifest.record_count, manifest.excluded) == (9, {})
    with pytest.raises(DataError) as caught:
        prepare("hefei", source, tmp_path / "strict", options, processes=1, strict=True)
    assert message in str(caught.value).replace(f"{source}/", "")
