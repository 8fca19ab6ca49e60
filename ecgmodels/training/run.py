"""One training: a learner, its data, its past, and the best of it."""

from __future__ import annotations

import copy
import math
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ecgmodels.loading.batches import DeviceSegments, Segments, to_device
from ecgmodels.loading.gathering import HostSignal
from ecgmodels.loading.paging import Window, read_window, usable_memory_bytes
from ecgmodels.models.base import ModelConfig
from ecgmodels.models.network import ECGNetwork
from ecgmodels.models.registry import resolve
from ecgmodels.training.checkpoint import PastEpoch, read_checkpoint, require_identity
from ecgmodels.training.config import TrainingConfig
from ecgmodels.training.data import TrainingData
from ecgmodels.training.distributed import Ranks
from ecgmodels.training.early_stop import best_epoch, ends_after
from ecgmodels.training.learner import Learner
from ecgmodels.training.threads import fastest, step_seconds, thread_counts, torch_threads


class Run:
    """A training that goes from epoch to epoch, and can be written down after each."""

    def __init__(
        self,
        model_config: ModelConfig,
        config: TrainingConfig,
        data: TrainingData,
        *,
        seed: int,
        ranks: Ranks,
        device: torch.device,
        batch_parts: int = 1,
    ) -> None:
        def move(segments: Segments) -> DeviceSegments:
            return to_device(
                segments,
                data.normalisation,
                names=data.features,
                wanted=model_config.features,
                device=device,
                template=model_config.template,
            )

        self.config = config
        self.model_config = model_config
        self.data = data
        self.seed = seed
        self.ranks = ranks
        self.device = device
        self.batch_parts = batch_parts
        self.threads: int | None = None
        """CPU threads to compute with; None: the process's setting. A checkpoint's, after it."""
        self.history: list[PastEpoch] = []
        self.identity: dict[str, Any] = {
            "seed": seed,
            "train_segments": len(data.train.label),
            "model": {"family": model_config.model, **resolve(model_config).to_dict()},
            "training": config.to_dict(),
        }
        self._train = move(data.train)
        self._validation = move(data.validation)
        window = _window(data.train, ranks, device)
        self._learner = self._new_learner(config, ranks, window)
        self._best: dict[str, Tensor] | None = None

    def _new_learner(self, config: TrainingConfig, ranks: Ranks, window: Window | None) -> Learner:
        return Learner(
            self.model_config,
            config,
            self._train,
            rate_hz=self.data.rate_hz,
            seed=self.seed,
            ranks=ranks,
            device=self.device,
            window=window,
            batch_parts=self.batch_parts,
        )

    def ends_by(self, last: int) -> bool:
        """Return whether no epoch follows up to the `last` one."""
        return len(self.history) >= last or ends_after(self.history, self.config)

    def require_equal_past(self) -> None:
        """Check that all ranks go on from the same epoch.

        Raises:
            TrainingError: they do not.
        """
        self.ranks.require_equal(len(self.history), "the epoch they go on from", self.device)

    @property
    def threads_used(self) -> int:
        """CPU threads that epochs compute with."""
        return self.threads or torch.get_num_threads()

    @property
    def model(self) -> ECGNetwork:
        """The model as it was validated last."""
        return self._learner.validated_model

    @property
    def best_model(self) -> ECGNetwork:
        """The model to keep: with early stop a copy of the best epoch's, else `model`."""
        if self._best is None:
            return self.model
        best = copy.deepcopy(self.model)
        best.load_state_dict(self._best)
        return best

    @property
    def kept(self) -> int:
        """Number of the epoch that `best_model` is of."""
        if self.config.early_stop_epochs is None:
            return len(self.history)
        return best_epoch(self.history, self.config.early_stop_metric)

    def advance(self) -> PastEpoch:
        """Train and validate through the next epoch, and remember it.

        Raises:
            TrainingError: a loss or an output is not finite.
        """
        number = len(self.history) + 1
        begin = time.perf_counter()
        with torch_threads(self.threads_used):
            training = self._learner.train_epoch(number)
            validation = self._learner.validate(self._validation, self.data)
        # One rank's, so that ranks of different processors decide alike to the last bit.
        metrics = {**validation, **training}
        values = self.ranks.of_first(list(metrics.values()), self.device)
        epoch = PastEpoch(
            number=number,
            metrics=dict(zip(metrics, values, strict=True)),
            seconds=time.perf_counter() - begin,
        )
        self.history.append(epoch)
        if ends_after(self.history, self.config):
            self.history[-1] = replace(epoch, final=True)
        if self._last_is_best():
            self._best = _copy(self.model)
        return self.history[-1]

    def choose_threads(self, limit: int) -> None:
        """Measure how many threads are fastest, unless the training knows a number up to `limit`.

        The steps that are timed are those of a second learner: neither this training nor the
        caller's random numbers notice. All ranks take the number that is best on average.
        """
        limit = self.ranks.least(limit, self.device)
        if self.threads is not None and self.threads <= limit:
            return
        if limit == 1 or self.device.type != "cpu":
            self.threads = limit
            return
        share = replace(self.config, batch_size=self.config.batch_size // self.ranks.world_size)
        rehearsed = self._new_learner(share, Ranks(), self._learner.window)
        seconds = step_seconds(rehearsed.rehearsal(), limit)
        counts = thread_counts(limit)
        average = torch.tensor([seconds.get(count, math.inf) for count in counts])
        self.ranks.average_([average])
        self.threads = fastest(dict(zip(counts, average.tolist(), strict=True)))

    def state(self) -> dict[str, Any]:
        """Return what a checkpoint holds.

        "best" is the best epoch's model where it is not the last one's, and None elsewhere.
        """
        return {
            "identity": self.identity,
            "model_config": self.model_config.to_dict(),
            "history": [asdict(epoch) for epoch in self.history],
            "threads": self.threads_used,
            "best": None if self._last_is_best() else self._best,
            **self._learner.state(),
        }

    def resume(self, checkpoint: Path) -> None:
        """Go on from a checkpoint.

        Raises:
            TrainingError: it is missing or damaged, or of another training.
        """
        state = read_checkpoint(checkpoint)
        require_identity(checkpoint, state["identity"], self.identity)
        self._learner.load_state(state)
        self.history = [PastEpoch(**epoch) for epoch in state["history"]]
        self.threads = state["threads"]
        if self.config.early_stop_epochs is not None:
            self._best = state["best"] or _copy(self.model)

    def _last_is_best(self) -> bool:
        """Return whether the last epoch is the one whose model early stop would keep."""
        return self.config.early_stop_epochs is not None and self.kept == len(self.history)


def _copy(model: ECGNetwork) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in model.state_dict().items()}


def _window(train: Segments, ranks: Ranks, device: torch.device) -> Window | None:
    """Return the order of reading, which ranks on machines of different memory agree on."""
    signal = HostSignal(train.signal_uv)
    segment_bytes = 2 * signal.segment_samples
    window = read_window(len(signal), segment_bytes, usable_memory_bytes())
    if not ranks.any(window is not None, device):
        return None
    return window or read_window(len(signal), segment_bytes, 0)
