"""What a search was asked for."""

from __future__ import annotations

from dataclasses import dataclass

from search.errors import StudyError


@dataclass(frozen=True, kw_only=True)
class Goal:
    """What a search was asked for.

    Raises:
        StudyError: nothing would end it.
    """

    max_epochs: int
    """The full length of a training."""
    candidates: int | None = None
    """So many candidates are started (turned-down proposals do not count); None: any number."""
    budget_epochs: int | None = None
    """Once so many epochs are spent, all candidates together, it ends; None: however many."""

    def __post_init__(self) -> None:
        if self.candidates is None and self.budget_epochs is None:
            raise StudyError(
                "nothing would end the search", hint="give it candidates or a budget of epochs"
            )
