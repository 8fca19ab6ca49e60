from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
import wfdb

from ecgmodels.data.recordings.wfdb_header import comment_fields, read_header
from ecgmodels.errors import DataError

REPOSITORY = Path(__file__).parents[3]


WriteHeader = Callable[[str | bytes], Path]


@pytest.fixture
def write_header(tmp_path: Path) -> WriteHeader:
    def write(content: str | bytes) -> Path:
        path = tmp_path / "r.hea"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


def signal_line(line: str, record_line: str = "r 1 360 10") -> str:
    return f"{record_line}\n{line}\n"


@pytest.mark.parametrize(
    "record_line",
    [
        "E00009.mat 1 500 5000 05-May-2020 14:50:55",
        "E00009 1 500 5000 12-May-2020 12:33:31 ",
        "E00009 1 500 5000 08:03:08 1/03/2000",
        "E00009 1 500.0 5000",
        "E00009 1 500/250 5000",
        "E00009 1 500/250.5(17) 5000",
        "E00009 1 500(17) 5000",
        "E00009\t1  5e2 5000",
    ],
)
def test_record_lines_of_every_style_say_the_same(
    write_header: WriteHeader, record_line: str
) -> None:
    header = read_header(write_header(signal_line("E00009.mat 16+24 1000/mV", record_line)))
    assert (header.record, header.rate_hz, header.samples) == ("E00009", 500.0, 5000)


def test_a_complete_signal_line_is_read_field_by_field(write_header: WriteHeader) -> None:
    line = "f.dat 212x4:7+512 200.5(-1024)/uV 11 1000 -1 -13230 0 V5 of the chest"
    signal = read_header(write_header(signal_line(line))).signals[0]
    assert (signal.file_name, signal.format) == ("f.dat", "212")
    assert (signal.samples_per_frame, signal.skew, signal.byte_offset) == (4, 7, 512)
    assert (signal.gain, signal.baseline, signal.unit) == (200.5, -1024, "uV")
    assert (signal.initial_value, signal.name) == (-1, "V5 of the chest")


@pytest.mark.parametrize(
    ("line", "gain", "baseline", "unit"),
    [
        ("f.dat 16", 200.0, 0, "mV"),
        ("f.dat 16 0", 200.0, 0, "mV"),
        ("f.dat 16 0 12 1024", 200.0, 1024, "mV"),
        ("f.dat 16 500 12 1024", 500.0, 1024, "mV"),
        ("f.dat 16 500(0) 12 1024", 500.0, 0, "mV"),
        ("f.dat 16 0(5)/uV 12 1024", 200.0, 5, "uV"),
        ("f.dat 16 (5)/V", 200.0, 5, "V"),
        ("f.dat 16 -1e3/mv 16 7", -1000.0, 7, "mv"),
        ("f.dat 16 1000.0(0)/mV", 1000.0, 0, "mV"),
    ],
)
def test_gain_0_means_200_and_a_missing_baseline_the_adc_zero(
    write_header: WriteHeader, line: str, gain: float, baseline: int, unit: str
) -> None:
    signal = read_header(write_header(signal_line(line))).signals[0]
    assert (signal.gain, signal.baseline, signal.unit) == (gain, baseline, unit)


@pytest.mark.parametrize(
    ("line", "name"),
    [
        ("f.dat 16 200 12 0 0 0 0 MLII", "MLII"),
        ("f.dat 16 200 12 0 0 0 0 12 leads", "12 leads"),
        ("f.dat 16 200 12 0 0 0 0", "record r, signal 0"),
        ("f.dat 16 200/mV MLII", "MLII"),
        ("f.dat 16 200/mV 12 0 lead two", "lead two"),
        ("f.dat 16", "record r, signal 0"),
        ("f.dat 16 200 12 0 0 0 0  ECG   lead I \t", "ECG   lead I"),
    ],
)
def test_descriptions_may_have_spaces_and_may_be_left_out(
    write_header: WriteHeader, line: str, name: str
) -> None:
    assert read_header(write_header(signal_line(line))).signals[0].name == name


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r", " \r\n\r\n \t\n"])
def test_line_ends_blank_lines_and_trailing_spaces_mean_nothing(
    write_header: WriteHeader, end: str
) -> None:
    lines = ["# first", "r 2 360 10 ", "f.dat 16 200 0 0 0 0 0 I", "  f.dat 16 200 0 0 0 0 0 II"]
    header = read_header(write_header(end.join([*lines, "#Age: 51", "# Sex: F "]) + end))
    assert [signal.name for signal in header.signals] == ["I", "II"]
    assert header.comments == ("first", "Age: 51", "Sex: F")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "latin-1"])
