from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from typing import Any

import pytest
from pydantic import ConfigDict, TypeAdapter

from ecgmodels.configs import Config
from ecgmodels.data.databases.base import NoSettings, Task
from ecgmodels.data.preparation.options import PrepareOptions, ResolvedOptions, resolve
from ecgmodels.errors import DataError
from tests.made_recordings import AAMI, DIAGNOSES, RHYTHM, UNLABELLED, MadeRecordings, resolved


@dataclass(frozen=True, kw_only=True)
class Settings(Config):
    min_likelihood: float = 0.0
    folder: str = "records100"
    limit: int = 3
    derived: bool = True
    columns: tuple[str, ...] = ("height", "weight")
    encoding: str | None = None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"window_ms": (-1, 600)}, "window_ms is -1 before"),
        ({"window_ms": (100,)}, r"window_ms is '\(100\.0,\)', expected two numbers"),
        ({"window_ms": (375, 1e9)}, r"1e\+09 after the beat, .* each at most 60,000"),
        ({"window_ms": (60_001, 1)}, "window_ms is 60001 before .* each at most 60,000"),
        ({"rate_hz": 0}, "rate_hz is 0, expected 10 to 10,000"),
        ({"rate_hz": 9.9}, "rate_hz is 9.9, expected 10 to 10,000"),
        ({"rate_hz": 1e308}, r"rate_hz is 1e\+308, expected 10 to 10,000"),
        ({"rate_hz": 10**400}, "rate_hz is '1000.*', expected a number or 'native'"),
        ({"rate_hz": (100, 128)}, r"rate_hz is '\(100, 128\)', expected a number"),
        ({"rate_hz": float("nan")}, "rate_hz is nan"),
        ({"rate_hz": "nativ"}, "rate_hz is 'nativ', expected a number or 'native'"),
        ({"crop_s": -2}, "crop_s is -2, expected more than 0"),
        ({"crop_s": 3601}, "crop_s is 3601, expected more than 0 and at most 3,600"),
        ({"crop_s": 1e300}, r"crop_s is 1e\+300, expected more than 0 and at most 3,600"),
        ({"crop_s": "records"}, "crop_s is 'records', expected a number or 'record'"),
        ({"stride_s": 0}, "stride_s is 0"),
        ({"stride_s": 1e9}, r"stride_s is 1e\+09, expected more than 0 and at most 3,600"),
        ({"skip_first_s": -1}, "skip_first_s is -1, expected at least 0"),
        ({"skip_first_s": float("inf")}, "skip_first_s is inf, expected at least 0"),
        ({"max_bridged_s": float("inf")}, "max_bridged_s is inf"),
        ({"max_bridged_s": 5.1}, "max_bridged_s is 5.1, expected at least 0 and at most 5"),
        ({"max_bridged_s": "100 ms"}, "max_bridged_s is '100 ms', expected a number"),
        ({"filter_hz": (40, 0.5)}, "filter_hz is 40 to 0.5"),
        ({"filter_hz": (1e-9, 40)}, r"1e-09 to 40, expected 0\.01 <= lower < upper .* <= 5,000"),
        ({"filter_hz": (0.5, 5001)}, "filter_hz is 0.5 to 5001, expected"),
        ({"filter_hz": 40}, "filter_hz is '40.0', expected two numbers"),
        ({"edges": "reflect"}, "edges is 'reflect'"),
        ({"segments": "beat"}, "segments is 'beat', expected one of beats, crops"),
        ({"beats": "gqrs"}, "beats is 'gqrs', expected one of annotations, xqrs, neurokit"),
        ({"score": "median"}, "score is 'median'"),
        ({"folds": 1}, "folds is 1"),
        ({"seed": -1}, "seed is -1"),
        ({"seed": -(10**400)}, "seed is -1000"),
    ],
)
def test_impossible_options_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        PrepareOptions(**options)


@pytest.mark.parametrize(
    "options",
    [
        {"rate_hz": 10.0, "filter_hz": (0.01, 4.9)},
        {"rate_hz": 10_000.0, "filter_hz": (0.01, 4999.0)},
        {"window_ms": (60_000.0, 60_000.0), "max_bridged_s": 5.0},
        {"crop_s": 3600.0, "stride_s": 3600.0},
    ],
)
def test_the_ends_of_each_range_are_possible(options: dict[str, Any]) -> None:
    made = PrepareOptions(**options)
    assert {name: getattr(made, name) for name in options} == options


