"""The code in docs/export.md does what `data prepare` and `ecgmodels.predict` do."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import wfdb

from ecgmodels import EfficientECGConfig, predict
from ecgmodels.data import (
    Dataset,
    PrepareOptions,
    open_dataset,
    prepare,
    write_synthetic_recordings,
)
from ecgmodels.export.onnx import export_onnx

from .conftest import with_statistics

GUIDE = Path(__file__).parents[3] / "docs" / "export.md"


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("guide") / "recordings"
    write_synthetic_recordings(folder, records=36, seconds_per_record=30.0)
    return folder


def card_of(dataset: Dataset) -> dict[str, Any]:
    manifest = dataset.manifest
    return {
        "rate_hz": dataset.rate_hz,
        "classes": list(dataset.classes),
        "multi_label": dataset.multi_label,
        "features": list(dataset.features),
        "samples_before": manifest.samples_before,
        "preprocessing": manifest.options.to_dict(),
        "normalisation": dataset.normalisation().to_dict(),
    }


def run_guide() -> dict[str, Any]:
    """Run the guide's code, in a folder that has `model.onnx`; return what it defines."""
    blocks = re.findall(r"```python\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.DOTALL)
    names: dict[str, Any] = {}
    for block in blocks:
        exec(compile(block, str(GUIDE), "exec"), names)
    return names


@pytest.mark.parametrize(
    ("options", "features", "template"),
    [
        ({"features": ("age", "sex", "rr_previous_s")}, ("rr_previous_s", "age"), True),
        (
            {"task": "rhythm", "features": (), "crop_s": 10.0, "stride_s": 7.0, "folds": 0},
            (),
            False,
        ),
    ],
    ids=["windows around beats", "crops"],
)
def test_the_guides_code_gives_what_preparing_and_predicting_give(
    recordings: Path,
    options: dict[str, Any],
    features: tuple[str, ...],
    template: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    prepare("synthetic", recordings, tmp_path / "data", PrepareOptions(**options), processes=1)
    dataset = open_dataset(tmp_path / "data")
    model = with_statistics(
        EfficientECGConfig(
            leads=len(dataset.leads),
            samples=dataset.samples,
            classes=len(dataset.classes),
            base="tiny",
            features=features,
            fusion="concat" if features else "none",
            template=template,
        )
    )
    export_onnx(model, tmp_path / "model.onnx", card=card_of(dataset))
    monkeypatch.chdir(tmp_path)
    guide = run_guide()

    segments, _ = dataset.development()
    expected = predict(
        model, segments, dataset.normalisation(), feature_names=dataset.features, multi_label=False
    )
    record_id = str(segments.record_id[0])
    its = np.flatnonzero(segments.record_id == record_id)
    record = wfdb.rdrecord(str(recordings / record_id))
    beats = wfdb.rdann(str(recordings / record_id), "atr")
    isbeat = np.array([symbol in "NASVF" for symbol in beats.symbol])
    own_uv = guide["segments_uv"](record.p_signal.T, record.fs, beats.sample[isbeat])
    np.testing.assert_array_equal(own_uv, np.asarray(segments.signal_uv)[its])

    # At most 256 segments make a template, and a recording of half a minute has fewer.
    template_uv = np.median(own_uv, axis=0)
    for number in range(0, len(its), 5):
        known = dict(zip(dataset.features, segments.features[its[number]].tolist(), strict=True))
        got = guide["probabilities"](own_uv[number], known, template_uv)
        assert list(got) == list(dataset.classes)
        np.testing.assert_allclose(list(got.values()), expected[its[number]], atol=1e-4)
