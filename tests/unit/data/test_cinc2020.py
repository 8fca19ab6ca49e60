"""The challenges' recordings against their own files, read here by SciPy and as plain text."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import wfdb
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.io import loadmat

from ecgmodels.data import PrepareOptions, prepare
from ecgmodels.data.databases import open_recordings
from ecgmodels.data.databases.cinc2020 import CinC2020Settings, diagnoses
from ecgmodels.data.databases.snomed import CODINGS, NAMES, SCORED
from ecgmodels.data.recordings.leads import CANONICAL_12
from ecgmodels.errors import DataError

REPOSITORY = Path(__file__).parents[3]

# Reyna et al. 2021, the 30 codes scored in 26 classes, written down independently of the package.
CLASS_2021 = {
    "164889003": "AF",
    "164890007": "AFL",
    "6374002": "BBB",
    "426627000": "Brady",
    **dict.fromkeys(["733534002", "164909002"], "CLBBB"),
    **dict.fromkeys(["713427006", "59118001"], "CRBBB"),
    "270492004": "IAVB",
    "713426002": "IRBBB",
    "39732003": "LAD",
    "445118002": "LAnFB",
    "164947007": "LPR",
    "251146004": "LQRSV",
    "111975006": "LQT",
    "698252002": "NSIVCB",
    "426783006": "NSR",
    **dict.fromkeys(["284470004", "63593006"], "PAC"),
    "10370003": "PR",
    "365413008": "PRWP",
    **dict.fromkeys(["427172004", "17338001"], "PVC"),
    "164917005": "QAb",
    "47665007": "RAD",
    "427393009": "SA",
    "426177001": "SB",
    "427084000": "STach",
    "164934002": "TAb",
    "59931005": "TInv",
}
FIRST_GAIN = {"E00009", "E00015"}  # whose headers are of the first release: 4880/mV


@pytest.fixture(scope="session")
def source() -> Path:
    root = Path(os.environ.get("ECG_DATA_ROOT", REPOSITORY.parent / "shared" / "data"))
    if not (root / "cinc2020" / "RECORDS").is_file():
        pytest.skip(f"no recordings of the CinC Challenge 2020 in {root} (set ECG_DATA_ROOT)")
    return root / "cinc2020"


@pytest.fixture
def made_up(tmp_path: Path) -> Path:
    """A folder with one recording of 2 s, J1, that a test may spoil."""
    write_record(tmp_path / "cinc2020", "J1")
    return tmp_path / "cinc2020"


def write_record(
    folder: Path,
    name: str,
    *,
    dx: str = "#Dx: 426783006",
    people: str = "#Age: 50\n#Sex: Female",
    gain: str = "1000/mV",
    leads: tuple[str, ...] = CANONICAL_12,
) -> NDArray[np.int16]:
    """Write a record as the challenges do: a matrix of MATLAB 4 named `val` and its header."""
    rng = np.random.default_rng(0)
    units = rng.normal(0, 300, (len(leads), 1000)).astype("<i2")
    folder.mkdir(parents=True, exist_ok=True)
    lead = "\n".join(
        f"{name}.mat 16+24 {gain} 16 0 {units[i, 0]} 0 0 {leads[i]}" for i in range(len(leads))
    )
    header = (
        f"{name} {len(leads)} 500 1000 12-May-2020 12:33:59\n{lead}\n{people}\n{dx}\n#Rx: Unknown\n"
    )
    (folder / f"{name}.hea").write_text(header)
    matlab = np.array([30, len(leads), 1000, 0, 4], dtype="<i4").tobytes() + b"val\0"
    (folder / f"{name}.mat").write_bytes(matlab + units.tobytes(order="F"))
    return units


def stored_units(source: Path, record_id: str) -> NDArray[np.int16]:
    """Return the matrix of a recording's .mat file: int16 [lead, time]."""
    return loadmat(source / f"{record_id}.mat")["val"]


def stored_codes(source: Path, record_id: str) -> list[str]:
    """Return the codes of a header by the simplest means."""
    text = (source / f"{record_id}.hea").read_text()
    return re.findall(r"\d+", re.search(r"# ?Dx: (.*)", text)[1])


