"""The integration tests' homes and datasets, for what takes longer."""

from tests.integration.conftest import ecg_home, home

__all__ = ["ecg_home", "home"]
