"""Downloading, from a server on this machine that serves as PhysioNet does."""

from __future__ import annotations

import hashlib
import re
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from ecgmodels.data.databases.fetch import UNFINISHED, fetch
from ecgmodels.errors import DataError

FILES = {
    "RECORDS": b"100\n101\n",
    "100.hea": b"100 2 360 4\n",
    "100.dat": bytes(range(256)) * 400,
    "100.atr": b"\0\0",
    "101.hea": b"101 2 360 4\n",
    "101.dat": b"x" * 5000,
    "101.atr": b"\0\0",
    "notes/readme.txt": b"not needed",
}


@dataclass
class Server:
    url: str
    files: dict[str, bytes]
    requests: list[str] = field(default_factory=list)
    breaks_off: set[str] = field(default_factory=set)
    """Files of which the connection ends half way, once."""


@pytest.fixture
def server() -> Iterator[Server]:
    state = Server(url="", files=dict(FILES))
    sums = "".join(f"{hashlib.sha256(data).hexdigest()} {name}\n" for name, data in FILES.items())
    state.files["SHA256SUMS.txt"] = sums.encode()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_HEAD(self) -> None:
            self._answer(body=False)

        def do_GET(self) -> None:
            self._answer(body=True)

        def _answer(self, *, body: bool) -> None:
            name = self.path.removeprefix("/mitdb/1.0.0/")
            content = state.files.get(name)
            if content is None:
                self.send_error(404)
                return
            state.requests.append(f"{self.command} {name}")
            asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
            start = int(asked[1]) if asked else 0
            stop = min(int(asked[2]) + 1, len(content)) if asked and asked[2] else len(content)
            self.send_response(206 if asked else 200)
            self.send_header("Accept-Ranges", "bytes")
            self.send_header("Content-Length", str(stop - start))
            if asked:
                self.send_header("Content-Range", f"bytes {start}-{stop - 1}/{len(content)}")
            self.end_headers()
            if not body:
                return
            if name in state.breaks_off:
                state.breaks_off.discard(name)
                self.wfile.write(content[start : (start + stop) // 2])
                self.wfile.flush()
                self.connection.shutdown(socket.SHUT_RDWR)
                self.close_connection = True
                return
            self.wfile.write(content[start:stop])

        def log_message(self, *arguments: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        state.url = f"http://127.0.0.1:{http.server_address[1]}/"
        thread = threading.Thread(target=http.serve_forever)
        thread.start()
        yield state
        http.shutdown()
        thread.join()


def test_what_the_reader_needs_is_fetched_and_nothing_else(server: Server, tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    fetched = fetch(
        "mitdb",
        tmp_path / "mitdb",
        progress=lambda done, total: seen.append((done, total)),
        index_url=server.url,
    )
    assert (fetched.files, fetched.downloaded) == (7, 7)
    found = {path.name: path.read_bytes() for path in (tmp_path / "mitdb").iterdir()}
    assert found == {name: data for name, data in FILES.items() if "/" not in name}
    assert seen[-1] == (7, 7)


def test_further_files_are_fetched_into_their_folders(server: Server, tmp_path: Path) -> None:
    fetch("mitdb", tmp_path, include=("notes/*",), index_url=server.url)
    assert (tmp_path / "notes" / "readme.txt").read_bytes() == b"not needed"


def test_a_second_time_only_what_is_missing_or_damaged_is_fetched(
    server: Server, tmp_path: Path
) -> None:
    fetch("mitdb", tmp_path, index_url=server.url)
    (tmp_path / "101.dat").unlink()
    (tmp_path / "100.atr").write_bytes(b"\0\1")
    server.requests.clear()
    assert fetch("mitdb", tmp_path, index_url=server.url).downloaded == 2
    assert {line.split()[1] for line in server.requests} == {"SHA256SUMS.txt", "101.dat", "100.atr"}
    assert (tmp_path / "100.atr").read_bytes() == FILES["100.atr"]


def test_a_download_that_broke_off_is_finished_by_the_same_command(
    server: Server, tmp_path: Path
) -> None:
    server.breaks_off = {"100.dat"}
    with pytest.raises(DataError, match=r"100\.dat") as raised:
        fetch("mitdb", tmp_path, index_url=server.url)
    assert "again" in raised.value.hint
    assert not (tmp_path / "100.dat").exists()
    fetch("mitdb", tmp_path, index_url=server.url)
    assert (tmp_path / "100.dat").read_bytes() == FILES["100.dat"]
    assert not (tmp_path / UNFINISHED).exists()


def test_half_a_file_that_arrived_earlier_is_completed(server: Server, tmp_path: Path) -> None:
    (tmp_path / UNFINISHED).mkdir()
    (tmp_path / UNFINISHED / "100.dat").write_bytes(FILES["100.dat"][:1000])
    fetch("mitdb", tmp_path, index_url=server.url)
    assert (tmp_path / "100.dat").read_bytes() == FILES["100.dat"]


def test_a_file_with_other_content_than_its_checksum_never_reaches_its_place(
    server: Server, tmp_path: Path
) -> None:
    server.files["101.dat"] = b"y" * 5000
    with pytest.raises(DataError, match=r"101\.dat of mitdb arrived with SHA-256"):
        fetch("mitdb", tmp_path, index_url=server.url)
    assert not (tmp_path / "101.dat").exists()


def test_a_pattern_without_a_match_is_named(server: Server, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"matches 'records500/\*'"):
        fetch("mitdb", tmp_path, include=("records500/*",), index_url=server.url)


def test_a_server_that_is_not_there_is_an_error_with_advice(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be downloaded") as raised:
        fetch("mitdb", tmp_path, index_url="http://127.0.0.1:9/")
    assert "connection" in raised.value.hint


def test_a_database_that_is_not_open_names_those_that_are(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="'hefei' is not a database that can be fetched") as raised:
        fetch("hefei", tmp_path)
    assert "ptbxl" in raised.value.hint
