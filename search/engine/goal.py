"""What a search was asked for."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from search.errors import StudyError


@dataclass(frozen=True, kw_only=True)
class Goal:
    """What a search was asked for: the length of a training, and limits on all of them together.

    Whatever limit is reached first ends the search (`search.engine.limits`).

    Raises:
        StudyError: nothing would end it, or a limit in hours or on growth is not above 0.
    """

    max_epochs: int
    """The full length of a training."""
    candidates: int | None = None
    """So many candidates are started (turned-down proposals do not count); None: any number."""
    budget_epochs: int | None = None
    """Once so many epochs are spent, all candidates together, it ends; None: however many."""
    gpu_hours: float | None = None
    """Hours of GPUs that candidates occupy, all together; a half GPU for two hours is one."""
    worker_hours: float | None = None
    """Hours of workers that candidates occupy, all together."""
    hours: float | None = None
    """Hours of searching by the clock on the wall, all runs of the study together."""
    min_gain_per_hour: float | None = None
    """The least by which the front's hypervolume has to grow lately, as a fraction of itself, per
    GPU-hour (per worker-hour where no GPU is used)."""

    def __post_init__(self) -> None:
        limits = {
            field.name: getattr(self, field.name)
            for field in dataclasses.fields(self)
            if field.name != "max_epochs"
        }
        if all(limit is None for limit in limits.values()):
            raise StudyError(
                "nothing would end the search", hint="give it candidates or a budget of epochs"
            )
        for name, limit in limits.items():
            if name not in ("candidates", "budget_epochs") and limit is not None and limit <= 0:
                raise StudyError(f"{name} is {limit:g}", hint="give it more, or leave it out")