def test_the_samples_of_all_five_databases_are_found(source: Path) -> None:
    opened = open_recordings("cinc2020", source)
    letters = Counter(re.match(r"[A-Z]+", record_id)[0] for record_id in opened.record_ids)
    assert letters == {"A": 9, "E": 12, "JS": 10, "Q": 6, "S": 1}
    assert sorted(opened.record_ids) == sorted((source / "RECORDS").read_text().split())
    assert not opened.excluded
    assert not opened.patients_known
    assert opened.official_splits == ()


def test_rates_lengths_ages_and_sexes_are_those_of_the_headers(source: Path) -> None:
    opened = open_recordings("cinc2020", source)
    records = [opened.read(record_id) for record_id in opened.record_ids]
    assert {record.id for record in records if record.rate_hz != 500} == {"S0001"}
    assert opened.read("S0001").rate_hz == 1000
    seconds = [record.signal_mv.shape[1] / record.rate_hz for record in records]
    assert (min(seconds), round(max(seconds))) == (10, 48)
    assert {record.id for record in records if record.age is None} == {"E00001", "E00002", "E00003"}
    assert Counter(record.sex for record in records) == {"male": 24, "female": 14}
    assert (records[0].id, records[0].age, records[0].sex) == ("A0001", 74, "male")
    assert opened.read("E07500").age == 78  # "# Age: 78"


def test_every_recording_is_its_mat_file_in_millivolts(source: Path) -> None:
    opened = open_recordings("cinc2020", source)
    for record_id in opened.record_ids:
        record = opened.read(record_id)
        assert record.leads == CANONICAL_12
        np.testing.assert_array_equal(record.signal_mv, stored_units(source, record_id) / 1000.0)


def test_wfdb_reads_the_same_where_it_reads_at_all(source: Path) -> None:
    opened = open_recordings("cinc2020", source)
    refused = set()
    for record_id in opened.record_ids:
        try:
            expected = wfdb.rdrecord(str(source / record_id)).p_signal.T
        except Exception:  # whatever it is that wfdb says to a name with a dot
            refused.add(record_id)
            continue
        np.testing.assert_allclose(opened.read(record_id).signal_mv, expected, rtol=1e-12)
    assert refused == FIRST_GAIN


def test_georgias_first_gain_is_corrected_unless_asked_for(source: Path) -> None:
    as_stated = open_recordings("cinc2020", source, settings=CinC2020Settings(correct_gain=False))
    for record_id in sorted(FIRST_GAIN):
        units = stored_units(source, record_id)
        np.testing.assert_array_equal(as_stated.read(record_id).signal_mv, units / 4880.0)
        # The recorder's steps are 4.88 microvolts; so a unit is a microvolt, as in the records
        # of Georgia whose headers say 1000/mV.
        for grid in (units, stored_units(source, "E00001")):
            steps = np.trunc(np.rint(grid[0] / 4.88) * 4.88)
            np.testing.assert_array_equal(grid[0], steps)


def test_which_gains_were_corrected_is_noted(source: Path) -> None:
    (note,) = open_recordings("cinc2020", source).notes
    assert note.startswith("2 headers of Georgia's first release")
    assert all(record_id in note for record_id in FIRST_GAIN)
    as_stated = open_recordings("cinc2020", source, settings=CinC2020Settings(correct_gain=False))
    assert as_stated.notes == ()


def test_that_gain_is_left_alone_in_other_databases(tmp_path: Path) -> None:
    units = write_record(tmp_path, "JS00001", gain="4880/mV")
    record = open_recordings("cinc2020", tmp_path).read("JS00001")
    np.testing.assert_array_equal(record.signal_mv, units / 4880.0)


def test_classes_are_those_of_the_codes_in_the_header(source: Path) -> None:
    opened = open_recordings("cinc2020", source)
    for record_id in opened.record_ids:
        codes = stored_codes(source, record_id)
        expected = {CLASS_2021[code] for code in codes if code in CLASS_2021}
        assert set(opened.read(record_id).labels) == expected, record_id
        assert dict(opened.class_counts(record_id)) == dict.fromkeys(expected, 1)


