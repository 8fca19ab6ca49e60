from __future__ import annotations

import os
import struct
from pathlib import Path

import numpy as np
import pytest
import wfdb
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ecgmodels.data.recordings.wfdb_formats import FLAC_BITS, FORMATS
from ecgmodels.data.recordings.wfdb_header import read_header
from ecgmodels.data.recordings.wfdb_signal import read_signal
from ecgmodels.errors import DataError

REPOSITORY = Path(__file__).parents[3]


def write(folder: Path, header: str, **files: bytes) -> Path:
    for stem, content in files.items():
        (folder / f"{stem}.dat").write_bytes(content)
    path = folder / "r.hea"
    path.write_text(header)
    return path


def read(path: Path) -> np.ndarray:
    return read_signal(path.parent, read_header(path))


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    storage_format=st.sampled_from(sorted(FORMATS)),
    signals=st.integers(1, 5),
    samples=st.integers(1, 40),
    offset=st.sampled_from([0, 24, 7]),
    seed=st.integers(0, 2**32 - 1),
)
def test_any_bytes_decode_to_what_wfdb_makes_of_them(
    tmp_path: Path, storage_format: str, signals: int, samples: int, offset: int, seed: int
) -> None:
    content = np.random.default_rng(seed).integers(0, 256, 24 + 4 * signals * samples, np.uint8)
    if storage_format == "311":
        content[offset + 3 :: 4] &= 0x3F  # two unused bits, of which wfdb takes one for a sample's
    lines = "".join(f"f.dat {storage_format}+{offset} 7({i})/mV 0 0 {i}\n" for i in range(signals))
    path = write(tmp_path, f"r {signals} 360 {samples}\n{lines}", f=content.tobytes())
    expected = wfdb.rdrecord(str(path.with_suffix(""))).p_signal.T
    np.testing.assert_array_equal(read(path), expected)


@pytest.mark.parametrize(
    "storage_format", ["16", "24", "32", "61", "80", "160", "212", "310", "311"]
)
def test_the_lowest_value_of_a_format_is_nan(tmp_path: Path, storage_format: str) -> None:
    """The bytes are written down here from the specification, one invalid sample among valid."""
    content = {
        "16": b"\x01\x00\x00\x80\xff\x7f",
        "24": b"\x01\x00\x00\x00\x00\x80\xff\xff\x7f",
        "32": b"\x01\x00\x00\x00\x00\x00\x00\x80\xff\xff\xff\x7f",
        "61": b"\x00\x01\x80\x00\x7f\xff",
        "80": b"\x81\x00\xff",
        "160": b"\x01\x80\x00\x00\xff\xff",
        "212": b"\x01\x80\x00\xff\x07",  # 0x001, 0x800; 0x7ff
        "310": b"\x02\xf8\x00\x7c",  # 0x001 and 0x200 above one bit each, 0x1ff in the upper five
        "311": b"\x01\x00\xf8\x1f",  # 0x001, 0x200, 0x1ff from the lowest bit on
    }[storage_format]
    highest = -FORMATS[storage_format].invalid - 1
    path = write(tmp_path, f"r 1 360 3\nf.dat {storage_format} 1/mV\n", f=content)
    np.testing.assert_array_equal(read(path), [[1, np.nan, highest]])


def test_format_8_sums_differences_from_the_initial_value(tmp_path: Path) -> None:
    content = np.array([[1, -1], [2, -2], [127, -128]], np.int8).tobytes()
    lines = "f.dat 8 1/mV 0 0 100\nf.dat 8 1/mV 0 0 -100\n"
    path = write(tmp_path, f"r 2 360 3\n{lines}", f=content)
    np.testing.assert_array_equal(read(path), [[101, 103, 230], [-101, -103, -231]])


@pytest.mark.parametrize("storage_format", sorted(FLAC_BITS))
def test_flac_files_are_read_as_by_wfdb(tmp_path: Path, storage_format: str) -> None:
    limit = 2 ** (FLAC_BITS[storage_format] - 1)
    stored = np.random.default_rng(0).integers(-limit, limit, (70_000, 2))
    stored[5:9, 1] = -limit
    wfdb.wrsamp(
        "r",
        fs=500,
        units=["mV", "mV"],
        sig_name=["I", "II"],
        d_signal=stored,
        fmt=[storage_format] * 2,
        adc_gain=[200, 1000.5],
        baseline=[0, 3],
        write_dir=str(tmp_path),
    )
    signal_mv = read(tmp_path / "r.hea")
    np.testing.assert_array_equal(signal_mv, wfdb.rdrecord(str(tmp_path / "r")).p_signal.T)
    assert np.isnan(signal_mv[1, 5:9]).all()


