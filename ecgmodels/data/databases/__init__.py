"""The databases this package reads; importing it registers them."""

from ecgmodels.data.databases import mitdb, synthetic
from ecgmodels.data.databases.base import DATABASES, Database, find_database, register

__all__ = ["DATABASES", "Database", "find_database", "mitdb", "register", "synthetic"]