def test_class_counts_over_all_recordings(source: Path) -> None:
    opened = open_recordings("cinc2020", source)
    counts = sum((Counter(opened.class_counts(name)) for name in opened.record_ids), Counter())
    common = {"AF": 8, "SB": 8, "NSR": 6, "TAb": 5, "CRBBB": 4, "STach": 4}
    rare = {"AFL": 2, "IAVB": 2, "LAD": 2, "LQRSV": 2, "IRBBB": 1, "PAC": 1, "PVC": 1, "TInv": 1}
    assert counts == common | rare


def test_recordings_with_other_diagnoses_alone_stay_as_negatives(source: Path) -> None:
    opened = open_recordings("cinc2020", source)
    none = {name for name in opened.record_ids if not opened.class_counts(name)}
    assert none == {"A0005", "A0008", "Q0002", "Q0003", "Q0004", "Q0005", "Q0006"}
    assert opened.read("A0005").labels == ()
    everything = open_recordings("cinc2020", source, "all")
    assert everything.read("A0005").labels == ("VEB",)
    assert everything.read("Q0003").labels == ("NSSTTA", "OldMI")


def test_the_tables_have_as_many_classes_as_the_challenges() -> None:
    assert dict(CODINGS["scored-2021"].class_of) == CLASS_2021
    assert len(CODINGS["scored-2021"].classes) == 26
    assert len(CODINGS["scored-2020"].class_of) == 27
    assert len(CODINGS["scored-2020"].classes) == 24
    assert set(CODINGS["scored-2020"].classes) == (
        set(CLASS_2021.values()) - {"BBB", "CLBBB", "PRWP"} | {"LBBB"}
    )
    assert len(SCORED) == 30
    assert len(CODINGS["all"].class_of) == 133
    assert len(CODINGS["all"].classes) == 129
    assert set(CODINGS["all"].classes) <= set(NAMES)


@pytest.mark.parametrize(
    ("task", "one", "other", "name"),
    [
        ("scored-2021", "713427006", "59118001", "CRBBB"),
        ("scored-2021", "284470004", "63593006", "PAC"),
        ("scored-2021", "427172004", "17338001", "PVC"),
        ("scored-2021", "733534002", "164909002", "CLBBB"),
        ("scored-2020", "713427006", "59118001", "CRBBB"),
        ("all", "733534002", "164909002", "CLBBB"),
    ],
)
def test_equivalent_codes_are_one_class(
    tmp_path: Path, task: str, one: str, other: str, name: str
) -> None:
    for record_id, codes in (("R1", one), ("R2", other), ("R3", f"{one},{other}")):
        write_record(tmp_path, record_id, dx=f"#Dx: {codes}")
    opened = open_recordings("cinc2020", tmp_path, task)
    assert [opened.read(record_id).labels for record_id in ("R1", "R2", "R3")] == [(name,)] * 3


def test_in_2020_complete_left_bundle_branch_block_was_no_code_of_its_own(tmp_path: Path) -> None:
    write_record(tmp_path, "R1", dx="#Dx: 733534002")
    write_record(tmp_path, "R2", dx="#Dx: 164909002")
    opened = open_recordings("cinc2020", tmp_path, "scored-2020")
    assert (opened.read("R1").labels, opened.read("R2").labels) == ((), ("LBBB",))


@pytest.mark.parametrize(
    "dx",
    [
        "#Dx: 426783006,164889003",
        "# Dx: 164889003, 426783006",
        "#Dx: 426783006,,164889003,",
        "#Dx:164889003 ,\t426783006",
        "#dx : 426783006,164889003,426783006",
    ],
)
def test_diagnoses_are_read_in_every_style(tmp_path: Path, dx: str) -> None:
    write_record(tmp_path, "R1", dx=dx)
    opened = open_recordings("cinc2020", tmp_path)
    assert opened.read("R1").labels == ("AF", "NSR")
    assert dict(opened.class_counts("R1")) == {"AF": 1, "NSR": 1}


@pytest.mark.parametrize("dx", ["#Dx:", "#Dx: ", "# Dx: ,", "#Dx: Unknown", "#Hx: Unknown"])
def test_a_recording_without_a_diagnosis_is_excluded(made_up: Path, dx: str) -> None:
    write_record(made_up, "J2", dx=dx)
    opened = open_recordings("cinc2020", made_up)
    assert dict(opened.excluded) == {"J2": "no diagnosis (#Dx is empty)"}
    assert opened.record_ids == ("J1",)
    assert opened.read("J2").labels is None


