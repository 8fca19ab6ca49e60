"""Datasets on other file systems, copied file by file to this machine as they are needed.

    open_dataset("s3://bucket/datasets/ptbxl")

Copies are kept in $ECGSEARCH_CACHE/datasets, one folder a manifest's hash, so that a dataset is
copied once a machine, whatever its address. Each file is compared with its checksum on the way,
and appears whole or not at all; what an interrupted copy has read is not read again.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

import pyarrow as pa
from pyarrow import fs

from ecgmodels.data.storage.file_systems import one_line, open_file_system, shown
from ecgmodels.data.storage.manifest import MANIFEST_NAME, parse_manifest
from ecgmodels.data.storage.verification import (
    FileEntry,
    Memory,
    cache_folder,
    check_checksums,
    check_sizes,
    evidence_of,
)
from ecgmodels.errors import DataError
from ecgmodels.files import write_atomically

COPYING_THREADS = 4
"""An object store gives a single reader a fraction of what the network can carry."""
_CHUNK_BYTES = 8 * 2**20
_UPLOAD_AGAIN = "upload the dataset again from where it was prepared, dataset.json last"


class RemoteFiles:
    """A dataset behind an address; see `ecgmodels.data.storage.files.DatasetFiles`.

    Several processes and threads of a machine may copy the same dataset at once: a file is copied
    by one of them, while the others wait for it.
    """

    def __init__(self, address: str, *, verify: bool) -> None:
        """Read the manifest from the address; nothing else is copied as yet.

        Args:
            address: scheme://..., the folder that holds dataset.json (see `file_systems`).
            verify: False takes on trust what was copied before; a fresh copy is always verified.

        Raises:
            DataError: the file system cannot be reached, or there is no valid manifest.
        """
        self.name = shown(address)
        self._verify = verify
        self._system, self._root = open_file_system(address)
        content = self._read_manifest()
        self.manifest = parse_manifest(content, self._name(MANIFEST_NAME))
        self.folder = cache_folder() / "datasets" / self.manifest.hash
        with _writing(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
            if not (self.folder / MANIFEST_NAME).is_file():
                with _locked(self.folder / MANIFEST_NAME):
                    write_atomically(self.folder / MANIFEST_NAME, content)

    def _read_manifest(self) -> bytes:
        name = self._name(MANIFEST_NAME)
        with self._errors_named(name):
            found = self._system.get_file_info(f"{self._root}/{MANIFEST_NAME}")
        if found.type != fs.FileType.File:
            raise DataError(
                f"{name} is missing: {self.name} is not a prepared dataset",
                hint="give the address of a folder written by `ecgsearch data prepare`",
            )
        with self._reading(MANIFEST_NAME) as file:
            return file.read()

    def check_sizes(self, files: Sequence[FileEntry]) -> None:
        """See `DatasetFiles`; files that were not copied yet are looked at where they are."""
        absent = [entry for entry in files if not self._is_here(entry)]
        if not absent:
            return
        with self._errors_named(self.name):
            found = self._system.get_file_info([f"{self._root}/{entry.file}" for entry in absent])
        for entry, info in zip(absent, found, strict=True):
            if info.type != fs.FileType.File:
                raise DataError(f"{self._name(entry.file)} is missing", hint=_UPLOAD_AGAIN)
            if info.size is not None and info.size != entry.bytes:
                raise DataError(
                    f"{self._name(entry.file)} has {info.size:,} bytes, expected {entry.bytes:,}",
                    hint=_UPLOAD_AGAIN,
                )

    def require(self, files: Sequence[FileEntry], *, always: bool = False) -> None:
        """See `DatasetFiles`."""
        self._copy([entry for entry in files if not self._is_here(entry)])
        if not (self._verify or always):
            return
        try:
            check_checksums(self.folder, files)
        except DataError:
            self._replace_damaged(files)

    def verify_all(self, files: Sequence[FileEntry]) -> None:
        """See `DatasetFiles`; reads everything at the address, and the copies."""
        absent = [entry for entry in files if not self._is_here(entry)]
        self._copy(absent)  # which compares the checksums
        _in_threads(self._verify_there, [entry for entry in files if entry not in absent])
        check_checksums(self.folder, files, remember=False)

    def _replace_damaged(self, files: Sequence[FileEntry]) -> None:
        """Copy again whatever was spoilt since it was copied."""
        for entry in files:
            try:
                check_checksums(self.folder, [entry])
            except DataError:
                # Whoever has the old file open keeps it.
                (self.folder / entry.file).unlink(missing_ok=True)
                self._copy([entry])

    def _copy(self, files: Sequence[FileEntry]) -> None:
        if not files:
            return
        with _writing(self.folder):
            for folder in {(self.folder / entry.file).parent for entry in files}:
                folder.mkdir(parents=True, exist_ok=True)
        _in_threads(self._copy_one, files)
        evidence = {entry.file: evidence_of(self.folder, entry) for entry in files}
        Memory(self.folder).keep(evidence)

    def _copy_one(self, entry: FileEntry) -> None:
        path = self.folder / entry.file
        with _writing(path), _locked(path):
            if self._is_here(entry):  # another process was faster
                return
            partial = path.with_name(f".{path.name}.partial")
            resumed = partial.is_file() and partial.stat().st_size > 0
            sha256 = self._fill(partial, entry)
            if sha256 != entry.sha256 and resumed:
                # Perhaps the beginning was of another file: once more from the start.
                partial.unlink()
                sha256 = self._fill(partial, entry)
            if sha256 != entry.sha256:
                size = partial.stat().st_size
                partial.unlink()
                self._refuse(entry, size, sha256)
            partial.rename(path)

    def _fill(self, partial: Path, entry: FileEntry) -> str:
        """Append to `partial` what it lacks; return the SHA-256 of the whole."""
        digest = hashlib.sha256()
        with partial.open("a+b") as target:
            target.seek(0)
            while chunk := target.read(_CHUNK_BYTES):
                digest.update(chunk)
            begun = target.tell()
            # One byte more than expected is enough to see that it is another file.
            if begun <= entry.bytes:
                for chunk in self._chunks(entry, begun):
                    digest.update(chunk)
                    target.write(chunk)
            target.flush()
            os.fsync(target.fileno())
        return digest.hexdigest()

    def _verify_there(self, entry: FileEntry) -> None:
        digest, size = hashlib.sha256(), 0
        for chunk in self._chunks(entry, 0):
            digest.update(chunk)
            size += len(chunk)
        if digest.hexdigest() != entry.sha256:
            self._refuse(entry, size, digest.hexdigest())

    def _chunks(self, entry: FileEntry, begun: int) -> Iterator[bytes]:
        """Yield the file's bytes from `begun` on, at most one more than there should be."""
        with self._reading(entry.file) as file:
            file.seek(begun)
            left = entry.bytes + 1 - begun
            while left and (chunk := file.read(min(left, _CHUNK_BYTES))):
                left -= len(chunk)
                yield chunk

    def _refuse(self, entry: FileEntry, size: int, sha256: str) -> None:
        name = self._name(entry.file)
        if size != entry.bytes:
            found = f"{size:,}" if size < entry.bytes else "more"
            raise DataError(
                f"{name} has {found} bytes, expected {entry.bytes:,}", hint=_UPLOAD_AGAIN
            )
        raise DataError(
            f"{name} is damaged: its SHA-256 is {sha256[:12]}..., expected {entry.sha256[:12]}...",
            hint=_UPLOAD_AGAIN,
        )

    @contextmanager
    def _reading(self, file: str) -> Iterator[BinaryIO]:
        with (
            self._errors_named(self._name(file)),
            self._system.open_input_file(f"{self._root}/{file}") as stream,
        ):
            yield stream

    @contextmanager
    def _errors_named(self, name: str) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError as error:
            raise DataError(f"{name} is missing", hint=_UPLOAD_AGAIN) from error
        except (OSError, pa.ArrowException) as error:
            raise DataError(
                f"{name} cannot be read: {one_line(error)}",
                hint="check the address, the network and the credentials",
            ) from error

    def _is_here(self, entry: FileEntry) -> bool:
        try:
            check_sizes(self.folder, [entry])
        except DataError:
            return False
        return True

    def _name(self, file: str) -> str:
        return f"{self.name}/{file}"


def _in_threads(function: Callable[[FileEntry], object], files: Sequence[FileEntry]) -> None:
    """Call the function on each file; the first error ends it all."""
    if not files:
        return
    with ThreadPoolExecutor(min(COPYING_THREADS, len(files))) as pool:
        try:
            for _ in pool.map(function, files):
                pass
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Keep other threads and processes of this machine from writing the same file."""
    descriptor = os.open(path.with_name(f".{path.name}.lock"), os.O_RDWR | os.O_CREAT, 0o644)
    try:
        with suppress(OSError):  # a file system without locks: the checksum is left
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise DataError(
            f"{path} cannot be written: {error.strerror or error}",
            hint="give room for copies of datasets in another folder by ECGSEARCH_CACHE",
        ) from error
