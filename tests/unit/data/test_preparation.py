from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import wfdb

from ecgmodels.configs import Config
from ecgmodels.data import (
    DATABASES,
    Database,
    Manifest,
    PrepareOptions,
    Record,
    Recordings,
    Task,
    check_dataset,
    open_dataset,
    prepare,
)
from ecgmodels.data.preparation.destination import put_into_place
from ecgmodels.data.preparation.staging import Staging
from ecgmodels.data.preparation.workers import Group, Outcome
from ecgmodels.data.segmentation.segment import segment_record
from ecgmodels.errors import ConfigError, DataError
from tests.made_recordings import AAMI, RHYTHM, made_record, resolved
from tests.wfdb_folder import write_record

OPTIONS = PrepareOptions(folds=2)


def content(folder: Path) -> dict[str, bytes]:
    """Return relative path -> bytes, without the one file that may differ."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != "provenance.json"
    }


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def cut_short(folder: Path, *records: str) -> None:
    for record in records:
        path = folder / f"{record}.dat"
        path.write_bytes(path.read_bytes()[:1000])


@pytest.fixture(scope="module")
def many_source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of 96 short recordings with a table, every third of class B, two a patient."""
    folder = tmp_path_factory.mktemp("many")
    lines = ["record,patient,label"]
    for number in range(96):
        write_record(folder, f"m{number:02d}", seed=number)
        lines.append(f"m{number:02d},P{number // 2},{'B' if number % 3 == 0 else 'A'}")
    (folder / "records.csv").write_text("\n".join(lines) + "\n")
    return folder


