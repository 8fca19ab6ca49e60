"""Train several models of one architecture together: `fit_together` yields their epochs.

    for epochs in fit_together(model_config, training_configs, data, seeds=range(8), device="cuda"):
        for epoch in epochs:
            if isinstance(epoch, MemberEpoch) and epoch.metrics["mean_f1"] < 0.5:
                epoch.leave()  # the others go on
            ...

As with `ecgmodels.training.fitting.fit`, whoever iterates decides when to save, stop or go on; and
a checkpoint of either is one of the other.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from ecgmodels.errors import ConfigError, TrainingError
from ecgmodels.loading.paging import Window
from ecgmodels.models.base import ModelConfig
from ecgmodels.models.network import ECGNetwork
from ecgmodels.training.checkpoint import PastEpoch, write_checkpoint
from ecgmodels.training.config import TrainingConfig
from ecgmodels.training.data import TrainingData
from ecgmodels.training.distributed import Ranks
from ecgmodels.training.early_stop import require_measured
from ecgmodels.training.fitting import _usable
from ecgmodels.training.learner import Learner
from ecgmodels.training.run import Run
from ecgmodels.training.stacked import StackedLearner, require_stackable
from ecgmodels.training.threads import require_threads, torch_threads


@dataclass(frozen=True, kw_only=True)
class MemberEpoch(PastEpoch):
    """An epoch that one member of a stack just finished; the stack waits until asked to go on.

    `metrics` are those of `ecgmodels.training.fitting.Epoch`; `seconds` are an equal share of what
    training took, and the member's own validation.
    """

    member: int
    """Its place among the trainings that `fit_together` was given."""

    _seat: _Seat = field(repr=False, compare=False)

    @property
    def model(self) -> ECGNetwork:
        """The model as it was validated; it changes when the stack goes on."""
        return self._seat.at(self.number).model

    @property
    def best_model(self) -> ECGNetwork:
        """The model to keep: with early stop, the best epoch's so far, else `model`."""
        return self._seat.at(self.number).best_model

    def save(self, path: Path) -> None:
        """Write a checkpoint that `fit` and `fit_together` go on from, atomically.

        Raises:
            TrainingError: the stack already went on.
        """
        write_checkpoint(path, self._seat.at(self.number).state())

    def leave(self) -> None:
        """Let this be the member's last epoch; the others go on as if it had never been there."""
        self._seat.leaves = True


@dataclass(frozen=True, kw_only=True)
class MemberFailure:
    """A member whose training has ended, as `fit` would have ended it with this error."""

    member: int
    error: TrainingError


def fit_together(
    model_config: ModelConfig,
    training_configs: Sequence[TrainingConfig],
    data: TrainingData,
    *,
    seeds: Sequence[int],
    max_epochs: int | None = None,
    checkpoints: Sequence[Path | None] | None = None,
    device: str | torch.device = "cpu",
    threads: int | None = None,
) -> Iterator[tuple[MemberEpoch | MemberFailure, ...]]:
    """Train one model a configuration and seed, yielding an epoch of all that are still training.

    A member ends with its last epoch, when it leaves, or with a failure of its own.

    Args:
        training_configs: one a member; they must agree in `stacked.SHARED`.
        seeds: one a member.
        max_epochs: number of the last epoch to run; by default each schedule's end.
        checkpoints: one a member: go on after this file's epoch if it exists. Members may stand at
            different epochs.
        device, threads: as for `fit`.

    Raises:
        ConfigError: model, data and options do not fit together.
        TrainingError: a checkpoint is of another training.
    """
    if isinstance(threads, str):
        raise ConfigError(
            f"threads of trainings together must be a number or None, got '{threads}'",
            hint="set the number of CPUs that they may use",
        )
    require_threads(threads, None)
    require_stackable(training_configs)
    paths = checkpoints or [None] * len(training_configs)
    for name, given in (("seeds", seeds), ("checkpoints", paths)):
        if len(given) != len(training_configs):
            raise ConfigError(
                f"{name} must be one a training ({len(training_configs)}), got {len(given)}",
                hint=f"give as many {name} as training_configs",
            )
    data.require_fit(model_config)
    for config in training_configs:
        config.require_fit(leads=model_config.leads, rate_hz=data.rate_hz)
        require_measured(config, data.metric_names)
    seats: list[_Seat] = []
    for member, (config, seed, path) in enumerate(zip(training_configs, seeds, paths, strict=True)):
        run = _Member(
            model_config,
            config,
            data,
            seed=seed,
            device=_usable(device),
            beside=seats[0].run if seats else None,
        )
        if path is not None and path.exists():
            run.resume(path)
        run.threads = threads
        last = min(max_epochs or config.epochs, config.epochs)
        seats.append(_Seat(member=member, run=run, last=last))
    going = [seat for seat in seats if not seat.ended]
    return _epochs(going, _stacked(going, before=None))


