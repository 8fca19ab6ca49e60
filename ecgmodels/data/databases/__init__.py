"""The databases this package reads; importing it registers them."""

from ecgmodels.data.databases import (
    cinc2017,
    cinc2020,
    hefei,
    ludb,
    mitdb,
    ptbxl,
    synthetic,
    wfdb_folder,
)
from ecgmodels.data.databases.base import (
    DATABASES,
    Database,
    Recordings,
    Task,
    find_database,
    open_recordings,
    register,
)

__all__ = [
    "DATABASES",
    "Database",
    "Recordings",
    "Task",
    "cinc2017",
    "cinc2020",
    "find_database",
    "hefei",
    "ludb",
    "mitdb",
    "open_recordings",
    "ptbxl",
    "register",
    "synthetic",
    "wfdb_folder",
]
