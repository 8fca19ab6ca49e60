"""What a study holds beside its trials: settings, who read the test part, notes."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

from optuna.storages import BaseStorage

from search.engine.spending import Spending
from search.errors import StudyError

SETTINGS_ATTRIBUTE = "ecgsearch:settings"
READINGS_ATTRIBUTE = "ecgsearch:test_readings"
NOTE_PREFIX = "ecgsearch:"
SPENT_NOTE = "spent"


class StudyNotes:
    """Reads and writes what concerns the whole study."""

    def __init__(self, storage: BaseStorage, name: str) -> None:
        """Open the notes of the study `name`."""
        self.name = name
        self.storage = storage
        try:
            self._study_id = storage.get_study_id_from_name(name)
        except KeyError as error:
            raise StudyError(
                f"there is no study named '{name}' in the storage",
                hint="start it with `ecgsearch run STUDY.toml`",
            ) from error
        self.spent = Spending.from_list(self.note(SPENT_NOTE) or Spending().to_list())
        """What the search had cost when something of that was last written down."""

    @property
    def settings(self) -> dict[str, Any]:
        """What the study was started with (the study file's content)."""
        return self.storage.get_study_user_attrs(self._study_id).get(SETTINGS_ATTRIBUTE, {})

    @property
    def test_readings(self) -> list[dict[str, Any]]:
        """Every reading of the test part, oldest first."""
        return self.storage.get_study_user_attrs(self._study_id).get(READINGS_ATTRIBUTE, [])

    def note(self, name: str) -> Any:
        """Return what was noted under a name beside the trials; None when nothing was."""
        return self.storage.get_study_system_attrs(self._study_id).get(NOTE_PREFIX + name)

    @property
    def sessions(self) -> list[dict[str, Any]]:
        """Each run of the search: its plan, its place, and who was stopped since the one before."""
        numbered = (self.note(f"session:{n}") for n in itertools.count(1))
        return list(itertools.takewhile(lambda session: session is not None, numbered))

    def notes(self) -> dict[str, Any]:
        """Return everything that was noted beside the trials, by name."""
        attrs = self.storage.get_study_system_attrs(self._study_id)
        prefix = len(NOTE_PREFIX)
        return {k[prefix:]: value for k, value in attrs.items() if k.startswith(NOTE_PREFIX)}

    def set_settings(self, settings: Mapping[str, Any]) -> None:
        self.storage.set_study_user_attr(self._study_id, SETTINGS_ATTRIBUTE, dict(settings))

    def log_test_reading(self, reading: Mapping[str, Any]) -> None:
        """Note that the test part is about to be read, by whom and for what."""
        readings = [*self.test_readings, dict(reading)]
        self.storage.set_study_user_attr(self._study_id, READINGS_ATTRIBUTE, readings)

    def set_note(self, name: str, value: Any) -> None:
        """Note a JSON-ready value for the search itself; dashboards do not show it."""
        self.storage.set_study_system_attr(self._study_id, NOTE_PREFIX + name, value)

    def set_spent(self, spent: Spending) -> None:
        """Note what the search has cost, while nothing else is written."""
        self.set_note(SPENT_NOTE, spent.to_list())
        self.spent = spent
