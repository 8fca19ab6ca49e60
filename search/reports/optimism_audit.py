"""How often the rule that gives up hope was wrong, and what it saved."""

from __future__ import annotations

from dataclasses import dataclass

from search.study.fronts import front_records
from search.study.records import Phase
from search.study.study import Study


@dataclass(frozen=True, kw_only=True)
class OptimismAudit:
    """What became of those that were out of the front's reach by the rule."""

    stopped: int
    let_through: int
    trained_in_full: int
    """Of those let through; halving paused the others."""
    wrong: int
    """Of those let through, so many are on the front."""
    epochs_each: float
    """For how many more epochs each of those let through trained."""

    @property
    def saved_epochs(self) -> float:
        """What stopping saved, were those stopped like those let through."""
        return self.stopped * self.epochs_each


def optimism_audit(study: Study) -> OptimismAudit:
    """Return the audit of a study as it stands."""
    hopeless = [r for r in study.records.values() if r.hopeless_after is not None]
    through = [record for record in hopeless if not record.abandoned]
    on_front = {record.number for record in front_records(study)}
    more = [record.epochs - (record.hopeless_after or 0) for record in through]
    return OptimismAudit(
        stopped=len(hopeless) - len(through),
        let_through=len(through),
        trained_in_full=sum(record.phase is Phase.DONE for record in through),
        wrong=sum(record.number in on_front for record in through),
        epochs_each=sum(more) / len(more) if more else 0.0,
    )


def optimism_line(study: Study) -> str:
    """Return the audit as a line for people; nothing when hope was given up of nobody."""
    found = optimism_audit(study)
    if not found.stopped and not found.let_through:
        return ""
    stopped = f"out of the front's reach: {found.stopped} stopped on the way"
    if not found.let_through:
        return f"{stopped}, none let through to see"
    return (
        f"{stopped}, {found.let_through} let through to see, of which {found.trained_in_full} "
        f"trained in full and {found.wrong} reached the front; about {found.saved_epochs:.0f} "
        f"epochs saved"
    )
