"""Our side of the training step: the learner's own epochs over its own batches."""

from __future__ import annotations

import time
from collections.abc import Callable
from itertools import count

import torch
from training_work import BATCH, FEATURES, Work, synchronise

from ecgmodels import TrainingConfig
from ecgmodels.loading.batches import to_device
from ecgmodels.training.distributed import Ranks
from ecgmodels.training.learner import Learner
from ecgmodels.training.threads import fastest, step_seconds

RATE_HZ = 250.0


def ours(work: Work, *, device: str) -> Callable[[], float]:
    """Return a round: it trains for `work.steps` steps and returns segments/s.

    The number of threads is measured first, as `fit(threads="measure")` does.
    """
    where = torch.device(device)
    config = TrainingConfig(
        epochs=1_000_000,  # the learning rate stays where it begins
        batch_size=BATCH,
        segments_per_epoch=BATCH * work.steps,
        learning_rate=1e-3,
    )
    data = to_device(
        work.segments(),
        work.normalisation(),
        names=FEATURES[: len(work.config.features)],
        wanted=work.config.features,
        device=where,
    )

    def learner() -> Learner:
        return Learner(
            work.config, config, data, rate_hz=RATE_HZ, seed=0, ranks=Ranks(), device=where
        )

    if device == "cpu" and torch.get_num_threads() > 1:
        rehearsal = learner().rehearsal()
        torch.set_num_threads(fastest(step_seconds(rehearsal, torch.get_num_threads())))
    training, epochs = learner(), count(1)
    training.train_epoch(next(epochs))

    def round_of_steps() -> float:
        synchronise(device)
        begun_s = time.perf_counter()
        training.train_epoch(next(epochs))
        synchronise(device)
        return BATCH * work.steps / (time.perf_counter() - begun_s)

    return round_of_steps
