"""Is EfficientECG more accurate than the networks of the field? MIT-BIH, between patients.

    python benchmarks/baselines.py [--epochs 8] [--seeds 1] [--models PEER ...] [--json]

Reads MIT-BIH from $ECG_DATA_ROOT/mitdb (default ../shared/data) and prepares it as `ecgsearch data
prepare mitdb` does: 2 leads x 128 samples at 128 Hz, N S V F. Every model is trained on DS1 by the
same protocol, written down in `TRAINING`, once for each of the four patient-grouped folds and each
seed, and validated on the fold's patients; DS2, the test part, is never read. All models see the
same RR, age and sex features: the baselines beside their classifier's input (`concat`),
EfficientECG by attention. Nothing was tuned for any of them.

A row compares a peer with a member of EfficientECG that has fewer parameters, or, for the two ways
of leaving attention out, as good as the same:

mean F1, NAME          mean F1 over N, S and V, mean over folds and seeds
parameters, NAME       what they have
epoch, NAME            seconds of one epoch on one thread, median

The spread over the folds is printed below the table: four groups of five or six patients differ far
more than the models do.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import statistics
import sys
import tempfile
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from table import Row, cpu_name, show

from ecgmodels import ModelConfig, TrainingConfig, TrainingData, cost, fit, model_config
from ecgmodels.data import Dataset, PrepareOptions, open_dataset, prepare

CPUS = min(4, os.cpu_count() or 1)
DATA = Path(os.environ.get("ECG_DATA_ROOT", Path(__file__).parents[2] / "shared" / "data"))
FOLDS = tuple(f"fold-{number}" for number in range(4))

TRAINING = {
    "batch_size": 128,
    "segments_per_epoch": 16_384,
    "learning_rate": 3e-3,
    "weight_decay": 0.01,
    "class_weighting": "sqrt",
    "ema_decay": 0.99,
    "amplitude_scale": 0.2,
    "noise_uv": 20.0,
    "time_shift": 0.02,
}

OURS = {
    "tiny x0.35": {"base": "tiny", "width": 0.35, "attention_width": 8},
    "tiny x1.5": {"base": "tiny", "width": 1.5},
    "small": {"base": "small"},
    "small x1.7": {"base": "small", "width": 1.7},
}
"""Members of EfficientECG, with kernels of 11 taps and attention to features after stage 4."""

OTHERS = {
    "cnn_lstm": {"model": "cnn_lstm"},
    "cnn_lstm x6": {"model": "cnn_lstm", "width": 6.0},
    "resnet1d_wang": {"model": "resnet1d_wang"},
    "inception1d": {"model": "inception1d"},
    "xresnet1d101": {"model": "xresnet1d101"},
    "resnet1d18": {"model": "resnet1d18"},
}
"""Baselines: at their published size, and the CNN-LSTM wider, as it was made for one lead."""

COMPARED = {
    "small, concat": "small",
    "small, no features": "small",
    "cnn_lstm": "tiny x0.35",
    "cnn_lstm x6": "tiny x1.5",
    "resnet1d_wang": "small x1.7",
    "inception1d": "small x1.7",
    "xresnet1d101": "small x1.7",
    "resnet1d18": "small x1.7",
}
"""Peer -> the member of EfficientECG that it is compared with."""


@dataclass(frozen=True, kw_only=True)
class Run:
    """One training."""

    name: str
    model: dict[str, object]
    split: str
    seed: int
    epochs: int


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What one training came to."""

    name: str
    split: str
    mean_f1: float
    epoch_s: float


def train(folder: str, run: Run) -> Outcome:
    """Train one model on one fold, on one thread."""
    data = TrainingData.of(open_dataset(folder), run.split)
    config = TrainingConfig.from_dict({**TRAINING, "epochs": run.epochs})
    epochs = list(fit(model_config(run.model), config, data, seed=run.seed, threads=1))
    return Outcome(
        name=run.name,
        split=run.split,
        mean_f1=epochs[-1].metrics["mean_f1"],
        epoch_s=statistics.median(epoch.seconds for epoch in epochs),
    )