def test_a_flac_file_shorter_than_promised_is_refused_whatever_the_promise(tmp_path: Path) -> None:
    wfdb.wrsamp(
        "r",
        fs=500,
        units=["mV"],
        sig_name=["I"],
        d_signal=np.arange(1000)[:, None],
        fmt=["516"],
        adc_gain=[200],
        baseline=[0],
        write_dir=str(tmp_path),
    )
    header = tmp_path / "r.hea"
    header.write_text(header.read_text().replace(" 500 1000", f" 500 {10**18}"))
    with pytest.raises(
        DataError, match=r"promises 1,000,000,000,000,000,000 samples .* found 1,000"
    ):
        read(header)


@pytest.mark.parametrize("content", [b"", b"fLaC", b"fLaC" + bytes(200), b"RIFF" + bytes(50)])
def test_what_is_no_flac_file_is_refused(tmp_path: Path, content: bytes) -> None:
    path = write(tmp_path, "r 1 500 10\nf.dat 516\n", f=content)
    with pytest.raises(DataError, match=r"f\.dat is not a readable FLAC file"):
        read(path)


def test_samples_of_a_frame_are_averaged_and_an_invalid_one_spoils_its_frame(
    tmp_path: Path,
) -> None:
    frames = np.array([[1, 10, 20], [2, 30, 50], [3, -32768, 70]], "<i2")
    path = write(tmp_path, "r 2 250 3\nf.dat 16 1/mV\nf.dat 16x2 1/mV\n", f=frames.tobytes())
    np.testing.assert_array_equal(read(path), [[1, 2, 3], [15, 40, np.nan]])
    expanded = wfdb.rdrecord(str(path.with_suffix("")), smooth_frames=False).e_p_signal
    np.testing.assert_array_equal(read(path)[1], expanded[1].reshape(-1, 2).mean(axis=1))


def test_skew_is_taken_out_and_the_end_that_is_missing_is_nan(tmp_path: Path) -> None:
    frames = np.stack([np.arange(6), 10 * np.arange(6)], axis=1).astype("<i2")
    path = write(tmp_path, "r 2 250 6\nf.dat 16 1/mV\nf.dat 16:2 1/mV\n", f=frames.tobytes())
    expected = [[0, 1, 2, 3, 4, 5], [20, 30, 40, 50, np.nan, np.nan]]
    np.testing.assert_array_equal(read(path), expected)
    np.testing.assert_array_equal(wfdb.rdrecord(str(path.with_suffix(""))).p_signal.T, expected)


def test_a_record_in_several_files_of_several_formats_is_read(tmp_path: Path) -> None:
    header = "r 3 250 2\nf.dat 16 1/mV\nf.dat 16 1/mV\ng.dat 80+3 1/mV\n"
    path = write(
        tmp_path, header, f=struct.pack("<4h", 1, 10, 2, 20), g=b"abc" + bytes([128 + 7, 128 - 7])
    )
    np.testing.assert_array_equal(read(path), [[1, 2], [10, 20], [7, -7]])


@pytest.mark.parametrize(
    ("unit", "millivolts"),
    [
        ("V", 2000.0),
        ("mV", 2.0),
        ("mv", 2.0),
        ("MV", 2.0),
        ("uV", 0.002),
        ("UV", 0.002),
        ("\u00b5V", 0.002),
        ("\u03bcV", 0.002),
        ("nV", 2e-6),
    ],
)
def test_units_of_any_case_become_millivolts(tmp_path: Path, unit: str, millivolts: float) -> None:
    path = write(tmp_path, f"r 1 250 1\nf.dat 16 100/{unit}\n", f=struct.pack("<h", 200))
    assert read(path)[0, 0] == pytest.approx(millivolts, rel=1e-15)


@pytest.mark.parametrize("unit", ["mmHg", "m", "NU", "\u00b5", "volt"])
def test_a_unit_that_is_no_voltage_is_refused_by_name(tmp_path: Path, unit: str) -> None:
    path = write(tmp_path, f"r 1 250 1\nf.dat 16 100/{unit} 0 0 0 0 0 ABP\n", f=bytes(2))
    with pytest.raises(DataError, match=r"the signal 'ABP' in .* expected a voltage"):
        read(path)


