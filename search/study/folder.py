"""The folder of a study on disk.

STUDY/study.json        which study this is, and where its storage is
STUDY/journal.log       the Optuna study (unless it lives in a database)
STUDY/driver.lock       held by whoever drives it
STUDY/trials/...        checkpoints, one folder a candidate
STUDY/latency.json      what was measured of each architecture, where latency is a cost
STUDY/retrained/...     models to take home
STUDY/ray/              Ray's own files while a search runs
"""

from __future__ import annotations

import contextlib
import json
import os
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend

from ecgmodels.files import write_atomically
from search.engine.failures import one_line
from search.errors import StudyError
from search.study.creation import create_study
from search.study.journal import JOURNAL_NAME, mend_journal
from search.study.lock import LOCK_NAME, DriverLock, driver_lock
from search.study.study import Study
from search.study_file.reading import StudyFile


@dataclass(frozen=True)
class StudyFolder:
    """Paths of a study, and opening what is there."""

    path: Path

    @property
    def journal(self) -> Path:
        return self.path / JOURNAL_NAME

    @property
    def trials(self) -> Path:
        return self.path / "trials"

    @property
    def retrained(self) -> Path:
        return self.path / "retrained"

    @property
    def latencies(self) -> Path:
        return self.path / "latency.json"

    @property
    def ray(self) -> Path:
        return self.path / "ray"

    @property
    def description(self) -> Path:
        return self.path / "study.json"

    @contextlib.contextmanager
    def driving(self, tell: Callable[[str], None] = lambda line: None) -> Iterator[DriverLock]:
        """Hold the study as its only driver, with a journal that is safe to write to.

        A folder in which nothing came to be is removed again.

        Args:
            tell: told when it has to be watched for a while whether another machine drives.
        """
        made = [folder for folder in (self.path, *self.path.parents) if not folder.exists()]
        with driver_lock(self.path, tell=tell) as lock:
            mend_journal(self.journal)
            try:
                yield lock
            finally:
                if made and {entry.name for entry in self.path.iterdir()} <= {LOCK_NAME}:
                    (self.path / LOCK_NAME).unlink()
                    with contextlib.suppress(OSError):  # another study came to be beside it
                        for folder in made:
                            folder.rmdir()

    def create(self, study_file: StudyFile, dataset_hash: str | None) -> Study:
        """Open the study, creating it if it is not there; call it while `driving`.

        Raises:
            StudyError: the study there was begun with other settings or another dataset.
        """
        settings: dict[str, Any] = {
            "study_file": study_file.to_dict(),
            "dataset_hash": dataset_hash,
        }
        self.require_same(study_file, dataset_hash)
        storage = self._storage(study_file.storage.url)
        # Written anew each time: some settings may change, such as where the data lie.
        text = json.dumps({"format": 1, **settings}, indent=2)
        write_atomically(self.description, (text + "\n").encode())
        # Shown by dashboards, so without the database's address, which may hold a password.
        shown = {**settings, "study_file": {**settings["study_file"], "storage": {}}}
        study = create_study(
            storage,
            study_file.name,
            study_file.to_objectives(),
            shown,
        )
        # A database can hold a study of this name that was begun from another folder.
        self._compare(study.settings, study_file, dataset_hash)
        return study

    def open(self) -> Study:
        """Open a study that exists, to read it or (while `driving`) to add to it.

        Raises:
            StudyError: there is no study in this folder.
        """
        study_file = self.study_file()
        return Study(
            self._storage(study_file.storage.url), study_file.name, study_file.to_objectives()
        )

    def begun(self) -> Study | None:
        """Return the study, or None when there is none yet; call it while `driving`."""
        if not self.description.exists():
            return None
        try:
            return self.open()
        except StudyError:  # killed before its storage had it
            return None

    def study_file(self) -> StudyFile:
        """Return the settings that the study was begun with."""
        return StudyFile.from_dict(self._described()["study_file"], file=str(self.description))

    def dataset_hash(self) -> str | None:
        """Return the hash of the study's dataset; None when the problem brings its own data."""
        return self._described()["dataset_hash"]

    def _described(self) -> dict[str, Any]:
        try:
            described = json.loads(self.description.read_text(encoding="utf-8"))
        except FileNotFoundError as error:
            raise StudyError(
                f"{self.path} holds no study (there is no {self.description.name})",
                hint="give the folder that a study file names under `study`, or start the study "
                "with `ecgsearch run STUDY.toml`",
            ) from error
        except ValueError as error:
            raise StudyError(
                f"{self.description} is not JSON: {error}", hint="restore it from a copy"
            ) from error
        if not isinstance(described, dict) or not {"study_file", "dataset_hash"} <= set(described):
            raise StudyError(
                f"{self.description} does not describe a study", hint="restore it from a copy"
            )
        return described

    def require_same(self, study_file: StudyFile, dataset_hash: str | None) -> None:
        """Check that the study here, if there is one, can go on with these settings and data.

        Raises:
            StudyError: it was begun with others.
        """
        if self.description.exists():
            self._compare(self._described(), study_file, dataset_hash)

    def _compare(
        self, recorded: Mapping[str, Any], study_file: StudyFile, dataset_hash: str | None
    ) -> None:
        begun = StudyFile.from_dict(recorded["study_file"], file=str(self.description))
        differences = study_file.compatible_with(begun)
        if differences:
            raise StudyError(
                f"study {self.path} was begun with other settings: {'; '.join(differences)}",
                hint="set them back, or give the changed study another folder under `study`",
            )
        if recorded["dataset_hash"] != dataset_hash:
            raise StudyError(
                f"study {self.path} was begun with another dataset "
                f"(hash {str(recorded['dataset_hash'])[:12]}, now {str(dataset_hash)[:12]})",
                hint="prepare the data with the first options, or start another study folder",
            )

    def _storage(self, url: str) -> BaseStorage:
        if url:
            try:
                return RDBStorage(url)
            except Exception as error:  # SQLAlchemy's and every driver's own
                raise StudyError(
                    f"storage.url: the database cannot be opened: {one_line(error)}",
                    hint="write it as postgresql+DRIVER://HOST/NAME, start the database, and "
                    "install its driver (psycopg, say) on every machine that drives or reads it",
                ) from error
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the journal is no longer experimental, its notice is
            return JournalStorage(JournalFileBackend(os.fspath(self.journal)))