def models(dataset: Dataset, wanted: list[str]) -> dict[str, ModelConfig]:
    """Return the configurations of what is compared, ours and the peers."""
    shape = {
        "leads": len(dataset.leads),
        "samples": dataset.samples,
        "classes": len(dataset.classes),
    }
    features = {"features": dataset.features}
    ecg = {"model": "efficientecg", "kernel_scale": 2.2, **shape}
    attention = {"fusion": "attention", "placements": ("stage4",), **features}
    settings = {name: {**ecg, **attention, **options} for name, options in OURS.items()}
    settings["small, concat"] = {**ecg, **OURS["small"], "fusion": "concat", **features}
    settings["small, no features"] = {**ecg, **OURS["small"]}
    for name, options in OTHERS.items():
        settings[name] = {**shape, **features, "fusion": "concat", **options}
    peers = wanted or list(COMPARED)
    return {
        name: model_config(options)
        for name, options in settings.items()
        if name in peers or name in {COMPARED[peer] for peer in peers}
    }


def results(options: argparse.Namespace) -> tuple[dict[str, ModelConfig], list[Outcome]]:
    """Prepare the data and train everything, several models at a time."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "mitdb"
        prepare("mitdb", DATA / "mitdb", path, PrepareOptions())
        compared = models(open_dataset(path), options.models)
        # Long trainings first, so that none is left alone at the end.
        order = sorted(compared, key=lambda name: -cost(compared[name])["macs"])
        runs = [
            Run(
                name=name,
                model=compared[name].to_dict(),
                split=split,
                seed=seed,
                epochs=options.epochs,
            )
            for name in order
            for seed in range(options.seeds)
            for split in FOLDS
        ]
        outcomes = []
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(CPUS, mp_context=context) as pool:
            for outcome in pool.map(train, [str(path)] * len(runs), runs):
                outcomes.append(outcome)
                print(
                    f"{len(outcomes)}/{len(runs)} {outcome.name} {outcome.split} "
                    f"mean_f1 {outcome.mean_f1:.4f} ({outcome.epoch_s:.1f} s an epoch)",
                    file=sys.stderr,
                )
        return compared, outcomes


def rows(compared: dict[str, ModelConfig], outcomes: list[Outcome]) -> list[Row]:
    """Put each baseline beside the member of EfficientECG it is compared with."""

    def mean(name: str) -> float:
        return statistics.mean(outcome.mean_f1 for outcome in outcomes if outcome.name == name)

    def epoch_s(name: str) -> float:
        return statistics.median(o.epoch_s for o in outcomes if o.name == name)

    def parameters(name: str) -> int:
        return cost(compared[name])["parameters"]

    figures = (("mean F1", mean, "mean F1"), ("parameters", parameters, "parameters"))
    return [
        Row(
            name=f"{what}, {peer}",
            device=cpu_name(CPUS),
            ours=figure(name),
            peer=figure(peer),
            unit=unit,
        )
        for peer, name in COMPARED.items()
        if peer in compared
        for what, figure, unit in (*figures, ("epoch", epoch_s, "s"))
    ]


def spread(compared: dict[str, ModelConfig], outcomes: list[Outcome]) -> str:
    """Return each model's mean F1 by fold."""
    lines = [f"{'model':<16}{'parameters':>12}" + "".join(f"{fold:>10}" for fold in FOLDS)]
    for name, config in compared.items():
        cells = []
        for fold in FOLDS:
            scores = [o.mean_f1 for o in outcomes if (o.name, o.split) == (name, fold)]
            cells.append(f"{statistics.mean(scores):>10.3f}")
        lines.append(f"{name:<16}{cost(config)['parameters']:>12,}" + "".join(cells))
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument(
        "--models", nargs="*", default=[], choices=list(COMPARED), help="some of the peers"
    )
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    compared, outcomes = results(options)
    show(rows(compared, outcomes), as_json=options.json)
    if not options.json:
        print()
        print(spread(compared, outcomes))


if __name__ == "__main__":
    main()
