"""From recordings to a dataset: the same bytes however they are computed, and what is in them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Generator, Iterable
from pathlib import Path

import numpy as np
import pytest
import wfdb

from ecgmodels.data import (
    Manifest,
    PrepareOptions,
    check_dataset,
    open_dataset,
    prepare,
)
from ecgmodels.data.preparation.workers import Group, Outcome
from ecgmodels.errors import ConfigError, DataError
from tests.unit.data.preparing import OPTIONS, content, names


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
