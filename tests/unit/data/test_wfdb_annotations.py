from __future__ import annotations

import os
import struct
from pathlib import Path

import numpy as np
import pytest
import wfdb
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ecgmodels.data.recordings.wfdb_annotations import BEAT_SYMBOLS, read_annotations, read_beats
from ecgmodels.errors import DataError

REPOSITORY = Path(__file__).parents[3]
SYMBOLS = sorted(set(wfdb.io.annotation.ann_label_table["symbol"]) - {" "})
END = 0


def words(*values: int) -> bytes:
    return struct.pack(f"<{len(values)}H", *values)


def word(code: int, count: int) -> int:
    return code << 10 | count


def skip(samples: int) -> tuple[int, int, int]:
    """SKIP and its 32-bit number, high word first."""
    return word(59, 0), samples >> 16 & 0xFFFF, samples & 0xFFFF


def write(folder: Path, *values: int) -> Path:
    path = folder / "r.atr"
    path.write_bytes(words(*values))
    return path


@settings(
    max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_what_wfdb_writes_is_read_as_wfdb_reads_it(tmp_path: Path, data: st.DataObject) -> None:
    # Gaps on both sides of the 1023 samples that a word holds; longer ones need a SKIP.
    gap = st.one_of(st.integers(1, 5), st.integers(1000, 1100), st.integers(1, 10**6))
    gaps = data.draw(st.lists(gap, min_size=1, max_size=15))

    def draw(values: st.SearchStrategy[object]) -> list[object]:
        return data.draw(st.lists(values, min_size=len(gaps), max_size=len(gaps)))

    wfdb.wrann(
        "r",
        "qrs",
        np.cumsum(gaps),
        symbol=draw(st.sampled_from(SYMBOLS)),
        subtype=np.array(draw(st.integers(-5, 5))),
        chan=np.array(draw(st.integers(0, 11))),
        num=np.array(draw(st.integers(0, 127))),
        aux_note=draw(
            st.sampled_from(["", "(N", "(AFIB", "odd", "a long note of thirty letters "])
        ),
        write_dir=str(tmp_path),
    )
    expected = wfdb.rdann(str(tmp_path / "r"), "qrs")
    sample, symbol = read_annotations(tmp_path, "r", "qrs")
    assert sample.dtype == np.int64
    assert sample.tolist() == np.cumsum(gaps).tolist() == expected.sample.tolist()
    assert symbol.tolist() == expected.symbol


def test_beats_are_the_marks_of_beats(tmp_path: Path) -> None:
    symbols = ["+", "N", "~", "V", "|", "p", "/", "x", "?"]
    wfdb.wrann("r", "atr", np.arange(9) * 100 + 5, symbol=symbols, write_dir=str(tmp_path))
    beats = read_beats(tmp_path, "r")
    assert beats.symbol.tolist() == ["N", "V", "/", "?"]
    assert beats.sample.tolist() == [105, 305, 605, 805]
    assert len(BEAT_SYMBOLS) == 19


def test_marks_come_in_the_order_of_time(tmp_path: Path) -> None:
    write(tmp_path, word(1, 500), *skip(-300), word(5, 0), word(8, 300), END)
    sample, symbol = read_annotations(tmp_path, "r")
    assert list(zip(sample.tolist(), symbol.tolist(), strict=True)) == [
        (200, "V"),
        (500, "N"),
        (500, "A"),
    ]


def test_words_inside_a_note_or_a_skip_are_no_marks(tmp_path: Path) -> None:
    note = word(63, 4), word(59, 7), word(63, 9)
    skipped = word(1, 3) << 16 | word(63, 5)
    write(tmp_path, word(28, 10), *note, *skip(skipped), word(1, 1), END)
    sample, symbol = read_annotations(tmp_path, "r")
    assert symbol.tolist() == ["+", "N"]
    assert sample.tolist() == [10, 10 + skipped + 1]


def test_codes_without_a_symbol_are_shown_by_number(tmp_path: Path) -> None:
    write(tmp_path, word(41, 1), word(42, 1), word(49, 1), END)
    assert read_annotations(tmp_path, "r")[1].tolist() == ["r", "[42]", "[49]"]
    assert read_beats(tmp_path, "r").symbol.tolist() == ["r"]


def test_a_word_without_a_code_moves_time_and_marks_nothing(tmp_path: Path) -> None:
    write(tmp_path, word(0, 700), word(1, 600), END)
    assert read_annotations(tmp_path, "r")[0].tolist() == [1300]


def test_an_empty_file_of_annotations_has_no_marks(tmp_path: Path) -> None:
    write(tmp_path, END)
    sample, symbol = read_annotations(tmp_path, "r")
    assert len(sample) == len(symbol) == 0
    assert len(read_beats(tmp_path, "r")) == 0


def test_zeros_after_the_end_mark_are_padding(tmp_path: Path) -> None:
    write(tmp_path, word(1, 5), END, END, END)
    assert read_annotations(tmp_path, "r")[0].tolist() == [5]


def test_a_time_base_of_its_own_is_brought_to_the_rate_of_the_header(tmp_path: Path) -> None:
    (tmp_path / "r.hea").write_text("r 1 250 5000\nr.dat 16\n")
    wfdb.wrann(
        "r", "atr", np.array([100, 999]), symbol=["N", "V"], fs=1000, write_dir=str(tmp_path)
    )
    sample, symbol = read_annotations(tmp_path, "r")
    assert sample.tolist() == [25, 250]
    assert symbol.tolist() == ["N", "V"]
    wfdb.wrann("r", "atr", np.array([100, 999]), symbol=["N", "V"], fs=250, write_dir=str(tmp_path))
    assert read_annotations(tmp_path, "r")[0].tolist() == [100, 999]


def test_a_time_base_without_a_header_to_compare_is_refused(tmp_path: Path) -> None:
    wfdb.wrann("r", "atr", np.array([100]), symbol=["N"], fs=1000, write_dir=str(tmp_path))
    with pytest.raises(DataError, match=r"r\.hea is missing"):
        read_annotations(tmp_path, "r")


def test_a_comment_at_the_start_that_defines_nothing_is_kept(tmp_path: Path) -> None:
    write(tmp_path, word(22, 0), word(63, 2), 0x6968, word(1, 9), END)
    assert read_annotations(tmp_path, "r")[1].tolist() == ['"', "N"]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "ends before its end mark"),
        (b"\0", "ends before its end mark"),
        (words(word(1, 9)), "ends before its end mark"),
        (words(word(1, 9), END)[:-1], "ends before its end mark"),
        (words(word(1, 9), END, word(1, 9), END), "an end mark at byte 2, amid data"),
        (words(word(1, 9), word(59, 0), 1, 0), "the entry at byte 2 runs past the end"),
        (words(word(1, 9), word(63, 4), 1, 0), "the entry at byte 2 runs past the end"),
        (words(word(1, 9), word(63, 256), *[0] * 200), "the entry at byte 2 has 256 bytes of text"),
        (words(word(1, 9), word(50, 9), END), "code 50, which the format does not have"),
        (words(word(61, 4), word(1, 9), END), "the entry at byte 0 belongs to no mark"),
        (words(word(1, 9), *skip(5), word(63, 2), 1, END), "entry at byte 8 belongs to no mark"),
        (words(*skip(-5), word(1, 2), END), "marks samples -3 to -3"),
    ],
)
def test_what_is_no_annotation_file_is_refused_with_the_reason(
    tmp_path: Path, content: bytes, reason: str
) -> None:
    path = tmp_path / "r.atr"
    path.write_bytes(content)
    for read in read_annotations, read_beats:
        with pytest.raises(DataError, match=reason) as caught:
            read(tmp_path, "r")
        assert str(path) in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=rf"{tmp_path / 'r.qrs'} is missing"):
        read_annotations(tmp_path, "r", "qrs")