@pytest.mark.parametrize("storage_format", sorted(FORMATS))
def test_a_file_one_byte_short_is_refused_and_a_longer_one_is_not(
    tmp_path: Path, storage_format: str
) -> None:
    size = 5 + FORMATS[storage_format].bytes_for(3 * 7)
    header = f"r 3 250 7\n{f'f.dat {storage_format}+5 1/mV{chr(10)}' * 3}"
    path = write(tmp_path, header, f=bytes(size - 1))
    with pytest.raises(
        DataError, match=rf"f\.dat is cut short: .* {size:,} bytes, .* {size - 1:,}"
    ):
        read(path)
    assert read(write(tmp_path, header, f=bytes(size + 9))).shape == (3, 7)


@pytest.mark.parametrize("header", ["r 1 250 {n}\nf.dat 16\n", "r 1 250 7\nf.dat 16+{n}\n"])
def test_a_huge_claim_allocates_nothing(tmp_path: Path, header: str) -> None:
    path = write(tmp_path, header.format(n=10**18), f=bytes(14))
    with pytest.raises(DataError, match="cut short"):
        read(path)


def test_a_signal_file_that_is_missing_is_named(tmp_path: Path) -> None:
    path = write(tmp_path, "r 1 250 7\nf.dat 16\n")
    with pytest.raises(DataError, match=rf"{tmp_path / 'f.dat'} is missing"):
        read(path)
    os.mkfifo(tmp_path / "f.dat")  # a pipe would block for ever
    with pytest.raises(DataError, match="is missing"):
        read(path)


def matlab(kind: int, rows: int, columns: int, imaginary: int = 0, name: bytes = b"val") -> bytes:
    return struct.pack("<5i", kind, rows, columns, imaginary, len(name) + 1) + name + b"\0"


@pytest.mark.parametrize(
    ("storage_format", "kind", "sample"), [("16", 30, "<h"), ("32", 20, "<i"), ("80", 50, "B")]
)
def test_a_record_in_a_matlab_file_is_read(
    tmp_path: Path, storage_format: str, kind: int, sample: str
) -> None:
    zero = 128 if storage_format == "80" else 0
    content = matlab(kind, 2, 3) + b"".join(struct.pack(sample, zero + i) for i in range(6))
    (tmp_path / "r.mat").write_bytes(content)
    line = f"r.mat {storage_format}+24 1/mV\n"
    np.testing.assert_array_equal(
        read(write(tmp_path, f"r 2 250 3\n{line}{line}")), [[0, 2, 4], [1, 3, 5]]
    )


@pytest.mark.parametrize(
    "start",
    [
        matlab(30, 2, 4),
        matlab(30, 3, 3),
        matlab(20, 2, 3),
        matlab(30, 2, 3, imaginary=1),
        b"MATLAB 5.0 MAT-file, Pla",
    ],
)
def test_a_matlab_file_of_another_shape_is_refused_with_both_shapes(
    tmp_path: Path, start: bytes
) -> None:
    (tmp_path / "r.mat").write_bytes(start + bytes(12))
    path = write(tmp_path, "r 2 250 3\nr.mat 16+24 1/mV\nr.mat 16+24 1/mV\n")
    with pytest.raises(DataError) as caught:
        read(path)
    declared = list(struct.unpack("<5i", start[:20]))
    assert f"length of name {declared}, its header one of [30, 2, 3, 0, 4]" in str(caught.value)


@pytest.fixture(scope="module")
def data_root() -> Path:
    root = Path(os.environ.get("ECG_DATA_ROOT", REPOSITORY.parent / "shared" / "data"))
    if not root.is_dir():
        pytest.skip(f"no recordings in {root} (set ECG_DATA_ROOT)")
    return root


@pytest.mark.parametrize("database", ["mitdb", "cinc2017", "ludb", "ptbxl", "cinc2020"])
def test_real_signals_equal_those_that_wfdb_reads(
    data_root: Path, tmp_path: Path, database: str
) -> None:
    paths = sorted((data_root / database).rglob("*.hea"))
    if not paths:
        pytest.skip(f"no {database} in {data_root} (set ECG_DATA_ROOT)")
    for path in paths[:: max(1, len(paths) // 12)]:
        text = path.read_text()
        if text.startswith(f"{path.stem}.mat "):  # wfdb refuses the name; the data are sound
            for file in path.parent.glob(f"{path.stem}.*"):
                (tmp_path / file.name).write_bytes(file.read_bytes())
            (tmp_path / path.name).write_text(text.replace(".mat ", " ", 1))
            expected = wfdb.rdrecord(str(tmp_path / path.stem)).p_signal.T
        else:
            expected = wfdb.rdrecord(str(path.with_suffix(""))).p_signal.T
        np.testing.assert_array_equal(read(path), expected, err_msg=str(path))
