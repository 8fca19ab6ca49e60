"""Where a dataset is written: nothing is written over, whoever else prepares there."""

from __future__ import annotations

import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from ecgmodels.data import (
    Manifest,
    prepare,
)
from ecgmodels.data.preparation.destination import put_into_place
from ecgmodels.data.preparation.staging import Staging
from ecgmodels.errors import DataError
from tests.unit.data.preparing import OPTIONS, content, cut_short, names


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
