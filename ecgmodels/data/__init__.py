"""From recordings to segments in Arrow shards, and back to arrays.

    prepare("mitdb", Path("mitdb"), Path("datasets/mitdb"), PrepareOptions())
    train, validation = open_dataset("datasets/mitdb").development()

`prepare` needs wfdb, and imports it when it reads the first recording; everything else does not.
"""

from ecgmodels.data.databases import DATABASES, Database, register
from ecgmodels.data.preparation.options import PrepareOptions
from ecgmodels.data.preparation.pipeline import prepare
from ecgmodels.data.preparation.splits import Split
from ecgmodels.data.recordings.records import Beats, Record
from ecgmodels.data.storage.checking import DatasetCheck, check_dataset, describe_dataset
from ecgmodels.data.storage.dataset import Dataset, Segments, open_dataset
from ecgmodels.data.storage.manifest import Manifest, RecordEntry, ShardEntry, SplitEntry
from ecgmodels.data.storage.normalisation import Normalisation
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
    "Segments",
    "ShardEntry",
    "Split",
    "SplitEntry",
    "check_dataset",
    "describe_dataset",
    "open_dataset",
    "prepare",
    "register",
    "write_synthetic_recordings",
]