def _epochs(
    going: Sequence[_Seat], stack: StackedLearner | None
) -> Iterator[tuple[MemberEpoch | MemberFailure, ...]]:
    while going:
        for seat in going:
            seat.current = None
        seconds = 0.0 if stack is None else _trained(going, stack)
        yield tuple(seat.advance(seconds / len(going)) for seat in going)
        going = [seat for seat in going if not seat.ended]
        stack = _stacked(going, before=stack)


def _stacked(going: Sequence[_Seat], before: StackedLearner | None) -> StackedLearner | None:
    """Return the stack of these, which may be the one `before`; one that is alone has none."""
    learners = tuple(seat.run.learner for seat in going)
    if len(learners) < 2:
        return None
    return before if before and before.learners == learners else StackedLearner(learners)


def _trained(going: Sequence[_Seat], stack: StackedLearner) -> float:
    """Train all through their next epoch, and return the seconds that took."""
    begin = time.perf_counter()
    with torch_threads(going[0].run.threads_used):
        outcomes = stack.train_epoch([len(seat.run.history) + 1 for seat in going])
    for seat, outcome in zip(going, outcomes, strict=True):
        seat.run.learner.trained = outcome
    return time.perf_counter() - begin


@dataclass(kw_only=True)
class _Seat:
    """A member's place in a stack."""

    member: int
    run: _Member
    last: int
    leaves: bool = False
    current: int | None = None
    """The epoch that can be looked at."""

    @property
    def ended(self) -> bool:
        return self.leaves or self.run.ends_by(self.last)

    def advance(self, trained_s: float) -> MemberEpoch | MemberFailure:
        """Validate the epoch just trained in so many seconds, and remember it."""
        try:
            past = self.run.advance()
        except TrainingError as error:
            self.leaves = True
            return MemberFailure(member=self.member, error=error)
        past = replace(past, seconds=past.seconds + trained_s)
        self.run.history[-1] = past
        self.current = past.number
        return MemberEpoch(**asdict(past), member=self.member, _seat=self)

    def at(self, number: int) -> _Member:
        """Return the run, as long as it stands where that epoch left it."""
        if number != self.current:
            raise TrainingError(
                f"epoch {number} of training {self.member} is gone: the stack went on after it",
                hint="save an epoch, or use its model, before asking for the next ones",
            )
        return self.run


class _TrainedTogether(Learner):
    """A learner that a stack may have trained through the epoch that is asked of it."""

    trained: dict[str, float] | TrainingError | None = None
    """What the stack found, until it is asked for."""

    def train_epoch(self, epoch: int) -> dict[str, float]:
        trained, self.trained = self.trained, None
        if trained is None:
            return super().train_epoch(epoch)
        if isinstance(trained, TrainingError):
            raise trained
        return trained


class _Member(Run):
    """A training whose epochs a stack trains."""

    def __init__(
        self,
        model_config: ModelConfig,
        config: TrainingConfig,
        data: TrainingData,
        *,
        seed: int,
        device: torch.device,
        beside: _Member | None,
    ) -> None:
        """Begin anew with the segments on the device that the one `beside` has, if there is one."""
        super().__init__(model_config, config, data, seed=seed, ranks=Ranks(), device=device)
        if beside is not None:
            self._train, self._validation = beside._train, beside._validation
            self._learner.train = beside._train

    def _new_learner(self, config: TrainingConfig, ranks: Ranks, window: Window | None) -> Learner:
        return _TrainedTogether(
            self.model_config,
            config,
            self._train,
            rate_hz=self.data.rate_hz,
            seed=self.seed,
            ranks=ranks,
            device=self.device,
            window=window,
        )

    @property
    def learner(self) -> _TrainedTogether:
        assert isinstance(self._learner, _TrainedTogether)
        return self._learner

    def state(self) -> dict[str, Any]:
        """Return what a checkpoint holds, of this member alone: its weights are a stack's rows."""
        state = super().state()
        state["model"] = {name: value.clone() for name, value in state["model"].items()}
        return state