def test_a_unit_with_a_greek_letter_is_read_in_old_and_new_encodings(
    write_header: WriteHeader, encoding: str
) -> None:
    content = signal_line("f.dat 16 2/\u00b5V").encode(encoding)
    assert read_header(write_header(content)).signals[0].unit == "\u00b5V"


def test_a_length_that_is_not_stated_is_that_of_the_file(
    write_header: WriteHeader, tmp_path: Path
) -> None:
    (tmp_path / "f.dat").write_bytes(bytes(24 + 3 * 100 + 1))  # 2 signals of 12 bits a frame
    lines = "f.dat 212+24\nf.dat 212+24\n"
    assert read_header(write_header(f"r 2 360\n{lines}")).samples == 100
    assert read_header(write_header(f"r 2 360 0\n{lines}")).samples == 100


def test_a_length_that_two_files_contradict_is_refused(
    write_header: WriteHeader, tmp_path: Path
) -> None:
    (tmp_path / "f.dat").write_bytes(bytes(200))
    (tmp_path / "g.dat").write_bytes(bytes(202))
    with pytest.raises(DataError, match=r"f\.dat: 100, g\.dat: 101"):
        read_header(write_header("r 2 360\nf.dat 16\ng.dat 16\n"))


def test_a_record_in_segments_is_refused(write_header: WriteHeader) -> None:
    with pytest.raises(DataError, match="a record of 3 segments, expected a single one"):
        read_header(write_header("r/3 2 360 1000\na 300\nb 300\nc 400\n"))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("", "has no record line"),
        ("# only a comment\n", "has no record line"),
        ("r\n", "does not state number of signals and sampling rate"),
        ("r 1\nf.dat 16\n", "does not state number of signals and sampling rate"),
        ("r 0 360 10\n", "number of signals is '0'"),
        ("r two 360 10\n", "number of signals is 'two'"),
        ("r 2 360 10\nf.dat 16\n", "2 signals are announced, 1 are described"),
        ("r 1 360 10\nf.dat 16\nf.dat 16\n", "1 signals are announced, 2 are described"),
        ("r 1 0 10\nf.dat 16\n", "sampling rate is 0 Hz"),
        ("r 1 -360 10\nf.dat 16\n", "sampling rate is -360 Hz"),
        ("r 1 1e999 10\nf.dat 16\n", "sampling rate is inf Hz"),
        ("r 1 nan 10\nf.dat 16\n", "sampling rate is 'nan', expected a number"),
        ("r 1 360 -10\nf.dat 16\n", "number of samples is '-10'"),
        ("r 1 360 1.5\nf.dat 16\n", r"number of samples is '1\.5'"),
        (f"r 1 360 {'9' * 5000}\nf.dat 16\n", "number of samples is '999"),
        ("r 1 360 10\nf.dat\n", "format is ''"),
        ("r 1 360 10\nf.dat x2\n", "format is 'x2'"),
        ("r 1 360 10\nf.dat 17\n", "format is 17, expected one of 8, 16"),
        ("r 1 360 10\nf.dat 16x0\n", "samples per frame is '0'"),
        ("r 1 360 10\nf.dat 16:10\n", "skew is 10, the record has 10 samples"),
        ("r 1 360 10\n../f.dat 16\n", r"signal file is '\.\./f\.dat', expected one beside"),
        ("r 1 360 10\nc:\\f.dat 16\n", "expected one beside the header"),
        ("r 1 360 10\n" + "f" * 256 + " 16\n", "expected one beside the header"),
        ("r 1 360 10\nf\x1b[2J 16\n", r"signal file is 'f\\x1b\[2J'"),
        ("../r 1 360 10\nf.dat 16\n", r"number of segments is 'r'"),
        (".. 1 360 10\nf.dat 16\n", r"record is called '\.\.', expected the name of a file"),
        ("r 1 360 10\nf.dat 16 200mV\n", "gain is '200mV', expected a number"),
        ("r 1 360 10\nf.dat 16 MLII\n", "gain is 'MLII', expected a number"),
        ("r 1 360 10\nf.dat 16 200 12 x024 0 0 0 I\n", "ADC zero is 'x024'"),
        ("r 1 360 10\nf.dat 16 200 -12 0 0 0 0 I\n", "ADC resolution is '-12'"),
        ("r 1 360 10\nf.dat 16 200 12 0 0 0 .5 I\n", r"block size is '\.5'"),
        ("r 1 360 10\nf.dat 16 200 12 lead 2\n", "ADC zero is 'lead'"),
        ("r 1 360 10\nf.dat 16 1e-300\n", "gain is 1e-300, expected"),
        ("r 1 360 10\nf.dat 16 200(1.5)/mV\n", r"baseline is '1\.5'"),
        ("r 1 360 10\nf.dat 16 200 16.0 0 0 0 0 I\n", r"ADC resolution is '16\.0'"),
        ("r 3 360 10\nf.dat 16\ng.dat 16\nf.dat 16\n", r"signals of f\.dat apart"),
        ("r 2 360 10\nf.dat 16\nf.dat 212\n", r"different formats: 16\+0, 212\+0"),
        ("r 1 360 10\nf.dat\0 16\n", "holds NUL bytes"),
    ],
)
def test_what_is_no_header_is_refused_with_the_reason(
    write_header: WriteHeader, content: str, reason: str
) -> None:
    path = write_header(content)
    with pytest.raises(DataError, match=reason) as caught:
        read_header(path)
    assert str(path) in str(caught.value)
    assert caught.value.hint


