"""From recordings to segments in Arrow shards, and back to arrays.

    prepare("mitdb", Path("mitdb"), Path("datasets/mitdb"), PrepareOptions())
    train, validation = open_dataset("datasets/mitdb").development()

Names are imported when they are first used, so that opening a dataset does not load what prepares
one. wfdb is imported by what needs it.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ecgmodels.data.databases import DATABASES, Database, Recordings, Task, register
    from ecgmodels.data.preparation.options import PrepareOptions
    from ecgmodels.data.preparation.pipeline import prepare
    from ecgmodels.data.preparation.splits import Split
    from ecgmodels.data.recordings.records import Beats, Record
    from ecgmodels.data.storage.checking import DatasetCheck, check_dataset
    from ecgmodels.data.storage.dataset import Dataset, open_dataset
    from ecgmodels.data.storage.description import describe_dataset
    from ecgmodels.data.storage.manifest import Manifest, ShardEntry, SplitEntry
    from ecgmodels.data.storage.normalisation import Normalisation
    from ecgmodels.data.storage.record_table import RecordEntry, RecordTable
    from ecgmodels.data.storage.segments import Segments
    from ecgmodels.data.storage.signal import ShardedSignal
    from ecgmodels.data.synthetic.recordings import write_synthetic_recordings

__all__ = [
    "DATABASES",
    "Beats",
    "Database",
    "Dataset",
    "DatasetCheck",
    "Manifest",
    "Normalisation",
    "PrepareOptions",
    "Record",
    "RecordEntry",
    "RecordTable",
    "Recordings",
    "Segments",
    "ShardEntry",
    "ShardedSignal",
    "Split",
    "SplitEntry",
    "Task",
    "check_dataset",
    "describe_dataset",
    "open_dataset",
    "prepare",
    "register",
    "write_synthetic_recordings",
]

_LAZY = {
    "DATABASES": "databases",
    "Beats": "recordings.records",
    "Database": "databases",
    "Dataset": "storage.dataset",
    "DatasetCheck": "storage.checking",
    "Manifest": "storage.manifest",
    "Normalisation": "storage.normalisation",
    "PrepareOptions": "preparation.options",
    "Record": "recordings.records",
    "RecordEntry": "storage.record_table",
    "RecordTable": "storage.record_table",
    "Recordings": "databases",
    "Segments": "storage.segments",
    "ShardEntry": "storage.manifest",
    "ShardedSignal": "storage.signal",
    "Split": "preparation.splits",
    "SplitEntry": "storage.manifest",
    "Task": "databases",
    "check_dataset": "storage.checking",
    "describe_dataset": "storage.description",
    "open_dataset": "storage.dataset",
    "prepare": "preparation.pipeline",
    "register": "databases",
    "write_synthetic_recordings": "synthetic.recordings",
}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module 'ecgmodels.data' has no attribute '{name}'")
    return getattr(importlib.import_module(f"ecgmodels.data.{_LAZY[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
