from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
import torch

from ecgmodels import ECGModelsError, EfficientECG, EfficientECGConfig, load_model, save_model
from ecgmodels.data import (
    Dataset,
    PrepareOptions,
    open_dataset,
    prepare,
    write_synthetic_recordings,
)
from ecgmodels.export.card import non_causal_parts, split_hash

CARD = {
    "leads": ["MLII", "V1"],
    "rate_hz": 250,
    "classes": ["N", "S", "V"],
    "normalisation": {"signal_mean_uv": [0.5, 1.5], "signal_std_uv": [300.0, 200.0]},
    "metrics": {"mean_f1": 0.71},
    "seed": 3,
}


@pytest.fixture
def model() -> EfficientECG:
    torch.manual_seed(0)
    config = EfficientECGConfig(
        leads=2,
        samples=64,
        classes=3,
        base="tiny",
        resolution=1.5,
        features=("age",),
        fusion="attention",
        placements=("head",),
    )
    return EfficientECG(config).eval()


def test_a_saved_model_predicts_the_same_when_loaded(model: EfficientECG, tmp_path: Path) -> None:
    save_model(tmp_path / "model", model, CARD)
    loaded, card = load_model(tmp_path / "model")
    inputs = torch.randn(4, 2, 64), torch.randn(4, 1), torch.ones(4, 1, dtype=torch.bool)
    assert torch.equal(loaded(*inputs), model(*inputs))
    assert {key: card[key] for key in CARD} == CARD
    assert card["config"] == model.config.to_dict()
    assert card["model"] == "efficientecg"
    assert card["samples"] == 64
    assert card["versions"]["torch"] == str(torch.__version__)


def test_the_folder_holds_weights_and_a_readable_card(model: EfficientECG, tmp_path: Path) -> None:
    save_model(tmp_path, model, CARD)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["card.json", "model.safetensors"]
    assert json.loads((tmp_path / "card.json").read_text())["leads"] == ["MLII", "V1"]


def test_weights_that_are_not_the_cards_are_refused(model: EfficientECG, tmp_path: Path) -> None:
    save_model(tmp_path, model, CARD)
    weights = tmp_path / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-4])
    with pytest.raises(ECGModelsError, match=r"model\.safetensors does not have the SHA-256"):
        load_model(tmp_path)


def test_a_folder_without_a_card_is_named(tmp_path: Path) -> None:
    with pytest.raises(ECGModelsError, match=r"card\.json cannot be read: No such file"):
        load_model(tmp_path)


def test_a_card_that_is_cut_short_is_named(model: EfficientECG, tmp_path: Path) -> None:
    save_model(tmp_path, model, CARD)
    card = tmp_path / "card.json"
    card.write_text(card.read_text()[:50])
    with pytest.raises(ECGModelsError, match=r"card\.json is not a model card"):
        load_model(tmp_path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rate_hz": None}, "has no 'rate_hz'"),
        ({"leads": ["MLII"]}, "names 1 leads, the model has 2"),
        ({"metrics": {"mean_f1": float("nan")}}, "is not JSON"),
        ({"metrics": {1, 2}}, "is not JSON"),
    ],
)
def test_a_card_without_what_prediction_needs_is_not_written(
    model: EfficientECG, tmp_path: Path, changes: dict[str, object], message: str
) -> None:
    card = {key: value for key, value in (CARD | changes).items() if value is not None}
    with pytest.raises(ECGModelsError, match=message):
        save_model(tmp_path, model, card)
    assert list(tmp_path.iterdir()) == []


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    folder = tmp_path_factory.mktemp("split")
    write_synthetic_recordings(folder / "recordings", records=10, seconds_per_record=30.0)
    options = PrepareOptions(folds=2)
    prepare("synthetic", folder / "recordings", folder / "data", options, processes=1)
    return open_dataset(folder / "data")


def test_a_splits_hash_is_of_the_records_on_each_side(dataset: Dataset) -> None:
    train, validation = dataset.development("fold-0")
    sides = {
        "test": sorted({str(name) for name in dataset.test().record_id}),
        "train": sorted({str(name) for name in train.record_id}),
        "validation": sorted({str(name) for name in validation.record_id}),
    }
    canonical = json.dumps(sides, separators=(",", ":")).encode()
    assert split_hash(dataset, "fold-0") == hashlib.sha256(canonical).hexdigest()


def test_each_split_has_a_hash_of_its_own(dataset: Dataset) -> None:
    assert len({split_hash(dataset, split) for split in dataset.splits}) == 3


def test_what_is_not_causal_is_told_in_words() -> None:
    assert non_causal_parts(filtered=False, features=(), template=False) == []
    parts = non_causal_parts(filtered=True, features=["rr_next_s"], template=True)
    assert [part.partition(":")[0] for part in parts] == ["filter", "feature rr_next_s", "template"]