@pytest.fixture(scope="module")
def data_root() -> Path:
    root = Path(os.environ.get("ECG_DATA_ROOT", REPOSITORY.parent / "shared" / "data"))
    if not root.is_dir():
        pytest.skip(f"no recordings in {root} (set ECG_DATA_ROOT)")
    return root


@pytest.mark.parametrize(
    ("database", "extensions"),
    [("mitdb", ["atr"]), ("ludb/data", ["i", "ii", "iii", "avr", "v1", "v6"])],
)
def test_real_annotations_equal_those_that_wfdb_reads(
    data_root: Path, database: str, extensions: list[str]
) -> None:
    paths = sorted((data_root / database).glob("*.hea"))
    if not paths:
        pytest.skip(f"no {database} in {data_root} (set ECG_DATA_ROOT)")
    for path in paths[:: max(1, len(paths) // 10)]:
        for extension in extensions:
            expected = wfdb.rdann(str(path.with_suffix("")), extension)
            sample, symbol = read_annotations(path.parent, path.stem, extension)
            np.testing.assert_array_equal(sample, expected.sample)
            assert symbol.tolist() == expected.symbol


def test_all_109494_beats_of_mit_bih_are_found(data_root: Path) -> None:
    if not (data_root / "mitdb").is_dir():
        pytest.skip(f"no mitdb in {data_root} (set ECG_DATA_ROOT)")
    records = (data_root / "mitdb" / "RECORDS").read_text().split()
    assert sum(len(read_beats(data_root / "mitdb", record)) for record in records) == 109_494