@pytest.mark.parametrize(
    ("task", "options", "message"),
    [
        (AAMI, {"window_ms": (0, 5)}, "fewer than two samples at 128 Hz"),
        (AAMI, {"filter_hz": (0.5, 64)}, "filter_hz reaches 64 Hz, half of rate_hz is 64 Hz"),
        (AAMI, {"rate_hz": 60}, "filter_hz reaches 40 Hz, half of rate_hz is 30 Hz"),
        (RHYTHM, {"crop_s": 0.01}, "crop_s holds fewer than two samples at 100 Hz"),
        (RHYTHM, {"crop_s": 5, "stride_s": 6}, "stride_s is 6, more than crop_s .* leave gaps"),
    ],
)
def test_numbers_that_contradict_each_other_are_refused(
    task: Task, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        resolved(task, **options)


@pytest.mark.parametrize(
    ("task", "options", "message", "hint"),
    [
        (AAMI, {"leads": ("MLI",)}, "leads names 'MLI', which the recordings do not", "MLII"),
        (AAMI, {"leads": ()}, "expected at least 1", "MLII"),
        (AAMI, {"leads": ("MLII", "MLII")}, "none of them twice", "MLII"),
        (AAMI, {"classes": ("N", "W")}, "classes names 'W', which task 'aami'", "N, Q, S, V"),
        (AAMI, {"classes": ("N",)}, "expected at least 2", "N, S, V, F, Q"),
        (DIAGNOSES, {"classes": ()}, "expected at least 1", "MI, CD, HYP, NORM"),
        (AAMI, {"split": "custom-strikt"}, "split names 'custom-strikt'", "custom-strict"),
        (AAMI, {"features": ("rr_prevoius_s",)}, "'rr_prevoius_s', which does", "rr_previous_s"),
        (AAMI, {"features": ("age", "age")}, "one twice", "once"),
    ],
)
def test_names_that_do_not_exist_are_refused_with_those_that_do(
    task: Task, options: dict[str, Any], message: str, hint: str
) -> None:
    with pytest.raises(DataError, match=message) as caught:
        resolved(task, **options)
    assert hint in caught.value.hint


@pytest.mark.parametrize(
    ("task", "options", "message"),
    [
        (AAMI, {"segments": "crops"}, "task 'aami' labels single beats: a crop has no label"),
        (AAMI, {"crop_s": 10}, "crop_s has no effect on windows around beats"),
        (AAMI, {"stride_s": 5}, "stride_s has no effect on windows around beats"),
        (AAMI, {"short": "pad"}, "short has no effect on windows around beats"),
        (AAMI, {"score": "mean"}, "score is 'mean', but 'aami' labels single beats"),
        (AAMI, {"folds": 0, "seed": 1}, "seed has no effect"),
        (RHYTHM, {"window_ms": (375, 625)}, "window_ms has no effect on crops"),
        (RHYTHM, {"edges": "pad"}, "edges has no effect on crops"),
        (RHYTHM, {"skip_first_s": 0}, "skip_first_s has no effect on crops"),
        (RHYTHM, {"beats": "annotations"}, "beats has no effect on crops without a feature"),
        (RHYTHM, {"crop_s": "record", "stride_s": 5}, "stride_s has no effect on whole"),
        (RHYTHM, {"crop_s": "record", "short": "drop"}, "short has no effect on whole"),
        (RHYTHM, {"crop_s": "record", "score": "max"}, "each recording is one segment"),
        (RHYTHM, {"features": ("rr_ratio",)}, "'rr_ratio', a number of each beat"),
        (AAMI, {"features": ("heart_rate_bpm",)}, "'heart_rate_bpm', a number of each crop"),
        (UNLABELLED, {"classes": ("N", "V")}, "classes has no effect .* labels nothing"),
        (UNLABELLED, {"split": "stratified"}, "split has no effect"),
        (UNLABELLED, {"folds": 4}, "folds has no effect"),
        (UNLABELLED, {"seed": 4}, "seed has no effect"),
    ],
)
def test_options_without_effect_are_refused_with_the_reason(
    task: Task, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        resolved(task, **options)


@pytest.mark.parametrize(
    ("task", "options"),
    [
        (RHYTHM, {"beats": "neurokit", "features": ("rr_sd_s",)}),
        (RHYTHM, {"segments": "beats", "score": "max", "window_ms": (100, 100)}),
        (RHYTHM, {"segments": "beats", "beats": "annotations"}),
        (AAMI, {"folds": 0, "split": "stratified", "seed": 3}),
        (AAMI, {"seed": 3}),
        (AAMI, {"beats": "xqrs", "skip_first_s": 300}),
        (UNLABELLED, {"segments": "beats", "folds": 0}),
    ],
)
def test_options_with_effect_are_kept(task: Task, options: dict[str, Any]) -> None:
    chosen = resolved(task, **options)
    assert {name: getattr(chosen, name) for name in options} == options


def test_beats_are_cut_from_annotations_where_they_are_labelled() -> None:
    assert resolved(AAMI) == ResolvedOptions(
        task="aami",
        segments="beats",
        beats="annotations",
        window_ms=(375.0, 625.0),
        edges="pad",
        skip_first_s=0.0,
        crop_s=None,
        stride_s=None,
        short=None,
        rate_hz=128.0,
        filter_hz=(0.5, 40.0),
        max_bridged_s=0.1,
        leads=("MLII",),
        classes=("N", "S", "V", "F"),
        features=("age", "sex", "rr_previous_s", "rr_next_s", "rr_ratio"),
        split="custom",
        folds=4,
        seed=0,
        score="segment",
        settings={},
    )


def test_crops_are_cut_where_recordings_are_labelled() -> None:
    assert resolved(RHYTHM, own=("height",)) == ResolvedOptions(
        task="rhythm",
        segments="crops",
        beats=None,
        window_ms=None,
        edges=None,
        skip_first_s=None,
        crop_s=10.0,
        stride_s=10.0,
        short="pad",
        rate_hz=100.0,
        filter_hz=(0.5, 40.0),
        max_bridged_s=0.1,
        leads=("MLII",),
        classes=("N", "A"),
        features=("age", "sex", "height"),
        split="custom",
        folds=4,
        seed=0,
        score="mean",
        settings={},
    )


def test_where_nothing_is_labelled_there_is_no_split() -> None:
    chosen = resolved(UNLABELLED, segments="beats")
    assert (chosen.classes, chosen.split, chosen.folds) == ((), None, 0)
    assert chosen.beats == "neurokit"


def test_beats_are_detected_where_only_a_feature_needs_them() -> None:
    assert resolved(RHYTHM, features=("age", "rr_sd_s")).beats == "neurokit"


def test_words_stand_for_no_resampling_no_filter_and_whole_recordings() -> None:
    chosen = resolved(RHYTHM, rate_hz="native", filter_hz="none", crop_s="record")
    assert (chosen.rate_hz, chosen.filter_hz) == (None, None)
    assert (chosen.crop_s, chosen.stride_s, chosen.short) == (None, None, None)


def test_without_an_official_split_it_is_stratified() -> None:
    recordings = MadeRecordings(RHYTHM, official_splits=())
    options = PrepareOptions(folds=0, seed=2)
    assert resolve(options, recordings, {}, NoSettings()).split == "stratified"


def test_a_databases_custom_goes_before_the_general_one_and_after_a_wish() -> None:
    customs = {"crop_s": 5, "rate_hz": 250, "filter_hz": "none", "score": "max"}
    recordings = MadeRecordings(RHYTHM)
    chosen = resolve(PrepareOptions(crop_s=2), recordings, customs, NoSettings())
    assert (chosen.crop_s, chosen.stride_s, chosen.rate_hz) == (2.0, 2.0, 250.0)
    assert (chosen.filter_hz, chosen.score) == (None, "max")


def test_a_databases_custom_without_effect_is_passed_over() -> None:
    customs = {"crop_s": "record", "score": "mean"}
    chosen = resolve(
        PrepareOptions(segments="beats"), MadeRecordings(RHYTHM), customs, NoSettings()
    )
    assert (chosen.crop_s, chosen.window_ms) == (None, (375.0, 625.0))


def test_a_feature_of_the_recordings_may_not_be_called_like_another() -> None:
    with pytest.raises(DataError, match="bring a feature 'rr_sd_s'"):
        resolved(RHYTHM, own=("rr_sd_s",))


def test_options_go_to_a_dictionary_and_back() -> None:
    options = PrepareOptions(window_ms=(250, 250), leads=("MLII",), features=("age",))
    assert PrepareOptions.from_dict(json.loads(json.dumps(options.to_dict()))) == options
    assert PrepareOptions(window_ms=(375, 625)) == PrepareOptions(window_ms=(375.0, 625.0))


def test_resolved_options_go_to_json_and_back_with_the_databases_settings() -> None:
    settings = Settings(min_likelihood=15.0, limit=0, derived=False, columns=("height",))
    chosen = resolve(PrepareOptions(), MadeRecordings(AAMI), {}, settings)
    text = json.dumps({"options": dataclasses.asdict(chosen)})
    back = TypeAdapter(Manifest).validate_json(text).options
    assert back == chosen
    assert Settings(**back.settings) == settings
    assert ResolvedOptions.from_dict(json.loads(text)["options"]) == chosen


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """Holds options as a dataset's manifest does: nothing is guessed, nothing may be left over."""

    __pydantic_config__ = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)

    options: ResolvedOptions
