"""Where a dataset's files are: in a folder of this machine, or copied to one from elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from ecgmodels.data.storage.manifest import Manifest, read_manifest
from ecgmodels.data.storage.verification import FileEntry, check_checksums, check_sizes


class DatasetFiles(Protocol):
    """The files of one dataset, and how to be sure of them."""

    name: str
    """Where the dataset is, as it may be printed."""
    folder: Path
    """On this machine, where the files are once they were required."""
    manifest: Manifest

    def check_sizes(self, files: Sequence[FileEntry]) -> None:
        """Raise DataError naming the first file that is missing or of the wrong size."""

    def require(self, files: Sequence[FileEntry], *, always: bool = False) -> None:
        """Have the files in the folder, sound.

        Args:
            files: those needed now.
            always: verify them also where the dataset is taken on trust.

        Raises:
            DataError: a file is missing, cut short or damaged.
        """

    def verify_all(self, files: Sequence[FileEntry]) -> None:
        """Compute every checksum anew, where the dataset comes from too; remembers nothing.

        Raises:
            DataError: names the first file that is missing, cut short or damaged.
        """


class LocalFiles:
    """A folder of this machine, or one that it has mounted."""

    def __init__(self, folder: Path, *, verify: bool) -> None:
        """Read the manifest; without `verify`, only sizes are looked at from then on."""
        self.name = str(folder)
        self.folder = folder
        self.manifest = read_manifest(folder)
        self._verify = verify

    def check_sizes(self, files: Sequence[FileEntry]) -> None:
        """See `DatasetFiles`."""
        check_sizes(self.folder, files)

    def require(self, files: Sequence[FileEntry], *, always: bool = False) -> None:
        """See `DatasetFiles`."""
        if self._verify or always:
            check_checksums(self.folder, files)
        else:
            check_sizes(self.folder, files)

    def verify_all(self, files: Sequence[FileEntry]) -> None:
        """See `DatasetFiles`."""
        check_checksums(self.folder, files, remember=False)


def open_files(location: str | Path, *, verify: bool) -> DatasetFiles:
    """Return the files at a folder or an address with a scheme; reads the manifest.

    Raises:
        DataError: there is no dataset, or its manifest is not valid.
    """
    if isinstance(location, str) and "://" in location:
        from ecgmodels.data.storage.remote import RemoteFiles

        return RemoteFiles(location, verify=verify)
    return LocalFiles(Path(location), verify=verify)
