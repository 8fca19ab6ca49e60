"""The same trials as users of Ray Tune write them, with its default settings.

Nothing here writes checkpoints or a study, which ours does.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import optuna
import ray.train
from ray import tune
from ray.train import ScalingConfig
from ray.train.torch import TorchTrainer
from ray.tune.integration.ray_train import TuneReportCallback
from ray.tune.search.optuna import OptunaSearch
from stopwatch import Stopwatch
from trivial_problem import EPOCHS, TrivialEpoch, epochs

from cluster.connect import connect

_SPACE = {"size": tune.lograndint(1, 1_000_000), "rate": tune.loguniform(1e-3, 1e-1)}


def search_with_functions(folder: Path, *, trials: int, cpus: int) -> Stopwatch:
    """OptunaSearch over function trainables, which Tune gives a new process each."""
    return _search(_learn, folder, trials=trials, cpus=cpus, slots=cpus, algorithm=_optuna())


def search_with_reused_actors(folder: Path, *, trials: int, cpus: int) -> Stopwatch:
    """Tune and nothing else: random parameters, class trainables, actors reused."""
    return _search(_Trainable, folder, trials=trials, cpus=cpus, slots=cpus, reuse_actors=True)


def search_with_nested_trainers(folder: Path, *, trials: int, workers: int) -> Stopwatch:
    """OptunaSearch over functions that each run a TorchTrainer, one at a time.

    Several at a time need a limit, or the functions hold the CPUs that their workers wait for.
    """
    return _search(
        _learn_nested,
        folder,
        trials=trials,
        cpus=workers + 1,
        slots=1,
        algorithm=_optuna(),
        settings={"workers": workers, "storage": str(folder / "train")},
        max_concurrent_trials=1,
    )


def _search(
    trainable: Any,
    folder: Path,
    *,
    trials: int,
    cpus: int,
    slots: int,
    algorithm: OptunaSearch | None = None,
    settings: Mapping[str, Any] = MappingProxyType({}),
    **tune_options: Any,
) -> Stopwatch:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    os.environ["RAY_AIR_NEW_OUTPUT"] = "0"  # with verbose=0 Tune is silent
    with connect("local", cpus=cpus):
        stopwatch = Stopwatch(slots=slots)
        results = tune.Tuner(
            trainable,
            param_space={**_SPACE, **settings},
            tune_config=tune.TuneConfig(search_alg=algorithm, num_samples=trials, **tune_options),
            run_config=tune.RunConfig(
                storage_path=str(folder / "tune"), callbacks=[_Listener(stopwatch)], verbose=0
            ),
        ).fit()
    if results.errors:
        raise results.errors[0]
    return stopwatch


def _optuna() -> OptunaSearch:
    return OptunaSearch(metric=["accuracy", "parameters"], mode=["max", "min"])


class _Listener(tune.Callback):
    def __init__(self, stopwatch: Stopwatch) -> None:
        self._stopwatch = stopwatch

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **_: Any
    ) -> None:
        self._stopwatch.result(result["learned_s"], last=result["epoch"] == EPOCHS)


def _learn(config: dict[str, Any]) -> None:
    learned_s = 0.0
    for epoch in epochs(config["size"]):
        learned_s += epoch.seconds
        tune.report(_metrics(config, epoch, learned_s))


class _Trainable(tune.Trainable):
    def setup(self, config: dict[str, Any]) -> None:
        self._epochs = epochs(config["size"])
        self._learned_s = 0.0

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        self.setup(new_config)
        return True

    def step(self) -> dict[str, Any]:
        epoch = next(self._epochs)
        self._learned_s += epoch.seconds
        metrics = _metrics(self.config, epoch, self._learned_s)
        return {**metrics, "done": epoch.number == EPOCHS}

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        """Keep nothing; Tune asks at each trial's end."""


def _learn_nested(config: dict[str, Any]) -> None:
    trial = tune.get_context().get_trial_id()
    TorchTrainer(
        _learn_on_rank,
        train_loop_config=config,
        scaling_config=ScalingConfig(num_workers=config["workers"]),
        run_config=ray.train.RunConfig(
            name=trial,
            storage_path=config["storage"],
            callbacks=[TuneReportCallback()],  # type: ignore[list-item]  # as Ray documents it
        ),
    ).fit()


def _learn_on_rank(config: dict[str, Any]) -> None:
    learned_s = 0.0
    for epoch in epochs(config["size"]):
        learned_s += epoch.seconds
        ray.train.report(_metrics(config, epoch, learned_s))


def _metrics(config: dict[str, Any], epoch: TrivialEpoch, learned_s: float) -> dict[str, Any]:
    return {
        **epoch.metrics,
        "parameters": config["size"],
        "epoch": epoch.number,
        "learned_s": learned_s,
    }
