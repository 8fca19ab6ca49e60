"""Why trials fail, and what is done about it: a pure policy."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum


class Cause(StrEnum):
    """Classes of failure. Only a lost worker can end otherwise the next time."""

    NON_FINITE = "non-finite loss"
    OUT_OF_MEMORY = "out of memory"
    BAD_DATA = "bad data"
    BUG = "bug"
    LOST_WORKER = "lost worker"


LOST_WORKER_MESSAGE = "a worker process died"


@dataclass(frozen=True)
class Retry:
    """Lease the candidate again; it goes on from its last checkpoint."""


@dataclass(frozen=True)
class GiveUp:
    """Record the failure and go on with other candidates."""


@dataclass(frozen=True, kw_only=True)
class FailurePolicy:
    """Retries what a retry can mend: a lost worker, `max_losses` times a candidate."""

    max_losses: int = 3
    max_bugs_in_a_row: int = 3
    """So many candidates in a row that fail alike (a bug, or unreadable data) end the search."""

    def decide(self, cause: Cause, losses: int) -> Retry | GiveUp:
        """Decide after a failure; `losses` counts the candidate's lost workers so far."""
        if cause is Cause.LOST_WORKER and losses <= self.max_losses:
            return Retry()
        return GiveUp()


_LOST_PEER = (
    "Connection closed by peer",
    "Connection reset by peer",
    "NCCL communicator was aborted",
)
"""What gloo and nccl say on the ranks that are left when another one dies."""


def classify(error: BaseException) -> Cause:
    """Name the cause of an exception that learning raised.

    Works on the classes' names, so that neither torch nor ray has to be imported to tell.
    """
    names = {kind.__name__ for kind in type(error).__mro__}
    text = str(error)
    if "non-finite" in text or "not a finite number" in text:
        return Cause.NON_FINITE
    if "OutOfMemoryError" in names or isinstance(error, MemoryError):
        return Cause.OUT_OF_MEMORY
    if "can't allocate memory" in text or "Cannot allocate memory" in text:
        return Cause.OUT_OF_MEMORY
    if "DataError" in names:
        return Cause.BAD_DATA
    if names & {"RayActorError", "WorkerCrashedError", "NodeDiedError"}:
        return Cause.LOST_WORKER
    if any(phrase in text for phrase in _LOST_PEER):
        return Cause.LOST_WORKER
    return Cause.BUG


def signature(message: str) -> str:
    """Return what is alike in the messages of one and the same failure of different candidates."""
    return re.sub(r"\S*\d\S*", "#", message)


def one_line(error: BaseException) -> str:
    """Return class and first line of an exception, as it is shown and written down."""
    text = str(error).strip().splitlines()
    return f"{type(error).__name__}: {text[0] if text else 'no message'}"


def explain(error: BaseException) -> tuple[Cause, str]:
    """Name the cause of a failed lease, and tell it in one line.

    Of a group of workers the worst error counts (Ray Train gives one a rank).

    When one rank dies or raises, the others fail in their next collective call; what they say then
    is an echo and counts only when there is nothing else.
    """
    failures = list(getattr(error, "worker_failures", {}).values()) or [error]
    causes = [(classify(_root(failure)), _root(failure)) for failure in failures]
    order = [Cause.NON_FINITE, Cause.OUT_OF_MEMORY, Cause.BAD_DATA, Cause.LOST_WORKER, Cause.BUG]
    cause, root = min(causes, key=lambda pair: order.index(pair[0]))
    return cause, LOST_WORKER_MESSAGE if cause is Cause.LOST_WORKER else one_line(root)


def _root(error: BaseException) -> BaseException:
    """Return the exception that user code raised, out of Ray's wrappers."""
    for wrapped in ("_base_exc", "health_check_failure", "controller_failure", "cause"):
        inner = getattr(error, wrapped, None)
        if isinstance(inner, BaseException):
            return _root(inner)
    return error
