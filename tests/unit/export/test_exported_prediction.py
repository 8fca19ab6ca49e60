"""Predicting with an exported network."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from ecgmodels import ConfigError, predict
from ecgmodels.export.prediction import predict_exported
from ecgmodels.export.session import OnnxModel
from tests.made_waves import make_waves

from .conftest import Exported


@dataclasses.dataclass(frozen=True)
class Statistics:
    """Of features that come in another order than the network has them."""

    signal_mean_uv: tuple[float, ...] = (20.0, -10.0)
    signal_std_uv: tuple[float, ...] = (350.0, 200.0)
    feature_mean: tuple[float, ...] = (0.5, 60.0)
    feature_std: tuple[float, ...] = (0.5, 15.0)


SEGMENTS = make_waves(13, 64, seed=1)
SEGMENTS = dataclasses.replace(SEGMENTS, features=SEGMENTS.features[:, ::-1])
NAMES = ("sex", "age")


@pytest.mark.parametrize("multi_label", [False, True])
@pytest.mark.parametrize("batch_size", [1, 5])
def test_an_exported_network_predicts_what_the_network_does(
    exported: Exported, multi_label: bool, batch_size: int
) -> None:
    of_torch = predict(
        exported.model, SEGMENTS, Statistics(), feature_names=NAMES, multi_label=multi_label
    )
    of_onnx = predict_exported(
        OnnxModel(exported.path),
        SEGMENTS,
        Statistics(),
        feature_names=NAMES,
        multi_label=multi_label,
        batch_size=batch_size,
    )
    assert of_onnx.shape == (13, 3)
    np.testing.assert_allclose(of_onnx, of_torch, atol=1e-5)


def test_no_segments_have_no_probabilities(exported: Exported) -> None:
    none = dataclasses.replace(
        SEGMENTS, **{name: value[:0] for name, value in vars(SEGMENTS).items()}
    )
    found = predict_exported(OnnxModel(exported.path), none, Statistics(), feature_names=NAMES)
    assert found.shape == (0, 3)


def test_a_feature_that_the_segments_lack_is_named(exported: Exported) -> None:
    with pytest.raises(ConfigError, match="the data have no feature 'age'"):
        predict_exported(
            OnnxModel(exported.path), SEGMENTS, Statistics(), feature_names=("sex", "height_cm")
        )


def test_a_file_can_be_opened_from_its_content(exported: Exported) -> None:
    content = Path(exported.path).read_bytes()
    assert OnnxModel(content).inputs == OnnxModel(exported.path).inputs