def test_a_message_names_the_line(write_header: WriteHeader) -> None:
    with pytest.raises(DataError, match=r"r\.hea, line 4: the gain is"):
        read_header(write_header("# note\n\nr 1 360 10\nf.dat 16 1-2\n"))


def test_a_file_too_large_for_a_header_is_not_read(write_header: WriteHeader) -> None:
    with pytest.raises(DataError, match="expected at most 1,048,576"):
        read_header(write_header(b"#" * (2**20 + 1)))


@pytest.mark.parametrize("name", ["none.hea", "x" * 300 + ".hea", "a\0b.hea"])
def test_a_header_that_is_not_there_is_named(tmp_path: Path, name: str) -> None:
    with pytest.raises(DataError, match="is missing"):
        read_header(tmp_path / name)


def test_comment_fields_of_every_database_are_found(write_header: WriteHeader) -> None:
    lines = "#Age: 74\n# Sex: Female\n#Dx: 1,,2,\n#Rx:\n#<diagnoses>:\n# Digoxin\n#Age: 75\n"
    fields = comment_fields(read_header(write_header(signal_line("f.dat 16") + lines)))
    assert fields == {"age": "74", "sex": "Female", "dx": "1,,2,", "rx": "", "diagnoses": ""}


def test_several_fields_on_a_line_are_told_apart(write_header: WriteHeader) -> None:
    line = "# <age>: 65  <sex>: F <diagnoses> Angina: stable, <medications>: none\n"
    fields = comment_fields(read_header(write_header(signal_line("f.dat 16") + line)))
    assert fields == {
        "age": "65",
        "sex": "F",
        "diagnoses": "Angina: stable,",
        "medications": "none",
    }


@pytest.fixture(scope="module")
def data_root() -> Path:
    root = Path(os.environ.get("ECG_DATA_ROOT", REPOSITORY.parent / "shared" / "data"))
    if not root.is_dir():
        pytest.skip(f"no recordings in {root} (set ECG_DATA_ROOT)")
    return root


@pytest.mark.parametrize("database", ["mitdb", "cinc2017", "ludb", "ptbxl", "cinc2020"])
def test_real_headers_are_read_as_wfdb_reads_them(data_root: Path, database: str) -> None:
    paths = sorted((data_root / database).rglob("*.hea"))
    if not paths:
        pytest.skip(f"no {database} in {data_root} (set ECG_DATA_ROOT)")
    compared = 0
    for path in paths[:: max(1, len(paths) // 30)]:
        header = read_header(path)
        try:
            expected = wfdb.rdheader(str(path.with_suffix("")))
        except ValueError:
            assert database == "cinc2020"  # a name that ends in .mat
            continue
        assert header.rate_hz == expected.fs
        assert header.samples == expected.sig_len
        assert header.comments == tuple(expected.comments)
        assert [s.name for s in header.signals] == [name.strip() for name in expected.sig_name]
        for field, own in {
            "file_name": "file_name",
            "fmt": "format",
            "adc_gain": "gain",
            "baseline": "baseline",
            "units": "unit",
            "init_value": "initial_value",
        }.items():
            assert [getattr(s, own) for s in header.signals] == getattr(expected, field), path
        compared += 1
    assert compared >= 25
