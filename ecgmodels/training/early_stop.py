"""When training ends before its schedule does, and which epoch's model is kept.

Both follow from the epochs so far alone, so a training that was interrupted decides as one that
was not.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

from ecgmodels.configs import nearest_hint
from ecgmodels.errors import ConfigError
from ecgmodels.training.config import TrainingConfig

_LOWER_IS_BETTER = "_loss"


class _Measured(Protocol):
    @property
    def metrics(self) -> dict[str, float]: ...


def best_epoch(epochs: Sequence[_Measured], metric: str) -> int:
    """Return the 1-based number of the best of the epochs so far; of equal ones, the first."""
    sign = -1 if metric.endswith(_LOWER_IS_BETTER) else 1
    values = [sign * epoch.metrics[metric] for epoch in epochs]
    return values.index(max(values)) + 1


def ends_after(epochs: Sequence[_Measured], config: TrainingConfig) -> bool:
    """Return whether training ends with the last of the epochs so far.

    It does with the schedule's last, and where `early_stop_epochs` in a row were no better than
    the best before them.
    """
    if len(epochs) >= config.epochs:
        return True
    if config.early_stop_epochs is None or not epochs:
        return False
    best = best_epoch(epochs, config.early_stop_metric)
    return len(epochs) - best >= config.early_stop_epochs


def require_measured(config: TrainingConfig, measured: Iterable[str]) -> None:
    """Check that the metric that decides is one of those that an epoch measures.

    Raises:
        ConfigError: it is not.
    """
    names = sorted(measured)
    if config.early_stop_epochs is not None and config.early_stop_metric not in names:
        raise ConfigError(
            f"early_stop_metric '{config.early_stop_metric}' is not measured on these data",
            hint=nearest_hint(config.early_stop_metric, names),
        )
