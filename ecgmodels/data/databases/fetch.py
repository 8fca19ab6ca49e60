"""Downloading the open databases from PhysioNet, for people who have them not.

Files come through wfdb into a hidden folder, are compared with the database's SHA256SUMS.txt, and
only then moved to their place; what is there already and right is not fetched again.
"""

from __future__ import annotations

import contextlib
import fnmatch
import hashlib
import io
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from ecgmodels.configs import nearest_hint
from ecgmodels.errors import DataError

SUMS_NAME = "SHA256SUMS.txt"
UNFINISHED = ".fetching"
CONNECTIONS = 2  # as wfdb's own downloads: PhysioNet is a public service
_AGAIN = "run the same command again: what has arrived is kept"


@dataclass(frozen=True, kw_only=True)
class OpenDatabase:
    """Where a database lies on PhysioNet, and which of its files the reader needs."""

    slug: str
    version: str
    include: tuple[str, ...]
    """Shell patterns over paths in the database; "*" also matches "/"."""
    flat: bool = False
    """Files go side by side into one folder, whatever folders they come from."""


OPEN_DATABASES: Mapping[str, OpenDatabase] = {
    "mitdb": OpenDatabase(
        slug="mitdb", version="1.0.0", include=("RECORDS", "[0-9]*.hea", "[0-9]*.dat", "[0-9]*.atr")
    ),
    "ludb": OpenDatabase(slug="ludb", version="1.0.1", include=("RECORDS", "ludb.csv", "data/*")),
    "ptbxl": OpenDatabase(
        slug="ptb-xl",
        version="1.0.3",
        include=("ptbxl_database.csv", "scp_statements.csv", "records100/*"),
    ),
    "cinc2017": OpenDatabase(
        slug="challenge-2017",
        version="1.0.0",
        include=("training/*.hea", "training/*.mat", "*REFERENCE-v3.csv"),
        flat=True,
    ),
    "cinc2020": OpenDatabase(slug="challenge-2021", version="1.0.3", include=("training/*",)),
}


@dataclass(frozen=True, kw_only=True)
class Fetched:
    """What `fetch` did."""

    folder: Path
    files: int
    """Files of the database that are now in place, verified."""
    downloaded: int


def fetch(
    name: str,
    out: Path,
    *,
    include: Sequence[str] = (),
    progress: Callable[[int, int], None] | None = None,
    index_url: str | None = None,
) -> Fetched:
    """Download a database into `out`, or what is still missing of it there.

    Args:
        name: a key of `OPEN_DATABASES`.
        out: made if need be.
        include: shell patterns of further files, such as "records500/*" of ptbxl.
        progress: called with (files done, files in all).
        index_url: the server's address, if it is a mirror of PhysioNet's `files/`.

    Raises:
        DataError: the database is not an open one, the server cannot be reached, a file arrives
            with other content than its checksum says, or a pattern matches nothing.
    """
    if name not in OPEN_DATABASES:
        raise DataError(
            f"'{name}' is not a database that can be fetched",
            hint=nearest_hint(name, OPEN_DATABASES),
        )
    database = OPEN_DATABASES[name]
    unfinished = out / UNFINISHED
    try:
        unfinished.mkdir(parents=True, exist_ok=True)
        with _server(index_url):
            sums = _read_sums(_download(database, SUMS_NAME, unfinished, anew=True))
            chosen = _chosen(sums, (*database.include, *include), database)
            downloaded = 0
            with ThreadPoolExecutor(CONNECTIONS) as pool:
                arrivals = pool.map(
                    lambda path: _fetch_file(database, path, sums[path], out), chosen
                )
                try:
                    for done, fresh in enumerate(arrivals, start=1):
                        downloaded += fresh
                        if progress is not None:
                            progress(done, len(chosen))
                except BaseException:
                    pool.shutdown(cancel_futures=True)
                    raise
    except OSError as error:
        raise DataError(
            f"{name} cannot be fetched into {out}: {error}",
            hint="check the connection and the free space; " + _AGAIN,
        ) from error
    _remove_empty(unfinished)
    return Fetched(folder=out, files=len(chosen), downloaded=downloaded)


def _chosen(
    sums: Mapping[str, str], patterns: Iterable[str], database: OpenDatabase
) -> tuple[str, ...]:
    chosen: set[str] = set()
    for pattern in patterns:
        matched = fnmatch.filter(sums, pattern)
        if not matched:
            raise DataError(
                f"no file of {database.slug} {database.version} matches '{pattern}'",
                hint=f"its {SUMS_NAME} lists {len(sums):,} files, such as {next(iter(sums))}",
            )
        chosen.update(matched)
    return tuple(sorted(chosen))


def _fetch_file(database: OpenDatabase, path: str, sha256: str, out: Path) -> bool:
    """Put one file in its place; return whether it had to be downloaded."""
    target = out / (PurePosixPath(path).name if database.flat else path)
    if target.is_file() and _sha256(target) == sha256:
        return False
    arrived = _download(database, path, out / UNFINISHED)
    if _sha256(arrived) != sha256:
        # Perhaps the rest of an older version was appended to what had arrived of it: once more.
        arrived = _download(database, path, out / UNFINISHED, anew=True)
        if (found := _sha256(arrived)) != sha256:
            arrived.unlink()
            raise DataError(
                f"{path} of {database.slug} arrived with SHA-256 {found[:12]}..., expected "
                f"{sha256[:12]}...",
                hint=f"{_AGAIN}; if it stays so, the server's copy is damaged",
            )
    target.parent.mkdir(parents=True, exist_ok=True)
    os.replace(arrived, target)
    return True


def _download(database: OpenDatabase, path: str, folder: Path, *, anew: bool = False) -> Path:
    """Download one file through wfdb, going on where an interrupted download ended."""
    from wfdb.io import download
    from wfdb.io._url import NetFileError

    name = PurePosixPath(path)
    target = folder / name
    target.parent.mkdir(parents=True, exist_ok=True)
    remote = f"{database.slug}/{database.version}"
    try:
        download.dl_pn_file([name.name, str(name.parent), remote, str(folder), True, anew])
    except (NetFileError, OSError) as error:  # requests' errors are OSErrors
        raise DataError(
            f"{remote}/{path} cannot be downloaded: {' '.join(str(error).split())[:200]}",
            hint="check the connection; " + _AGAIN,
        ) from error
    return target


def _read_sums(path: Path) -> dict[str, str]:
    """Return path in the database -> SHA-256, from lines of "hex path"."""
    sums = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        sha256, _, name = line.partition(" ")
        name = name.strip().removeprefix("*").removeprefix("./")
        inside = name and not name.startswith("/") and ".." not in PurePosixPath(name).parts
        if len(sha256) != 64 or not inside:
            raise DataError(
                f"line {number} of the server's {SUMS_NAME} is '{line[:80]}', expected a SHA-256 "
                "and a path",
                hint="the address given may not be a mirror of PhysioNet's files/",
            )
        sums[name] = sha256
    return sums


@contextlib.contextmanager
def _server(index_url: str | None) -> Iterator[None]:
    """Have wfdb download from another address, and keep what it prints to itself."""
    from wfdb.io import download

    before = download.config.db_index_url
    if index_url is not None:
        download.set_db_index_url(index_url)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        download.set_db_index_url(before)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _remove_empty(folder: Path) -> None:
    (folder / SUMS_NAME).unlink(missing_ok=True)
    for path in sorted(folder.rglob("*"), reverse=True):
        with contextlib.suppress(OSError):  # not empty: something unfinished of another pattern
            path.rmdir()
    with contextlib.suppress(OSError):
        folder.rmdir()