@given(st.lists(st.sampled_from(sorted(CLASS_2021))), st.data())
def test_commas_and_spaces_never_change_the_codes(codes: list[str], data: st.DataObject) -> None:
    separators = st.sampled_from([",", ",,", " ,", ", ", ",\t,", " , , "])
    text = "".join(code + data.draw(separators) for code in codes)
    assert diagnoses(text, where="r") == tuple(dict.fromkeys(codes))


@pytest.mark.parametrize("dx", ["#Dx: AF", "#Dx: 164889003;426783006", "#Dx: 1234"])
def test_what_is_no_code_costs_that_recording_alone(made_up: Path, dx: str) -> None:
    write_record(made_up, "J2", dx=dx)
    opened = open_recordings("cinc2020", made_up)
    assert opened.record_ids == ("J1", "J2")
    assert dict(opened.class_counts("J2")) == {}
    with pytest.raises(DataError, match=r"record J2 has '.*' in #Dx, expected SNOMED CT codes"):
        opened.read("J2")
    assert opened.read("J1").labels == ("NSR",)


def test_a_code_in_no_table_is_told_when_all_are_asked_for(made_up: Path) -> None:
    write_record(made_up, "J2", dx="#Dx: 426783006,999999999")
    assert open_recordings("cinc2020", made_up).read("J2").labels == ("NSR",)
    with pytest.raises(DataError, match="record J2 has the diagnosis 999999999"):
        open_recordings("cinc2020", made_up, "all").read("J2")


def test_a_broken_header_is_named_by_reading_and_does_not_lose_the_rest(made_up: Path) -> None:
    (made_up / "J2.hea").write_text("#Dx: 426783006\n")
    (made_up / "J3.hea").write_bytes((made_up / "J1.hea").read_bytes()[:200])
    opened = open_recordings("cinc2020", made_up)
    assert opened.record_ids == ("J1", "J2", "J3")
    with pytest.raises(DataError, match=r"J2\.hea"):
        opened.read("J2")
    with pytest.raises(DataError, match=r"J3\.hea"):
        opened.read("J3")


def test_records_are_found_in_folders_below(tmp_path: Path) -> None:
    write_record(tmp_path / "training" / "georgia" / "g2", "E00002")
    write_record(tmp_path / "training" / "georgia" / "g1", "E00001")
    write_record(tmp_path / "training" / "cpsc_2018" / "g1", "A0001")
    (tmp_path / "training" / "cpsc_2018" / "g1" / "._A0001.hea").write_bytes(b"\0")
    (tmp_path / "RECORDS").write_text("training/georgia/g1/\ntraining/ptb/g1/\n")
    opened = open_recordings("cinc2020", tmp_path)
    assert opened.record_ids == ("A0001", "E00001", "E00002")
    assert opened.read("E00002").id == "E00002"


def test_two_records_of_one_name_are_an_error_that_names_both_folders(tmp_path: Path) -> None:
    write_record(tmp_path / "a", "E00001")
    write_record(tmp_path / "b", "E00001")
    with pytest.raises(DataError, match=r"record E00001 is in two folders, .*/a and .*/b"):
        _ = open_recordings("cinc2020", tmp_path).record_ids


def test_a_listed_record_that_is_missing_is_named_by_reading(made_up: Path) -> None:
    (made_up / "RECORDS").write_text("J1\nbelow/J2\n")
    opened = open_recordings("cinc2020", made_up)
    assert opened.record_ids == ("J1", "J2")
    with pytest.raises(DataError, match=r"below/J2\.hea is missing"):
        opened.read("J2")


def test_a_record_that_is_listed_above_and_in_its_folder_is_one(made_up: Path) -> None:
    write_record(made_up / "below", "J2")
    for folder, lines in ((made_up, "J1\nbelow/J2\nbelow/J3\n"), (made_up / "below", "J2\nJ3\n")):
        (folder / "RECORDS").write_text(lines)
    assert open_recordings("cinc2020", made_up).record_ids == ("J1", "J2", "J3")


def test_a_folder_without_records_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no record"):
        _ = open_recordings("cinc2020", tmp_path).record_ids