class Made(Recordings):
    """Recordings made up in memory: r0, r1, ... of classes N and A by turns."""

    leads = ("MLII",)
    task: Task = RHYTHM

    def __init__(self, spoil: Callable[[Record], Record], task: Task = RHYTHM) -> None:
        self._spoil = spoil
        self.task = task

    @property
    def record_ids(self) -> tuple[str, ...]:
        return tuple(f"r{number}" for number in range(24))

    def patient_of(self, record_id: str) -> str:
        return record_id

    def class_counts(self, record_id: str) -> Mapping[str, int]:
        return {self._label(record_id): 1}

    def read(self, record_id: str) -> Record:
        labels = (self._label(record_id),) if self.task.classes else None
        record = made_record(id=record_id, patient_id=record_id, labels=labels, beats=None)
        return self._spoil(replace(record, signal_mv=record.signal_mv + float(record_id[1:])))

    def _label(self, record_id: str) -> str:
        return "A" if int(record_id[1:]) % 2 else "N"


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Registers a database `made` whose records go through a function, for this process alone."""

    def register(spoil: Callable[[Record], Record], task: Task = RHYTHM) -> None:
        class MadeDatabase(Database):
            name: ClassVar[str] = "made"
            title: ClassVar[str] = "Made up"
            version: ClassVar[str] = "1"
            tasks: ClassVar[tuple[str, ...]] = (task.name,)

            def open(self, source: Path, task_name: str, settings: Config) -> Recordings:
                return Made(spoil, task)

        monkeypatch.setitem(DATABASES, "made", MadeDatabase())

    return register


def test_preparing_again_with_two_processes_gives_identical_bytes(
    prepared_once: tuple[Path, Manifest], synthetic_source: Path, tmp_path: Path
) -> None:
    again = prepare("synthetic", synthetic_source, tmp_path / "again", OPTIONS, processes=2)
    assert content(tmp_path / "again") == content(prepared_once[0])
    assert again.hash == prepared_once[1].hash


def test_many_short_recordings_go_to_workers_in_groups_and_come_out_the_same(
    many_source: Path, tmp_path: Path
) -> None:
    sizes: list[int] = []

    def one_by_one(
        function: Callable[[Group], list[Outcome]], groups: Iterable[Group]
    ) -> Generator[list[Outcome]]:
        for group in groups:
            sizes.append(len(group))
            for record_id in group:
                yield function((record_id,))

    prepare("wfdb-folder", many_source, tmp_path / "mapped", PrepareOptions(), mapper=one_by_one)
    prepare("wfdb-folder", many_source, tmp_path / "pooled", PrepareOptions(), processes=3)
    assert sum(sizes) == 96
    assert max(sizes) > 1
    assert content(tmp_path / "mapped") == content(tmp_path / "pooled")


def test_a_mapper_leaves_nothing_for_processes_to_do(many_source: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="processes has no effect with a mapper"):
        prepare(
            "wfdb-folder",
            many_source,
            tmp_path / "out",
            PrepareOptions(),
            processes=2,
            mapper=lambda function, groups: (function(group) for group in groups),
        )


def test_a_stratified_split_follows_the_seed_and_nothing_else(
    many_source: Path, tmp_path: Path
) -> None:
    manifests = [
        prepare("wfdb-folder", many_source, tmp_path / name, PrepareOptions(seed=seed), processes=1)
        for name, seed in (("a", 1), ("b", 1), ("c", 2))
    ]
    assert manifests[0].hash == manifests[1].hash != manifests[2].hash
    tested = [set(open_dataset(tmp_path / name).test().record_id) for name in "abc"]
    assert tested[0] == tested[1] != tested[2]
    counts = manifests[0].class_counts["test"]
    assert abs(counts["A"] - 0.15 * 64 * 2) <= 6  # two crops a record of 12 s
    assert abs(counts["B"] - 0.15 * 32 * 2) <= 4


def test_labels_that_were_corrected_meanwhile_are_read_anew(
    many_source: Path, tmp_path: Path
) -> None:
    source = Path(shutil.copytree(many_source, tmp_path / "source"))
    before = prepare("wfdb-folder", source, tmp_path / "a", PrepareOptions(), processes=1)
    table = source / "records.csv"
    table.write_text(table.read_text().replace("m01,P0,A", "m01,P0,B"))
    after = prepare("wfdb-folder", source, tmp_path / "b", PrepareOptions(), processes=1)
    totals = [
        sum(counts["B"] for counts in manifest.class_counts.values())
        for manifest in (before, after)
    ]
    assert totals == [64, 66]  # two crops a record


def test_the_generated_beats_are_the_datasets_segments(
    prepared_once: tuple[Path, Manifest], synthetic_source: Path
) -> None:
    class_of = {"N": "N", "L": "N", "R": "N", "A": "S", "V": "V", "F": "F"}
    for record in open_dataset(prepared_once[0]).records:
        symbols = wfdb.rdann(str(synthetic_source / record.id), "atr").symbol
        counted = Counter(class_of[symbol] for symbol in symbols if symbol != "+")
        assert record.class_counts == tuple(counted[name] for name in "NSVF")
        assert record.segments == sum(record.class_counts)


def test_every_part_of_the_synthetic_split_has_every_class(
    prepared_once: tuple[Path, Manifest],
) -> None:
    for counts in prepared_once[1].class_counts.values():
        assert min(counts.values()) > 0


def test_one_lead_and_no_features_can_be_asked_for(synthetic_source: Path, tmp_path: Path) -> None:
    options = PrepareOptions(
        leads=("V1",), features=(), rate_hz="native", folds=0, filter_hz="none"
    )
    prepare("synthetic", synthetic_source, tmp_path / "out", options, processes=1)
    dataset = open_dataset(tmp_path / "out")
    train, _ = dataset.development()
    assert dataset.leads == ("V1",)
    assert dataset.rate_hz == 360
    assert list(dataset.splits) == ["fixed"]
    assert train.signal_uv.shape[1:] == (1, 360)
    assert train.features.shape == (len(train), 0)
    check_dataset(tmp_path / "out")


def test_unlabelled_recordings_are_all_test_and_have_no_folds(
    many_source: Path, tmp_path: Path
) -> None:
    options = PrepareOptions(task="unlabelled")
    manifest = prepare("wfdb-folder", many_source, tmp_path / "out", options, processes=1)
    assert manifest.splits == {}
    assert manifest.classes == ()
    assert len(set(open_dataset(tmp_path / "out").test().record_id)) == 96
    check_dataset(tmp_path / "out")


def test_progress_is_told_of_each_record(synthetic_source: Path, tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    prepare(
        "synthetic",
        synthetic_source,
        tmp_path / "out",
        OPTIONS,
        processes=1,
        progress=lambda done, of: told.append((done, of)),
    )
    assert told == [(done, 12) for done in range(1, 13)]


def test_a_dataset_that_is_there_already_is_left_alone(
    dataset_folder: Path, synthetic_source: Path
) -> None:
    before = {path: path.stat().st_mtime_ns for path in dataset_folder.rglob("*")}
    prepare("synthetic", synthetic_source, dataset_folder, OPTIONS, processes=1)
    assert {path: path.stat().st_mtime_ns for path in dataset_folder.rglob("*")} == before
    assert names(dataset_folder.parent) == ["dataset"]


def test_another_dataset_is_not_written_over(dataset_folder: Path, recordings: Path) -> None:
    before = content(dataset_folder)
    cut_short(recordings, "s004a")
    with pytest.raises(DataError, match="holds another dataset \\(hash"):
        prepare("synthetic", recordings, dataset_folder, OPTIONS, processes=1)
    assert content(dataset_folder) == before
    assert names(dataset_folder.parent) == ["dataset", "recordings"]


def test_a_dataset_of_other_options_is_refused_before_any_recording_is_read(
    dataset_folder: Path, synthetic_source: Path
) -> None:
    def prepare_others(**options: Any) -> str:
        with pytest.raises(DataError, match="holds another dataset, of other options: ") as caught:
            prepare(
                "synthetic",
                synthetic_source,
                dataset_folder,
                replace(OPTIONS, **options),
                processes=1,
                progress=lambda done, of: pytest.fail(f"{done} of {of} were read"),
            )
        return str(caught.value).partition("options: ")[2]

    assert prepare_others(folds=0) == "folds 2 -> 0"
    assert prepare_others(window_ms=(375, 630.5)) == "window_ms 375,625 -> 375,630.5"
    assert prepare_others(filter_hz="none", features=()) == (
        "filter_hz 0.5,40 -> None; features age,sex,rr_previous_s,rr_next_s,rr_ratio -> ()"
    )
    assert prepare_others(task="rhythm").startswith("task aami -> rhythm; segments beats -> crops")


@dataclass(frozen=True, kw_only=True)
class Overtaken(Staging):
    """Another process puts `other` into place at the last moment."""

    other: Path

    def move_into_place(self) -> None:
        shutil.copytree(self.other, self.target)
        super().move_into_place()


def test_whoever_comes_second_with_the_same_dataset_has_succeeded(
    prepared_once: tuple[Path, Manifest], tmp_path: Path
) -> None:
    prepared, manifest = prepared_once
    mine = Path(shutil.copytree(prepared, tmp_path / "mine"))
    out = tmp_path / "out"
    put_into_place(Overtaken(folder=mine, target=out, other=prepared), out, manifest)
    assert content(out) == content(prepared)


def test_whoever_comes_second_with_another_dataset_is_told(
    prepared_once: tuple[Path, Manifest], tmp_path: Path
) -> None:
    prepared, manifest = prepared_once
    mine = Path(shutil.copytree(prepared, tmp_path / "mine"))
    out = tmp_path / "out"
    staging = Overtaken(folder=mine, target=out, other=prepared)
    with pytest.raises(DataError, match="holds another dataset"):
        put_into_place(staging, out, replace(manifest, title="Another"))


def test_all_that_prepare_one_dataset_at_once_succeed(
    synthetic_source: Path, tmp_path: Path
) -> None:
    with ThreadPoolExecutor(4) as pool:
        started = [
            pool.submit(
                prepare, "synthetic", synthetic_source, tmp_path / "out", OPTIONS, processes=1
            )
            for _ in range(4)
        ]
    assert len({one.result().hash for one in started}) == 1
    assert names(tmp_path) == ["out"]


def test_a_folder_of_other_things_is_not_written_into(
    synthetic_source: Path, tmp_path: Path
) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.tex").write_text("")
    with pytest.raises(DataError, match="exists and is not a dataset"):
        prepare("synthetic", synthetic_source, tmp_path / "out", OPTIONS)


def test_a_damaged_recording_is_named_and_the_others_are_prepared(
    recordings: Path, tmp_path: Path
) -> None:
    cut_short(recordings, "s004a")
    told: dict[str, DataError] = {}
    manifest = prepare(
        "synthetic",
        recordings,
        tmp_path / "out",
        OPTIONS,
        processes=2,
        on_failure=told.__setitem__,
    )
    assert list(told) == ["s004a"]
    assert "copy the recording again" in told["s004a"].hint
    assert list(manifest.failed) == ["s004a"]
    assert "s004a.dat is cut short" in manifest.failed["s004a"]
    dataset = open_dataset(tmp_path / "out")
    assert len(dataset.records) == 11
    assert "s004a" not in dataset.records.ids
    assert sum(manifest.splits["fold-0"].records.values()) == 11
    check_dataset(tmp_path / "out")


def test_failures_are_written_down_alike_wherever_the_recordings_lie(
    recordings: Path, tmp_path: Path
) -> None:
    cut_short(recordings, "s004a")
    elsewhere = Path(shutil.copytree(recordings, tmp_path / "elsewhere" / "of another name"))
    prepare("synthetic", recordings, tmp_path / "a", OPTIONS, processes=1)
    prepare("synthetic", elsewhere, tmp_path / "b", OPTIONS, processes=2)
    assert content(tmp_path / "a") == content(tmp_path / "b")


@pytest.mark.parametrize("processes", [1, 2])
def test_when_strict_a_damaged_recording_ends_the_preparation_and_leaves_nothing(
    recordings: Path, tmp_path: Path, processes: int
) -> None:
    cut_short(recordings, "s004a")
    with pytest.raises(DataError, match=r"s004a\.dat is cut short") as caught:
        prepare(
            "synthetic", recordings, tmp_path / "out", OPTIONS, processes=processes, strict=True
        )
    assert "copy the recording again" in caught.value.hint
    assert names(tmp_path) == ["recordings"]


def test_when_every_recording_is_damaged_the_first_is_named(
    recordings: Path, tmp_path: Path
) -> None:
    cut_short(recordings, *(path.stem for path in recordings.glob("*.dat")))
    with pytest.raises(DataError, match=r"none of the 12 records can be prepared; s000a: .*short"):
        prepare("synthetic", recordings, tmp_path / "out", OPTIONS, processes=1)
    assert names(tmp_path) == ["recordings"]


def test_a_part_of_which_every_recording_is_damaged_is_named(
    prepared_once: tuple[Path, Manifest], recordings: Path, tmp_path: Path
) -> None:
    _, validation = open_dataset(prepared_once[0]).development()
    cut_short(recordings, *set(validation.record_id.tolist()))
    with pytest.raises(DataError, match="'patients' has no record in its validation part"):
        prepare("synthetic", recordings, tmp_path / "out", OPTIONS, processes=1)


def test_a_class_that_vanishes_from_a_part_with_a_damaged_recording_is_not_scored(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "recordings"
    lines = ["record,patient,label,split"]
    for number, part in enumerate(["train", "validation", "test"] * 2):
        write_record(folder, f"r{number}", seed=number)
        lines.append(f"r{number},P{number},{'AB'[number // 3]},{part}")
    (folder / "records.csv").write_text("\n".join(lines) + "\n")
    cut_short(folder, "r4")
    manifest = prepare("wfdb-folder", folder, tmp_path / "B", PrepareOptions(folds=0), processes=1)
    assert manifest.scored_classes == ("A",)
    assert manifest.unscored == {"B": "none in the validation part"}
    cut_short(folder, "r0")
    with pytest.raises(DataError, match="'table' has no A in its train") as caught:
        prepare("wfdb-folder", folder, tmp_path / "none", PrepareOptions(folds=0), processes=1)
    assert caught.value.hint.startswith("mend the 2 records that failed (r0: r0.dat is cut short")


def test_a_recording_whose_annotations_are_gone_is_named_before_any_is_read(
    recordings: Path, tmp_path: Path
) -> None:
    (recordings / "s004a.atr").unlink()
    options = PrepareOptions(split="stratified", folds=2)
    manifest = prepare("synthetic", recordings, tmp_path / "out", options, processes=1)
    assert list(manifest.failed) == ["s004a"]
    with pytest.raises(DataError, match=r"s004a\.atr is missing"):
        prepare("synthetic", recordings, tmp_path / "no", options, processes=1, strict=True)


@pytest.mark.parametrize("error", [MemoryError(), OSError(5, "Input/output error")])
def test_what_the_machine_lacks_is_a_failure_of_the_record(
    made: Callable[..., None], tmp_path: Path, error: Exception
) -> None:
    def spoil(record: Record) -> Record:
        if record.id == "r7":
            raise error
        return record

    made(spoil)
    manifest = prepare("made", tmp_path, tmp_path / "out", OPTIONS, processes=1)
    assert list(manifest.failed) == ["r7"]
    assert "record r7 cannot be prepared" in manifest.failed["r7"]


def test_a_bug_is_raised_as_it_is_and_says_on_which_record(
    made: Callable[..., None], tmp_path: Path
) -> None:
    def spoil(record: Record) -> Record:
        if record.id == "r7":
            raise ZeroDivisionError("a bug")
        return record

    made(spoil)
    with pytest.raises(ZeroDivisionError, match="a bug") as caught:
        prepare("made", tmp_path, tmp_path / "out", OPTIONS, processes=1)
    assert caught.value.__notes__ == ["while preparing record r7 of made"]
    assert names(tmp_path) == []


def test_recordings_with_one_signal_are_reported_as_copies(
    made: Callable[..., None], tmp_path: Path
) -> None:
    copied = {"r5": made_record().signal_mv + 4.0}  # as r4

    made(lambda record: replace(record, signal_mv=copied.get(record.id, record.signal_mv)))
    manifest = prepare("made", tmp_path, tmp_path / "out", OPTIONS, processes=1)
    assert [set(group) for group in manifest.duplicates] == [{"r4", "r5"}]


def test_a_recording_whose_segments_would_fill_the_memory_is_a_failure_of_its_own(
    made: Callable[..., None], tmp_path: Path
) -> None:
    ten_minutes = np.tile(made_record().signal_mv, 60)
    made(lambda r: replace(r, signal_mv=ten_minutes) if r.id == "r7" else r)
    options = PrepareOptions(crop_s=9.99, stride_s=0.01, rate_hz=1000, folds=2)
    manifest = prepare("made", tmp_path, tmp_path / "out", options, processes=1)
    assert manifest.failed == {
        "r7": "record r7: its segments would take 1.1 GiB (segments x leads x samples: "
        "59,002 x 1 x 9,990), at most 1 GiB are allowed"
    }
    assert manifest.record_count == 23


def test_a_recording_that_a_higher_rate_would_make_too_large_is_refused() -> None:
    record = made_record(signal_mv=np.tile(made_record().signal_mv, 5400))
    options = resolved(AAMI, rate_hz=10_000)
    with pytest.raises(DataError, match=r"its signal would take 1\.0 GiB .* 1 x 1 x 540,000,000"):
        segment_record(record, options, AAMI)


def test_flat_leads_are_counted(made: Callable[..., None], tmp_path: Path) -> None:
    flat = np.ones((1, 1000))

    made(lambda r: replace(r, signal_mv=flat) if r.id in ("r3", "r4") else r)
    manifest = prepare("made", tmp_path, tmp_path / "out", OPTIONS, processes=1)
    assert manifest.totals.flat_leads == {"MLII": 2}
    assert manifest.totals.rejected == {"every lead flat or invalid": 2}


def test_recordings_without_any_segment_are_an_error_that_says_why(
    made: Callable[..., None], tmp_path: Path
) -> None:
    made(lambda record: replace(record, signal_mv=np.ones((1, 1000))))
    with pytest.raises(DataError, match=r"no record has a segment: every lead flat .*\(24\)"):
        prepare("made", tmp_path, tmp_path / "out", OPTIONS, processes=1)


def test_an_interruption_leaves_nothing(synthetic_source: Path, tmp_path: Path) -> None:
    def interrupt(done: int, of: int) -> None:
        if done == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        prepare(
            "synthetic",
            synthetic_source,
            tmp_path / "out",
            OPTIONS,
            processes=2,
            progress=interrupt,
        )
    assert names(tmp_path) == []


def test_an_unknown_database_is_answered_with_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no database called 'mitbd'") as caught:
        prepare("mitbd", tmp_path, tmp_path / "out", OPTIONS)
    assert "mitdb" in caught.value.hint


def test_an_unknown_setting_is_answered_with_the_nearest(many_source: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="has no field 'tabel'") as caught:
        prepare(
            "wfdb-folder",
            many_source,
            tmp_path / "out",
            PrepareOptions(),
            settings={"tabel": "records.csv"},
        )
    assert "table" in caught.value.hint


def test_a_missing_source_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"source folder .*nowhere does not exist"):
        prepare("synthetic", tmp_path / "nowhere", tmp_path / "out", OPTIONS)


def test_recordings_of_different_rates_need_a_common_one(recordings: Path, tmp_path: Path) -> None:
    header = recordings / "s004a.hea"
    header.write_text(header.read_text().replace(" 360 ", " 250 ", 1))
    options = PrepareOptions(rate_hz="native", folds=0)
    with pytest.raises(DataError, match="record s004a has 250 Hz, s000a has 360 Hz"):
        prepare("synthetic", recordings, tmp_path / "out", options, processes=1)
    resampled = prepare(
        "synthetic", recordings, tmp_path / "out", PrepareOptions(folds=0), processes=1
    )
    assert resampled.rate_hz == 128


def test_age_and_sex_reach_the_segments(prepared_once: tuple[Path, Manifest]) -> None:
    dataset = open_dataset(prepared_once[0])
    train, _ = dataset.development()
    ages = train.features[:, dataset.features.index("age")]
    for row, record in enumerate(dataset.records):
        age = ages[train.record == row]
        assert np.isnan(age).all() if record.age is None else (age == record.age).all()
    assert any(record.age is None for record in dataset.records)


def test_importing_the_package_loads_neither_wfdb_nor_torch() -> None:
    code = (
        "import sys, ecgmodels.data.preparation.pipeline; "
        "print({'wfdb', 'torch', 'ray'} & set(sys.modules))"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert ran.stdout.strip() == "set()"
