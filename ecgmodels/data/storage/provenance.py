"""provenance.json: by whom, where and with what a dataset was made. It is not part of the data."""

from __future__ import annotations

import json
import platform
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from ecgmodels.data.storage.shards import sync_to_disk

PROVENANCE_NAME = "provenance.json"
_PACKAGES = ("ecgsearch", "numpy", "scipy", "pyarrow", "wfdb", "neurokit2")


def write_provenance(folder: Path, command: str) -> None:
    """Write host, date, command line and the versions of what computed the dataset."""
    values = {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "host": platform.node(),
        "command": command,
        "versions": {"python": platform.python_version()}
        | {package: _version(package) for package in _PACKAGES},
    }
    path = folder / PROVENANCE_NAME
    path.write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")
    sync_to_disk(path)


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:  # run from a checkout that was not installed
        return None