@pytest.mark.parametrize("gain", ["1000/mV", "1000/mv", "1000.0(0)/mV", "1000(0)/mV", "1/uV"])
def test_gains_are_read_in_every_style(tmp_path: Path, gain: str) -> None:
    units = write_record(tmp_path, "R1", gain=gain)
    record = open_recordings("cinc2020", tmp_path).read("R1")
    np.testing.assert_allclose(record.signal_mv, units / 1000.0, rtol=1e-12)


def test_leads_are_put_in_order_whatever_their_case(tmp_path: Path) -> None:
    mixed = ("v6", "V5", "V4", "v3", "V2", "V1", "AVF", "avl", "aVR", "iii", "II", "I")
    units = write_record(tmp_path, "R1", leads=mixed)
    record = open_recordings("cinc2020", tmp_path).read("R1")
    assert record.leads == CANONICAL_12
    order = [11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0]
    np.testing.assert_array_equal(record.signal_mv, units[order] / 1000.0)
    assert record.signal_mv.flags.c_contiguous


def test_a_missing_lead_is_named(tmp_path: Path) -> None:
    write_record(tmp_path, "R1", leads=CANONICAL_12[:11])
    with pytest.raises(DataError, match="record R1 has no lead V6"):
        open_recordings("cinc2020", tmp_path).read("R1")


def test_a_lead_stored_twice_is_an_error(tmp_path: Path) -> None:
    write_record(tmp_path, "R1", leads=(*CANONICAL_12, "v1"))
    with pytest.raises(DataError, match="record R1 has the lead v1 twice"):
        open_recordings("cinc2020", tmp_path).read("R1")


@pytest.mark.parametrize(
    ("people", "age", "sex"),
    [
        ("#Age: 74\n#Sex: Male", 74, "male"),
        ("# Age: 74\n# Sex: FEMALE", 74, "female"),
        ("#Age: NaN\n#Sex: F", None, "female"),
        ("#Age: \n#Sex: M", None, "male"),
        ("#Sex: Unknown", None, None),
        ("#Age: 300\n#Sex: NaN", None, None),
    ],
)
def test_age_and_sex_are_read_or_missing(
    tmp_path: Path, people: str, age: float | None, sex: str | None
) -> None:
    write_record(tmp_path, "R1", people=people)
    record = open_recordings("cinc2020", tmp_path).read("R1")
    assert (record.age, record.sex) == (age, sex)


def lose(path: Path) -> None:
    path.unlink()


def empty(path: Path) -> None:
    path.write_bytes(b"")


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:60])


def misstate(path: Path) -> None:
    path.write_text(path.read_text().replace("#Dx: ", "#Dx: AF,"))


@pytest.mark.parametrize(
    ("spoil", "suffix", "message"),
    [
        (lose, ".hea", "J4.hea is missing"),
        (lose, ".mat", "J4.mat is missing"),
        (empty, ".hea", "J4.hea is not a WFDB header"),
        (cut, ".hea", "J4.hea"),
        (cut, ".mat", "J4.mat is cut short"),
        (misstate, ".hea", "record J4 has 'AF' in #Dx"),
    ],
)
def test_one_bad_recording_is_told_and_the_others_are_prepared(
    tmp_path: Path, spoil: Callable[[Path], None], suffix: str, message: str
) -> None:
    source, names = tmp_path / "cinc2020", [f"J{number}" for number in range(20)]
    for number, name in enumerate(names):
        write_record(source, name, dx=("#Dx: 426783006", "#Dx: 164889003")[number % 2])
    (source / "RECORDS").write_text("\n".join(names))
    spoil(source / f"J4{suffix}")
    told: dict[str, DataError] = {}
    options = PrepareOptions(folds=0)
    manifest = prepare(
        "cinc2020", source, tmp_path / "out", options, processes=1, on_failure=told.__setitem__
    )
    assert list(told) == list(manifest.failed) == ["J4"]
    assert message in manifest.failed["J4"]
    assert (manifest.record_count, manifest.excluded) == (19, {})
    with pytest.raises(DataError, match=re.escape(message)):
        prepare("cinc2020", source, tmp_path / "strict", options, processes=1, strict=True)
