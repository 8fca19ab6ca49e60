from __future__ import annotations

import csv
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ecgmodels.data.databases.tables import Row, read_listing, read_rows
from ecgmodels.errors import DataError


def _row(text: str) -> Row:
    return Row(path=Path("people.csv"), line=7, cells={"cell": text})


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("newline", [b"\n", b"\r\n", b"\r"])
def test_byte_order_marks_and_line_ends_make_no_difference(
    tmp_path: Path, mark: bytes, newline: bytes
) -> None:
    path = tmp_path / "people.csv"
    path.write_bytes(mark + newline.join([b"name,age", b"Ann, 7 ", b"", b"Bob,", b""]))
    rows = read_rows(path, ["name", "age"])
    assert [dict(row.cells) for row in rows] == [
        {"name": "Ann", "age": "7"},
        {"name": "Bob", "age": ""},
    ]


def test_a_row_knows_its_line_although_quoted_cells_span_several(tmp_path: Path) -> None:
    path = tmp_path / "people.csv"
    path.write_text('name,note\nAnn,"one\ntwo"\nBob,three\n')
    assert [row.line for row in read_rows(path, ["name"])] == [3, 4]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"name,agee\nAnn,7\n", r"people\.csv has no column 'age'"),
        (b"name;age\nAnn;7\n", r"people\.csv has no column 'name'"),
        (b"name,age,age\nAnn,7,8\n", r"people\.csv has two columns 'age'"),
        (b"name,age\nAnn,7\nBob\n", r"people\.csv, line 3: 1 cells, expected 2"),
        (b"name,age\nAnn,7,8\n", r"people\.csv, line 2: 3 cells, expected 2"),
        (b'name,age\nAnn,"7\n', r"people\.csv, line 2: not CSV"),
        (b"name,age\n\n", r"people\.csv has no rows"),
        (b"", r"people\.csv has no column 'name'"),
        (b"name,age\nAnn,\xff\n", r"people\.csv is not UTF-8 text \(byte 13\)"),
    ],
)
def test_a_file_that_is_no_such_table_is_named(
    tmp_path: Path, content: bytes, message: str
) -> None:
    path = tmp_path / "people.csv"
    path.write_bytes(content)
    with pytest.raises(DataError, match=message):
        read_rows(path, ["name", "age"])


def test_a_missing_table_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"people\.csv is missing"):
        read_rows(tmp_path / "people.csv", ["name"])


def test_a_misspelt_column_is_suggested(tmp_path: Path) -> None:
    path = tmp_path / "people.csv"
    path.write_text("patientid,age\n1,7\n")
    with pytest.raises(DataError) as caught:
        read_rows(path, ["patient_id"])
    assert "did you mean 'patientid'?" in caught.value.hint


@pytest.mark.parametrize(
    ("text", "number"), [("", None), ("nan", None), ("7", 7.0), ("7.5", 7.5), ("0", 0.0)]
)
def test_an_empty_cell_is_no_number(text: str, number: float | None) -> None:
    assert _row(text).number("cell", least=0, most=9) == number


@pytest.mark.parametrize("text", ["-1", "10", "inf", "-inf", "seven", "7,5"])
def test_a_number_out_of_range_is_named_with_file_and_line(text: str) -> None:
    with pytest.raises(
        DataError, match=rf"people\.csv, line 7: cell is '{text}', expected 0 to 9 cm or nothing"
    ):
        _row(text).number("cell", least=0, most=9, unit="cm")


def test_a_whole_number_may_be_written_with_a_fraction_of_zero() -> None:
    assert _row("15709.0").whole("cell") == 15709


@pytest.mark.parametrize("text", ["", "7.5", "-7", "²", "1e3", "7.0.0"])
def test_what_is_no_whole_number_is_refused(text: str) -> None:
    with pytest.raises(DataError, match="line 7: cell is"):
        _row(text).whole("cell")


def test_a_long_cell_is_shortened_in_the_message() -> None:
    with pytest.raises(DataError) as caught:
        _row("x\n" * 1000).one_of("cell", {"a": 1})
    assert len(str(caught.value)) < 200
    assert "\n" not in str(caught.value)


def test_a_listing_keeps_order_and_folders(tmp_path: Path) -> None:
    (tmp_path / "RECORDS").write_bytes(b"\xef\xbb\xbfB01/b7\r\nA00/a2\r\n\r\na10\r\n")
    assert list(read_listing(tmp_path).items()) == [
        ("b7", "B01/b7"),
        ("a2", "A00/a2"),
        ("a10", "a10"),
    ]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", r"RECORDS lists no record"),
        ("a/1\nb/1\n", r"RECORDS, line 2: record 1 is listed a second time"),
        ("1\n../2\n", r"RECORDS, line 2: '\.\./2' is not a path below"),
        ("/etc/1\n", r"RECORDS, line 1: '/etc/1' is not a path below"),
    ],
)
def test_a_listing_that_leads_astray_is_refused(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "RECORDS").write_text(content)
    with pytest.raises(DataError, match=message):
        read_listing(tmp_path)


_CELL = st.text(st.characters(exclude_categories=["C"]), max_size=8)


@settings(max_examples=100, deadline=None)
@given(cells=st.lists(st.tuples(st.integers(0, 99).map(str), _CELL, _CELL), min_size=1))
def test_what_is_written_as_csv_is_read_again(
    tmp_path_factory: pytest.TempPathFactory, cells: list[tuple[str, str, str]]
) -> None:
    path = tmp_path_factory.mktemp("table") / "table.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("id", "first", "second"), *cells])
    rows = read_rows(path, ["second", "id"])
    assert [(row.cells["id"], row.cells["second"]) for row in rows] == [
        (number, second.strip()) for number, _, second in cells
    ]


@settings(max_examples=200, deadline=None)
@given(content=st.binary(max_size=80) | st.text("id,\"'\n\r\0 7", max_size=40).map(str.encode))
def test_any_bytes_are_a_table_or_refused(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    path = tmp_path_factory.mktemp("table") / "table.csv"
    path.write_bytes(b"id,cell\n" + content)
    refusal, rows = "", []
    try:
        rows = read_rows(path, ["id"])
    except DataError as error:
        refusal = str(error)
    assert rows or str(path) in refusal
